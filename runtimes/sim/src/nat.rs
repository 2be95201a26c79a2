//! What a NAT does to the node behind it.

use core::time::Duration;
use khashmir::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Whom a NAT lets in (RFC 3489, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NatKind {
    /// Everybody, at a port from which something was sent to anybody.
    FullCone,
    /// Whoever has an address that something was sent to.
    AddressRestricted,
    /// Whoever has an address and port that something was sent to.
    PortRestricted,
    /// The same, and each of them sees the node at another port.
    Symmetric,
}

impl NatKind {
    /// All of them, the most open one first.
    pub const ALL: [NatKind; 4] =
        [NatKind::FullCone, NatKind::AddressRestricted, NatKind::PortRestricted, NatKind::Symmetric];
}

/// A NAT before one node. What it lets in depends on what the node has sent lately.
#[derive(Clone, Debug)]
pub struct Nat {
    kind: NatKind,
    timeout: Duration,
    /// Whether the node is seen at its own port, as long as that is all the same to the kind.
    keeps_port: bool,
    /// For each outside port and whom it lets in, when that was last sent something. What is too old
    /// is dropped from time to time.
    sent_at: BTreeMap<(u16, SocketAddr), Instant>,
    next_port: u16,
}

/// Where the outside ports of NATs that choose them begin.
const FIRST_PORT: u16 = 20_000;

/// Entries among which the dead ones are looked for.
const MANY: usize = 256;

impl Nat {
    /// One that lets in whoever has an address that something was sent to within `timeout`, and does
    /// not change ports.
    pub fn new(timeout: Duration) -> Nat {
        Nat { keeps_port: true, ..Nat::of_kind(NatKind::AddressRestricted, timeout) }
    }

    /// One that chooses ports, and forgets what nothing was sent through for `timeout`.
    pub fn of_kind(kind: NatKind, timeout: Duration) -> Nat {
        Nat { kind, timeout, keeps_port: false, sent_at: BTreeMap::new(), next_port: FIRST_PORT }
    }

    /// The node behind it, at `own_port`, sends something to `to`. Returns the port that this is seen
    /// to come from.
    pub(crate) fn lets_out(&mut self, now: Instant, own_port: u16, to: SocketAddr) -> u16 {
        if self.sent_at.len() >= MANY {
            let timeout = self.timeout;
            self.sent_at.retain(|_, at| now.saturating_duration_since(*at) <= timeout);
        }
        let is_symmetric = self.kind == NatKind::Symmetric;
        let whom = self.whom(&to);
        let live = self.live(now).find(|(_, other)| !is_symmetric || *other == whom);
        let port = match live {
            _ if self.keeps_port => own_port,
            Some((port, _)) => port,
            None => {
                self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
                self.next_port
            }
        };
        self.sent_at.insert((port, whom), now);
        port
    }

    /// Whether something from `from` to the outside port `port` reaches the node behind it.
    pub(crate) fn lets_in(&self, now: Instant, from: &SocketAddr, port: u16) -> bool {
        let whom = self.whom(from);
        let is_open = self.kind == NatKind::FullCone;
        self.live(now).any(|(other_port, other)| other_port == port && (is_open || other == whom))
    }

    /// Whom something sent to `addr` lets in.
    fn whom(&self, addr: &SocketAddr) -> SocketAddr {
        match self.kind {
            NatKind::FullCone | NatKind::AddressRestricted => SocketAddr::new(addr.ip(), 0),
            NatKind::PortRestricted | NatKind::Symmetric => *addr,
        }
    }

    fn live(&self, now: Instant) -> impl Iterator<Item = (u16, SocketAddr)> + '_ {
        let is_live = move |at: &Instant| now.saturating_duration_since(*at) <= self.timeout;
        self.sent_at.iter().filter(move |(_, at)| is_live(at)).map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(secs)
    }

    fn addr(last: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([60, 0, 0, last], port))
    }

    #[test]
    fn who_was_sent_something_may_answer_for_a_while() {
        for kind in NatKind::ALL {
            let mut nat = Nat::of_kind(kind, Duration::from_secs(60));
            let port = nat.lets_out(at(1), 9978, addr(1, 5));
            assert!(nat.lets_in(at(61), &addr(1, 5), port), "{kind:?}");
            assert!(!nat.lets_in(at(62), &addr(1, 5), port), "{kind:?}: forgotten");
            let later = nat.lets_out(at(100), 9978, addr(1, 5));
            assert!(nat.lets_in(at(100), &addr(1, 5), later), "{kind:?}: sent to again");
            assert!(!nat.lets_in(at(100), &addr(1, 5), port), "{kind:?}: at another port");
        }
    }

    #[test]
    fn each_kind_lets_in_whom_it_should() {
        use NatKind::{AddressRestricted, FullCone, PortRestricted, Symmetric};
        for (kind, stranger, other_port) in [
            (FullCone, true, true),
            (AddressRestricted, false, true),
            (PortRestricted, false, false),
            (Symmetric, false, false),
        ] {
            let mut nat = Nat::of_kind(kind, Duration::from_secs(60));
            let port = nat.lets_out(at(1), 9978, addr(1, 5));
            assert_eq!(nat.lets_in(at(2), &addr(2, 5), port), stranger, "{kind:?}");
            assert_eq!(nat.lets_in(at(2), &addr(1, 6), port), other_port, "{kind:?}");
            let second = nat.lets_out(at(2), 9978, addr(2, 5));
            assert_eq!(second == port, kind != Symmetric, "{kind:?}");
            assert_eq!(nat.lets_out(at(3), 9978, addr(1, 5)), port, "{kind:?}: kept while it is used");
        }
        let mut nat = Nat::new(Duration::from_secs(60));
        assert_eq!(nat.lets_out(at(1), 9978, addr(1, 5)), 9978);
        assert!(nat.lets_in(at(2), &addr(1, 6), 9978) && !nat.lets_in(at(2), &addr(2, 5), 9978));
    }

    #[test]
    fn it_forgets_what_is_over() {
        let mut nat = Nat::of_kind(NatKind::Symmetric, Duration::from_secs(60));
        for n in 0..10_000u16 {
            nat.lets_out(at(u64::from(n)), 9978, addr(1, n));
        }
        assert!(nat.sent_at.len() <= MANY, "{}", nat.sent_at.len());
    }
}
