//! The engine's knobs as tables of the file: for each, its key with its unit and bounds.
//!
//! What they mean, and why their defaults are what they are, stands where the engine has them. The
//! defaults are the engine's own, but for one. A knob that the engine gains does not compile here until
//! it has a key, or is among those that are set elsewhere.

use khashmir::config::{AddressFamilies, Admission, Limits, LookupPolicy, Retransmission, Upkeep};
use khashmir::download::DownloadConfig;
use serde::{Deserialize, Serialize};

use super::number::{Count, Knob, Millis, Seconds};
use super::{DhtConfig, Size};

/// Makes a table out of a struct of the engine's: `key: type = field`. Fields that are set
/// elsewhere stay as the default has them.
macro_rules! knobs {
    (
        $(#[$doc:meta])*
        $table:ident = $engine:ident, $default:expr;
        elsewhere($($elsewhere:ident)*);
        $($key:ident: $value:ty = $field:ident;)*
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields, expecting = "a table of keys")]
        pub struct $table {
            $(
                #[doc = concat!("[`", stringify!($engine), "::", stringify!($field), "`]")]
                pub $key: $value,
            )*
        }

        impl Default for $table {
            fn default() -> Self {
                Self::of($default)
            }
        }

        impl Knob<$engine> for $table {
            fn of(engine: $engine) -> Self {
                Self { $($key: Knob::of(engine.$field),)* }
            }

            fn to_engine(&self) -> $engine {
                $(let $elsewhere = $default.$elsewhere;)*
                $engine { $($field: self.$key.to_engine(),)* $($elsewhere,)* }
            }
        }
    };
}

knobs! {
    /// How lookups search.
    LookupConfig = LookupPolicy, khashmir::Config::default().lookup;
    elsewhere();
    parallelism: Count<1, { LookupPolicy::MAX_PARALLELISM as u64 }> = parallelism;
    leap_frog: bool = leap_frog;
    abort_early: bool = abort_early;
    re_ping: bool = re_ping;
    opening: Count<1, { LookupPolicy::MAX_PARALLELISM as u64 }> = opening;
    patience: Count<0, 8> = patience;
    enough: Count<1, 8> = enough;
    prefer_sound: bool = prefer_sound;
    admission: Admits = admission;
    retransmission: RetransmissionConfig = retransmission;
}

knobs! {
    /// When a request is sent again, and when it has failed.
    RetransmissionConfig = Retransmission, khashmir::Config::default().lookup.retransmission;
    elsewhere();
    resend_after_ms: [Millis<1, 60_000>; 3] = resend_after;
    fail_after_ms: Millis<1, 60_000> = fail_after;
    soonest_ms: Millis<1, 60_000> = soonest;
    soonest_failure_ms: Millis<1, 60_000> = soonest_failure;
}

knobs! {
    /// Periods of the node's upkeep.
    UpkeepConfig = Upkeep, khashmir::Config::default().upkeep;
    elsewhere();
    checkpoint_interval_seconds: Seconds<10, 3600> = checkpoint_interval;
    checkpoint_jitter_percent: Count<0, 50> = checkpoint_jitter_percent;
    first_checkpoint_after_seconds: Seconds<1, 3600> = first_checkpoint_after;
    refresh_after_seconds: Seconds<60, 86_400> = refresh_after;
    reping_after_seconds: Seconds<10, 86_400> = reping_after;
    stale_after_seconds: Seconds<10, 86_400> = stale_after;
    max_failures: Count<1, 100> = max_failures;
    nat_timeout_seconds: Seconds<1, 3600> = nat_timeout;
    value_lifetime_seconds: Seconds<60, 604_800> = value_lifetime;
    // Others forget a value after three hours.
    republish_after_seconds: Seconds<60, 10_800> = republish_after;
    republish_soonest_seconds: Seconds<60, 10_800> = republish_soonest;
    republish_spacing_ms: Millis<1, 60_000> = republish_spacing;
    rejoin_after_seconds: Seconds<1, 3600> = rejoin_after;
}

/// The engine's own, but a daemon has the memory to know a whole campus as proved.
const LIMITS: Limits = Limits { proved_addresses: 8192, ..Limits::DEFAULT };

