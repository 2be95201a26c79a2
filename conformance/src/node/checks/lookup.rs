//! How the node looks others up when it joins (sections 3, 5 and 7): what a swarm saw of it.

use super::super::swarm::Recording;
use super::super::target::Target;
use super::contacts::{listed, not_listed};
use super::{Check, otherwise, same};
use crate::check::{In2008, Outcome, Source, Unmet};
use crate::tree::Tree;
use std::collections::BTreeSet;
use std::time::Duration;

const REPEATED: &str = "a query is repeated, byte for byte, with its `t`";
const FAILS: &str = "A response to `find_node` or `find_value` fails its sender if `nodes` is missing or an entry does not have 26 bytes; the same goes for a missing `num` or `values`.";
const ANSWERED: &str = "Only who has answered enters the table.";
const OUTSTANDING: &str =
    "It counts only if its `t` is outstanding at exactly the address and port that it came from.";
const USED: &str =
    "8, one per IP; none at an address that is not allowed, multicast or port 0; not ourselves";
const A_LOOKUP: &str = "64 queries, 30 s; of the K closest, at most 2 in a /24 (IPv4) or /48 (IPv6)";
const SESSION: In2008 = In2008::Same(Source::Session);

/// How far apart two datagrams may arrive that were sent at once.
const A_MOMENT: Duration = Duration::from_millis(500);

const NO_BOOTSTRAP: &str = "the node does not join through this kit: see --bootstrap";

/// What the swarm saw.
fn recording(target: &Target) -> Result<&Recording, Unmet> {
    target.needs_many()?;
    let bootstrap = target.bootstrap.as_ref().ok_or_else(|| Unmet::skipped(NO_BOOTSTRAP))?;
    bootstrap
        .recording(target)
        .ok_or_else(|| Unmet::skipped("the node sent nothing to its bootstrap contact"))
}

/// Whoever is called `name` was asked, and then is, or is not, a contact.
fn asked_and(target: &Target, name: &str, is_contact: bool) -> Outcome {
    let recording = recording(target)?;
    let Some((number, actor)) = recording.named(name).next() else { return Ok(()) };
    if recording.lookups_of(number).is_empty() {
        return Err(Unmet::skipped(format!("the node did not ask who was to answer {name}")));
    }
    if is_contact {
        listed(target, &actor.id, &actor.addr)
    } else {
        not_listed(target, &actor.id, &actor.addr)
    }
}

/// The first query of these was sent again, the same each time.
fn is_repeated(recording: &Recording, method: &str) -> Outcome {
    let sent = recording.sent_to(0, method);
    let [first, again, ..] = &sent[..] else {
        return Err(Unmet::failed(
            format!("{method}, at least twice: the first was not answered"),
            format!("{} of them", sent.len()),
        ));
    };
    if first.bytes == again.bytes {
        return Ok(());
    }
    let unmet = Unmet::failed("the same bytes again", "other bytes");
    Err(unmet.with("first", &first.bytes[..]).with("then", &again.bytes[..]))
}

/// No more of this name were asked than there may be. That whoever is called `beside` was asked shows
/// that they could have been.
fn at_most(target: &Target, name: &str, beside: &str, most: usize, expected: &str) -> Outcome {
    let recording = recording(target)?;
    if recording.asked(beside) == 0 {
        return Err(Unmet::skipped(format!("the node did not ask who is {beside}")));
    }
    match recording.asked(name) {
        count if count <= most => Ok(()),
        count => Err(Unmet::failed(expected, format!("{count} were asked"))),
    }
}

