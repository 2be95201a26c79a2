//! What the daemon counts: atomics that any task may bump, one JSON document
//! to read them by.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Everything that is counted, in one place. Totals since the daemon started,
/// except the gauges, which are what is so now.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// What apt asked for and got.
    pub apt: AptStats,
    /// What was fetched, and from where.
    pub downloads: DownloadStats,
    /// What other machines fetched from this one.
    pub uploads: UploadStats,
    /// What claims were read in the DHT, by the tier of their piece hashes.
    pub claims: ClaimStats,
    /// The node's view of the DHT.
    pub dht: DhtStats,
}

/// What apt asked for, and where the bytes it got came from.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct AptStats {
    /// Connections open now.
    pub connections: Gauge,
    /// Requests whose head was read.
    pub requests: Counter,
    /// Requests refused: malformed, not allowed, or with a body.
    pub refused: Counter,
    /// Answers that were cut off because nothing right could be sent.
    pub cut: Counter,
    /// Release files that were sent as they are kept, because their mirror could not be asked.
    pub releases_unconfirmed: Counter,
    /// Tunnels open now.
    pub tunnels: Gauge,
    /// Bytes that went through tunnels, in both directions.
    pub bytes_tunnelled: Counter,
    /// Body bytes sent to apt out of the cache.
    pub bytes_from_cache: Counter,
    /// Body bytes sent to apt that peers had just sent us.
    pub bytes_from_peers: Counter,
    /// Body bytes sent to apt that the mirror had just sent us.
    pub bytes_from_mirror: Counter,
}

/// What was fetched, and from where.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct DownloadStats {
    /// Files being downloaded now.
    pub in_progress: Gauge,
    /// Files that arrived and matched their hash.
    pub completed: Counter,
    /// Files that did not arrive, because nobody could be reached or went on to the end.
    pub failed: Counter,
    /// Files that the mirror does not have, or does not give; its answer was passed on.
    pub rejected: Counter,
    /// Files that arrived and did not match their hash.
    pub mismatched: Counter,
    /// Bytes that peers sent, repeated and useless ones included.
    pub bytes_from_peers: Counter,
    /// Body bytes that mirrors sent, repeated and useless ones included.
    pub bytes_from_mirror: Counter,
    /// Requests to mirrors that were tried again after a transient fault.
    pub mirror_retries: Counter,
    /// Pieces from peers that matched their piece hash.
    pub pieces_good: Counter,
    /// Pieces from peers that did not.
    pub pieces_bad: Counter,
    /// Pieces for which a second source was asked because the first was late.
    pub pieces_late: Counter,
    /// Files whose pieces all matched, or had no piece hashes, and whose own hash was wrong.
    pub files_bad: Counter,
    /// Bytes that came and were of no use.
    pub bytes_wasted: Counter,
}

/// What other machines fetched from this one.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct UploadStats {
    /// Connections of peers open now.
    pub connections: Gauge,
    /// Requests of peers that were answered with content.
    pub requests: Counter,
    /// Requests of peers that were refused.
    pub refused: Counter,
    /// Body bytes sent to peers.
    pub bytes: Counter,
}

/// Claims that were read, by tier (protocol, section 6).
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct ClaimStats {
    /// Claims of one-piece files, which name no piece hashes.
    pub plain: Counter,
    /// Claims with the piece hashes inline.
    pub t: Counter,
    /// Claims whose piece hashes are in the DHT.
    pub h: Counter,
    /// Claims whose piece hashes only peers have.
    pub l: Counter,
    /// Values that were no claim.
    pub malformed: Counter,
    /// Claims of peers that gave wrong bytes lately, which were not followed.
    pub distrusted: Counter,
}

/// The node's view of the DHT, as of its last report.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct DhtStats {
    /// Contacts in the routing tables.
    pub contacts: Gauge,
    /// Keys that this node stores values for.
    pub keys: Gauge,
    /// Values that this node stores.
    pub values: Gauge,
    /// Files that this daemon announces.
    pub publications: Gauge,
    /// Datagrams handled since the node was started.
    pub datagrams_received: Gauge,
    /// Datagrams sent.
    pub datagrams_sent: Gauge,
    /// Datagrams dropped as malformed.
    pub malformed: Gauge,
    /// Answers to no request of ours.
    pub unsolicited: Gauge,
    /// Requests sent, retransmissions not counted.
    pub requests_sent: Gauge,
    /// Requests sent again.
    pub retransmissions: Gauge,
    /// Requests that failed.
    pub requests_failed: Gauge,
    /// Requests not sent because too many were outstanding.
    pub requests_refused: Gauge,
    /// Queries of others answered.
    pub queries_answered: Gauge,
    /// Queries of others answered with an error.
    pub errors_sent: Gauge,
    /// Queries of others met with silence because there were too many.
    pub queries_over_budget: Gauge,
    /// Answers cut to the budget of an unproved address.
    pub answers_cut: Gauge,
    /// Values of others refused for a bound or a share.
    pub stores_refused: Gauge,
    /// Contacts in responses that were not used.
    pub contacts_ignored: Gauge,
    /// Datagrams that found no room to wait in.
    pub outbox_overflows: Gauge,
    /// Events that found no room to wait in.
    pub events_dropped: Gauge,
}

/// A number that only grows.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Counts one more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// The count so far.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that rises and falls.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Says what the number is now.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Counts one more for as long as the returned guard lives.
    #[must_use]
    pub fn enter(&self) -> Entered<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(self)
    }

    /// The number now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One unit of a [`Gauge`], given back when dropped.
#[derive(Debug)]
pub struct Entered<'a>(&'a Gauge);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn counts_appear_under_their_names() {
        let stats = Stats::default();
        stats.apt.requests.increment();
        stats.downloads.bytes_from_mirror.add(7);
        let open = stats.apt.connections.enter();
        let json = serde_json::to_value(&stats).unwrap();
        assert_eq!(json["apt"]["requests"], 1);
        assert_eq!(json["apt"]["connections"], 1);
        assert_eq!(json["downloads"]["bytes_from_mirror"], 7);
        drop(open);
        assert_eq!(stats.apt.connections.value(), 0);
    }
}
