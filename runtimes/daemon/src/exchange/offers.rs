//! What other machines say of a file that no index names.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use khashmir::Id;
use khashmir::claim::{Claim, ClaimKey, file_key, v6_key};
use khashmir::config::AddressFamilies;
use khashmir_apt::Sha256;
use smol::Timer;
use smol::channel::{Sender, unbounded};
use smol::future::FutureExt as _;
use smol::stream::StreamExt as _;

use super::Exchange;

/// Machines that are asked at most.
const MAX_ASKED: usize = 16;
/// How long others are waited for after the first has told.
const GATHER: Duration = Duration::from_secs(1);
/// How long one is waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// What other machines say of a file.
#[derive(Debug, Default)]
pub struct Offers {
    /// How many claim to have it.
    pub machines: usize,
    /// The lengths in bytes that those who could be asked say it has, what most say first.
    pub lens: Vec<u64>,
    /// Why the last of the others could not be asked.
    pub failure: Option<String>,
}

enum Told {
    Claimed(SocketAddr),
    Answered(SocketAddr, Result<u64, String>),
    NoMore,
}

impl Exchange {
    /// Asks those who claim to have the file with this hash how long it is: one vote for each IP
    /// address.
    pub async fn offers(&self, sha256: Sha256) -> Offers {
        let own = self.dht.own_addresses().await;
        // Its room is bounded by the claims of one lookup.
        let (teller, told) = unbounded();
        let _looking = smol::spawn(look_up(self.dht.clone(), sha256, teller.clone()));
        let (mut asked, mut votes) = (HashSet::new(), HashMap::<IpAddr, u64>::new());
        let (mut offers, mut asking, mut is_looking) = (Offers::default(), Vec::new(), true);
        let mut outstanding = 0;
        while is_looking || outstanding > 0 {
            let late = async {
                match votes.is_empty() {
                    true => Timer::never().await,
                    false => Timer::after(GATHER).await,
                };
                None
            };
            let Some(next) = async { told.recv().await.ok() }.or(late).await else { break };
            match next {
                Told::NoMore => is_looking = false,
                Told::Claimed(address) => {
                    let may_be_asked = self.dht.may_be_asked(&address)
                        && !own.contains(&address)
                        && !self.liars.contain(address.ip(), std::time::Instant::now());
                    if !may_be_asked || asked.len() >= MAX_ASKED || !asked.insert(address) {
                        continue;
                    }
                    outstanding += 1;
                    let (peers, hash, teller) = (Arc::clone(&self.peers), sha256.0, teller.clone());
                    asking.push(smol::spawn(async move {
                        let late = async {
                            Timer::after(PATIENCE).await;
                            Err(format!("no answer within {} s", PATIENCE.as_secs()))
                        };
                        let ask =
                            async { peers.len_of(address, hash).await.map_err(|error| error.to_string()) };
                        let len = ask.or(late).await;
                        // Fails when nobody waits any more.
                        let _unheard = teller.send(Told::Answered(address, len)).await;
                    }));
                }
                Told::Answered(address, Ok(len)) => {
                    outstanding -= 1;
                    votes.insert(address.ip(), len);
                }
                Told::Answered(address, Err(error)) => {
                    outstanding -= 1;
                    offers.failure = Some(format!("{address}: {error}"));
                }
            }
        }
        offers.machines = asked.len();
        let mut by_len = BTreeMap::<u64, usize>::new();
        votes.values().for_each(|len| *by_len.entry(*len).or_default() += 1);
        let mut lens: Vec<(u64, usize)> = by_len.into_iter().collect();
        lens.sort_by_key(|(_, votes)| std::cmp::Reverse(*votes));
        offers.lens = lens.into_iter().map(|(len, _)| len).collect();
        offers
    }
}

/// Tells who claims to have a file.
async fn look_up(dht: crate::dht::Dht, sha256: Sha256, teller: Sender<Told>) {
    let key = file_key(&sha256.0);
    let find = async |key: Id, kind: ClaimKey| {
        let Some(mut values) = dht.get(key).await else { return };
        while let Some(value) = values.next().await {
            let Ok(claim) = Claim::decode(&value, kind) else { continue };
            let v6 = claim.v6.map(SocketAddr::from);
            let address = claim.v4.map(SocketAddr::from).filter(|v4| dht.may_be_asked(v4)).or(v6);
            if let Some(address) = address {
                // Fails when nobody waits any more.
                let _unheard = teller.send(Told::Claimed(address)).await;
            }
        }
    };
    let find_v6 = async {
        if dht.address_families() != AddressFamilies::Ipv4 {
            find(v6_key(&key), ClaimKey::FileV6).await;
        }
    };
    smol::future::zip(find(key, ClaimKey::File), find_v6).await;
    let _unheard = teller.send(Told::NoMore).await;
}
