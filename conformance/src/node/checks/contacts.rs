//! Who becomes a contact, and stays one (sections 2, 4 and 7).

use super::super::message::{Id, Query, random_id};
use super::super::peer::{Heard, Peer, respond};
use super::super::target::Target;
use super::{Check, otherwise, proved_answer, recorded, same, string};
use crate::check::{In2008, Outcome, Source, Unmet};
use crate::tree::Tree;
use std::net::SocketAddr;

const BY_ITS_ANSWER: &str = "it is pinged if there is room for it, and becomes a contact only by its answer";
const KNOWN_KEYS: &str = "Known keys of `r` are checked in every response. If one has the wrong type or length there, the response counts as a failure of its sender.";
const OUTSTANDING: &str =
    "It counts only if its `t` is outstanding at exactly the address and port that it came from.";
const IDENTITY: &str = "the pair of id and address: from another address nobody can evict, replace or fail it; it stays until it fails";
const ONE_PER: &str = "one contact for each IP, and in a bucket one for each /24 or /48";
const TAKEN_OVER: In2008 = otherwise("one datagram of a stranger removes or takes over a contact", 7);

pub(super) fn listed(target: &Target, id: &Id, addr: &SocketAddr) -> Outcome {
    let answer = proved_answer(target, Query::find_node(id))?;
    let listed = answer.contacts()?.iter().any(|(other, at)| (other, at) == (id, addr));
    answer.expect(listed, &format!("a contact at {addr}"), || "it is not listed".to_owned())
}

pub(super) fn not_listed(target: &Target, id: &Id, addr: &SocketAddr) -> Outcome {
    let answer = proved_answer(target, Query::find_node(id))?;
    let listed = answer.contacts()?.iter().any(|(other, at)| (other, at) == (id, addr));
    answer.expect(!listed, &format!("no contact at {addr}"), || "it is listed".to_owned())
}

/// A peer for whom there is room, and the ping that its query brought.
fn pinged(target: &Target) -> Result<(Peer, Heard), Unmet> {
    target.needs_many()?;
    let mut peer = target.peer(target.near(target.depth()?))?;
    peer.ask(target, Query::find_node(&random_id()))?;
    let came_first = peer.pings().next().cloned();
    let ping = came_first.or_else(|| peer.next_query(target, "ping"));
    Ok((peer, ping.ok_or_else(|| Unmet::failed("a ping: there is room for the peer", "none"))?))
}

/// This in answer to the node's ping makes no contact.
fn makes_none(target: &Target, answer: fn(&Peer, &Heard) -> Vec<u8>) -> Outcome {
    let (peer, ping) = pinged(target)?;
    let bytes = answer(&peer, &ping);
    peer.send(target, &bytes)?;
    not_listed(target, &peer.id, &peer.addr).map_err(|unmet| unmet.with("what answered its ping", bytes))
}

