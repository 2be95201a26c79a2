//! Every knob of the daemon, its unit, default and bounds.
//!
//! The file `khashmir.toml` beside this crate shows all of them with their
//! defaults; a test keeps the two alike.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use engine::{Admits, DownloadsConfig, LimitsConfig, LookupConfig, RetransmissionConfig, UpkeepConfig};
pub use error::ConfigError;
pub use number::{Count, Millis, Seconds};
pub use value::{HostPort, Network, Size, Upstream};

mod engine;
mod error;
mod number;
mod place;
mod value;

use number::Knob as _;
use value::{address, in_range};

/// The whole configuration, as read from a TOML file. What the file leaves
/// out has its default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table of keys")]
pub struct Config {
    /// Where the database, the lock, the control socket and (unless
    /// [`CacheConfig::dir`] says otherwise) the cache live. Unset:
    /// [`Config::data_dir_or_default`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// What apt talks to.
    pub proxy: ProxyConfig,
    /// What other machines talk to.
    pub peers: PeersConfig,
    /// The distributed hash table.
    pub dht: DhtConfig,
    /// The files kept for apt and for peers.
    pub cache: CacheConfig,
    /// How mirrors are asked.
    pub mirror: MirrorConfig,
    /// What is written to standard error.
    pub log: LogConfig,
    /// Where what happens to the node is written down.
    pub recording: RecordingConfig,
    /// How a file is downloaded from peers and the mirror.
    pub downloads: DownloadsConfig,
}

/// The proxy that apt talks to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table of keys")]
pub struct ProxyConfig {
    /// Address and TCP port. Port 0: any free one.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// Who may use the proxy.
    pub allowed_clients: Vec<Network>,
    /// Mirrors that may be asked wherever they are, beside those that the
    /// machine's apt sources name. Others are asked at public addresses only.
    pub allowed_upstreams: Vec<Upstream>,
    /// The ports to which tunnels (`CONNECT`) are opened, at hosts that the
    /// machine's apt sources or `allowed_upstreams` name.
    pub tunnel_ports: Vec<u16>,
    /// Tunnels at a time; further ones are refused. 0: none are opened.
    #[serde(deserialize_with = "in_range::<0, 4096, _>")]
    pub max_tunnels: u64,
    /// Clients' connections at a time; further ones wait.
    #[serde(deserialize_with = "in_range::<1, 4096, _>")]
    pub max_connections: u64,
    /// A client's connection with no request for this long is closed, and a
    /// tunnel through which nothing goes.
    #[serde(deserialize_with = "in_range::<1, 3600, _>")]
    pub idle_timeout_seconds: u64,
    /// The head of an answer whose content is late is begun after this long,
    /// and then fed a byte at the same interval, so that apt does not give
    /// up (it does after 30 seconds of silence).
    #[serde(deserialize_with = "in_range::<1, 25, _>")]
    pub drip_interval_seconds: u64,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9977)),
            allowed_clients: vec![
                Network::new((Ipv4Addr::new(127, 0, 0, 0).into(), 8)),
                Network::new((Ipv6Addr::LOCALHOST.into(), 128)),
            ],
            allowed_upstreams: Vec::new(),
            tunnel_ports: vec![443],
            max_tunnels: 64,
            max_connections: 256,
            idle_timeout_seconds: 120,
            drip_interval_seconds: 5,
        }
    }
}

/// The listener for other machines, and what they may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table of keys")]
pub struct PeersConfig {
    /// Address and port: TCP for files, UDP for the DHT. The unspecified
    /// IPv6 address takes IPv4 too, and becomes `0.0.0.0` where the machine
    /// has no IPv6. Port 0: any free one, the same for both.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// What all peers together may take in a second. 0: no limit.
    pub upload_limit_per_second: Size,
    /// Peers' connections at a time; further ones are refused.
    #[serde(deserialize_with = "in_range::<1, 4096, _>")]
    pub max_connections: u64,
    /// Those from one address, except in `uncounted_networks` under `[dht]`.
    #[serde(deserialize_with = "in_range::<1, 4096, _>")]
    pub max_connections_per_address: u64,
    /// A peer that gave wrong bytes is asked for nothing for so long. 0: for no
    /// other file.
    #[serde(deserialize_with = "in_range::<0, 604_800, _>")]
    pub distrust_seconds: u64,
    /// The address that claims name, where the one that other nodes report
    /// is wrong (a forwarded port, say). Unset: as reported.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "value::some_reachable_address")]
    pub advertise: Option<SocketAddr>,
}

impl Default for PeersConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv6Addr::UNSPECIFIED, 9978)),
            upload_limit_per_second: Size::of_bytes(0),
            max_connections: 128,
            max_connections_per_address: 16,
            distrust_seconds: 3600,
            advertise: None,
        }
    }
}

