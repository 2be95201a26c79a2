//! `join` (section 2).

use super::super::message::{Query, compact_address};
use super::{Check, MALFORMED, recorded, refused, same, shown_otherwise};

const WHERE: &str = "where the query came from";

pub(super) static CHECKS: &[Check] = &[
    Check::required("join/says-the-ip-as-text", 2, WHERE, |t| {
        let mut peer = t.stranger()?;
        let answer = peer.ask(t, Query::join())?;
        let text = answer.bytes_of("ip_addr")?;
        let ip = peer.addr.ip().to_string();
        answer.expect(text == ip.as_bytes(), &format!("ip_addr {ip}"), || format!("{}", text.escape_ascii()))
    })
    .in_2008(recorded("join")),
    Check::required("join/says-the-port", 2, WHERE, |t| {
        let mut peer = t.stranger()?;
        for _ in 0..2 {
            let answer = peer.ask(t, Query::join())?;
            let port = answer.integer_of("port")?;
            let expected = i64::from(peer.addr.port());
            answer.expect(port == expected, &format!("port {expected}"), || format!("port {port}"))?;
            // From another port of the same IP.
            peer = peer.sibling()?;
        }
        Ok(())
    })
    .in_2008(recorded("join")),
    Check::recommended(
        "join/says-the-compact-address",
        2,
        "| `join` | `id` | `ip_addr`, `port`; *ours:* `ip` |",
        |t| {
            let mut peer = t.proved()?;
            let answer = peer.ask(t, Query::join())?;
            let ip = answer.bytes_of("ip")?;
            answer.expect(ip == compact_address(&peer.addr), &format!("{}", peer.addr), || hex::encode(ip))
        },
    )
    .in_2008(shown_otherwise("its response has ip_addr and port only", "join")),
    Check::required("join/id-is-missing", 2, MALFORMED, |t| refused(t, Query::join().without("id"), 204))
        .in_2008(same(2)),
    Check::required("join/id-is-short", 2, MALFORMED, |t| {
        refused(t, Query::join().argument("id", b"abc"), 204)
    })
    .in_2008(super::otherwise("error 201", 2)),
    Check::required("join/unknown-argument", 2, MALFORMED, |t| {
        refused(t, Query::join().argument("port", 9977), 204)
    })
    .in_2008(same(2)),
];
