//! The values that configuration keys take: parsed once, with errors that
//! say what is allowed.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use bytesize::ByteSize;
use ipnet::IpNet;
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

/// A network: an address and how many of its leading bits count.
///
/// Written as `10.0.0.0/8`; a lone address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    pub(crate) fn new((address, prefix_len): (IpAddr, u8)) -> Self {
        // A prefix too long for its address means that address alone.
        Self(IpNet::new(address, prefix_len).unwrap_or_else(|_| address.into()).trunc())
    }

    /// Whether the address is in it. An IPv4 address mapped into IPv6 counts
    /// as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// The network as other crates take it.
    pub(crate) fn to_ipnet(self) -> IpNet {
        self.0
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map(|network| Self(network.trunc()))
            .map_err(|_| {
                format!("`{text}` is no network; allowed: an address such as \"192.0.2.1\" or \"::1\", or a network such as \"10.0.0.0/8\" or \"fd00::/8\"")
            })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A host, by name or address, and a port. Written as `host:9978`,
/// `192.0.2.1:9978` or `[2001:db8::1]:9978`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A name in lower case, or an address without brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.rsplit_once(':')
            .and_then(|(host, port)| {
                let port = port.parse().ok().filter(|port| *port != 0)?;
                Some(Self { host: host_of(host)?, port })
            })
            .ok_or_else(|| {
                format!("`{text}` is no host and port; allowed: \"name.example:9978\", \"192.0.2.1:9978\" or \"[2001:db8::1]:9978\"")
            })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Mirrors that may be asked: all in a network, or a host at any port or one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// Every mirror whose address is in this network.
    Network(Network),
    /// A host by name or address, at this port or, without one, at any.
    Host {
        /// A name in lower case, or an address without brackets.
        host: String,
        /// The port, if only one is meant.
        port: Option<u16>,
    },
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        if let Ok(HostPort { host, port }) = text.parse() {
            return Ok(Self::Host { host, port: Some(port) });
        }
        match host_of(text) {
            Some(host) => Ok(Self::Host { host, port: None }),
            None => Err(format!(
                "`{text}` is no upstream; allowed: \"mirror.example\", \"mirror.example:8080\", or a network such as \"192.168.0.0/16\""
            )),
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Host { host, port: Some(port) } => HostPort { host: host.clone(), port: *port }.fmt(f),
            Self::Host { host, port: None } => f.write_str(host),
        }
    }
}

/// A host name in lower case, or an address without brackets.
fn host_of(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('[') {
        let address: std::net::Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(address.to_string());
    }
    let is_name = !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    is_name.then(|| text.to_ascii_lowercase())
}

/// A number of bytes. Written as `"10 GiB"`, `"500 MB"` or a bare number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(u64);

impl Size {
    /// So many times 2³⁰ bytes.
    pub const fn gib(gibibytes: u64) -> Self {
        Self(gibibytes << 30)
    }

    /// So many bytes.
    pub const fn of_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// What a database and a file system count in.
const LARGEST_SIZE: u64 = i64::MAX as u64;

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<ByteSize>()
            .ok()
            .map(|size| size.as_u64())
            .filter(|bytes| *bytes <= LARGEST_SIZE)
            .map(Self)
            .ok_or_else(|| {
                format!("`{text}` is no size; allowed: a number of bytes, or text such as \"10 GiB\" or \"500 MB\", at most 8 EiB")
            })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        match units.iter().find(|(_, bits)| self.0 >> bits > 0 && self.0.is_multiple_of(1 << bits)) {
            Some((unit, bits)) => write!(f, "{} {unit}", self.0 >> bits),
            None => write!(f, "{} B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Size;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, or text such as \"10 GiB\" or \"500 MB\"")
            }
            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Size, E> {
                u64::try_from(bytes).map(Size).map_err(|_| {
                    E::custom(
                        "a size cannot be negative; allowed: a number of bytes, or text such as \"10 GiB\"",
                    )
                })
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Text that `FromStr` reads and `Display` writes.
macro_rules! as_text {
    ($($type:ty: $expecting:literal),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                from_text(deserializer, $expecting)
            }
        }
    )*};
}
as_text!(
    Network: "a network in quotes, such as \"10.0.0.0/8\"",
    HostPort: "a host and port in quotes, such as \"name.example:9978\"",
    Upstream: "a host or network in quotes, such as \"mirror.example\""
);

macro_rules! displayed {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}
displayed!(Network, HostPort, Upstream, Size);

fn from_text<'de, D, T>(deserializer: D, expecting: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = String>,
{
    struct Visitor<T>(&'static str, std::marker::PhantomData<T>);
    impl<T: FromStr<Err = String>> de::Visitor<'_> for Visitor<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Visitor(expecting, std::marker::PhantomData))
}

/// A socket address, with an error that says how one is written.
struct Address(SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!("`{text}` is no address and port; allowed: \"127.0.0.1:9977\" or \"[::]:9978\" (port 0: any free one)")
        })
    }
}

pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    from_text(deserializer, "an address and port in quotes, such as \"127.0.0.1:9977\"")
        .map(|Address(address)| address)
}

/// An address that others can connect to.
pub(super) fn some_reachable_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let address = address(deserializer)?;
    if address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast() {
        return Err(de::Error::custom(format!(
            "nobody can connect to {address}; allowed: an address of one machine with its port, such as \"203.0.113.7:9978\""
        )));
    }
    Ok(Some(address))
}

/// An integer within bounds, both included.
pub(super) fn in_range<'de, const LEAST: u64, const MOST: u64, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u64, D::Error> {
    struct Visitor<const LEAST: u64, const MOST: u64>;
    impl<const LEAST: u64, const MOST: u64> de::Visitor<'_> for Visitor<LEAST, MOST> {
        type Value = u64;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a whole number from {LEAST} to {MOST}")
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<u64, E> {
            u64::try_from(number)
                .ok()
                .filter(|number| (LEAST..=MOST).contains(number))
                .ok_or_else(|| E::custom(format!("{number} is out of range; allowed: {LEAST} to {MOST}")))
        }
    }
    deserializer.deserialize_i64(Visitor::<LEAST, MOST>)
}
