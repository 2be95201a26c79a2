//! What a node counts.

/// A node's counters since it was made, and its present sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Datagrams handled.
    pub datagrams_received: u64,
    /// Datagrams queued, retransmissions included.
    pub datagrams_sent: u64,
    /// Datagrams dropped as malformed.
    pub malformed: u64,
    /// Responses and errors to no request of ours, or from another address than was asked.
    pub unsolicited: u64,
    /// Queries answered with a response.
    pub queries_answered: u64,
    /// Queries answered with an error.
    pub errors_sent: u64,
    /// Queries over the budget of their source or of all, met with silence.
    pub queries_over_budget: u64,
    /// Answers cut to the budget of an unproved address.
    pub answers_cut: u64,
    /// Datagrams that found the outbox full, or that were longer than may go to their address.
    pub outbox_overflows: u64,
    /// Requests that were not sent because too many were outstanding.
    pub requests_refused: u64,
    /// Events other than final ones that found the queue full.
    pub events_dropped: u64,
    /// Requests sent, retransmissions not counted.
    pub requests_sent: u64,
    /// Requests sent again.
    pub retransmissions: u64,
    /// Requests that failed: no answer, an error, a malformed response, or another id.
    pub requests_failed: u64,
    /// Contacts of responses that were not used: outside the allowed networks, repeated, too many.
    pub contacts_ignored: u64,
    /// Stores refused for a bound or a share.
    pub stores_refused: u64,
    /// Contacts in the IPv4 routing table.
    pub contacts_ipv4: usize,
    /// Contacts in the IPv6 routing table.
    pub contacts_ipv6: usize,
    /// Contacts that a restored node had before; whether they are still there shows when they
    /// answer.
    pub contacts_restored: usize,
    /// Keys with values that others stored here.
    pub keys: usize,
    /// Those values.
    pub values: usize,
    /// Their bytes, bookkeeping included.
    pub store_bytes: usize,
    /// Requests outstanding.
    pub transactions: usize,
    /// Operations running, or over and not yet polled; our own upkeep not counted.
    pub operations: usize,
    /// Operations of our own upkeep.
    pub upkeep_operations: usize,
    /// Values that are published.
    pub publications: usize,
    /// Datagrams not yet polled.
    pub outbox: usize,
    /// Events not yet polled.
    pub events: usize,
}
