//! Who may connect: so many peers in all, and so many from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::{Network, PeersConfig};

/// The places for connections of peers.
#[derive(Debug)]
pub(super) struct Places {
    max: u64,
    max_per_address: u64,
    /// Where addresses are not counted.
    uncounted: Vec<Network>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: u64,
    /// By what [`counted`] gives. None of them 0, so there are no more than `all`.
    by_address: HashMap<IpAddr, u64>,
}

/// The address as which another is counted: of IPv6, where one machine has as many as it likes, its
/// network's.
fn counted(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & u128::MAX << 64).into(),
    }
}

impl Places {
    pub(super) fn new(config: &PeersConfig, uncounted: Vec<Network>) -> Self {
        Self {
            max: config.max_connections,
            max_per_address: config.max_connections_per_address,
            uncounted,
            taken: Mutex::default(),
        }
    }

    /// A place for a connection from this address, held until it is dropped.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let is_counted = !self.uncounted.iter().any(|network| network.contains(address));
        let address = counted(address);
        let mut taken = self.taken();
        let of_address = taken.by_address.get(&address).copied().unwrap_or(0);
        if taken.all >= self.max || is_counted && of_address >= self.max_per_address {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, of_address + 1);
        drop(taken);
        Some(Place { places: Arc::clone(self), address })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(of_address) = taken.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn places(uncounted: &[&str]) -> Arc<Places> {
        let config =
            PeersConfig { max_connections: 4, max_connections_per_address: 2, ..PeersConfig::default() };
        let uncounted = uncounted.iter().map(|network| network.parse().unwrap()).collect();
        Arc::new(Places::new(&config, uncounted))
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let places = places(&[]);
        let held = [places.take(ip(1)).unwrap(), places.take(ip(1)).unwrap()];
        assert!(places.take(ip(1)).is_none());
        let others = [places.take(ip(2)).unwrap(), places.take(ip(3)).unwrap()];
        assert!(places.take(ip(4)).is_none(), "four in all");
        drop(held);
        assert!(places.take(ip(1)).is_some());
        drop(others);
        assert!(places.taken().by_address.is_empty(), "nothing is remembered of who is gone");
        assert_eq!(places.taken().all, 0);
    }

    #[test]
    fn of_ipv6_a_network_counts_as_one_address() {
        let places = places(&[]);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let held = [places.take(ip("2001:db8::1")).unwrap(), places.take(ip("2001:db8::2")).unwrap()];
        assert!(places.take(ip("2001:db8::ffff:0:0:3")).is_none());
        assert!(places.take(ip("2001:db8:0:1::1")).is_some());
        drop(held);
        assert!(places.taken().by_address.is_empty());
    }

    #[test]
    fn in_some_networks_addresses_are_not_counted() {
        let places = places(&["192.0.2.0/24"]);
        let held: Vec<Place> = (0..4).map(|_| places.take(ip(1)).unwrap()).collect();
        assert!(places.take(ip(1)).is_none(), "but all together still are");
        drop(held);
    }
}
