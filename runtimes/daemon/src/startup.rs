//! Starting the daemon, and stopping it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use smol::Task;
use smol::net::TcpListener;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{Answering, Control, Identity};
use crate::dht::Dht;
use crate::exchange::Exchange;
use crate::fetch::{Fetches, Settling};
use crate::history::History;
use crate::proxy::Proxy;
use crate::publisher::Publisher;
use crate::recording::Recording;
use crate::shares::Shares;
use crate::sources::{Sources, native_architecture};
use crate::stats::Stats;
use crate::upstream::{Client, Tls};
use crate::{Context, listener, peer};

pub use error::{Service, StartError};

mod bind;
mod descriptors;
mod error;
mod lock;
mod storage;

use bind::PeerSockets;
use storage::{Locks, Storage};

/// A running daemon. Dropping it stops it at once; [`Daemon::stop`] also
/// saves what is to be kept.
#[derive(Debug)]
pub struct Daemon {
    // Dropped first, so that nothing answers while the rest goes away.
    tasks: Vec<Task<()>>,
    dht: Dht,
    context: Arc<Context>,
    identity: Arc<Identity>,
    restored_contacts: usize,
    _locks: Locks,
}

impl Daemon {
    /// Opens what the configuration names and starts listening: when this
    /// returns, apt can ask.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let opened = smol::unblock(move || open(config)).await?;
        let Opened { context, identity, proxy, peers, control, recording, locks } = opened;
        let proxy = TcpListener::try_from(proxy).map_err(StartError::Runtime)?;
        let PeerSockets { tcp, udp } = peers;
        let tcp = TcpListener::try_from(tcp).map_err(StartError::Runtime)?;
        let dht = Dht::start(&context, udp, identity.peers.port(), recording).await;
        let dht = dht.map_err(StartError::Runtime)?;
        let restored_contacts = dht.restored_contacts().await;
        let (publisher, publishing) = Publisher::new(Arc::clone(&context), dht.clone());
        let exchange = Exchange::new(Arc::clone(&context), dht.clone(), publisher.clone());
        let client = Arc::new(Client::new(Arc::clone(&context)));
        let fetches = Arc::new(Fetches::new(Arc::clone(&context), Arc::clone(&client), exchange));
        let answering = Answering {
            context: Arc::clone(&context),
            identity: Arc::clone(&identity),
            dht: dht.clone(),
            fetches: Arc::clone(&fetches),
            publisher: publisher.clone(),
            walking: smol::lock::Mutex::default(),
        };
        let proxy_for_apt = Proxy::new(Arc::clone(&context), client, fetches);
        let mut tasks = vec![
            smol::spawn(listener::serve(proxy_for_apt, proxy)),
            smol::spawn(peer::serve(Arc::clone(&context), tcp)),
            smol::spawn(Arc::clone(&context.history).run()),
            smol::spawn(Arc::clone(&context.shares).watch(publisher)),
            smol::spawn(publishing),
            smol::spawn(dht.clone().run(Arc::clone(&context))),
        ];
        if let Some(control) = control {
            tasks.push(smol::spawn(control.serve(answering)));
        }
        Ok(Self { tasks, dht, context, identity, restored_contacts, _locks: locks })
    }

    /// Where apt reaches the proxy: the real port if the configuration says 0.
    pub fn proxy_address(&self) -> SocketAddr {
        self.identity.proxy
    }

    /// Where other machines reach this one, by TCP and UDP.
    pub fn peers_address(&self) -> SocketAddr {
        self.identity.peers
    }

    /// Where the daemon keeps its data.
    pub fn data_dir(&self) -> &Path {
        &self.identity.data_dir
    }

    /// How many other nodes are known from the last run.
    pub fn restored_contacts(&self) -> usize {
        self.restored_contacts
    }

    /// What the daemon's parts share.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Stops listening, cuts what is under way (apt resumes it), and writes
    /// down what is to be kept.
    pub async fn stop(self) {
        let Self { tasks, dht, context, _locks: locks, .. } = self;
        for task in tasks {
            task.cancel().await;
        }
        context.settling.finish().await;
        dht.stop(&context).await;
        smol::unblock(move || {
            if let Err(error) = context.cache.flush() {
                tracing::warn!(%error, "cannot note which cached files were used");
            }
            if let Err(error) = context.history.flush() {
                tracing::warn!(%error, "the history of downloads cannot be written");
            }
            drop(locks);
        })
        .await;
    }
}

/// All that blocks, done.
struct Opened {
    context: Arc<Context>,
    identity: Arc<Identity>,
    proxy: std::net::TcpListener,
    peers: PeerSockets,
    control: Option<Control>,
    recording: Option<Recording>,
    locks: Locks,
}

fn open(config: Config) -> Result<Opened, StartError> {
    let tls = Tls::new(config.mirror.ca_file.as_deref())?;
    let data_dir = config.data_dir_or_default()?;
    descriptors::raise_limit();
    let storage = Storage::open(&config, &data_dir)?;
    let Storage { database, cache, control, locks } = storage;

    let proxy = bind::proxy(config.proxy.listen)?;
    let peers = PeerSockets::bind(config.peers.listen)?;
    let proxy_address = proxy.local_addr().map_err(StartError::Runtime)?;
    let peers_address = peers.address().map_err(StartError::Runtime)?;

    let sources = Sources::read(&config.mirror.apt_dir, proxy_address, &config.proxy.allowed_upstreams);
    let sources = Arc::new(sources);
    let catalog = Catalog::open(Arc::clone(&database), Arc::clone(&sources), native_architecture())?;
    let recording = Recording::create(&config.recording).map_err(|source| StartError::Recording {
        path: config.recording.file.clone().unwrap_or_default(),
        source,
    })?;

    let identity = Identity { proxy: proxy_address, peers: peers_address, data_dir };
    let history = Arc::new(History::new(Arc::clone(&database)));
    let shares = Arc::new(Shares::new(Arc::clone(&database)));
    let saved = database.node_snapshot().ok().flatten().map(|snapshot| snapshot.saved_at);
    let problems = Arc::clone(database.problems());
    let clock = Clock::at_start(Arc::clone(&problems), SystemTime::now(), saved);
    let (stats, settling) = (Arc::new(Stats::default()), Settling::default());
    let context = Context {
        config,
        stats,
        problems,
        database,
        cache,
        catalog,
        settling,
        clock,
        history,
        shares,
        sources,
        tls,
    };
    Ok(Opened {
        context: Arc::new(context),
        identity: Arc::new(identity),
        proxy,
        peers,
        control,
        recording,
        locks,
    })
}
