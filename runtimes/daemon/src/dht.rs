//! The daemon's node in the hash table: started, joined, saved and restored.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use khashmir::config::AddressFamilies;
use khashmir::{Config, Contact, Event, Id};
use khashmir_smol::{Error, Setup, Sockets, Values};
use smol::future::FutureExt as _;
use smol::stream::{Stream, StreamExt as _};

use crate::Context;
use crate::config::HostPort;
use crate::database::NodeSnapshot;
use crate::recording::Recording;

/// A handle to the node; clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Dht {
    node: khashmir_smol::Dht,
    config: Arc<Config>,
    /// The port of our HTTP server for peers.
    peers_port: u16,
    /// What claims are to name instead of what others report.
    advertise: Option<SocketAddr>,
}

/// Claims to have one file that are read; as many as one key holds at one node.
const MAX_CLAIMS: usize = 256;
/// Addresses of one bootstrap name that are used.
const MAX_ADDRESSES: usize = 8;
/// The wait before a bootstrap name that was not found is looked for again, and the longest.
const RESOLVE_AGAIN: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(1800));

impl Dht {
    /// Starts the node on `sockets`, with what the last one saved. Peers reach us by TCP at
    /// `peers_port`.
    ///
    /// # Errors
    /// Of the system; and `InvalidInput` for a configuration that cannot work.
    pub async fn start(
        context: &Arc<Context>,
        sockets: Vec<UdpSocket>,
        peers_port: u16,
        recording: Option<Recording>,
    ) -> io::Result<Self> {
        let copies = sockets.iter().map(UdpSocket::try_clone).collect::<io::Result<_>>()?;
        let (sockets, copies) = (Sockets::new(sockets)?, Sockets::new(copies)?);
        let config = context.config.dht.engine(sockets.address_families());
        let saved = {
            let context = Arc::clone(context);
            smol::unblock(move || context.database.node_snapshot()).await
        };
        let saved = saved.unwrap_or_else(|error| {
            tracing::warn!(%error, "the node's snapshot cannot be read; it starts as a new one");
            None
        });
        let node = start((sockets, copies), &config, saved, recording)?;
        Ok(Self { node, config: Arc::new(config), peers_port, advertise: context.config.peers.advertise })
    }

    /// Joins, and keeps snapshots, until dropped.
    pub async fn run(self, context: Arc<Context>) {
        let joining = self.join(&context.config.dht.bootstrap);
        let saving = async {
            let Ok(mut events) = self.node.events().await else { return };
            while let Some(event) = events.next().await {
                if event == Event::CheckpointPassed {
                    self.save(&context).await;
                }
            }
        };
        smol::future::zip(joining, saving).await;
    }

    /// Saves a snapshot and stops the node. All handles are useless then.
    pub async fn stop(&self, context: &Arc<Context>) {
        self.save(context).await;
        self.node.shutdown().await;
    }

    /// The values under `key`, as they are found; `None` if nothing can be looked up now.
    pub async fn get(&self, key: Id) -> Option<Values> {
        match self.node.get(key, MAX_CLAIMS).await {
            Ok(values) => Some(values),
            Err(error) => {
                tracing::debug!(%error, "nothing can be looked up");
                None
            }
        }
    }

    /// Stores a value, and again and again, until it is withdrawn.
    ///
    /// # Errors
    /// [`Error`] if the node did not take it.
    pub async fn publish(&self, key: Id, value: &[u8]) -> Result<usize, Error> {
        self.node.publish(key, value).await
    }

    /// Stores a value no longer.
    ///
    /// # Errors
    /// [`Error::Stopped`] alone.
    pub async fn unpublish(&self, key: Id, value: &[u8]) -> Result<bool, Error> {
        self.node.unpublish(key, value).await
    }

    /// All that is published.
    ///
    /// # Errors
    /// [`Error::Stopped`] alone.
    pub async fn publications(&self) -> Result<Vec<(Id, Bytes)>, Error> {
        self.node.publications().await
    }

    /// What happens to the node, operations aside.
    ///
    /// # Errors
    /// [`Error::Stopped`] alone.
    pub async fn events(&self) -> Result<impl Stream<Item = Event> + Send + Unpin + use<>, Error> {
        self.node.events().await
    }

    /// The address families of its sockets.
    pub fn address_families(&self) -> AddressFamilies {
        self.config.address_families
    }

    /// Where peers reach our HTTP server, one address for each family at most: as configured, or
    /// else where others see us. Empty as long as nobody has told.
    pub async fn own_addresses(&self) -> Vec<SocketAddr> {
        match self.advertise {
            Some(address) => vec![address],
            None => {
                let outside = self.node.outside_addresses().await.unwrap_or_default();
                outside.into_iter().map(|seen| SocketAddr::new(seen.ip(), self.peers_port)).collect()
            }
        }
    }

    /// Whether a stranger's claim may send us to this address.
    pub fn may_be_asked(&self, address: &SocketAddr) -> bool {
        self.config.allows(&address.ip()) && address.port() != 0
    }

    /// How the node behaves.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The other nodes that are known.
    pub async fn known_contacts(&self) -> Vec<Contact> {
        self.node.contacts().await.unwrap_or_default()
    }

