//! What a peer may ask for, byte by byte.

use khashmir::claim::{PieceHashes, encode_path};
use khashmir_apt::Sha256;

use super::archive::{Archive, content};
use super::client::Client;
use super::liar::piece_hashes;
use super::machine::{Machine, Setup};
use super::mirror::Mirror;

const PIECE: usize = 524_288;

struct Scene {
    package: Vec<u8>,
    machine: Machine,
    _other: Machine,
}

/// A machine that has announced a package whose hash has a space in it.
fn scene(len: usize) -> Scene {
    let has_space = |content: &Vec<u8>| Sha256::of(content).0.contains(&b' ');
    let package = (1..).map(|seed| content(seed, len)).find(has_space).unwrap();
    let archive = Archive::of(&[("p.deb", &package)]);
    let mirror = Mirror::of(&archive, |_| None);
    let machine = Setup::at("127.0.0.1").start(&mirror);
    let other = Setup::at("127.0.0.2").joining(&machine).start(&mirror);
    machine.update(&mirror, &archive);
    machine.install(&mirror, "p.deb");
    machine.wait_announced(2);
    Scene { package, machine, _other: other }
}

impl Scene {
    fn path(&self) -> String {
        encode_path(&Sha256::of(&self.package).0)
    }

    fn connect(&self) -> Client {
        Client::connect(self.machine.peers())
    }
}

#[test]
fn a_file_whole_and_in_parts() {
    let scene = scene(PIECE + 10);
    let (path, package) = (scene.path(), &scene.package);
    let mut client = scene.connect();
    let whole = client.get(&path, &[]);
    assert!(whole.ok() == *package);

    // A last piece is asked for with an end past the file's.
    let last = client.get(&path, &["Range: bytes=524288-1048575"]);
    assert_eq!((last.status, last.header("content-range")), (206, Some("bytes 524288-524297/524298")));
    assert!(last.body == package[PIECE..]);
    let first = client.get(&path, &["Range: bytes=0-524287"]);
    assert_eq!((first.status, first.header("content-range")), (206, Some("bytes 0-524287/524298")));
    assert!(first.body == package[..PIECE]);

    let past = client.get(&path, &["Range: bytes=524298-"]);
    assert_eq!((past.status, past.header("content-range")), (416, Some("bytes */524298")));
    // Ranges that need not be understood are not.
    for whole in ["Range: bytes=0-1,5-6", "Range: pieces=1", "Range: bytes=0-1\r\nIf-Range: \"x\""] {
        assert!(client.get(&path, &[whole]).ok() == *package, "{whole}");
    }
}

#[test]
fn any_escaping_of_the_same_bytes_is_the_same_path() {
    let scene = scene(100);
    let path = scene.path();
    assert!(path.contains('+'), "{path}");
    let hash = Sha256::of(&scene.package).0;
    let every: String = hash.iter().map(|byte| format!("%{byte:02x}")).collect();
    let mut client = scene.connect();
    for same in [path.clone(), path.replace('+', "%20"), format!("/~/{every}"), every_letter_raw(&hash)] {
        assert!(client.get(&same, &[]).ok() == scene.package, "{same}");
    }
}

/// A path that escapes no more than it must.
fn every_letter_raw(hash: &[u8]) -> String {
    let escape = |byte: &u8| match byte {
        b'!'..=b'~' if !b"%+?#\"<>\\^`{|}".contains(byte) => char::from(*byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    format!("/~/{}", hash.iter().map(escape).collect::<String>())
}

#[test]
fn piece_hashes_of_every_tier() {
    for pieces in [2, 5, 65] {
        let scene = scene(pieces * PIECE);
        let hashes = piece_hashes(&scene.package);
        let answer = scene.connect().get(&encode_path(&hashes.sha1()), &[]);
        assert_eq!(answer.header("content-type"), Some("application/x-bencoded"));
        assert_eq!(PieceHashes::decode(&answer.ok()).unwrap(), hashes);
    }
}

#[test]
fn heads_and_pipelines_and_methods() {
    let scene = scene(1000);
    let path = scene.path();
    let mut client = scene.connect();
    client.send(&format!("HEAD {path} HTTP/1.1\r\nHost: peer\r\n\r\n"));
    let (status, headers) = client.read_head().unwrap();
    assert_eq!(status, 200);
    assert!(headers.contains(&("content-length".into(), "1000".into())), "{headers:?}");

    for first in 0..10 {
        client.ask(&path, &[&format!("Range: bytes={first}-{first}")]);
    }
    for first in 0..10 {
        let answer = client.read().unwrap();
        assert_eq!((answer.status, &answer.body[..]), (206, &scene.package[first..=first]));
    }

    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        client.send(&format!("{method} {path} HTTP/1.1\r\nHost: peer\r\nContent-Length: 0\r\n\r\n"));
        let answer = client.read().unwrap();
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
}

#[test]
fn nothing_else_is_to_be_had() {
    let scene = scene(1000);
    let mut private = b"not listed by any index".to_vec();
    let context = scene.machine.context();
    let partial = context.cache.create_partial().unwrap();
    std::os::unix::fs::FileExt::write_all_at(partial.file(), &private, 0).unwrap();
    let mut hasher = khashmir_daemon::cache::Hasher::default();
    hasher.update(&private);
    context.cache.commit(partial, hasher.finish(), false).unwrap();
    let cached = Sha256::of(&private);
    assert!(context.cache.contains(&cached).is_some());
    private.push(0);

    let hash = Sha256::of(&scene.package);
    let mut client = scene.connect();
    for path in [
        encode_path(&cached.0),
        encode_path(&Sha256::of(&private).0),
        encode_path(&hash.0[..20]),
        encode_path(&[hash.0, hash.0].concat()),
        "/~/".into(),
        "/~/%".into(),
        "/~".into(),
        "/".into(),
        format!("/~/../cache/{hash}"),
        format!("/~/{hash}"),
        "/127.0.0.1/debian/dists/sid/InRelease".into(),
        "http://127.0.0.1/debian/dists/sid/InRelease".into(),
    ] {
        assert_eq!(client.get(&path, &[]).status, 404, "{path}");
    }
    assert!(client.get(&scene.path(), &[]).ok() == scene.package, "the connection is as good as before");
}
