//! Getting a file from whoever has it: peers first, the mirror for what they lack.
//!
//! Who is asked for what is [`khashmir::download`]'s to plan; here the plan meets the hash table,
//! the peers, the mirror and the disk. The mirror alone has the last word: when a plan fails, or
//! nobody claims to have the file, it is asked as a plain proxy would.

mod counted;
mod evidence;
mod liars;
mod lookup;
mod offers;
mod pace;
mod requests;
mod run;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use khashmir::download::{Download, DownloadConfig};
use khashmir::rng::{Purpose, Rng};
use smol::lock::Semaphore;

use crate::Context;
use crate::cache::Verified;
use crate::dht::Dht;
use crate::fetch::{Expectation, Fetch, MAX_LEN, Mirror, MirrorError};
use crate::peer;
use crate::publisher::Publisher;
use crate::upstream::Fault;

pub use offers::Offers;

use evidence::Evidence;
use liars::Liars;
use lookup::Lookup;
use pace::Pace;
use run::{Outcome, Run};

/// Requests to peers at a time, over all files that nobody waits for yet: each holds a piece in
/// memory until its hash is known, 12 MiB in all.
const MAX_REQUESTS: usize = 24;
/// And over those that somebody waits for, which do not wait for the others: 8 MiB.
const MAX_URGENT: usize = 16;

/// What all downloads share.
#[derive(Debug)]
pub struct Exchange {
    context: Arc<Context>,
    dht: Dht,
    peers: Arc<peer::Client>,
    publisher: Publisher,
    requests: Arc<Semaphore>,
    urgent: Arc<Semaphore>,
    pace: Arc<Pace>,
    liars: Arc<Liars>,
}

impl Exchange {
    /// An exchange with the peers that `dht` finds; `publisher` hears of the files that arrived.
    #[must_use]
    pub fn new(context: Arc<Context>, dht: Dht, publisher: Publisher) -> Self {
        let [requests, urgent] = [MAX_REQUESTS, MAX_URGENT].map(|n| Arc::new(Semaphore::new(n)));
        let liars = Arc::new(Liars::new(Duration::from_secs(context.config.peers.distrust_seconds)));
        let pace = Arc::new(Pace::new(Duration::from_millis(context.config.mirror.hedge_delay_ms)));
        Self { context, dht, peers: Arc::default(), publisher, requests, urgent, liars, pace }
    }

    /// A file came into the cache, so peers may be told of it.
    pub fn file_was_kept(&self) {
        self.publisher.cache_changed();
    }

    /// Brings all bytes of the file that `wanted` describes into `fetch`. The hash that they have is
    /// the wanted one, or what came from the mirror alone has another.
    ///
    /// # Errors
    /// [`MirrorError`], when peers did not have it all either.
    pub async fn obtain(
        &self,
        fetch: &Arc<Fetch>,
        mirror: &Mirror,
        wanted: Expectation,
    ) -> Result<Verified, MirrorError> {
        if wanted.size.is_none() {
            fetch.trail().length_is_unknown();
        }
        let mut evidence = Evidence::default();
        let mut verified = None;
        if let Some(size) = wanted.size {
            // Without a size nothing can be planned; and no index has named the file, so that no
            // peer announces it.
            let own = self.dht.own_addresses().await;
            let _download = self.pace.begin();
            if let Some(plan) = self.plan(size, own.clone(), mirror) {
                let (dht, pace) = (self.dht.clone(), Arc::clone(&self.pace));
                let lookup = Lookup { dht, pace, own, fetch: Arc::clone(fetch) };
                let run = Run::new(self, plan, fetch, mirror, wanted.sha256, size);
                match run.carry_out(lookup, &mut evidence).await? {
                    Outcome::Complete(complete) => verified = Some(complete),
                    Outcome::MirrorAlone => {}
                }
            }
        }
        let verified = match verified {
            Some(verified) => verified,
            None => from_mirror(fetch, mirror, &mut evidence).await?,
        };
        // A file of an older generation says nothing about the pieces of this one.
        if verified.sha256() == wanted.sha256 && evidence.is_doubtful() {
            self.judge(evidence, fetch).await;
        }
        Ok(verified)
    }

    /// Distrusts who gave other bytes than the right file has.
    async fn judge(&self, evidence: Evidence, fetch: &Arc<Fetch>) {
        let file = Arc::clone(fetch.file());
        match smol::unblock(move || evidence.liars(&file)).await {
            Ok(liars) => {
                for peer in liars {
                    tracing::info!(%peer, "a peer gave wrong bytes, and is asked for nothing for some time");
                    self.liars.add(peer, std::time::Instant::now());
                }
            }
            Err(error) => tracing::warn!(%error, "cannot read what was fetched"),
        }
    }

    /// A plan for a file of `size` bytes; `None` for one too large.
    fn plan(&self, size: u64, own: Vec<SocketAddr>, mirror: &Mirror) -> Option<Download> {
        let dht = &self.context.config.dht;
        let hedge_delay = self.pace.hedge_delay();
        let default = self.context.config.downloads.engine();
        let config = DownloadConfig {
            wanted: false,
            mirror_delay: self.pace.mirror_delay(),
            mirror_rate: self.pace.share_of(mirror.rate()),
            mirror_probe: default.mirror_probe.max(hedge_delay),
            // With no hedge at all, what is late still is.
            late_silent: if hedge_delay.is_zero() { default.late_silent } else { self.pace.late_silent() },
            late_min: default.late_min.max(hedge_delay),
            late_max: default.late_max.max(hedge_delay),
            mirror: mirror.exists(),
            mirror_retry: Duration::from_millis(self.context.config.mirror.retry_delay_ms),
            address_families: self.dht.address_families(),
            own,
            local_networks: dht.local_networks.iter().map(|network| network.to_ipnet()).collect(),
            ..default
        };
        let seed = khashmir_driver::seed().ok()?;
        Download::new(config, size, Rng::new(seed, Purpose::Download), khashmir::Instant::ORIGIN).ok()
    }
}

/// Lets the mirror fill what is missing; if the file is wrong then, also what peers had given.
async fn from_mirror(
    fetch: &Arc<Fetch>,
    mirror: &Mirror,
    evidence: &mut Evidence,
) -> Result<Verified, MirrorError> {
    loop {
        if mirror.exists()
            && let Some(gap) = fetch.first_gap(&(0..MAX_LEN))
        {
            fetch.trail().mirror_asked(gap.start, None);
        }
        let filled = mirror.fill(fetch, 0..MAX_LEN).await;
        filled.inspect_err(|error| fetch.trail().mirror_failed(&error.to_string()))?;
        let verified = digest(fetch).await?;
        if fetch.is_expected(verified) || !fetch.has_peer_bytes() {
            return Ok(verified);
        }
        fetch.trail().file_was_wrong();
        fetch.discard_peer_bytes(&(0..MAX_LEN));
        evidence.discarded(&(0..MAX_LEN));
    }
}

/// The hash of a file whose bytes are all there.
async fn digest(fetch: &Arc<Fetch>) -> Result<Verified, Fault> {
    match fetch.digest().await {
        Ok(Some(verified)) => Ok(verified),
        Ok(None) => Err(Fault::Local("bytes are missing at the end of a fetch".into())),
        Err(error) => Err(Fault::Local(format!("cannot read what was fetched: {error}"))),
    }
}
