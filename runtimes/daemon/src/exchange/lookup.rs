//! Looking a file's keys up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use khashmir::Id;
use khashmir::claim::{Claim, ClaimKey, file_key, v6_key};
use khashmir::config::AddressFamilies;
use khashmir_apt::Sha256;
use smol::Timer;
use smol::channel::Sender;
use smol::future::FutureExt as _;
use smol::stream::StreamExt as _;

use super::pace::Pace;
use super::requests::Told;
use crate::dht::Dht;
use crate::fetch::Fetch;
use crate::history::KeyOf;

/// The lookup of one file. It goes on when its plan has ended, until it is known whether it would
/// have been worth waiting for.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) dht: Dht,
    pub(super) pace: Arc<Pace>,
    /// Our own addresses, at which nothing is found.
    pub(super) own: Vec<SocketAddr>,
    /// What it is for.
    pub(super) fetch: Arc<Fetch>,
}

impl Lookup {
    /// Tells the values under the file's key: of peers that have IPv4, and under the other one of
    /// those that have only IPv6, if we can reach them.
    pub(super) async fn run(self, sha256: Sha256, teller: Sender<Told>) {
        let started = Instant::now();
        let is_noted = AtomicBool::new(false);
        let note = |found| {
            if is_noted.swap(true, Ordering::Relaxed) {
                return;
            }
            match found {
                true => self.pace.found_after(started.elapsed()),
                false => self.pace.found_nobody_after(started.elapsed()),
            }
        };
        let is_refused = AtomicBool::new(false);
        let trail = self.fetch.trail();
        let key = file_key(&sha256.0);
        let find = async |key: Id, kind: ClaimKey| {
            trail.key_asked(key, if kind == ClaimKey::File { KeyOf::File } else { KeyOf::FileIpv6 });
            let Some(mut values) = self.dht.get(key).await else {
                return is_refused.store(true, Ordering::Relaxed);
            };
            while let Some(value) = values.next().await {
                trail.value_found(key);
                if self.is_of_others(&value, kind) {
                    trail.offer_found();
                    note(true);
                }
                let is_heard = teller.send(Told::Value(value, kind)).await.is_ok();
                if !is_heard && is_noted.load(Ordering::Relaxed) {
                    return;
                }
            }
            trail.key_ended(key);
        };
        let find_v6 = async {
            if self.dht.address_families() != AddressFamilies::Ipv4 {
                find(v6_key(&key), ClaimKey::FileV6).await;
            }
        };
        let too_late = async {
            Timer::after(self.pace.hedge_delay()).await;
            note(false);
            smol::future::pending().await
        };
        smol::future::zip(find(key, ClaimKey::File), find_v6).or(too_late).await;
        if !is_refused.into_inner() {
            note(false);
        }
        trail.lookup_ended(self.dht.contacts().await);
        // Fails when the plan has ended.
        let _unheard = teller.send(Told::LookupEnded).await;
    }

    fn is_of_others(&self, value: &[u8], kind: ClaimKey) -> bool {
        let is_own = |address: SocketAddr| self.own.contains(&address);
        Claim::decode(value, kind).is_ok_and(|claim| {
            !claim.v4.is_some_and(|v4| is_own(v4.into())) && !claim.v6.is_some_and(|v6| is_own(v6.into()))
        })
    }
}
