//! How much goes to whom has not shown that it is where it says (section 7).

use super::super::message::{Id, Query, distance, random_id};
use super::super::peer::Peer;
use super::super::target::Target;
use super::{Check, otherwise, proved_answer, some_value, store, token};
use crate::check::{In2008, Outcome, Unmet};
use std::time::Duration;

const THREE: &str =
    "For each datagram from an address that is not proved, at most **3 times its UDP payload** goes back:";
const ONCE: &str =
    "It is sent once and not retransmitted, and not at all while one to that address is pending.";
const CUT: &str = "`find_node` and `find_value` responses are cut to the closest contacts that fit:";
const WAITS: &str =
    "A `get_value` whose answer does not fit waits for the pong and is then answered in full.";
const PROVED: &str = "An address (IP and port) is *proved* for 15 minutes after it has answered a query of ours or presented a valid token.";
const THREE_PINGS: In2008 = otherwise("it pings a stranger three times, for every query", 7);

/// Longer than the second repetition of a ping takes.
const REPETITIONS: Duration = Duration::from_millis(6800);

/// A stranger asks and is silent then: what comes within `time` is at most three times as much.
fn budget(target: &Target, query: Query, time: Duration) -> Outcome {
    within_budget(target, target.stranger()?, &query, time)
}

/// The same for a peer of one's own.
fn within_budget(target: &Target, mut peer: Peer, query: &Query, time: Duration) -> Outcome {
    let bytes = query.to_bytes();
    peer.send(target, &bytes)?;
    target.settle()?;
    peer.listen(target, time);
    let came: usize = peer.heard.iter().map(|heard| heard.bytes.len()).sum();
    let most = 3 * bytes.len();
    if came <= most {
        return Ok(());
    }
    let failed = Unmet::failed(format!("{most} bytes at most"), format!("{came}")).with("sent", bytes);
    Err(peer.heard.iter().fold(failed, |unmet, heard| unmet.with("received", &heard.bytes[..])))
}

/// A stranger's `find_node` or `find_value` has the closest contacts, as many as fit.
fn cut(target: &Target, ask: fn(&Id) -> Query) -> Outcome {
    let neighbours = target.neighbours(8)?;
    let wanted = &neighbours[0].id;
    let full = proved_answer(target, ask(wanted))?.contacts()?;
    let mut peer = target.stranger()?;
    let answer = peer.ask(target, ask(wanted))?;
    let contacts = answer.contacts()?;
    let closest = full.starts_with(&contacts);
    answer.expect(closest, "the closest contacts", || "others".to_owned())?;
    let ping: usize = peer.pings().map(|ping| ping.bytes.len()).sum();
    let (room, len) = (3 * answer.query.len(), ping + answer.bytes.len());
    // A contact takes 29 bytes.
    let fits = len <= room && (len + 29 > room || contacts.len() == full.len());
    let expected = format!("as many contacts as fit {room} bytes, {ping} for the ping included");
    answer.expect(fits, &expected, || format!("{} contacts in {len} bytes", contacts.len()))
}

/// A key with 1,200 bytes of values, which no stranger's budget has room for.
fn key_with_much(target: &Target) -> Result<Id, Unmet> {
    let key = random_id();
    let values: Vec<_> = (0..3).map(|_| some_value(400)).collect();
    store(target, &key, &values)?;
    Ok(key)
}

/// Whether `peer` gets eight contacts, more than fit a stranger's budget.
fn is_answered_in_full(target: &Target, peer: &mut Peer, neighbours: &[Peer]) -> Outcome {
    let answer = peer.ask(target, Query::find_node(&neighbours[0].id))?;
    let contacts = answer.contacts()?;
    answer.expect(contacts.len() == 8, "eight contacts", || format!("{}", contacts.len()))?;
    let distances = contacts.iter().map(|(id, _)| distance(id, &neighbours[0].id));
    answer.expect(distances.is_sorted(), "closest first", || "another order".to_owned())
}

