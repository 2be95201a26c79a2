//! `ping` (section 2).

use super::super::message::{Query, compact_address};
use super::{Check, MALFORMED, answered, recorded, refused, same, shown_otherwise};

pub(super) static CHECKS: &[Check] = &[
    Check::required("ping/is-answered", 2, "| `ping` | `id` | *ours:* `ip` |", |t| {
        answered(t, Query::ping()).map(drop)
    })
    .in_2008(recorded("ping")),
    Check::recommended("ping/says-where-it-came-from", 2, "the same as a compact address", |t| {
        let mut peer = t.proved()?;
        let answer = peer.ask(t, Query::ping())?;
        let ip = answer.bytes_of("ip")?;
        answer.expect(ip == compact_address(&peer.addr), &format!("{}", peer.addr), || hex::encode(ip))
    })
    .in_2008(shown_otherwise("its response has an id only", "ping")),
    Check::required("ping/id-is-missing", 2, MALFORMED, |t| refused(t, Query::ping().without("id"), 204))
        .in_2008(recorded("no_id")),
    Check::required("ping/id-is-short", 2, MALFORMED, |t| {
        refused(t, Query::ping().argument("id", b"abc"), 204)
    })
    .in_2008(shown_otherwise("error 201", "short_id")),
    Check::required("ping/id-is-long", 2, MALFORMED, |t| {
        refused(t, Query::ping().argument("id", [b'i'; 21]), 204)
    })
    .in_2008(super::otherwise("error 201", 2)),
    Check::required("ping/id-is-an-integer", 2, MALFORMED, |t| {
        refused(t, Query::ping().argument("id", 20), 204)
    }),
    Check::required("ping/id-is-zeros", 2, "also a negative `num`, and an `id` of zeros", |t| {
        refused(t, Query::ping().argument("id", [0; 20]), 204)
    }),
    Check::required("ping/any-other-id-will-do", 2, "Ids of others may be anything except zeros.", |t| {
        // One that no software of this network has, and the highest that there is.
        answered(t, Query::ping().argument("id", b"0123456789e:d1:li-0e"))?;
        answered(t, Query::ping().argument("id", [0xff; 20])).map(drop)
    })
    .in_2008(same(2)),
    Check::required("ping/unknown-argument", 2, MALFORMED, |t| {
        refused(t, Query::ping().argument("zz", 1), 204)
    })
    .in_2008(recorded("extra_arg")),
    Check::required("ping/argument-of-another-method", 2, MALFORMED, |t| {
        refused(t, Query::ping().argument("target", [b't'; 20]), 204)
    })
    .in_2008(same(2)),
];