pub(super) static CHECKS: &[Check] = &[
    Check::required("lookup/join-goes-to-the-bootstrap-contact", 5, "`join` to each bootstrap contact.", |t| {
        let bootstrap = t.bootstrap.as_ref().ok_or_else(|| Unmet::skipped(NO_BOOTSTRAP))?;
        match bootstrap.recording(t).map(|recording| recording.sent_to(0, "join").len()) {
            None => Err(Unmet::failed(format!("join, sent to {}", bootstrap.addr), "nothing came there")),
            Some(0) => Err(Unmet::failed("join", "other queries")),
            Some(_) => Ok(()),
        }
    })
    .in_2008(SESSION),
    Check::required("lookup/join-is-repeated", 3, REPEATED, |t| is_repeated(recording(t)?, "join")).in_2008(same(3)),
    Check::recommended("lookup/a-second-between-repetitions", 3, "While no round trip is known, at least a second lies between two transmissions", |t| {
        let joins = recording(t)?.sent_to(0, "join");
        let [first, second, third, ..] = &joins[..] else {
            return Err(Unmet::failed("three transmissions", format!("{}", joins.len())));
        };
        let between = [second.at - first.at, third.at - second.at];
        // Some of a second may be lost on the way.
        if between.into_iter().min() >= Some(Duration::from_millis(900)) {
            return Ok(());
        }
        Err(Unmet::failed("a second, at least, between transmissions", format!("{between:.1?}")))
    })
    .in_2008(same(3)),
    Check::required("lookup/own-id-plus-one", 5, "a lookup whose target is our own id, one added to its last byte (255 becomes 0)", |t| {
        let recording = recording(t)?;
        if !recording.lookups_of(0).is_empty() {
            return Ok(());
        }
        let expected = "find_node for it, sent to the bootstrap contact, which had answered join";
        Err(Unmet::failed(expected, "none").with("the target", recording.target))
    })
    .in_2008(SESSION),
    Check::required("lookup/find_node-is-repeated", 3, REPEATED, |t| is_repeated(recording(t)?, "find_node")).in_2008(same(3)),
    Check::required("lookup/contacts-of-a-response-are-asked", 5, "Contacts in a response join the frontier, as far as section 7 lets them.", |t| {
        let recording = recording(t)?;
        match (recording.asked("first-relay"), recording.asked("relay")) {
            (0, _) => Err(Unmet::failed("the closest whom the bootstrap contact named is asked", "it is not")),
            (_, 0) => Err(Unmet::failed("whom that one named is asked too", "nobody is")),
            _ => Ok(()),
        }
    })
    .in_2008(SESSION),
    Check::required("lookup/queries-are-well-formed", 2, "transaction id, a byte string of exactly 20 random bytes; an answer repeats it", |t| {
        let wrong = recording(t)?.heard.iter().find_map(|(_, heard)| {
            let came = match Tree::read(&heard.bytes) {
                Ok(message) => wrong_with(t, &message, heard.method()?.as_str())?.to_owned(),
                Err(malformed) => malformed.to_string(),
            };
            Some(Unmet::failed("a query as section 2 has it", came).with("received", &heard.bytes[..]))
        });
        wrong.map_or(Ok(()), Err)
    })
    .in_2008(SESSION),
    Check::required("lookup/transaction-ids-are-not-used-twice", 2, "transaction id, a byte string of exactly 20 random bytes; an answer repeats it", |t| {
        let recording = recording(t)?;
        let mut seen = BTreeSet::new();
        for (number, _) in recording.actors.iter().enumerate() {
            let all = recording.heard.iter().filter(|(other, _)| *other == number);
            let ids: BTreeSet<_> = all.filter_map(|(_, heard)| heard.message()?.get("t")?.bytes().map(<[u8]>::to_vec)).collect();
            for id in ids {
                if !seen.insert(id.clone()) {
                    return Err(Unmet::failed("another for each query", "one for two contacts").with("transaction id", id));
                }
            }
        }
        Ok(())
    }),
    Check::required("lookup/queries-fit-a-datagram", 2, "largest datagram that a node sends, in bytes of UDP payload", |t| {
        let longest = recording(t)?.heard.iter().map(|(_, heard)| heard.bytes.len()).max().unwrap_or_default();
        if longest <= 1472 { Ok(()) } else { Err(Unmet::failed("1,472 bytes at most", format!("{longest}"))) }
    })
    .in_2008(otherwise("its queries have up to 1,563 bytes", 2)),
    Check::required("lookup/who-answers-is-a-contact", 4, "its failures are 0 and it is the latest of its bucket; if it is new it is added, if there is room", |t| {
        asked_and(t, "first-relay", true)
    })
    .in_2008(same(4)),
    Check::required("lookup/who-is-silent-is-none", 5, ANSWERED, |t| asked_and(t, "silent", false)).in_2008(same(5)),
    Check::required("lookup/an-error-is-a-failure", 2, "A 2008 node takes **every error for a failure of the node that sent it**", |t| {
        asked_and(t, "error", false)
    })
    .in_2008(same(2)),
    Check::required("lookup/a-response-without-nodes", 2, FAILS, |t| asked_and(t, "without-nodes", false)),
    Check::required("lookup/an-entry-of-25-bytes", 2, FAILS, |t| asked_and(t, "with-a-short-entry", false)),
    Check::required("lookup/a-response-without-an-id", 2, "a dictionary; it always has `id`, the responder's", |t| {
        asked_and(t, "without-an-id", false)
    }),
    Check::required("lookup/a-response-with-another-id", 2, "A contact that was asked has an id. If the response has another, the request has failed", |t| {
        asked_and(t, "with-another-id", false)
    }),
    Check::required("lookup/a-response-with-another-transaction-id", 2, OUTSTANDING, |t| {
        asked_and(t, "with-another-transaction", false)
    })
    .in_2008(same(2)),
    Check::required("lookup/a-response-from-another-port", 2, OUTSTANDING, |t| asked_and(t, "from-another-port", false))
        .in_2008(same(2)),
    Check::required("lookup/unknown-keys-in-a-response", 2, "Keys in `r` that are not known are ignored too, so a response can be extended inside `r`.", |t| {
        asked_and(t, "extended", true)
    })
    .in_2008(same(2)),
    Check::required("lookup/a-response-without-a-token", 2, "A missing token does not: see below.", |t| {
        asked_and(t, "without-a-token", true)
    })
    .in_2008(same(2)),
    Check::recommended("lookup/who-lost-its-place-is-not-asked-again", 5, "its request stops counting as outstanding, another may be sent in its place, and it is not retransmitted", |t| {
        let recording = recording(t)?;
        let sent_to = |name| {
            let of_that_name = recording.named(name);
            of_that_name.flat_map(|(number, _)| recording.lookups_of(number)).map(|heard| heard.at)
        };
        let Some(last) = sent_to("silent").max() else {
            return Err(Unmet::skipped("the node did not ask who is silent"));
        };
        // They all are closer, and more than there are places.
        let Some(crowd) = sent_to("in-a-crowd").min() else {
            return Err(Unmet::skipped("the node did not ask who is in-a-crowd"));
        };
        if last < crowd + A_MOMENT {
            return Ok(());
        }
        let came = format!("one {:.1?} later", last - crowd);
        Err(Unmet::failed("no transmission once eight others are closer", came))
    })
    .in_2008(same(5)),
    Check::hardening("lookup/eight-contacts-of-a-response", 7, USED, |t| {
        at_most(t, "in-a-crowd", "in-a-crowd", 8, "eight of the 24 contacts in a response, at most")
    })
    .in_2008(otherwise("it uses all", 7)),
    Check::hardening("lookup/one-of-an-ip-in-a-response", 7, USED, |t| {
        at_most(t, "of-an-ip", "of-an-ip", 1, "one of the five contacts with the same IP, at most")
    })
    .in_2008(otherwise("it uses all", 7)),
    Check::hardening("lookup/not-ourselves", 7, USED, |t| {
        at_most(t, "with-the-own-id", "of-an-ip", 0, "nobody who is said to have the node's own id")
    }),
    Check::hardening("lookup/two-of-a-prefix", 7, A_LOOKUP, |t| {
        at_most(t, "of-a-prefix", "of-a-prefix", 2, "two of five live contacts in the same /24, at most")
    })
    .in_2008(otherwise("prefixes do not count", 7)),
    Check::hardening("lookup/sixty-four-queries", 7, A_LOOKUP, |t| {
        let recording = recording(t)?;
        let asked = |number: &usize| !recording.lookups_of(*number).is_empty();
        match (0..recording.actors.len()).filter(asked).count() {
            ..=64 => Ok(()),
            count => Err(Unmet::failed("64 contacts at most, though each knows a closer one", format!("{count}"))),
        }
    })
    .in_2008(otherwise("it need not end", 7)),
];

/// What is wrong with a query of the node's.
fn wrong_with(target: &Target, message: &Tree, method: &str) -> Option<&'static str> {
    let arguments = message.get("a")?;
    let count = |tree: &Tree| if let Tree::Dictionary(items) = tree { items.len() } else { 0 };
    let expected = match method {
        "ping" | "join" => 1,
        "find_node" => 2,
        _ => return Some("a method that joining does not need"),
    };
    if message.get("t").and_then(Tree::bytes).map(<[u8]>::len) != Some(20) {
        Some("a transaction id that has not 20 bytes")
    } else if arguments.get("id").and_then(Tree::bytes) != Some(&target.id) {
        Some("another id than in its answers")
    } else if count(arguments) != expected {
        Some("arguments that the method does not have")
    } else if method == "find_node" && arguments.get("target")?.bytes()?.len() != 20 {
        Some("a target that has not 20 bytes")
    } else {
        None
    }
}