pub(super) static CHECKS: &[Check] = &[
    Check::hardening("amplification/ping", 7, THREE, |t| budget(t, Query::ping(), REPETITIONS))
        .in_2008(THREE_PINGS),
    Check::hardening("amplification/join", 7, THREE, |t| budget(t, Query::join(), REPETITIONS))
        .in_2008(THREE_PINGS),
    Check::hardening("amplification/find_node", 7, THREE, |t| {
        let neighbours = t.neighbours(8)?;
        budget(t, Query::find_node(&neighbours[0].id), t.manners.quiet * 2)
    })
    .in_2008(otherwise("5.1 times as much", 7)),
    Check::hardening("amplification/find_value", 7, THREE, |t| {
        let neighbours = t.neighbours(8)?;
        budget(t, Query::find_value(&neighbours[0].id), t.manners.quiet * 2)
    })
    .in_2008(otherwise("its answers to strangers are as long as to others", 7)),
    Check::hardening("amplification/get_value", 7, THREE, |t| {
        let key = key_with_much(t)?;
        budget(t, Query::get_value(&key, 0), t.manners.quiet * 2)
    })
    .in_2008(otherwise("14.6 times as much", 7)),
    Check::hardening("amplification/an-error", 7, THREE, |t| {
        // The shortest query that there is.
        budget(t, Query::new("", []).without("id"), t.manners.quiet * 2)
    }),
    Check::hardening(
        "amplification/the-ping-goes-first",
        7,
        "A *verification ping* goes first and is part of these bytes.",
        |t| {
            let mut peer = t.stranger()?;
            let answer = peer.ask(t, Query::find_node(&random_id()))?;
            peer.listen(t, t.manners.quiet);
            match peer.heard.first().and_then(|heard| heard.method()) {
                Some(method) if method == "ping" => Ok(()),
                _ => Err(answer.unmet("a ping first", "the answer first, or no ping")),
            }
        },
    ),
    Check::hardening("amplification/the-ping-is-not-repeated", 7, ONCE, |t| {
        let mut peer = t.stranger()?;
        peer.ask(t, Query::ping())?;
        peer.listen(t, REPETITIONS);
        match peer.pings().count() {
            ..=1 => Ok(()),
            count => Err(Unmet::failed("one ping at most", format!("{count} in {REPETITIONS:?}"))),
        }
    })
    .in_2008(THREE_PINGS),
    Check::hardening("amplification/one-ping-while-one-is-pending", 7, ONCE, |t| {
        let mut peer = t.stranger()?;
        for _ in 0..4 {
            peer.ask(t, Query::ping())?;
        }
        peer.listen(t, t.manners.quiet);
        match peer.pings().count() {
            ..=1 => Ok(()),
            count => Err(Unmet::failed("one ping at most", format!("{count} for four queries"))),
        }
    })
    .in_2008(THREE_PINGS),
    Check::hardening("amplification/find_node-is-cut-to-what-fits", 7, CUT, |t| cut(t, Query::find_node))
        .in_2008(otherwise("its answers to strangers are as long as to others", 7)),
    Check::hardening("amplification/find_value-is-cut-to-what-fits", 7, CUT, |t| cut(t, Query::find_value))
        .in_2008(otherwise("its answers to strangers are as long as to others", 7)),
    Check::hardening("amplification/get_value-waits-for-the-pong", 7, WAITS, |t| {
        let key = key_with_much(t)?;
        let mut peer = t.stranger()?;
        let query = Query::get_value(&key, 0);
        let bytes = query.to_bytes();
        peer.send(t, &bytes)?;
        let ping = peer
            .next_query(t, "ping")
            .ok_or_else(|| Unmet::failed("a ping", "none").with("sent", &bytes[..]))?;
        peer.listen(t, t.manners.quiet);
        if let Some(early) = peer.heard.iter().find(|heard| heard.method().is_none()) {
            let unmet = Unmet::failed("nothing but a ping before its pong", "the answer").with("sent", bytes);
            return Err(unmet.with("received", &early.bytes[..]));
        }
        peer.send(t, &peer.pong(&ping))?;
        let answer = peer.await_answer(t, &query, &bytes)?;
        let count = answer.strings_of("values")?.len();
        answer.expect(count == 3, "all three values after the pong", || format!("{count}"))
    }),
    Check::required("amplification/a-pong-lifts-the-budget", 7, PROVED, |t| {
        let neighbours = t.neighbours(8)?;
        let mut peer = t.proved()?;
        is_answered_in_full(t, &mut peer, &neighbours)
    }),
    Check::recommended("amplification/a-valid-token-lifts-the-budget", 7, PROVED, |t| {
        let neighbours = t.neighbours(8)?;
        let mut peer = t.stranger()?;
        let key = random_id();
        let token = token(t, &mut peer, &key)?;
        peer.ask(t, Query::store_value(&key, b"v", &token))?.response()?;
        is_answered_in_full(t, &mut peer, &neighbours)
    }),
    Check::hardening("amplification/a-proof-is-for-one-port", 7, PROVED, |t| {
        let key = key_with_much(t)?;
        let mut peer = t.proved()?;
        let answer = peer.ask(t, Query::get_value(&key, 0))?;
        let count = answer.strings_of("values")?.len();
        answer.expect(count == 3, "all three values, for a proved address", || format!("{count}"))?;
        // Whoever answers at one port of an IP cannot send others to the next.
        within_budget(t, peer.sibling()?, &Query::get_value(&key, 0), t.manners.quiet * 2)
    }),
    Check::hardening(
        "amplification/no-more-than-64-wait",
        7,
        "At most 64 wait; beyond that, the answer has what fits.",
        |t| {
            t.needs_many()?;
            let key = key_with_much(t)?;
            let mut peers = Vec::new();
            for _ in 0..80 {
                let peer = t.stranger()?;
                peer.send(t, &Query::get_value(&key, 0).to_bytes())?;
                peers.push(peer);
            }
            t.settle()?;
            let waiting = peers.iter_mut().map(|peer| peer.listen(t, Duration::from_millis(20)));
            waiting.for_each(drop);
            let unanswered =
                peers.iter().filter(|peer| peer.heard.iter().all(|heard| heard.method().is_some()));
            match unanswered.count() {
                ..=64 => Ok(()),
                count => Err(Unmet::failed("64 of 80 wait at most", format!("{count}"))),
            }
        },
    )
    .alone(),
];
