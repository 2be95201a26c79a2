//! `store_value`, its tokens, and what becomes of values (sections 2, 5 and 7).

use super::super::message::{Query, random_id};
use super::super::target::Target;
use super::{
    Check, MALFORMED, count_of, otherwise, proved_answer, recorded, refused, same, shown_otherwise,
    some_value, store, string, token, values_of,
};
use crate::check::{Outcome, Unmet};
use crate::tree::Tree;

const INVALID: &str = "the token is not valid";
const OPAQUE: &str = "A node does not look into values.";

/// A value of these bytes is stored, and comes back as it is.
fn comes_back(target: &Target, value: &[u8]) -> Outcome {
    let key = random_id();
    store(target, &key, &[value.to_vec()])?;
    let (answer, values) = values_of(target, &key)?;
    let expected = "the value that was stored, and no other";
    answer
        .expect(values == [value], expected, || format!("{} values", values.len()))
        .map_err(|u| u.with("stored", value))
}

/// A store with this change, but with a good token, is refused with 204.
fn malformed(target: &Target, change: fn(Query) -> Query) -> Outcome {
    let key = random_id();
    let mut peer = target.stranger()?;
    let token = token(target, &mut peer, &key)?;
    let query = Query::store_value(&key, b"value", &token);
    peer.ask(target, change(query))?.refused(204)?;
    match count_of(target, &key)? {
        0 => Ok(()),
        num => Err(Unmet::failed("nothing stored by a request that was refused", format!("num {num}"))),
    }
}

