//! What the node does not let others make it do (section 7).

use super::super::message::Query;
use super::super::target::Target;
use super::bencode::{items, nested};
use super::{Check, dropped, otherwise};
use crate::check::{Outcome, Unmet};
use std::time::Instant;

const DATAGRAM: &str = "16 levels, 512 tokens; section 1 on time and recursion";

/// How many queries the flood has.
const FLOOD: usize = 700;

/// What one IP may ask at once, and in a second.
const BURST: f64 = 256.0;
const PER_SECOND: f64 = 64.0;

/// The node lives after these bytes, and says nothing.
fn survives(target: &Target, bytes: &[u8]) -> Outcome {
    dropped(target, bytes)
}

pub(super) static CHECKS: &[Check] = &[
    Check::hardening("limits/seventeen-levels", 7, DATAGRAM, |t| {
        dropped(t, &Query::ping().beside("v", nested(16)).to_bytes())
    }),
    Check::hardening("limits/more-than-512-tokens", 7, DATAGRAM, |t| {
        dropped(t, &Query::ping().beside("v", items(500)).to_bytes())
    }),
    Check::hardening(
        "limits/a-length-that-goes-backwards",
        7,
        "an 11-byte datagram, `l4:i1eed-8:`, is never finished",
        |t| survives(t, b"l4:i1eed-8:"),
    )
    .alone()
    .in_2008(otherwise("it never finishes decoding", 7)),
    Check::hardening(
        "limits/lists-within-lists",
        1,
        "Decoding takes time linear in the size of the input and does not recurse on it",
        |t| survives(t, &[[b'l'; 30_000], [b'e'; 30_000]].concat()),
    )
    .alone(),
    Check::hardening(
        "limits/lists-without-end",
        1,
        "Decoding takes time linear in the size of the input and does not recurse on it",
        |t| survives(t, &[b'l'; 60_000]),
    )
    .alone(),
    Check::hardening(
        "limits/queries-of-an-ip",
        7,
        "token buckets per source IP and in all (64 and 8,192 a second, bursts of 4 s); above that, silence",
        |t| {
            if (1..2 * PER_SECOND as u32).contains(&t.manners.rate) {
                return Err(Unmet::skipped("--rate is too low to ask too much"));
            }
            let started = Instant::now();
            let first = t.stranger()?;
            // From two ports, since the IP counts.
            let mut peers = [first.sibling()?, first];
            for number in 0..FLOOD {
                let peer = &peers[number % 2];
                peer.send(t, &Query::ping().argument("id", peer.id).to_bytes())?;
            }
            let seconds = started.elapsed().as_secs_f64();
            // Others are served meanwhile.
            t.settle()?;
            peers.iter_mut().for_each(|peer| peer.listen(t, t.manners.quiet));
            let answers =
                peers.iter().flat_map(|peer| &peer.heard).filter(|heard| heard.method().is_none()).count();
            let most = (BURST + PER_SECOND * (seconds + 1.0)) as usize;
            if most >= FLOOD {
                return Err(Unmet::skipped("this machine is too slow to ask too much"));
            }
            let expected = format!("{most} answers at most to {FLOOD} queries in {seconds:.1} s");
            if answers <= most { Ok(()) } else { Err(Unmet::failed(expected, format!("{answers}"))) }
        },
    )
    .alone()
    .in_2008(otherwise("it answers all", 7)),
];
