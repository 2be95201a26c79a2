//! Every knob of a node, with unit, default, reason and source.

mod limits;
mod policy;

pub use limits::Limits;
pub use policy::{Admission, LookupPolicy, Retransmission};

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use ipnet::IpNet;

/// How a node behaves. [`Config::default`] is what a node on the Internet wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The last four bytes of our id: `A` and three digits of `0-9A-Za-z.-` that name the
    /// software's version (protocol, section 2).
    pub version: [u8; 4],
    /// Which addresses we can send to. Default: IPv4, which every peer of 2008 has.
    pub address_families: AddressFamilies,
    /// Prefixes in which private, loopback and link-local addresses are allowed. Default: none.
    pub local_networks: Vec<IpNet>,
    /// Prefixes whose addresses are not counted per IP or per prefix. Default: none. Tests that run
    /// many nodes on loopback name 127.0.0.0/8; it lifts no budget, no proof and no bound.
    pub uncounted_networks: Vec<IpNet>,
    /// How a lookup searches.
    pub lookup: LookupPolicy,
    /// Contacts that a put stores the value at, in each address family; at most the 8 closest are
    /// asked. Default: 6 (2008; 3 before).
    pub store_copies: u8,
    /// Contacts whose values a get waits for, in each address family. Default: 6 (2008).
    pub get_answers: u8,
    /// `get_value` queries to one contact, at most, where its values do not fit one response.
    /// Default: 8.
    pub get_rounds: u8,
    /// Whether a get asks for values as soon as it knows who holds some, not only when its search has
    /// ended, which one node that is gone delays by the time after which a request fails. Default:
    /// no (2008).
    pub early_values: bool,
    /// Whether others may store values here; if not, tokens are withheld. Default: true.
    pub accept_stores: bool,
    /// Periods of upkeep.
    pub upkeep: Upkeep,
    /// Bounds and budgets.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            version: *b"A100",
            address_families: AddressFamilies::Ipv4,
            local_networks: Vec::new(),
            uncounted_networks: Vec::new(),
            lookup: LookupPolicy::DEFAULT,
            store_copies: 6,
            get_answers: 6,
            get_rounds: 8,
            early_values: false,
            accept_stores: true,
            upkeep: Upkeep::DEFAULT,
            limits: Limits::DEFAULT,
        }
    }
}

/// Which addresses a node can send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressFamilies {
    /// IPv4 alone.
    Ipv4,
    /// IPv6 alone.
    Ipv6,
    /// Both, with a routing table for each (BEP 32).
    Both,
}

impl AddressFamilies {
    /// Whether addresses like `ip` are among them.
    pub fn contains(self, ip: &IpAddr) -> bool {
        match self {
            AddressFamilies::Ipv4 => ip.is_ipv4(),
            AddressFamilies::Ipv6 => ip.is_ipv6(),
            AddressFamilies::Both => true,
        }
    }
}

/// Periods of upkeep (protocol, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upkeep {
    /// From a checkpoint to the next: new token secret, expiry, refresh, snapshot is due. 300 s.
    pub checkpoint_interval: Duration,
    /// How much an interval between checkpoints varies, so that nodes spread out, 0 to 100 (more
    /// counts as 100). 10 %.
    pub checkpoint_jitter_percent: u8,
    /// The first checkpoint. 60 s.
    pub first_checkpoint_after: Duration,
    /// A bucket not looked up in for this long is refreshed at a checkpoint. 3,600 s.
    pub refresh_after: Duration,
    /// A new contact, or one that failed once, is pinged again. 900 s: a NAT lets the first ping
    /// through for a minute or so.
    pub reping_after: Duration,
    /// The oldest contact of a full bucket is pinged if not heard for. 900 s.
    pub stale_after: Duration,
    /// Failures in a row before a contact is removed. 3.
    pub max_failures: u8,
    /// A NAT may let somebody in for this long after its node has sent something there. 120 s: RFC 4787
    /// asks for two minutes at least, and few wait longer.
    pub nat_timeout: Duration,
    /// A value expires unless stored again. 3 h.
    pub value_lifetime: Duration,
    /// A publisher stores its value again, at the latest. 2.5 h, so that it never expires between.
    pub republish_after: Duration,
    /// The same at the soonest: where most of those who stored it are gone by then. 10 minutes. After the
    /// first time it is three times that, then as long as shows to be enough. With
    /// [`republish_after`](Self::republish_after), or more, it is always that.
    pub republish_soonest: Duration,
    /// Between two renewals, so that many of them do not come at once. 3 s; less for so many
    /// publications (300 by default) that they would expire meanwhile.
    pub republish_spacing: Duration,
    /// A join that found nobody is tried again, doubling up to
    /// [`checkpoint_interval`](Self::checkpoint_interval). 20 s. Who knows others joins again all the
    /// same, so that parts of a network find together: at every checkpoint while it knows fewer than K,
    /// else ever later up to [`refresh_after`](Self::refresh_after); but not before this, either.
    pub rejoin_after: Duration,
}

