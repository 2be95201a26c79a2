//! Sharing files from where they lie.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use khashmir::claim::{file_key, v6_key};
use khashmir_apt::Sha256;
use serde::{Deserialize, Serialize};
use smol::channel::{TrySendError, bounded};
use smol::future::FutureExt as _;

use super::Answering;
use super::message::{Advance, Teller};
use crate::shares::{Share, ShareError, State};

/// How often it is told how far the hashing is.
const TELL_INTERVAL: Duration = Duration::from_millis(100);

/// A shared file, as a person is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// Where it lies.
    pub path: String,
    /// Its hash when it was shared.
    pub sha256: String,
    /// Its length then, in bytes.
    pub len: u64,
    /// `unchanged`, `touched`, `changed`, `gone` or `unreadable`.
    pub state: String,
    /// Whether other machines are told that it is here.
    pub is_announced: bool,
}

/// What came of sharing a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewShare {
    /// The file.
    pub shared: Shared,
    /// Whether the address at which others reach this machine is known: before that, nothing is
    /// announced.
    pub is_reachable: bool,
}

impl Answering {
    /// Shares the file at `path`, and tells how far it is.
    pub(super) async fn share(&self, path: PathBuf, teller: &mut Teller) -> io::Result<()> {
        let (sender, advances) = bounded(1);
        let shares = Arc::clone(&self.context.shares);
        let add = smol::unblock(move || {
            let mut told = Instant::now();
            shares.add(&path, |done, len| {
                if told.elapsed() < TELL_INTERVAL {
                    return true;
                }
                told = Instant::now();
                // Who hung up hears no more, and wants no more.
                !matches!(sender.try_send(Advance { done, len }), Err(TrySendError::Closed(_)))
            })
        });
        let tell = async {
            while let Ok(advance) = advances.recv().await {
                teller.advance(&advance).await?;
            }
            std::future::pending().await
        };
        match async { io::Result::Ok(add.await) }.or(tell).await? {
            Ok(share) => {
                self.publisher.cache_changed();
                let is_reachable = !self.dht.own_addresses().await.is_empty();
                teller.finish(&NewShare { shared: shared(&share, false), is_reachable }).await
            }
            Err(ShareError::Stopped) => Ok(()),
            Err(error) => teller.refuse(&error.to_string()).await,
        }
    }

    /// Tells what is shared.
    pub(super) async fn list_shared(&self, teller: &mut Teller) -> io::Result<()> {
        let shares = Arc::clone(&self.context.shares);
        let list = match smol::unblock(move || shares.list()).await {
            Ok(list) => list,
            Err(error) => return teller.refuse(&error.to_string()).await,
        };
        if list.iter().any(|share| matches!(share.state, State::Touched(_))) {
            self.context.shares.look_soon();
        }
        let published = self.dht.publications().await.unwrap_or_default();
        let is_announced = |sha256: &Sha256| {
            let key = file_key(&sha256.0);
            let keys = [key, v6_key(&key)];
            published.iter().any(|(key, _)| keys.contains(key))
        };
        let list: Vec<Shared> = list
            .iter()
            .map(|share| shared(share, share.state == State::Unchanged && is_announced(&share.sha256)))
            .collect();
        teller.finish(&list).await
    }

    /// Shares no longer what is at `path`, or has this hash.
    pub(super) async fn unshare(
        &self,
        path: PathBuf,
        sha256: Option<Sha256>,
        teller: &mut Teller,
    ) -> io::Result<()> {
        let shares = Arc::clone(&self.context.shares);
        match smol::unblock(move || shares.remove(&path, sha256.as_ref())).await {
            Ok(removed) => {
                self.publisher.cache_changed();
                let removed: Vec<Shared> = removed.iter().map(|share| shared(share, false)).collect();
                teller.finish(&removed).await
            }
            Err(error) => teller.refuse(&error.to_string()).await,
        }
    }
}

fn shared(share: &Share, is_announced: bool) -> Shared {
    let state = match &share.state {
        State::Unchanged => "unchanged",
        State::Touched(_) => "touched",
        State::Changed => "changed",
        State::Gone => "gone",
        State::Unreadable(_) => "unreadable",
    };
    Shared {
        path: share.path.display().to_string(),
        sha256: share.sha256.to_string(),
        len: share.len,
        state: state.to_owned(),
        is_announced,
    }
}
