use super::*;
use alloc::vec;
use khashmir_testing::quickcheck;
use quickcheck::TestResult;

fn v4(text: &str) -> Option<SocketAddrV4> {
    Some(text.parse().unwrap())
}

fn hashes(n: usize) -> PieceHashes {
    PieceHashes::new((0..n).map(|i| [i as u8; 20]).collect())
}

fn claim(pieces: PieceHashesRef) -> Claim {
    Claim { v4: v4("10.0.0.2:9977"), v6: None, pieces }
}

#[test]
fn reads_what_2008_stores() {
    let plain = Claim::decode(b"d1:c6:\x7f\x00\x00\x01\x27\x09e", ClaimKey::File).unwrap();
    assert_eq!(plain, Claim { v4: v4("127.0.0.1:9993"), v6: None, pieces: PieceHashesRef::None });

    let inline =
        b"d1:c6:\n\x00\x00\x02'\t1:td1:t60:AAAAAAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBBBBBCCCCCCCCCCCCCCCCCCCCee";
    let expected = PieceHashes::new(vec![[b'A'; 20], [b'B'; 20], [b'C'; 20]]);
    let read = Claim::decode(inline, ClaimKey::File).unwrap();
    assert_eq!(read.pieces, PieceHashesRef::Inline(expected));
    assert_eq!(read.encode(), inline);

    let dht = b"d1:c6:\n\x00\x00\x03'\t1:h20:HHHHHHHHHHHHHHHHHHHHe";
    assert_eq!(Claim::decode(dht, ClaimKey::File).unwrap().pieces, PieceHashesRef::Dht([b'H'; 20]));
    let peers = b"d1:c6:\n\x00\x00\x03'\t1:l20:LLLLLLLLLLLLLLLLLLLLe";
    assert_eq!(Claim::decode(peers, ClaimKey::File).unwrap().pieces, PieceHashesRef::Peers([b'L'; 20]));
}

#[test]
fn tells_what_is_no_claim() {
    let address = |key| Err(ClaimError::AddressMissing(key));
    assert_eq!(Claim::decode(b"de", ClaimKey::File), address("c"));
    assert_eq!(Claim::decode(b"d1:c6:AAAABBe", ClaimKey::FileV6), address("c6"));
    let both = b"d1:c6:AAAABB1:h20:HHHHHHHHHHHHHHHHHHHH1:l20:LLLLLLLLLLLLLLLLLLLLe";
    assert_eq!(Claim::decode(both, ClaimKey::File), Err(ClaimError::TwoTiers));
    for bad in [
        &b""[..],
        b"i1e",
        b"le",
        b"6:AAAABB",
        b"d1:c5:AAAABe",
        b"d1:c7:AAAABBBe",
        b"d1:ci6ee",
        b"d1:c6:AAAABB2:c66:AAAABBe",
        b"d1:c6:AAAABB1:h19:HHHHHHHHHHHHHHHHHHHe",
        b"d1:c6:AAAABB1:li0ee",
        b"d1:c6:AAAABB1:t20:TTTTTTTTTTTTTTTTTTTTe",
        b"d1:c6:AAAABB1:td1:t0:ee",
        b"d1:c6:AAAABB1:td1:t21:TTTTTTTTTTTTTTTTTTTTTee",
        b"d1:c6:AAAABB1:tdee",
        b"d1:c6:AAAABBe ",
        b"d1:c6:AAAABB",
    ] {
        let read = Claim::decode(bad, ClaimKey::File);
        assert!(matches!(read, Err(ClaimError::Decode(_))), "{:?}: {read:?}", bad.escape_ascii());
    }
}

#[test]
fn ignores_keys_that_it_does_not_know() {
    let value = b"d1:ai1e1:c6:AAAABB2:hhle1:td1:ai2e1:t20:TTTTTTTTTTTTTTTTTTTT1:z0:e1:zdee";
    let read = Claim::decode(value, ClaimKey::File).unwrap();
    assert_eq!(read.pieces, PieceHashesRef::Inline(PieceHashes::new(vec![[b'T'; 20]])));
}

#[test]
fn the_tier_follows_from_the_number_of_pieces() {
    let tier = |n| PieceHashesRef::to(&hashes(n)).tier();
    for (pieces, expected) in [
        (0, Tier::None),
        (1, Tier::None),
        (2, Tier::Inline),
        (4, Tier::Inline),
        (5, Tier::Dht),
        (64, Tier::Dht),
        (65, Tier::Peers),
        (2930, Tier::Peers),
    ] {
        assert_eq!(tier(pieces), expected, "{pieces}");
    }
    // What goes into a store_value of ours is at most 1,299 bytes (protocol, section 7).
    assert!(hashes(64).encode().len() <= 1299);
    assert!(claim(PieceHashesRef::to(&hashes(4))).encode().len() <= 1299);
}

#[test]
fn a_peer_without_ipv4_is_read_under_the_other_key_only() {
    let v6 = Some("[2001:db8::7]:9978".parse().unwrap());
    let only = Claim { v4: None, v6, pieces: PieceHashesRef::Dht([7; 20]) };
    assert_eq!(Claim::decode(&only.encode(), ClaimKey::FileV6), Ok(only.clone()));
    assert!(Claim::decode(&only.encode(), ClaimKey::File).is_err());
}