pub(super) static CHECKS: &[Check] = &[
    Check::required("contacts/a-querier-is-pinged", 4, BY_ITS_ANSWER, |t| pinged(t).map(drop))
        .in_2008(recorded("ping")),
    Check::required("contacts/the-ping-is-well-formed", 2, "| `ping` | `id` | *ours:* `ip` |", |t| {
        let (_, ping) = pinged(t)?;
        let wanted = ping.message().and_then(|message| {
            let t_of_it = message.get("t")?.clone();
            let a = Tree::dictionary([("id", t.id.into())]);
            Some(Tree::dictionary([("a", a), ("q", b"ping".into()), ("t", t_of_it), ("y", b"q".into())]))
        });
        // Keys beside these would be allowed.
        let same = wanted.zip(ping.message()).is_some_and(|(wanted, came)| {
            ["a", "q", "t", "y"].iter().all(|key| wanted.get(key) == came.get(key))
        });
        let failed =
            || Unmet::failed("a ping with the node's id alone", "another").with("received", &ping.bytes[..]);
        if same { Ok(()) } else { Err(failed()) }
    })
    .in_2008(In2008::Same(Source::Session)),
    Check::required("contacts/an-answer-makes-a-contact", 4, BY_ITS_ANSWER, |t| {
        let (peer, ping) = pinged(t)?;
        peer.send(t, &peer.pong(&ping))?;
        listed(t, &peer.id, &peer.addr)
    })
    .in_2008(In2008::Same(Source::Session)),
    Check::required("contacts/a-query-alone-makes-none", 4, BY_ITS_ANSWER, |t| {
        let (mut peer, _) = pinged(t)?;
        for _ in 0..3 {
            peer.ask(t, Query::ping())?;
        }
        not_listed(t, &peer.id, &peer.addr)
    })
    .in_2008(same(4)),
    Check::required(
        "contacts/unknown-keys-in-an-answer",
        2,
        "Keys in `r` that are not known are ignored too, so a response can be extended inside `r`.",
        |t| {
            let (peer, ping) = pinged(t)?;
            peer.send(t, &peer.reply(&ping, [("aa", Tree::dictionary([])), ("zz", b"?".into())]))?;
            listed(t, &peer.id, &peer.addr)
        },
    )
    .in_2008(same(2)),
    Check::required("contacts/an-answer-with-another-transaction-id", 2, OUTSTANDING, |t| {
        makes_none(t, |peer, _| {
            let r = Tree::dictionary([("id", peer.id.into())]);
            Tree::dictionary([("r", r), ("t", random_id().into()), ("y", b"r".into())]).to_bytes()
        })
    })
    .in_2008(same(2)),
    Check::required("contacts/an-answer-from-another-port", 2, OUTSTANDING, |t| {
        let (peer, ping) = pinged(t)?;
        let other = peer.sibling()?;
        other.send(t, &peer.pong(&ping))?;
        not_listed(t, &peer.id, &peer.addr)?;
        not_listed(t, &peer.id, &other.addr)
    })
    .in_2008(same(2)),
    Check::required(
        "contacts/an-error-is-no-answer",
        2,
        "The first response or error ends the transaction at the querier.",
        |t| {
            makes_none(t, |_, ping| {
                let error = Tree::List(vec![201.into(), string(b"server error")]);
                let t = ping.message().and_then(|message| message.get("t").cloned()).unwrap_or(0.into());
                Tree::dictionary([("e", error), ("t", t), ("y", b"e".into())]).to_bytes()
            })
        },
    )
    .in_2008(same(2)),
    Check::required(
        "contacts/an-answer-without-an-id",
        2,
        "a dictionary; it always has `id`, the responder's",
        |t| makes_none(t, |_, ping| respond(ping, Tree::dictionary([]))),
    ),
    Check::required("contacts/an-answer-with-a-short-id", 2, KNOWN_KEYS, |t| {
        makes_none(t, |peer, ping| peer.reply(ping, [("id", string(&peer.id[..19]))]))
    }),
    Check::required(
        "contacts/an-answer-with-an-id-of-zeros",
        2,
        "Ids of others may be anything except zeros.",
        |t| {
            let (peer, ping) = pinged(t)?;
            peer.send(t, &peer.reply(&ping, [("id", [0; 20].into())]))?;
            not_listed(t, &[0; 20], &peer.addr)?;
            not_listed(t, &peer.id, &peer.addr)
        },
    ),
    Check::required("contacts/an-answer-with-a-wrong-address", 2, KNOWN_KEYS, |t| {
        makes_none(t, |peer, ping| peer.reply(ping, [("ip", b"short".into())]))
    })
    .in_2008(otherwise("it knows no ip, and ignores it", 2)),
    Check::required("contacts/an-answer-with-a-wrong-token", 2, KNOWN_KEYS, |t| {
        // No response to a ping has one, but it is a known key.
        makes_none(t, |peer, ping| peer.reply(ping, [("token", 7.into())]))
    }),
    Check::required(
        "contacts/a-second-answer-changes-nothing",
        2,
        "The first response or error ends the transaction at the querier.",
        |t| {
            let (peer, ping) = pinged(t)?;
            let other = random_id();
            peer.send(t, &peer.pong(&ping))?;
            peer.send(t, &peer.reply(&ping, [("id", other.into())]))?;
            listed(t, &peer.id, &peer.addr)?;
            not_listed(t, &other, &peer.addr)
        },
    ),
    Check::hardening("contacts/a-stranger-cannot-take-one-over", 7, IDENTITY, |t| {
        let (peer, ping) = pinged(t)?;
        peer.send(t, &peer.pong(&ping))?;
        listed(t, &peer.id, &peer.addr)?;
        // The same id asks from elsewhere, and does not answer.
        let mut stranger = t.peer(peer.id)?;
        stranger.ask(t, Query::find_node(&peer.id))?;
        listed(t, &peer.id, &peer.addr)?;
        not_listed(t, &peer.id, &stranger.addr)
    })
    .in_2008(TAKEN_OVER),
    Check::hardening("contacts/not-even-one-that-answers", 7, IDENTITY, |t| {
        let (peer, ping) = pinged(t)?;
        peer.send(t, &peer.pong(&ping))?;
        listed(t, &peer.id, &peer.addr)?;
        let stranger = t.proved_as(peer.id)?;
        listed(t, &peer.id, &peer.addr)?;
        not_listed(t, &peer.id, &stranger.addr)
    })
    .in_2008(TAKEN_OVER),
    Check::hardening("contacts/one-of-an-ip", 7, ONE_PER, |t| {
        t.needs_many()?;
        let depth = t.depth()?;
        let first = t.proved_as(t.near(depth))?;
        listed(t, &first.id, &first.addr)?;
        let mut second = first.sibling()?;
        second.id = t.near(depth);
        prove(t, &mut second)?;
        not_listed(t, &second.id, &second.addr)
    })
    .in_2008(otherwise("one host fills the buckets", 7)),
    Check::hardening("contacts/one-of-a-prefix-in-a-bucket", 7, ONE_PER, |t| {
        t.needs_many()?;
        let depth = t.depth()?;
        let first = t.proved_as(t.near(depth))?;
        listed(t, &first.id, &first.addr)?;
        let mut second = first.next_door()?;
        second.id = t.near(depth);
        prove(t, &mut second)?;
        not_listed(t, &second.id, &second.addr)
    })
    .in_2008(otherwise("one host fills the buckets", 7)),
];

/// Lets `peer` query, and answer the node's ping.
fn prove(target: &Target, peer: &mut Peer) -> Outcome {
    peer.answers_pings = true;
    peer.ask(target, Query::ping())?;
    peer.listen(target, target.manners.quiet);
    Ok(())
}
