//! What a walk has found.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use khashmir::Id;
use serde::{Deserialize, Serialize};

use super::{State, Walk};

/// Nodes of which a report gives details; it counts all.
const MAX_DETAILS: usize = 4096;

/// How far a walk is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advance {
    /// Nodes heard of so far.
    pub found: u64,
    /// Those of them that have answered.
    pub reachable: u64,
    /// Questions that are still to be asked.
    pub waiting: u64,
}

/// What a walk has found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Nodes that answer a stranger.
    pub reachable: u64,
    /// Nodes that several others name, and that do not: behind NATs, most likely.
    pub behind_nats: u64,
    /// Nodes that one other names, and that do not answer: gone, most likely.
    pub gone: u64,
    /// Nodes that were still to be asked when the walk was ended.
    pub not_asked: u64,
    /// Contacts at addresses that may not be asked: private ones, say, that no configuration lists.
    pub not_allowed: u64,
    /// By the version that their ids show: how many answer, and how many are behind NATs.
    pub versions: BTreeMap<String, [u64; 2]>,
    /// The median round trip to those who answered, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The nodes, those who answer first, the fastest first among them.
    pub nodes: Vec<FoundNode>,
}

/// A node that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundNode {
    /// Its id, in hexadecimal.
    pub id: String,
    /// Its address.
    pub address: SocketAddr,
    /// The version that its id shows.
    pub version: String,
    /// Whether it can be reached.
    pub reach: Reach,
    /// How soon it answered, in milliseconds.
    pub round_trip_ms: Option<f64>,
}

/// Whether a node can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// It answers a stranger.
    Reachable,
    /// Several others name it, and it does not.
    BehindNat,
    /// One other names it, and it does not answer.
    Gone,
    /// It was not asked.
    NotAsked,
}

impl Report {
    pub(super) fn of(walk: &Walk, now: Instant) -> Self {
        let mut report = Self {
            not_allowed: walk.not_allowed,
            datagrams_sent: walk.datagrams_sent,
            took_ms: u64::try_from(now.saturating_duration_since(walk.started).as_millis())
                .unwrap_or(u64::MAX),
            ..Self::default()
        };
        let ms = |round_trip: Duration| round_trip.as_secs_f64() * 1000.0;
        let mut round_trips = Vec::new();
        for node in &walk.nodes {
            let (reach, round_trip) = match node.state {
                State::Reachable(round_trip) => (Reach::Reachable, Some(round_trip)),
                State::Silent if node.namers.len() > 1 => (Reach::BehindNat, None),
                State::Silent => (Reach::Gone, None),
                State::Unknown => (Reach::NotAsked, None),
            };
            let version = version(&node.contact.id);
            let by_version = report.versions.entry(version.clone()).or_default();
            match reach {
                Reach::Reachable => {
                    report.reachable += 1;
                    by_version[0] += 1;
                }
                Reach::BehindNat => {
                    report.behind_nats += 1;
                    by_version[1] += 1;
                }
                Reach::Gone => report.gone += 1,
                Reach::NotAsked => report.not_asked += 1,
            }
            round_trips.extend(round_trip);
            report.nodes.push(FoundNode {
                id: node.contact.id.to_string(),
                address: node.contact.addr,
                version,
                reach,
                round_trip_ms: round_trip.map(ms),
            });
        }
        report.versions.retain(|_, counts| *counts != [0, 0]);
        round_trips.sort_unstable();
        report.round_trip_ms = round_trips.get(round_trips.len() / 2).copied().map(ms);
        report.nodes.sort_by(|a, b| {
            let trip = |node: &FoundNode| node.round_trip_ms.unwrap_or(f64::MAX);
            a.reach.cmp(&b.reach).then(trip(a).total_cmp(&trip(b)))
        });
        report.nodes.truncate(MAX_DETAILS);
        report
    }
}

impl Walk {
    /// How far it is.
    #[must_use]
    pub fn advance(&self) -> Advance {
        let reachable = self.nodes.iter().filter(|node| matches!(node.state, State::Reachable(_))).count();
        Advance {
            found: self.nodes.len() as u64,
            reachable: reachable as u64,
            waiting: (self.queue.len() + self.outstanding.len()) as u64,
        }
    }
}

/// The version that an id ends in (protocol, section 2); `-` if it shows none.
fn version(id: &Id) -> String {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'.' || *byte == b'-';
    match id.0.last_chunk::<4>() {
        Some([b'A', rest @ ..]) if rest.iter().all(is_digit) => {
            format!("A{}", String::from_utf8_lossy(rest))
        }
        _ => "-".to_owned(),
    }
}
