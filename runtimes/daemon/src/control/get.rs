//! Getting a file from other machines, without apt.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use khashmir_apt::Sha256;
use serde::{Deserialize, Serialize};
use smol::future::FutureExt as _;

use super::Answering;
use super::message::{Advance, Teller};
use crate::exchange::Offers;
use crate::fetch::{Expectation, Fetch, Obtained, State, Wanted};

/// How often it is told how far the download is.
const TELL_INTERVAL: Duration = Duration::from_millis(200);
/// Lengths that machines say a file has, of which one is tried after the other.
const MAX_LENS: usize = 3;
/// What is read of a file at a time, in bytes.
const CHUNK: u64 = 256 * 1024;

/// The file that was asked for, whose bytes follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Got {
    /// How many bytes follow.
    pub len: u64,
    /// How many of them other machines gave just now; the others were here.
    pub from_peers: u64,
}

impl Answering {
    /// Sends the file with this hash, from here or from other machines.
    pub(super) async fn get(
        &self,
        sha256: Sha256,
        max_len: Option<u64>,
        teller: &mut Teller,
    ) -> io::Result<()> {
        if let Some((file, len)) = self.is_here(sha256).await {
            return match max_len {
                Some(max) if len > max => teller.refuse(&too_long(len, max)).await,
                _ => send(teller, &Arc::new(file), Got { len, from_peers: 0 }).await,
            };
        }
        // The client is told now and then that something is being done.
        let ask = async { io::Result::Ok(self.fetches.offers(sha256).await) };
        let offers = ask.or(heartbeat(teller)).await?;
        let fits = |len: &u64| max_len.is_none_or(|max| *len <= max);
        let lens: Vec<u64> = offers.lens.iter().copied().filter(fits).take(MAX_LENS).collect();
        if lens.is_empty() {
            return match (offers.lens.first(), max_len) {
                (Some(len), Some(max)) => teller.refuse(&too_long(*len, max)).await,
                _ => {
                    let nodes = self.dht.contacts().await;
                    teller.refuse(&nobody(&sha256, &offers, nodes)).await
                }
            };
        }
        let mut why_not = String::new();
        for len in lens {
            match self.fetch(sha256, len, teller).await? {
                Ok(fetch) => {
                    let (from_peers, _) = fetch.arrived();
                    return send(teller, fetch.file(), Got { len, from_peers }).await;
                }
                Err(reason) => why_not = reason,
            }
        }
        let text = format!(
            "{sha256} cannot be had from the machines that offer it: {why_not}; `khashmir explain {sha256}` says more"
        );
        teller.refuse(&text).await
    }

    /// The file, if it is in the cache, or shared by this machine.
    async fn is_here(&self, sha256: Sha256) -> Option<(File, u64)> {
        let context = Arc::clone(&self.context);
        smol::unblock(move || {
            if let Some(cached) = context.cache.open_file(&sha256) {
                return Some((cached.file, cached.verified.len()));
            }
            let shared = context.shares.open_file(&sha256).ok()??;
            // Whether it is still right, the client finds out.
            Some((File::open(&shared.path).ok()?, shared.len))
        })
        .await
    }

    /// Downloads the file, if it has this length; or says why not.
    async fn fetch(
        &self,
        sha256: Sha256,
        len: u64,
        teller: &mut Teller,
    ) -> io::Result<Result<Arc<Fetch>, String>> {
        let wanted = Wanted {
            url: None,
            newest: Expectation { sha256, size: Some(len) },
            older: Vec::new(),
            from_index: false,
        };
        let fetch = loop {
            match self.fetches.obtain(wanted.clone()).await {
                // One that has just failed with another length.
                Ok(Obtained::Fetching(fetch)) if matches!(fetch.progress().state, State::Failed(_)) => {
                    smol::Timer::after(Duration::from_millis(10)).await;
                }
                Ok(Obtained::Fetching(fetch)) => {
                    fetch.want();
                    break fetch;
                }
                // Apt asked for it meanwhile.
                Ok(Obtained::Cached(_)) => return Ok(Err("it has just arrived otherwise; ask again".into())),
                Err(error) => return Ok(Err(error.to_string())),
            }
        };
        loop {
            let ended = async { Some(fetch.wait_until(|progress| progress.state.is_final()).await.state) };
            let later = async {
                smol::Timer::after(TELL_INTERVAL).await;
                None
            };
            match ended.or(later).await {
                None => {
                    let (from_peers, from_mirror) = fetch.arrived();
                    teller.advance(&Advance { done: from_peers + from_mirror, len }).await?;
                }
                Some(State::Complete(_)) => return Ok(Ok(fetch)),
                Some(State::Failed(fault)) => return Ok(Err(fault.to_string())),
                Some(_) => return Ok(Err("what came is another file".into())),
            }
        }
    }
}

/// Tells that there is no news, until dropped.
async fn heartbeat<T>(teller: &mut Teller) -> io::Result<T> {
    loop {
        smol::Timer::after(TELL_INTERVAL).await;
        teller.advance(&Advance { done: 0, len: 0 }).await?;
    }
}

fn too_long(len: u64, max: u64) -> String {
    format!("the file has {len} bytes, more than the {max} that --max-size allows")
}

fn nobody(sha256: &Sha256, offers: &Offers, nodes: usize) -> String {
    match (&offers.failure, nodes) {
        (Some(failure), _) => format!(
            "{} to have {sha256}, but none could be asked: {failure}; try again later",
            match offers.machines {
                1 => "one machine claims".to_owned(),
                several => format!("{several} machines claim"),
            }
        ),
        (None, 0) => {
            "no other node is known, so nobody can be asked; start the daemon with --bootstrap HOST:PORT \
                      of a node that is in the network"
                .to_owned()
        }
        (None, _) => format!(
            "no machine offers {sha256}; one that shared it a moment ago may need a minute until it can be found"
        ),
    }
}

/// Sends the file.
async fn send(teller: &mut Teller, file: &Arc<File>, got: Got) -> io::Result<()> {
    teller.finish(&got).await?;
    let mut at = 0;
    while at < got.len {
        let (file, len) = (Arc::clone(file), CHUNK.min(got.len - at));
        let read = smol::unblock(move || {
            let mut bytes = vec![0; len as usize];
            file.read_exact_at(&mut bytes, at)?;
            io::Result::Ok(bytes)
        });
        teller.send(&read.await?).await?;
        at += len;
    }
    Ok(())
}