impl Upkeep {
    /// The periods of the 2008 release.
    pub const KHASHMIR_2008: Upkeep = Upkeep {
        checkpoint_interval: Duration::from_secs(300),
        checkpoint_jitter_percent: 10,
        first_checkpoint_after: Duration::from_secs(60),
        refresh_after: Duration::from_secs(3600),
        reping_after: Duration::from_secs(900),
        stale_after: Duration::from_secs(900),
        max_failures: 3,
        nat_timeout: Duration::from_secs(120),
        value_lifetime: Duration::from_secs(3 * 3600),
        republish_after: Duration::from_secs(9000),
        republish_soonest: Duration::from_secs(9000),
        republish_spacing: Duration::from_secs(3),
        rejoin_after: Duration::from_secs(20),
    };

    /// The same, but that values are stored again as soon as their keepers go away.
    pub const DEFAULT: Upkeep =
        Upkeep { republish_soonest: Duration::from_secs(600), ..Upkeep::KHASHMIR_2008 };
}

/// A configuration that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// [`Config::version`] is not `A` and three of `0-9A-Za-z.-`.
    Version,
    /// A count or a period, which must be a microsecond at least, is zero: its path in [`Config`].
    Zero(&'static str),
    /// A knob is out of the range that its documentation gives: its path in [`Config`].
    OutOfRange(&'static str),
    /// The snapshot is not one, or of a version that this library does not read.
    Snapshot(crate::bencode::DecodeError),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Version => f.write_str("version must be 'A' and three of 0-9A-Za-z.-"),
            ConfigError::Zero(name) => write!(f, "{name} must not be zero"),
            ConfigError::OutOfRange(name) => {
                write!(f, "{name} is out of the range that its documentation gives")
            }
            ConfigError::Snapshot(error) => write!(f, "unreadable snapshot: {error}"),
        }
    }
}

impl core::error::Error for ConfigError {}

impl Config {
    /// Checks what types cannot; [`Node::new`](crate::Node::new) does so too.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let digit = |b: &u8| b.is_ascii_alphanumeric() || *b == b'.' || *b == b'-';
        if self.version[0] != b'A' || !self.version[1..].iter().all(digit) {
            return Err(ConfigError::Version);
        }
        let upkeep = &self.upkeep;
        let retransmission = &self.lookup.retransmission;
        let periods = [
            ("upkeep.checkpoint_interval", upkeep.checkpoint_interval),
            ("upkeep.first_checkpoint_after", upkeep.first_checkpoint_after),
            ("upkeep.refresh_after", upkeep.refresh_after),
            ("upkeep.reping_after", upkeep.reping_after),
            ("upkeep.value_lifetime", upkeep.value_lifetime),
            ("upkeep.republish_after", upkeep.republish_after),
            ("upkeep.republish_soonest", upkeep.republish_soonest),
            ("upkeep.republish_spacing", upkeep.republish_spacing),
            ("upkeep.rejoin_after", upkeep.rejoin_after),
            ("lookup.retransmission.resend_after", retransmission.resend_after[0]),
            ("lookup.retransmission.resend_after", retransmission.resend_after[1]),
            ("lookup.retransmission.resend_after", retransmission.resend_after[2]),
            ("lookup.retransmission.fail_after", retransmission.fail_after),
            ("lookup.retransmission.soonest", retransmission.soonest),
            ("lookup.retransmission.soonest_failure", retransmission.soonest_failure),
            ("limits.lookup_duration", self.limits.lookup_duration),
        ];
        if let Some((name, _)) = periods.iter().find(|(_, period)| *period < Duration::from_micros(1)) {
            return Err(ConfigError::Zero(name));
        }
        let counts = [
            ("store_copies", u64::from(self.store_copies)),
            ("get_answers", u64::from(self.get_answers)),
            ("get_rounds", u64::from(self.get_rounds)),
            ("upkeep.max_failures", u64::from(upkeep.max_failures)),
            ("lookup.parallelism", u64::from(self.lookup.parallelism)),
            ("lookup.opening", u64::from(self.lookup.opening)),
            ("lookup.enough", u64::from(self.lookup.enough)),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(ConfigError::Zero(name));
        }
        if self.lookup.parallelism > LookupPolicy::MAX_PARALLELISM {
            return Err(ConfigError::OutOfRange("lookup.parallelism"));
        }
        self.limits.validate()
    }

    /// Whether datagrams may go to `ip`: a family that we have, and a public address or one in
    /// [`local_networks`](Self::local_networks); never multicast, broadcast or unspecified.
    pub fn allows(&self, ip: &IpAddr) -> bool {
        allows(ip, self.address_families, &self.local_networks)
    }

    /// Whether rules that count per IP or per prefix apply to `ip`.
    pub fn counts(&self, ip: &IpAddr) -> bool {
        !self.limits.counted_networks_lifted
            && !self.uncounted_networks.iter().any(|network| network.contains(ip))
    }
}