pub(super) static CHECKS: &[Check] = &[
    Check::required("store_value/is-confirmed", 2, "| `store_value` | `id`, `key`, `value`, `token` | – |", |t| {
        store(t, &random_id(), &[some_value(50)])
    })
    .in_2008(recorded("store_good_token")),
    Check::required("store_value/what-is-stored-comes-back", 2, "opaque; section 7 says how long", |t| comes_back(t, b"abc"))
        .in_2008(recorded("get_after_store")),
    Check::required("store_value/any-bytes", 5, OPAQUE, |t| comes_back(t, &(0..=255).collect::<Vec<u8>>())),
    Check::required("store_value/one-byte", 7, "1 to 1,391 bytes; 206 beyond that", |t| comes_back(t, b"e")),
    Check::required("store_value/the-longest-claim", 6, "The limit is 64 because a `get_value` response can carry 69 piece hashes and a `store_value` query of at most 1,452 bytes only 64.", |t| {
        comes_back(t, &Tree::dictionary([("t", string(&some_value(64 * 20)))]).to_bytes())
    })
    .in_2008(same(6)),
    Check::required("store_value/1391-bytes", 7, "up to 1,391 bytes over IPv4, 1,371 over IPv6", |t| {
        comes_back(t, &some_value(if t.addr.is_ipv4() { 1391 } else { 1371 }))
    }),
    Check::required("store_value/no-token-of-ours", 2, INVALID, |t| {
        refused(t, Query::store_value(&random_id(), b"abc", &[b'X'; 20]), 205)
    })
    .in_2008(recorded("store_bad_token")),
    Check::required("store_value/empty-token", 2, INVALID, |t| {
        refused(t, Query::store_value(&random_id(), b"abc", b""), 205)
    }),
    Check::required("store_value/token-with-a-bit-flipped", 2, INVALID, |t| {
        let (key, mut peer) = (random_id(), t.stranger()?);
        let mut token = token(t, &mut peer, &key)?;
        if let Some(last) = token.last_mut() {
            *last ^= 1;
        }
        peer.ask(t, Query::store_value(&key, b"abc", &token))?.refused(205)
    }),
    Check::required("store_value/token-with-a-byte-missing", 2, INVALID, |t| {
        // What a comparison of common prefixes would let pass.
        let (key, mut peer) = (random_id(), t.stranger()?);
        let token = token(t, &mut peer, &key)?;
        let short = token.len().saturating_sub(1);
        peer.ask(t, Query::store_value(&key, b"abc", &token[..short]))?.refused(205)
    }),
    Check::required("store_value/token-of-another-ip", 2, "It is good for an IP address and any port.", |t| {
        t.needs_many()?;
        let (key, mut peer) = (random_id(), t.stranger()?);
        let token = token(t, &mut peer, &key)?;
        t.stranger()?.ask(t, Query::store_value(&key, b"abc", &token))?.refused(205)
    })
    .in_2008(same(2)),
    Check::required("store_value/token-from-another-port", 2, "It is good for an IP address and any port.", |t| {
        let (key, mut peer) = (random_id(), t.stranger()?);
        let token = token(t, &mut peer, &key)?;
        peer.sibling()?.ask(t, Query::store_value(&key, b"abc", &token))?.response().map(drop)
    })
    .in_2008(same(2)),
    Check::recommended("store_value/token-of-another-key", 2, "*Ours* therefore binds the token to the key as well:", |t| {
        let (key, mut peer) = (random_id(), t.stranger()?);
        let token = token(t, &mut peer, &key)?;
        peer.ask(t, Query::store_value(&random_id(), b"abc", &token))?.refused(205)
    })
    .in_2008(otherwise("its token is good for any key", 2)),
    Check::required("store_value/token-is-good-more-than-once", 2, "a token is good for at least two checkpoint intervals and at most three", |t| {
        let (key, mut peer) = (random_id(), t.stranger()?);
        let token = token(t, &mut peer, &key)?;
        for value in [b"a", b"b"] {
            peer.ask(t, Query::store_value(&key, value, &token))?.response()?;
        }
        Ok(())
    })
    .in_2008(same(2)),
    Check::required("store_value/an-older-token-stays-good", 2, "Tokens of the latest three secrets are accepted", |t| {
        // Asking again does not take the first one away.
        let (key, mut peer) = (random_id(), t.stranger()?);
        let first = token(t, &mut peer, &key)?;
        token(t, &mut peer, &key)?;
        peer.ask(t, Query::store_value(&key, b"abc", &first))?.response().map(drop)
    }),
    Check::required("store_value/many-values-under-a-key", 5, "A key has a set of distinct byte strings, and each of these its own expiry.", |t| {
        let key = random_id();
        let mut stored: Vec<_> = (0..9).map(|_| some_value(20)).collect();
        store(t, &key, &stored)?;
        let (answer, mut values) = values_of(t, &key)?;
        values.sort();
        stored.sort();
        answer.expect(values == stored, "the nine that were stored, from three IPs", || format!("{} values", values.len()))
    })
    .in_2008(recorded("get_value_60")),
    Check::required("store_value/the-same-from-two-ips-is-one", 5, "Storing bytes that are there only renews them.", |t| {
        let (key, value) = (random_id(), some_value(20));
        store(t, &key, std::slice::from_ref(&value))?;
        store(t, &key, std::slice::from_ref(&value))?;
        let (answer, values) = values_of(t, &key)?;
        answer.expect(values == [value], "one value", || format!("{} values", values.len()))
    }),
    Check::required("store_value/keys-are-apart", 5, "A key has a set of distinct byte strings, and each of these its own expiry.", |t| {
        // Two keys that differ in their last bit.
        let (one, mut other) = (random_id(), [0; 20]);
        other.copy_from_slice(&one);
        other[19] ^= 1;
        store(t, &one, &[b"one".to_vec()])?;
        store(t, &other, &[b"other".to_vec()])?;
        let (answer, values) = values_of(t, &one)?;
        answer.expect(values == [b"one"], "the value of this key alone", || format!("{} values", values.len()))
    }),
    Check::required("store_value/key-is-missing", 2, MALFORMED, |t| malformed(t, |q| q.without("key"))).in_2008(same(2)),
    Check::required("store_value/value-is-missing", 2, MALFORMED, |t| malformed(t, |q| q.without("value"))).in_2008(same(2)),
    Check::required("store_value/token-is-missing", 2, MALFORMED, |t| malformed(t, |q| q.without("token"))).in_2008(same(2)),
    Check::required("store_value/key-is-short", 2, MALFORMED, |t| malformed(t, |q| q.argument("key", b"abc")))
        .in_2008(shown_otherwise("it stores under a key of any length", "key_short_store")),
    Check::required("store_value/value-is-an-integer", 2, MALFORMED, |t| malformed(t, |q| q.argument("value", 7)))
        .in_2008(shown_otherwise("it stores the integer as a byte string", "value_int")),
    Check::required("store_value/token-is-an-integer", 2, MALFORMED, |t| malformed(t, |q| q.argument("token", 7))),
    Check::required("store_value/unknown-argument", 2, MALFORMED, |t| malformed(t, |q| q.argument("port", 9977)))
        .in_2008(same(2)),
    Check::hardening("store_value/an-empty-value", 7, "1 to 1,391 bytes; 206 beyond that", |t| {
        let (key, mut peer) = (random_id(), t.stranger()?);
        let token = token(t, &mut peer, &key)?;
        let answer = peer.ask(t, Query::store_value(&key, b"", &token))?;
        answer.expect(answer.error().is_some(), "an error", || answer.kind())
    }),
    Check::hardening("store_value/1392-bytes", 7, "1 to 1,391 bytes; 206 beyond that", |t| {
        let (key, mut peer) = (random_id(), t.stranger()?);
        let token = token(t, &mut peer, &key)?;
        peer.ask(t, Query::store_value(&key, &some_value(1392), &token))?.refused(206)?;
        let answer = proved_answer(t, Query::get_value(&key, 0))?;
        let count = answer.strings_of("values")?.len();
        answer.expect(count == 0, "nothing stored", || format!("{count} values"))
    })
    .in_2008(otherwise("it stores what no response can carry", 7)),
    Check::hardening("store_value/four-values-of-an-ip", 7, "256 under a key; 4 under a key from one IP; 64 MiB in all", |t| {
        let (key, mut peer) = (random_id(), t.stranger()?);
        let token = token(t, &mut peer, &key)?;
        for _ in 0..4 {
            peer.ask(t, Query::store_value(&key, &some_value(20), &token))?.response()?;
        }
        let answer = peer.ask(t, Query::store_value(&key, &some_value(20), &token))?;
        let num = count_of(t, &key)?;
        answer.expect(num <= 4, "four values of this IP at most", || format!("{num}"))
    })
    .in_2008(otherwise("it takes any number", 7)),
    Check::hardening("store_value/four-values-whatever-the-port", 7, "256 under a key; 4 under a key from one IP; 64 MiB in all", |t| {
        let (key, mut peer) = (random_id(), t.stranger()?);
        let token = token(t, &mut peer, &key)?;
        for _ in 0..6 {
            peer = peer.sibling()?;
            peer.ask(t, Query::store_value(&key, &some_value(20), &token))?;
        }
        match count_of(t, &key)? {
            ..=4 => Ok(()),
            num => Err(Unmet::failed("four values of this IP at most", format!("{num}"))),
        }
    })
    .in_2008(otherwise("it takes any number", 7)),
    Check::hardening("store_value/256-values-of-a-key", 7, "256 under a key; 4 under a key from one IP; 64 MiB in all", |t| {
        t.needs_many()?;
        let key = random_id();
        for _ in 0..66 {
            let mut peer = t.stranger()?;
            let answer = peer.ask(t, Query::find_node(&key))?;
            // Without a token it has said that there is no room.
            let Ok(token) = answer.bytes_of("token") else { continue };
            for _ in 0..4 {
                peer.ask(t, Query::store_value(&key, &some_value(20), token))?;
            }
        }
        match count_of(t, &key)? {
            ..=256 => Ok(()),
            num => Err(Unmet::failed("256 values at most", format!("{num}"))),
        }
    })
    .in_2008(otherwise("it takes any number", 7)),
];
