//! Every knob of a download plan.

use crate::config::{AddressFamilies, allows};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;
use ipnet::IpNet;

/// The knobs of a [`Download`](super::Download). A count of 0 is taken as 1.
///
/// Times are waits of one plan; none of them is in the protocol, which leaves the
/// plan open (protocol, section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadConfig {
    /// Whether somebody waits for the file from the start. Default yes. If not, the mirror is asked
    /// only for what no peer has, until [`handle_wanted`](super::Download::handle_wanted).
    pub wanted: bool,
    /// How long the mirror is left alone while somebody waits for the file and no peer has been
    /// asked for a piece. Default 300 ms: most lookups end sooner, and few people notice. With 0 the
    /// mirror is asked at once, whether anybody waits or not.
    pub mirror_delay: Duration,
    /// From the first claim to the choice among groups, unless the lookup ends sooner.
    /// Default 100 ms: values of one `get_value` response come together, those of the
    /// next contact a round trip later; the last may be nine seconds away.
    pub gather: Duration,
    /// A piece of which not a byte has come after this is late, so that a second source is asked.
    /// Default 300 ms: connecting over a long way included.
    pub late_silent: Duration,
    /// The shortest time after which a piece is late of which some bytes have come. Default 1 s.
    pub late_min: Duration,
    /// The longest. Default 4 s: so does a modem-like peer not hold a piece up. In between,
    /// late is what takes four times as long as a piece took on average.
    pub late_max: Duration,
    /// A request of which nothing was heard for so long has failed. Default 10 s: the
    /// package manager itself gives a silent server up after 30.
    pub stall: Duration,
    /// A peer that takes longer than this for one piece has failed, however steadily it
    /// drips, unless nobody else is left to ask. Default 60 s: 9 kB/s.
    pub piece_timeout: Duration,
    /// The lookup for claims is over after this, told or not. Default 30 s, what a lookup
    /// may take at most (protocol, section 7).
    pub lookup_timeout: Duration,
    /// Whether there is a mirror. Default yes.
    pub mirror: bool,
    /// What the mirror is known to give, in bytes a second, from downloads before this one.
    /// Default unknown. Known, it helps peers that are slower together than it.
    pub mirror_rate: Option<u64>,
    /// After somebody has waited for so long for a file that peers give, while it is unknown what
    /// the mirror gives, that is asked for one piece to learn it. Default 2 s.
    pub mirror_probe: Duration,
    /// Failures in a row of the mirror, without progress between, that end its use. Default 4,
    /// as many tries as the package manager has.
    pub mirror_failures: u32,
    /// The wait before the mirror is asked again, doubling with each failure. Default 1 s, the
    /// package manager's own.
    pub mirror_retry: Duration,
    /// Failures of a peer that end its use. Default 2: one may be an idle connection that it
    /// had closed.
    pub peer_failures: u32,
    /// Pieces asked of peers at a time. Default 4 (protocol, section 6).
    pub pieces_at_a_time: usize,
    /// Requests outstanding at one peer. Default 2: one is answered, one is on its way, so
    /// that its connection never idles.
    pub depth: usize,
    /// Claims that are kept. Default 256, as many values as a key has (protocol, section 7).
    pub max_claims: usize,
    /// Peers that are kept. Default 64: a file comes from few.
    pub max_peers: usize,
    /// Peers at one IP address that are kept. Default 4, as many values as one may store
    /// under a key (protocol, section 7).
    pub max_peers_per_ip: usize,
    /// Files without piece hashes that turned out wrong, after which peers are not believed
    /// any more. Default 3: each costs up to a whole file.
    pub wrong_files: u32,
    /// Which addresses we can send to. Default IPv4. Of a claim with both addresses IPv4 is
    /// tried first.
    pub address_families: AddressFamilies,
    /// Our own addresses, which are no source. Default none.
    pub own: Vec<SocketAddr>,
    /// Networks in which private, loopback and link-local addresses are allowed. Default
    /// none: a claim could make us send requests to machines of our own network.
    pub local_networks: Vec<IpNet>,
}

impl Default for DownloadConfig {
    fn default() -> DownloadConfig {
        DownloadConfig {
            wanted: true,
            mirror_delay: Duration::from_millis(300),
            gather: Duration::from_millis(100),
            late_silent: Duration::from_millis(300),
            late_min: Duration::from_secs(1),
            late_max: Duration::from_secs(4),
            stall: Duration::from_secs(10),
            piece_timeout: Duration::from_secs(60),
            lookup_timeout: Duration::from_secs(30),
            mirror: true,
            mirror_rate: None,
            mirror_probe: Duration::from_secs(2),
            mirror_failures: 4,
            mirror_retry: Duration::from_secs(1),
            peer_failures: 2,
            pieces_at_a_time: 4,
            depth: 2,
            max_claims: 256,
            max_peers: 64,
            max_peers_per_ip: 4,
            wrong_files: 3,
            address_families: AddressFamilies::Ipv4,
            own: Vec::new(),
            local_networks: Vec::new(),
        }
    }
}

impl DownloadConfig {
    /// Whether a claim may send us to this address.
    pub(super) fn allows(&self, address: &SocketAddr) -> bool {
        allows(&address.ip(), self.address_families, &self.local_networks)
            && address.port() != 0
            && !self.own.contains(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_send_us_to_public_addresses_and_listed_networks_only() {
        let config = DownloadConfig {
            address_families: AddressFamilies::Both,
            own: alloc::vec!["9.9.9.9:9978".parse().unwrap()],
            local_networks: alloc::vec!["10.1.0.0/16".parse().unwrap(), "fd00::/64".parse().unwrap()],
            ..DownloadConfig::default()
        };
        for (address, allowed) in [
            ("8.8.8.8:80", true),
            ("8.8.8.8:0", false),
            ("9.9.9.9:9978", false),
            ("9.9.9.9:9979", true),
            ("10.1.2.3:9978", true),
            ("10.2.2.3:9978", false),
            ("127.0.0.1:22", false),
            ("169.254.169.254:80", false),
            ("100.64.0.1:9978", false),
            ("224.0.0.1:9978", false),
            ("255.255.255.255:9978", false),
            ("0.0.0.0:9978", false),
            ("[2a00::1]:9978", true),
            ("[::1]:9978", false),
            ("[fe80::1]:9978", false),
            ("[ff02::1]:9978", false),
            ("[fd00::1]:9978", true),
            ("[::ffff:127.0.0.1]:9978", false),
        ] {
            assert_eq!(config.allows(&address.parse().unwrap()), allowed, "{address}");
        }
        let v4_only = DownloadConfig::default();
        assert!(!v4_only.allows(&"[2a00::1]:9978".parse().unwrap()));
    }
}
