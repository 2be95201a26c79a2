//! What a datagram has to be to count as a message, and what a query has back (section 2).

use super::super::message::{Query, random_id};
use super::super::target::Target;
use super::{Check, answered, dropped, proved_answer, recorded, same, some_value, store, string, token};
use crate::check::{In2008, Source, Unmet};
use crate::tree::Tree;
use std::collections::BTreeSet;

const DROPPED: &str = "Dropped without an answer: another length of `t` (BitTorrent's nodes use shorter ones, which keeps them out), another `y`, and a message that lacks one of the keys of its kind or has one of another type.";
const REPEATS: &str = "transaction id, a byte string of exactly 20 random bytes; an answer repeats it";
const OTHER_KEYS: &str = "Other keys beside these six are ignored.";

pub(super) static CHECKS: &[Check] = &[
    Check::required("framing/short-transaction-id", 2, DROPPED, |t| dropped(t, &Query::ping().beside("t", b"aa").to_bytes()))
        .in_2008(recorded("short_tid")),
    Check::required("framing/long-transaction-id", 2, "another length of `t`", |t| {
        dropped(t, &Query::ping().beside("t", [b't'; 21]).to_bytes())
    }),
    Check::required("framing/empty-transaction-id", 2, "another length of `t`", |t| {
        dropped(t, &Query::ping().beside("t", b"").to_bytes())
    }),
    Check::required("framing/transaction-id-is-an-integer", 2, DROPPED, |t| {
        dropped(t, &Query::ping().beside("t", 20).to_bytes())
    }),
    Check::required("framing/no-transaction-id", 2, DROPPED, |t| dropped(t, &Query::ping().lacking("t").to_bytes())),
    Check::required("framing/unknown-kind", 2, "another `y`", |t| dropped(t, &Query::ping().beside("y", b"z").to_bytes()))
        .in_2008(recorded("y_unknown")),
    Check::required("framing/kind-of-two-letters", 2, "another `y`", |t| {
        dropped(t, &Query::ping().beside("y", b"qq").to_bytes())
    }),
    Check::required("framing/kind-is-an-integer", 2, DROPPED, |t| dropped(t, &Query::ping().beside("y", 1).to_bytes())),
    Check::required("framing/no-kind", 2, DROPPED, |t| dropped(t, &Query::ping().lacking("y").to_bytes())),
    Check::required("framing/no-method", 2, DROPPED, |t| dropped(t, &Query::ping().lacking("q").to_bytes())),
    Check::required("framing/method-is-an-integer", 2, DROPPED, |t| dropped(t, &Query::ping().beside("q", 7).to_bytes())),
    Check::required("framing/no-arguments", 2, DROPPED, |t| dropped(t, &Query::ping().lacking("a").to_bytes())),
    Check::required("framing/arguments-are-a-list", 2, DROPPED, |t| {
        dropped(t, &Query::ping().beside("a", Tree::List(Vec::new())).to_bytes())
    })
    .in_2008(recorded("arg_not_dict")),
    Check::required("framing/response-that-nobody-waits-for", 2, "It counts only if its `t` is outstanding at exactly the address and port that it came from.", |t| {
        let response = Tree::dictionary([("id", random_id().into())]);
        let items = [("r", response), ("t", random_id().into()), ("y", b"r".into())];
        dropped(t, &Tree::dictionary(items).to_bytes())
    }),
    Check::required("framing/error-that-nobody-waits-for", 2, "It counts only if its `t` is outstanding at exactly the address and port that it came from.", |t| {
        let error = Tree::List(vec![203.into(), string(b"unknown")]);
        let items = [("e", error), ("t", random_id().into()), ("y", b"e".into())];
        dropped(t, &Tree::dictionary(items).to_bytes())
    }),
    Check::required("framing/transaction-id-of-any-bytes", 2, REPEATS, |t| {
        // As a number, as text and as bencode it would be something else.
        answered(t, Query::ping().beside("t", b"\0\xffe:d1:ai0el\n\r\"\\%\x80\xc3\x28")).map(drop)
    }),
    Check::required("framing/errors-repeat-the-transaction-id", 2, REPEATS, |t| {
        let answer = t.stranger()?.ask(t, Query::new("frobnicate", []))?;
        answer.expect(answer.error().is_some(), "an error", || answer.kind())
    })
    .in_2008(recorded("unknown_method")),
    Check::required("framing/unknown-key-beside-the-known-ones", 2, OTHER_KEYS, |t| {
        answered(t, Query::ping().beside("v", b"LT01")).map(drop)
    })
    .in_2008(recorded("extra_top_level_key")),
    Check::required("framing/unknown-key-with-a-dictionary", 2, "**That is the only place where a query can be extended**", |t| {
        let extension = Tree::dictionary([("a", Vec::<Tree>::new().into()), ("b", Tree::dictionary([("c", 1.into())]))]);
        answered(t, Query::find_node(&random_id()).beside("x", extension)).map(drop)
    }),
    Check::required("framing/query-of-2048-bytes", 2, "a node accepts what its socket gives it, and its buffer has at least 2,048 bytes", |t| {
        let query = Query::ping().beside("v", b"");
        let padding = 2048 - query.to_bytes().len() - 3;
        answered(t, query.beside("v", vec![b'v'; padding])).map(drop)
    }),
    Check::required("framing/every-transmission-is-answered", 2, "Each transmission of a query is answered, repeated ones included.", |t| {
        let mut peer = t.stranger()?;
        let query = Query::ping().argument("id", peer.id);
        let bytes = query.to_bytes();
        for _ in 0..3 {
            peer.send(t, &bytes)?;
        }
        for number in 1..=3 {
            peer.await_answer(t, &query, &bytes).map_err(|unmet| {
                unmet.with("which transmission went unanswered", format!("{number} of 3"))
            })?;
        }
        Ok(())
    })
    .in_2008(same(2)),
    Check::required("framing/a-repeated-store-stores-once", 5, "Storing bytes that are there only renews them.", |t| {
        let (key, value) = (random_id(), some_value(30));
        let mut peer = t.stranger()?;
        let token = token(t, &mut peer, &key)?;
        let query = Query::store_value(&key, &value, &token);
        for _ in 0..2 {
            peer.ask(t, query.clone())?.response()?;
        }
        let answer = answered(t, Query::find_value(&key))?;
        let num = answer.integer_of("num")?;
        answer.expect(num == 1, "num 1", || format!("num {num}"))
    }),
    Check::required("framing/responses-have-the-id", 2, "a dictionary; it always has `id`, the responder's", |t| {
        let key = random_id();
        store(t, &key, &[some_value(10)])?;
        for query in [Query::ping(), Query::join(), Query::find_node(&key), Query::find_value(&key), Query::get_value(&key, 0)] {
            let answer = proved_answer(t, query)?;
            let id = answer.bytes_of("id")?;
            answer.expect(id == t.id, "the id that the node had at first", || format!("id {}", hex::encode(id)))?;
        }
        let mut peer = t.stranger()?;
        let token = token(t, &mut peer, &key)?;
        let answer = peer.ask(t, Query::store_value(&key, b"v", &token))?;
        let id = answer.bytes_of("id")?;
        answer.expect(id == t.id, "the id that the node had at first", || format!("id {}", hex::encode(id)))
    })
    .in_2008(In2008::Same(Source::Session)),
    Check::required("framing/the-id-is-not-zeros", 2, "whose query or response this is; never all zeros", |t| {
        let answer = answered(t, Query::ping())?;
        let id = answer.bytes_of("id")?;
        answer.expect(id.len() == 20 && id.iter().any(|b| *b != 0), "20 bytes, not all zeros", || hex::encode(id))
    })
    .in_2008(In2008::Same(Source::Session)),
    Check::recommended("framing/the-id-names-the-software", 2, "An id of ours is 16 random bytes and a suffix of 4: `A` and three of `0-9A-Za-z.-`, naming the version of the software.", |t| {
        let suffix = &t.id[16..];
        let digit = |b: &u8| b.is_ascii_alphanumeric() || *b == b'.' || *b == b'-';
        if suffix[0] == b'A' && suffix[1..].iter().all(digit) {
            return Ok(());
        }
        Err(Unmet::failed("`A` and three of 0-9A-Za-z.-", "another suffix").with("id", t.id))
    })
    .in_2008(recorded("ping")),
    Check::required("framing/own-transaction-ids-have-20-bytes", 2, REPEATS, |t| {
        let ids = own_pings(t)?.iter().map(|t| t.len()).collect::<BTreeSet<_>>();
        if ids == [20].into() { Ok(()) } else { Err(Unmet::failed("20 bytes", format!("{ids:?}"))) }
    })
    .in_2008(In2008::Same(Source::Session)),
    Check::required("framing/own-transaction-ids-are-random", 2, "a byte string of exactly 20 random bytes", |t| {
        let ids = own_pings(t)?;
        // Every byte of 20 random ones differs from that of the query before in some pair of six.
        let fixed = (0..20).filter(|at| ids.iter().all(|id| id.get(*at) == ids[0].get(*at))).count();
        if fixed == 0 {
            return Ok(());
        }
        Err(ids.iter().fold(Unmet::failed("other bytes in each", format!("{fixed} of 20 never change")), |unmet, id| {
            unmet.with("a transaction id of the node", &id[..])
        }))
    }),
];

/// The transaction ids of the pings that the node sends to some strangers.
fn own_pings(target: &Target) -> Result<Vec<Vec<u8>>, Unmet> {
    let mut ids = Vec::new();
    for _ in 0..6 {
        let mut peer = target.stranger()?;
        peer.ask(target, Query::ping())?;
        peer.listen(target, target.manners.quiet / 4);
        let pings = peer.pings().filter_map(|ping| ping.message()?.get("t")?.bytes().map(<[u8]>::to_vec));
        ids.extend(pings);
    }
    if ids.len() < 2 { Err(Unmet::skipped("the node does not ping strangers")) } else { Ok(ids) }
}