#[test]
fn claims_survive_the_wire() {
    fn law(v4: Option<(u32, u16)>, v6: Option<(u128, u16)>, tier: u8, n: u8) -> TestResult {
        if v4.is_none() && v6.is_none() {
            return TestResult::discard();
        }
        let claim = Claim {
            v4: v4.map(|(ip, port)| SocketAddrV4::new(ip.into(), port)),
            v6: v6.map(|(ip, port)| SocketAddrV6::new(ip.into(), port, 0, 0)),
            pieces: match tier % 4 {
                0 => PieceHashesRef::None,
                1 => PieceHashesRef::Inline(hashes(usize::from(n % 60) + 1)),
                2 => PieceHashesRef::Dht([n; 20]),
                _ => PieceHashesRef::Peers([n; 20]),
            },
        };
        let key = if v4.is_some() { ClaimKey::File } else { ClaimKey::FileV6 };
        TestResult::from_bool(Claim::decode(&claim.encode(), key) == Ok(claim))
    }
    quickcheck().quickcheck(law as fn(Option<(u32, u16)>, Option<(u128, u16)>, u8, u8) -> TestResult);
}

#[test]
fn no_value_panics_and_a_broken_claim_is_never_read_as_another() {
    fn law(at: usize, byte: u8, cut: usize) -> bool {
        let mut value = claim(PieceHashesRef::Inline(hashes(3))).encode();
        let len = value.len();
        value[at % len] = byte;
        value.truncate(len - cut % 4);
        match Claim::decode(&value, ClaimKey::File) {
            Ok(read) => read.encode().len() <= value.len(),
            Err(_) => true,
        }
    }
    quickcheck().tests(20_000).quickcheck(law as fn(usize, u8, usize) -> bool);
}

#[test]
fn keys_are_padded_or_cut_and_the_ipv6_key_differs() {
    let mut md5 = [0; 20];
    md5[..16].copy_from_slice(&[5; 16]);
    assert_eq!(file_key(&[5; 16]), Id(md5));
    assert_eq!(file_key(&[9; 32]), Id([9; 20]));
    // SHA-1 of "6" and twenty zero bytes, from sha1sum(1).
    assert_eq!(alloc::format!("{}", v6_key(&Id([0; 20]))), V6_OF_ZERO);
}
const V6_OF_ZERO: &str = "8e6e8625ce2c1a9c3a8438127893d139a8bb10a5";

#[test]
fn piece_hashes_follow_the_bytes_whatever_the_chunks() {
    fn law(extra: u16, chunk: u32) -> bool {
        let file = vec![extra as u8; PIECE_LEN as usize + usize::from(extra)];
        let mut hasher = PieceHasher::new();
        file.chunks(chunk as usize % 700_000 + 1).for_each(|chunk| hasher.update(chunk));
        let expected: Vec<[u8; 20]> =
            file.chunks(PIECE_LEN as usize).map(|piece| Sha1::digest(piece).into()).collect();
        let made = hasher.finish();
        made.as_slice() == expected && made.fits(file.len() as u64)
    }
    assert!(law(0, 699_999));
    assert!(PieceHasher::new().finish().is_empty());
    quickcheck().tests(10).quickcheck(law as fn(u16, u32) -> bool);
}

#[test]
fn piece_hashes_survive_the_wire_and_misfits_show() {
    let many = hashes(2930);
    assert_eq!(PieceHashes::decode(&many.encode()), Ok(many.clone()));
    assert!(many.fits(2930 * PIECE_LEN) && many.fits(2929 * PIECE_LEN + 1));
    assert!(!many.fits(2929 * PIECE_LEN) && !many.fits(2930 * PIECE_LEN + 1));
    assert_eq!(PieceHashes::decode(b"d1:t40:AAe").map_err(|e| e.offset), Err(4));
}

#[test]
fn every_piece_is_within_the_file() {
    assert_eq!(piece_range(PIECE_LEN + 3, 1), PIECE_LEN..PIECE_LEN + 3);
    assert!(piece_range(PIECE_LEN, 1).is_empty());
    assert!(piece_range(u64::MAX, u64::MAX).is_empty());
}

#[test]
fn paths_survive_any_escaping() {
    assert_eq!(encode_path(b"a-Z_0. /+~\xff"), "/~/a-Z_0.+%2F%2B%7E%FF");
    for same in ["/~/a+%2f", "/~/%61%20%2F", "/~/a%20/"] {
        assert_eq!(decode_path(same.as_bytes()).as_deref(), Ok(&b"a /"[..]), "{same}");
    }
    assert_eq!(decode_path(b"/~"), Err(PathError::Prefix));
    assert_eq!(decode_path(b"/~/"), Err(PathError::Empty));
    for bad in ["/~/ab%", "/~/ab%2", "/~/ab%2g", "/~/ab%+2"] {
        assert_eq!(decode_path(bad.as_bytes()), Err(PathError::Escape { offset: 5 }), "{bad}");
    }
    fn law(hash: Vec<u8>) -> bool {
        hash.is_empty() || decode_path(encode_path(&hash).as_bytes()) == Ok(hash)
    }
    quickcheck().quickcheck(law as fn(Vec<u8>) -> bool);
}
