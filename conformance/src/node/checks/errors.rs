//! Errors (section 2).

use super::super::message::{Query, random_id};
use super::super::target::Target;
use super::{Check, recorded, refused, same, token};
use crate::check::Outcome;

const UNKNOWN: &str = "method unknown";

/// The shape of the error that `query` gets.
fn shape(target: &Target, query: Query) -> Outcome {
    let answer = target.stranger()?.ask(target, query)?;
    answer.expect(answer.error().is_some(), "e: a list of exactly two, a code and a text", || answer.kind())
}

pub(super) static CHECKS: &[Check] = &[
    Check::required("errors/unknown-method", 2, UNKNOWN, |t| refused(t, Query::new("frobnicate", []), 203))
        .in_2008(recorded("unknown_method")),
    Check::required("errors/method-without-a-name", 2, UNKNOWN, |t| refused(t, Query::new("", []), 203))
        .in_2008(recorded("dispatch_private")),
    Check::required("errors/methods-have-one-spelling", 2, UNKNOWN, |t| {
        refused(t, Query::new("PING", []), 203)
    }),
    Check::required("errors/unknown-method-with-arguments", 2, UNKNOWN, |t| {
        // Of BitTorrent's nodes: that no argument of it is known does not matter.
        let id = random_id();
        refused(
            t,
            Query::new(
                "announce_peer",
                [("info_hash", id.into()), ("port", 1.into()), ("token", b"t".into())],
            ),
            203,
        )
    }),
    Check::required(
        "errors/code-and-text",
        2,
        "a list of exactly two: a code (integer), a text (byte string)",
        |t| {
            shape(t, Query::new("frobnicate", []))?;
            shape(t, Query::ping().without("id"))?;
            shape(t, Query::store_value(&random_id(), b"v", b"no token"))
        },
    )
    .in_2008(same(2)),
    Check::recommended(
        "errors/one-text-for-a-code",
        2,
        "The text is short and always the same for a code; nobody parses it.",
        |t| {
            let one = t.stranger()?.ask(t, Query::ping().without("id"))?;
            let other = t.stranger()?.ask(t, Query::find_node(&random_id()).argument("zz", 1))?;
            let same = one.error().map(|(_, text)| text) == other.error().map(|(_, text)| text);
            other
                .expect(same, "the text of another error of this code", || "another text".to_owned())
                .map_err(|unmet| unmet.with("another error", &one.bytes[..]))
        },
    )
    .in_2008(super::shown_otherwise("the text names the method and the argument", "extra_arg")),
    Check::required(
        "errors/no-values-is-no-error",
        2,
        "Having no values for a key is not: answer with an empty list.",
        |t| {
            let answer = t.stranger()?.ask(t, Query::get_value(&random_id(), 0))?;
            let count = answer.strings_of("values")?.len();
            answer.expect(count == 0, "an empty list", || format!("{count} values"))
        },
    )
    .in_2008(recorded("get_value_missing_key")),
    Check::required("errors/an-error-does-no-harm", 2, "| 204 | malformed request", |t| {
        // The same address is served as before.
        let mut peer = t.stranger()?;
        let key = random_id();
        peer.ask(t, Query::new("frobnicate", []))?.refused(203)?;
        let token = token(t, &mut peer, &key)?;
        peer.ask(t, Query::store_value(&key, b"v", b"bad"))?.refused(205)?;
        peer.ask(t, Query::store_value(&key, b"v", &token))?.response().map(drop)
    }),
];
