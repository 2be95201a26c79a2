//! What a NAT lets in.

use core::time::Duration;
use khashmir::Instant;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// A NAT that lets in only what comes from an address that something was sent to lately.
#[derive(Clone, Debug)]
pub struct Nat {
    timeout: Duration,
    sent_at: BTreeMap<IpAddr, Instant>,
}

impl Nat {
    /// One that forgets whom it let somebody talk to after `timeout`.
    pub fn new(timeout: Duration) -> Nat {
        Nat { timeout, sent_at: BTreeMap::new() }
    }

    /// The node behind it sends something to `to`.
    pub(crate) fn lets_out(&mut self, now: Instant, to: SocketAddr) {
        self.sent_at.insert(to.ip(), now);
    }

    /// Whether something from `from` reaches the node behind it.
    pub(crate) fn lets_in(&self, now: Instant, from: &SocketAddr) -> bool {
        let sent_at = self.sent_at.get(&from.ip());
        sent_at.is_some_and(|&at| now.saturating_duration_since(at) <= self.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_sent_something_may_answer_for_a_while() {
        let mut nat = Nat::new(Duration::from_secs(60));
        let at = |secs| Instant::ORIGIN + Duration::from_secs(secs);
        let addr = |last: u8| SocketAddr::from(([60, 0, 0, last], 9978));
        nat.lets_out(at(1), addr(1));
        assert!(nat.lets_in(at(61), &addr(1)));
        assert!(!nat.lets_in(at(62), &addr(1)), "forgotten");
        assert!(!nat.lets_in(at(2), &addr(2)), "a stranger");
        nat.lets_out(at(100), addr(1));
        assert!(nat.lets_in(at(100), &addr(1)), "sent to again");
    }
}