/// The node in the distributed hash table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table of keys")]
pub struct DhtConfig {
    /// Nodes to join by, until the daemon knows others.
    pub bootstrap: Vec<HostPort>,
    /// Networks whose private addresses are taken as contacts and peers
    /// (protocol, section 7).
    pub local_networks: Vec<Network>,
    /// Networks in which the limits per address and per prefix do not hold
    /// (protocol, section 7). For tests with many nodes on one machine.
    pub uncounted_networks: Vec<Network>,
    /// Queries of one address that are answered in a second; four times as
    /// many may come at once. Where few machines share, each asks each other
    /// two or three for every file that it installs.
    #[serde(deserialize_with = "in_range::<1, 65_535, _>")]
    pub queries_per_second_per_address: u64,
    /// Whether others may store values here.
    pub accept_stores: bool,
    /// Nodes that a value is stored at.
    pub store_copies: Count<1, 8>,
    /// Nodes whose values are waited for.
    pub get_answers: Count<1, 64>,
    /// Queries to one node whose values do not fit one response.
    pub get_rounds: Count<1, 64>,
    /// Whether values are asked for as soon as it is known who holds some, and
    /// not only when the lookup has ended, which a node that is gone delays.
    pub early_values: bool,
    /// How lookups search.
    pub lookup: LookupConfig,
    /// Periods of upkeep.
    pub upkeep: UpkeepConfig,
    /// What the node refuses, keeps and spends.
    pub limits: LimitsConfig,
}

impl Default for DhtConfig {
    fn default() -> Self {
        let engine = khashmir::Config::default();
        Self {
            bootstrap: Vec::new(),
            local_networks: Vec::new(),
            uncounted_networks: Vec::new(),
            queries_per_second_per_address: 512,
            accept_stores: engine.accept_stores,
            store_copies: Count::of(engine.store_copies),
            get_answers: Count::of(engine.get_answers),
            get_rounds: Count::of(engine.get_rounds),
            early_values: true,
            lookup: LookupConfig::default(),
            upkeep: UpkeepConfig::default(),
            limits: LimitsConfig::default(),
        }
    }
}

/// The files kept for apt and for peers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table of keys")]
pub struct CacheConfig {
    /// Where `cache/` and `partial/` are made; one file system. Unset: the
    /// data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// What the cached files may take together. Beyond it the least recently
    /// used go.
    pub size_limit: Size,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { dir: None, size_limit: Size::gib(10) }
    }
}

/// How mirrors are asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table of keys")]
pub struct MirrorConfig {
    /// Until a connection stands.
    #[serde(deserialize_with = "in_range::<1, 600, _>")]
    pub connect_timeout_seconds: u64,
    /// From a request to the head of its answer.
    #[serde(deserialize_with = "in_range::<1, 600, _>")]
    pub first_byte_timeout_seconds: u64,
    /// From one byte of an answer to the next.
    #[serde(deserialize_with = "in_range::<1, 600, _>")]
    pub idle_timeout_seconds: u64,
    /// How often a request is tried again after a transient fault before the
    /// client's connection is cut.
    #[serde(deserialize_with = "in_range::<0, 100, _>")]
    pub retries: u64,
    /// Before the first retry; doubles with each, to 10 seconds at most.
    #[serde(deserialize_with = "in_range::<1, 10_000, _>")]
    pub retry_delay_ms: u64,
    /// While apt waits for a file that peers have not begun to send, the
    /// mirror is left alone for this long at most: for less where they have
    /// been faster lately, and not at all where nobody had what was asked for.
    #[serde(deserialize_with = "in_range::<0, 25_000, _>")]
    pub hedge_delay_ms: u64,
    /// A Release file that is kept is served as it is when its mirror has not
    /// begun to answer after this long. apt gives up after 30 seconds.
    #[serde(deserialize_with = "in_range::<1, 25, _>")]
    pub kept_release_after_seconds: u64,
    /// Files fetched at a time from one mirror, each on a connection of its own.
    /// What passes through comes beside them.
    #[serde(deserialize_with = "in_range::<1, 256, _>")]
    pub connections_per_host: u64,
    /// Where the machine's apt keeps `sources.list` and `sources.list.d`.
    pub apt_dir: PathBuf,
    /// Authorities (PEM) that may vouch for https mirrors, beside those that
    /// the system trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

impl Default for MirrorConfig {
    fn default() -> Self {
        Self {
            connect_timeout_seconds: 10,
            first_byte_timeout_seconds: 30,
            idle_timeout_seconds: 30,
            retries: 5,
            retry_delay_ms: 250,
            hedge_delay_ms: 300,
            kept_release_after_seconds: 10,
            connections_per_host: 16,
            apt_dir: PathBuf::from("/etc/apt"),
            ca_file: None,
        }
    }
}

/// What is written to standard error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table of keys")]
pub struct LogConfig {
    /// The least severe that is written.
    pub level: LogLevel,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: LogLevel::Warn }
    }
}

/// What happens to the node in the hash table, written down for a bug report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table of keys")]
pub struct RecordingConfig {
    /// The file. Unset: nothing is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Whether it is text that hides who and what, instead of something to
    /// replay.
    pub blinded: bool,
    /// What the file may take. The recording ends there.
    pub size_limit: Size,
}

impl Default for RecordingConfig {
    fn default() -> Self {
        Self { file: None, blinded: false, size_limit: Size::of_bytes(256 << 20) }
    }
}

/// How severe a message must be to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl ProxyConfig {
    /// Whether this client may use the proxy.
    pub fn allows_client(&self, client: IpAddr) -> bool {
        self.allowed_clients.iter().any(|network| network.contains(client))
    }
}

impl Config {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads a file's text; `path` is for the error only.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::invalid(path.to_owned(), text, &error))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