knobs! {
    /// What the node refuses, keeps and spends (protocol, section 7).
    LimitsConfig = Limits, LIMITS;
    // By `uncounted_networks` and `queries_per_second_per_address` in `[dht]`.
    elsewhere(counted_networks_lifted queries_per_second_and_source);
    // More would be cut to pieces on its way (protocol, section 2).
    datagram_ipv4_bytes: Count<512, 1472> = datagram_ipv4;
    datagram_ipv6_bytes: Count<512, 1452> = datagram_ipv6;
    amplification: Count<0, 100> = amplification;
    proof_lifetime_seconds: Seconds<1, 86_400> = proof_lifetime;
    proved_addresses: Count<64, 1_000_000> = proved_addresses;
    waiting_for_proof: Count<0, 4096> = waiting_for_proof;
    contacts_per_response: Count<1, 64> = contacts_per_response;
    lookup_queries: Count<8, 4096> = lookup_queries;
    lookup_duration_seconds: Seconds<1, 600> = lookup_duration;
    closest_per_prefix: Count<1, 8> = closest_per_prefix;
    // What a response has room for.
    value_bytes: Count<64, 1391> = value_len;
    values_per_key: Count<1, 65_536> = values_per_key;
    values_per_key_and_address: Count<1, 65_536> = values_per_key_and_source;
    store_bytes: Size = store_bytes;
    queries_per_second: Count<0, 1_000_000> = queries_per_second;
    query_burst_seconds: Count<1, 60> = query_burst_seconds;
    query_addresses: Count<64, 1_000_000> = query_sources;
    outstanding_requests: Count<64, 65_536> = transactions;
    outstanding_pings: Count<1, 65_536> = pings;
    queued_datagrams: Count<64, 65_536> = outbox_datagrams;
    queued_events: Count<64, 65_536> = progress_events;
    operations: Count<64, 65_536> = operations;
    publications: Count<1, 1_000_000> = publications;
    outside_votes: Count<1, 32> = outside_votes;
}

knobs! {
    /// How a file is downloaded from peers and the mirror.
    DownloadsConfig = DownloadConfig, DownloadConfig::default();
    // By `[mirror]` and what is known of mirror and peers, by the node and its `local_networks`.
    elsewhere(
        wanted mirror_delay late_silent mirror mirror_rate mirror_retry address_families own local_networks
    );
    gather_ms: Millis<0, 10_000> = gather;
    late_min_ms: Millis<1, 60_000> = late_min;
    late_max_ms: Millis<1, 60_000> = late_max;
    mirror_probe_ms: Millis<1, 60_000> = mirror_probe;
    stall_seconds: Seconds<1, 600> = stall;
    piece_timeout_seconds: Seconds<1, 3600> = piece_timeout;
    lookup_timeout_seconds: Seconds<1, 600> = lookup_timeout;
    mirror_failures: Count<1, 100> = mirror_failures;
    peer_failures: Count<1, 100> = peer_failures;
    pieces_at_a_time: Count<1, 64> = pieces_at_a_time;
    requests_per_peer: Count<1, 10> = depth;
    max_claims: Count<1, 256> = max_claims;
    max_peers: Count<1, 4096> = max_peers;
    max_peers_per_address: Count<1, 256> = max_peers_per_ip;
    wrong_files: Count<1, 100> = wrong_files;
}

/// What makes a contact of one who queried us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Admits {
    /// [`Admission::Query`].
    Query,
    /// [`Admission::Answer`].
    Answer,
    /// [`Admission::Reach`].
    Reach,
}

impl Knob<Admission> for Admits {
    fn of(engine: Admission) -> Self {
        match engine {
            Admission::Query => Self::Query,
            Admission::Answer => Self::Answer,
            Admission::Reach => Self::Reach,
        }
    }

    fn to_engine(&self) -> Admission {
        match self {
            Self::Query => Admission::Query,
            Self::Answer => Admission::Answer,
            Self::Reach => Admission::Reach,
        }
    }
}

impl DhtConfig {
    /// The node's configuration, with these addresses to send to.
    pub fn engine(&self, address_families: AddressFamilies) -> khashmir::Config {
        let per_address = self.queries_per_second_per_address;
        khashmir::Config {
            version: khashmir::Config::default().version,
            address_families,
            local_networks: self.local_networks.iter().map(|network| network.to_ipnet()).collect(),
            uncounted_networks: self.uncounted_networks.iter().map(|network| network.to_ipnet()).collect(),
            lookup: self.lookup.to_engine(),
            store_copies: self.store_copies.to_engine(),
            get_answers: self.get_answers.to_engine(),
            get_rounds: self.get_rounds.to_engine(),
            early_values: self.early_values,
            accept_stores: self.accept_stores,
            upkeep: self.upkeep.to_engine(),
            limits: Limits {
                queries_per_second_and_source: u32::try_from(per_address).unwrap_or(u32::MAX),
                ..self.limits.to_engine()
            },
        }
    }
}

impl DownloadsConfig {
    /// The plan's configuration, but for what depends on the mirror, the node and the file.
    pub fn engine(&self) -> DownloadConfig {
        self.to_engine()
    }
}