    /// How many other nodes are known.
    pub async fn contacts(&self) -> usize {
        self.node.stats().await.map_or(0, |stats| stats.contacts_ipv4 + stats.contacts_ipv6)
    }

    /// How many contacts the last run left to this one.
    pub async fn restored_contacts(&self) -> usize {
        self.node.stats().await.map_or(0, |stats| stats.contacts_restored)
    }

    /// Brings the statistics up to date.
    pub async fn report(&self, stats: &crate::stats::DhtStats) {
        let Ok(now) = self.node.stats().await else { return };
        stats.contacts.set((now.contacts_ipv4 + now.contacts_ipv6) as u64);
        stats.keys.set(now.keys as u64);
        stats.values.set(now.values as u64);
        for (gauge, count) in [
            (&stats.datagrams_received, now.datagrams_received),
            (&stats.datagrams_sent, now.datagrams_sent),
            (&stats.malformed, now.malformed),
            (&stats.unsolicited, now.unsolicited),
            (&stats.requests_sent, now.requests_sent),
            (&stats.retransmissions, now.retransmissions),
            (&stats.requests_failed, now.requests_failed),
            (&stats.requests_refused, now.requests_refused),
            (&stats.queries_answered, now.queries_answered),
            (&stats.errors_sent, now.errors_sent),
            (&stats.queries_over_budget, now.queries_over_budget),
            (&stats.answers_cut, now.answers_cut),
            (&stats.stores_refused, now.stores_refused),
            (&stats.contacts_ignored, now.contacts_ignored),
            (&stats.outbox_overflows, now.outbox_overflows),
            (&stats.events_dropped, now.events_dropped),
        ] {
            gauge.set(count);
        }
    }

    async fn save(&self, context: &Arc<Context>) {
        let Ok(bytes) = self.node.snapshot().await else { return };
        let context = Arc::clone(context);
        let snapshot = NodeSnapshot { bytes: bytes.into(), saved_at: SystemTime::now() };
        if let Err(error) = smol::unblock(move || context.database.save_node_snapshot(&snapshot)).await {
            tracing::warn!(%error, "the node's snapshot cannot be saved");
        }
    }

    /// Joins by way of the bootstrap nodes. Names that are not found are looked for again; nodes
    /// that do not answer are asked again by the engine.
    async fn join(&self, bootstrap: &[HostPort]) {
        let mut left = bootstrap.to_vec();
        let (mut pause, longest) = RESOLVE_AGAIN;
        while !left.is_empty() {
            let mut addresses = Vec::new();
            let mut not_found = Vec::new();
            for name in left {
                match self.resolve(&name).await {
                    Ok(found) => addresses.extend(found),
                    Err(error) => {
                        tracing::warn!(%name, %error, "a bootstrap node cannot be found; it is tried again");
                        not_found.push(name);
                    }
                }
            }
            if !addresses.is_empty() {
                match self.node.join(&addresses).await {
                    Ok(0) => tracing::info!("no bootstrap node answers yet"),
                    Ok(contacts) => tracing::info!(contacts, "joined"),
                    Err(error) => tracing::warn!(%error, "cannot join"),
                }
            }
            left = not_found;
            if !left.is_empty() {
                smol::Timer::after(pause).await;
                pause = (pause * 2).min(longest);
            }
        }
    }

    /// The addresses of a bootstrap node that may be asked.
    async fn resolve(&self, name: &HostPort) -> io::Result<Vec<SocketAddr>> {
        let HostPort { host, port } = name.clone();
        let found = smol::unblock(move || {
            io::Result::Ok((host.as_str(), port).to_socket_addrs()?.collect::<Vec<_>>())
        });
        let late = async {
            smol::Timer::after(Duration::from_secs(30)).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        let mut found = found.or(late).await?;
        found.retain(|address| {
            let allowed = self.config.allows(&address.ip());
            if !allowed {
                tracing::warn!(
                    %name, %address,
                    "a bootstrap node's address is private, or of a family that is off; if it is private, \
                     list its network: `local_networks` under [dht], or --local-network"
                );
            }
            allowed
        });
        found.truncate(MAX_ADDRESSES);
        Ok(found)
    }
}

/// The node that was saved; a new one, on the second of the sockets, if that cannot be read.
fn start(
    (sockets, copies): (Sockets, Sockets),
    config: &Config,
    saved: Option<NodeSnapshot>,
    recording: Option<Recording>,
) -> io::Result<khashmir_smol::Dht> {
    let start = |sockets, setup: Setup| {
        let recording = recording.as_ref().map(Recording::try_clone).transpose()?;
        let setup = recording.into_iter().fold(setup, |setup, recording| recording.of(setup));
        khashmir_smol::Dht::start(sockets, setup)
    };
    let new = Setup::from(config.clone());
    let Some(saved) = saved else { return start(sockets, new) };
    let downtime = saved.saved_at.elapsed().unwrap_or_default();
    let restored = Setup::from(config.clone()).restored(&saved.bytes, downtime);
    start(sockets, restored).or_else(|error| {
        tracing::warn!(%error, "the node's snapshot is unreadable; it starts as a new one");
        start(copies, new)
    })
}
