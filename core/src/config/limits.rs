//! Bounds and budgets (protocol, section 7).

use super::ConfigError;
use core::time::Duration;

/// What a node refuses, keeps and spends, whatever strangers do.
///
/// [`Limits::DEFAULT`] is for a node among strangers, [`Limits::KHASHMIR_2008`] lifts what the
/// 2008 code did not have, for comparison. What bites is counted in
/// [`Stats`](crate::node::Stats). A bound that does not say how it is lifted is lifted by the largest
/// number of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// UDP payload of what we send over IPv4, in bytes, 512 to 65,507. 1,472: an Ethernet frame. With
    /// less than 1,452 nobody else gets the longest values of a put.
    pub datagram_ipv4: u16,
    /// The same over IPv6. 1,452.
    pub datagram_ipv6: u16,
    /// Bytes that may go to an unproved address for each byte that came from it. 3 (as QUIC,
    /// RFC 9000, section 8); 0 lifts the budget.
    pub amplification: u8,
    /// How long an address stays proved. 15 min.
    pub proof_lifetime: Duration,
    /// Addresses remembered as proved, 2^24 at most. 512, of 8 bytes each: some more than a node meets
    /// in a network in which each looks something up every five minutes.
    pub proved_addresses: usize,
    /// `get_value` queries that wait for the pong of an unproved address. 64.
    pub waiting_for_proof: usize,
    /// Contacts used of one response, in each address family; over 64 counts as 64. 8.
    pub contacts_per_response: usize,
    /// Queries that one lookup sends, in each address family. 64.
    pub lookup_queries: usize,
    /// How long a lookup lasts at most. A get or put may take as long again for what follows its
    /// lookup. 30 s.
    pub lookup_duration: Duration,
    /// How many of the K closest of a lookup may share a /24 (IPv4) or /48 (IPv6). 2.
    pub closest_per_prefix: usize,
    /// Whether rules that count per IP or per prefix are off altogether. false.
    pub counted_networks_lifted: bool,
    /// Longest value stored for others, in bytes. 1,391: what a response can carry over IPv4. A get
    /// takes values of up to that length whatever is stored here.
    pub value_len: usize,
    /// Values under one key. 256.
    pub values_per_key: usize,
    /// Values under one key from one IP. 4.
    pub values_per_key_and_source: usize,
    /// Bytes of values in all, bookkeeping included. 64 MiB.
    pub store_bytes: usize,
    /// Queries per second served to one IP. 64; 0 lifts it, and `queries_per_second`.
    pub queries_per_second_and_source: u32,
    /// Queries per second served in all. 8,192; 0 lifts it.
    pub queries_per_second: u32,
    /// How many seconds' worth of queries may come at once, four million queries at most. 4.
    pub query_burst_seconds: u32,
    /// IPs whose query rate is remembered, 2^24 at most. 8,192, of 16 bytes each, in a flood.
    pub query_sources: usize,
    /// Outstanding requests. 1,024.
    pub transactions: usize,
    /// Outstanding requests that are pings of our own accord: of contacts, and, at most half of them,
    /// of strangers, of whom the one pinged longest ago gives way. 256.
    pub pings: usize,
    /// Datagrams not yet polled. 1,024.
    pub outbox_datagrams: usize,
    /// Progress events not yet polled. 4,096.
    pub progress_events: usize,
    /// Operations at a time, our own upkeep not counted. 256.
    pub operations: usize,
    /// Values published at a time. 65,536.
    pub publications: usize,
    /// Contacts in different networks (/24, over IPv6 /48) that must agree on our outside address;
    /// over 32 counts as 32. 3.
    pub outside_votes: usize,
}

impl Limits {
    /// For a node among strangers.
    pub const DEFAULT: Limits = Limits {
        datagram_ipv4: 1472,
        datagram_ipv6: 1452,
        amplification: 3,
        proof_lifetime: Duration::from_secs(15 * 60),
        proved_addresses: 512,
        waiting_for_proof: 64,
        contacts_per_response: 8,
        lookup_queries: 64,
        lookup_duration: Duration::from_secs(30),
        closest_per_prefix: 2,
        counted_networks_lifted: false,
        value_len: 1391,
        values_per_key: 256,
        values_per_key_and_source: 4,
        store_bytes: 64 << 20,
        queries_per_second_and_source: 64,
        queries_per_second: 8192,
        query_burst_seconds: 4,
        query_sources: 8192,
        transactions: 1024,
        pings: 256,
        outbox_datagrams: 1024,
        progress_events: 4096,
        operations: 256,
        publications: 65_536,
        outside_votes: 3,
    };

    /// As the 2008 code: what it did not limit is lifted, or set where it never bites.
    pub const KHASHMIR_2008: Limits = Limits {
        amplification: 0,
        contacts_per_response: 64,
        lookup_queries: 100_000,
        lookup_duration: Duration::from_secs(24 * 3600),
        closest_per_prefix: 8,
        counted_networks_lifted: true,
        value_len: 65_000,
        values_per_key: 100_000,
        values_per_key_and_source: 100_000,
        store_bytes: 1 << 30,
        queries_per_second_and_source: 0,
        transactions: 100_000,
        pings: 100_000,
        outbox_datagrams: 100_000,
        progress_events: 100_000,
        operations: 100_000,
        outside_votes: 1,
        ..Limits::DEFAULT
    };

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (name, bytes) in
            [("limits.datagram_ipv4", self.datagram_ipv4), ("limits.datagram_ipv6", self.datagram_ipv6)]
        {
            if !(512..=65_507).contains(&bytes) {
                return Err(ConfigError::OutOfRange(name));
            }
        }
        let tables = [
            ("limits.proved_addresses", self.proved_addresses),
            ("limits.query_sources", self.query_sources),
        ];
        if let Some((name, _)) = tables.iter().find(|(_, names)| *names > 1 << 24) {
            return Err(ConfigError::OutOfRange(name));
        }
        let counts = [
            ("limits.lookup_queries", self.lookup_queries),
            ("limits.closest_per_prefix", self.closest_per_prefix),
            ("limits.contacts_per_response", self.contacts_per_response),
            ("limits.value_len", self.value_len),
            ("limits.values_per_key", self.values_per_key),
            ("limits.values_per_key_and_source", self.values_per_key_and_source),
            ("limits.transactions", self.transactions),
            ("limits.pings", self.pings),
            ("limits.outbox_datagrams", self.outbox_datagrams),
            ("limits.progress_events", self.progress_events),
            ("limits.operations", self.operations),
            ("limits.publications", self.publications),
            ("limits.outside_votes", self.outside_votes),
        ];
        match counts.iter().find(|(_, count)| *count == 0) {
            Some((name, _)) => Err(ConfigError::Zero(name)),
            None => Ok(()),
        }
    }
}
