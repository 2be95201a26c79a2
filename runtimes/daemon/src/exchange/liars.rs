//! Who gave wrong bytes lately.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use khashmir::claim::Claim;

/// Machines that were found out, each for some time: an honest one may have had bad memory, or
/// share its address with a liar. By IP address, since ports cost nothing.
#[derive(Debug)]
pub(super) struct Liars {
    distrusted_for: Duration,
    /// Until when.
    known: Mutex<HashMap<IpAddr, Instant>>,
}

/// As many are remembered.
const MAX_KNOWN: usize = 1024;

impl Liars {
    pub(super) fn new(distrusted_for: Duration) -> Self {
        Self { distrusted_for, known: Mutex::default() }
    }

    /// A machine was found out.
    pub(super) fn add(&self, peer: SocketAddr, now: Instant) {
        if self.distrusted_for.is_zero() {
            return;
        }
        let mut known = self.known();
        known.retain(|_, until| *until > now);
        let soonest = known.iter().min_by_key(|(_, until)| **until).map(|(machine, _)| *machine);
        if known.len() >= MAX_KNOWN
            && let Some(soonest) = soonest
        {
            known.remove(&soonest);
        }
        known.insert(machine(peer.ip()), now + self.distrusted_for);
    }

    /// Whether it is distrusted.
    pub(super) fn contain(&self, peer: IpAddr, now: Instant) -> bool {
        self.known().get(&machine(peer)).is_some_and(|until| *until > now)
    }

    /// Whether a claim sends us to one.
    pub(super) fn made(&self, claim: &Claim, now: Instant) -> bool {
        let v4 = claim.v4.map(|v4| IpAddr::V4(*v4.ip()));
        let v6 = claim.v6.map(|v6| IpAddr::V6(*v6.ip()));
        v4.into_iter().chain(v6).any(|address| self.contain(address, now))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An IPv4 address, or a /64 of IPv6, which is one machine's as a rule.
fn machine(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_liar_is_distrusted_at_every_port_for_some_time() {
        let (liars, now) = (Liars::new(HOUR), Instant::now());
        liars.add("203.0.113.7:9978".parse().unwrap(), now);
        liars.add("[2001:db8::1]:9978".parse().unwrap(), now);
        for liar in ["203.0.113.7", "::ffff:203.0.113.7", "2001:db8::2"] {
            assert!(liars.contain(liar.parse().unwrap(), now + HOUR / 2), "{liar}");
            assert!(!liars.contain(liar.parse().unwrap(), now + HOUR), "{liar}");
        }
        for other in ["203.0.113.8", "2001:db8:0:1::1"] {
            assert!(!liars.contain(other.parse().unwrap(), now), "{other}");
        }
    }

    #[test]
    fn the_oldest_make_room() {
        let (liars, now) = (Liars::new(HOUR), Instant::now());
        let peer = |n: usize| SocketAddr::from(((n as u32).to_be_bytes(), 9978));
        for n in 0..=MAX_KNOWN {
            liars.add(peer(n), now + Duration::from_secs(n as u64));
        }
        assert_eq!(liars.known().len(), MAX_KNOWN);
        assert!(!liars.contain(peer(0).ip(), now) && liars.contain(peer(1).ip(), now));
    }

    #[test]
    fn who_distrusts_nobody_remembers_nobody() {
        let (liars, now) = (Liars::new(Duration::ZERO), Instant::now());
        liars.add("203.0.113.7:9978".parse().unwrap(), now);
        assert!(!liars.contain("203.0.113.7".parse().unwrap(), now));
        assert!(liars.known().is_empty());
    }
}