/// Whether anything may go to `ip`: see [`Config::allows`]. Claims name addresses too.
pub(crate) fn allows(ip: &IpAddr, families: AddressFamilies, local_networks: &[IpNet]) -> bool {
    families.contains(ip)
        && is_unicast(ip)
        && (is_public(ip) || local_networks.iter().any(|network| network.contains(ip)))
}

fn is_unicast(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            !(ip.is_multicast() || ip.is_broadcast() || ip.octets()[0] == 0 || ip.octets()[0] >= 240)
        }
        IpAddr::V6(ip) => !(ip.is_multicast() || ip.is_unspecified() || ip.to_ipv4_mapped().is_some()),
    }
}

/// Reachable from anywhere: not private (RFC 1918, RFC 4193), loopback, link-local (RFC 3927,
/// RFC 4291), shared (RFC 6598), for documentation (RFC 5737, RFC 3849) or for benchmarks (RFC 2544).
fn is_public(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && b & 0xc0 == 64;
            let benchmark = a == 198 && b & 0xfe == 18;
            let protocol = ip.octets()[..3] == [192, 0, 0];
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_documentation())
                && !(shared || benchmark || protocol)
        }
        IpAddr::V6(ip) => {
            // Global unicast is 2000::/3 (RFC 4291, as IANA hands it out) less documentation.
            ip.segments()[0] & 0xe000 == 0x2000 && ip.segments()[..2] != [0x2001, 0xdb8]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_default_works_and_nonsense_is_named() {
        assert_eq!(Config::default().validate(), Ok(()));
        let config = Config { store_copies: 0, ..Config::default() };
        assert_eq!(config.validate(), Err(ConfigError::Zero("store_copies")));
        let config = Config { version: *b"B100", ..Config::default() };
        assert_eq!(config.validate(), Err(ConfigError::Version));
        let mut config = Config::default();
        config.lookup.retransmission.resend_after[1] = Duration::ZERO;
        assert_eq!(config.validate(), Err(ConfigError::Zero("lookup.retransmission.resend_after")));
    }

    #[test]
    fn private_addresses_need_a_local_network() {
        let mut config = Config { address_families: AddressFamilies::Both, ..Config::default() };
        for public in ["8.8.8.8", "100.128.0.1", "2a00::1"] {
            assert!(config.allows(&ip(public)), "{public}");
        }
        let never = ["0.0.0.0", "224.0.0.1", "255.255.255.255", "ff02::1", "::", "::ffff:8.8.8.8"];
        let private = [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "::1",
            "fe80::1",
            "fd00::1",
        ];
        for address in never.iter().chain(&private) {
            assert!(!config.allows(&ip(address)), "{address}");
        }
        config.local_networks = ["0.0.0.0/0", "::/0"].map(|net| net.parse().unwrap()).to_vec();
        assert!(private.iter().all(|address| config.allows(&ip(address))));
        assert!(never.iter().all(|address| !config.allows(&ip(address))));
        config.address_families = AddressFamilies::Ipv4;
        assert!(!config.allows(&ip("2a00::1")));
    }
}
