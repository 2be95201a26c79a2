//! The answer to `khashmir status`.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::Answering;
use crate::fetch::Fetch;
use crate::history::Record;
use crate::problems::Problem;
use crate::stats::Stats;

#[derive(Debug, Serialize)]
pub(super) struct Status<'a> {
    version: &'static str,
    uptime_seconds: u64,
    proxy: SocketAddr,
    peers: SocketAddr,
    /// Where claims say that this machine is reached; empty: nothing is announced.
    own_addresses: Vec<SocketAddr>,
    data_dir: &'a Path,
    cache: CacheStatus,
    /// What is wrong now, for a person to mend.
    problems: Vec<Problem>,
    /// The files that are on their way.
    fetching: Vec<Fetching>,
    #[serde(flatten)]
    stats: &'a Stats,
}

#[derive(Debug, Serialize)]
struct CacheStatus {
    bytes: u64,
    limit_bytes: u64,
}

/// A file on its way, as the status shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fetching {
    /// Its length in bytes, where known.
    pub len: Option<u64>,
    /// What has happened so far.
    #[serde(flatten)]
    pub record: Record,
}

impl From<&Fetch> for Fetching {
    fn from(fetch: &Fetch) -> Self {
        Self { len: fetch.progress().len.or(fetch.promised_len()), record: fetch.record(None) }
    }
}

impl Answering {
    pub(super) async fn status(&self, started: Instant) -> Status<'_> {
        let Self { context, identity, dht, fetches, .. } = self;
        context.clock.look(SystemTime::now());
        dht.report(&context.stats.dht).await;
        Status {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: started.elapsed().as_secs(),
            proxy: identity.proxy,
            peers: identity.peers,
            own_addresses: dht.own_addresses().await,
            data_dir: &identity.data_dir,
            cache: CacheStatus {
                bytes: context.cache.total_bytes(),
                limit_bytes: context.config.cache.size_limit.bytes(),
            },
            problems: context.problems.list(),
            fetching: fetches.in_progress().iter().map(|fetch| Fetching::from(&**fetch)).collect(),
            stats: &context.stats,
        }
    }
}
