//! The peers that claims named, and what became of each.

use super::Failure;
use super::config::DownloadConfig;
use crate::claim::Claim;
use crate::rng::Rng;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::ops::Index;
use core::time::Duration;

/// So often a peer may contradict piece hashes.
const MAX_CONTRADICTIONS: u32 = 2;

/// A peer's HTTP server.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// Its other address, tried once the first cannot be reached.
    other: Option<SocketAddr>,
    pub(super) standing: Standing,
    failures: u32,
    /// Groups whose piece hashes it contradicted.
    contradictions: u32,
    /// How often it was late or failed, less its successes since: who has fewer comes first.
    pub(super) strikes: u32,
    /// Decides between peers of which nothing else is known, so that not everybody
    /// turns to the same one first.
    pub(super) rank: u64,
    /// How long its latest piece took.
    pub(super) piece_time: Option<Duration>,
}

impl Peer {
    /// Whether it was late or failed, and has given nothing yet.
    pub(super) fn is_hopeless(&self) -> bool {
        self.strikes > 0 && self.piece_time.is_none()
    }
}

/// Whether a peer is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Usable,
    /// It failed too often, or has not got the file.
    Gone,
    /// What it gave was wrong.
    Bad,
}

/// All peers, each at one index for ever.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers(Vec<Peer>);

impl Peers {
    /// The index of the peer that a claim names, new or known. `None` if it is at no address
    /// that may be used, or there is no room.
    pub(super) fn add(&mut self, claim: &Claim, config: &DownloadConfig, rng: &mut Rng) -> Option<usize> {
        let addresses = [claim.v4.map(SocketAddr::V4), claim.v6.map(SocketAddr::V6)];
        let mut addresses = addresses.into_iter().flatten().filter(|address| config.allows(address));
        let (address, other) = (addresses.next()?, addresses.next());
        if let Some(known) = self.at(&address).or_else(|| other.as_ref().and_then(|other| self.at(other))) {
            return Some(known);
        }
        let neighbours = self.0.iter().filter(|peer| peer.address.ip() == address.ip()).count();
        let room = self.0.len() < config.max_peers.clamp(1, usize::from(u16::MAX));
        if !room || neighbours >= config.max_peers_per_ip.max(1) {
            return None;
        }
        let rank = rng.next_u64();
        let standing = Standing::Usable;
        let (failures, contradictions, strikes, piece_time) = (0, 0, 0, None);
        self.0.push(Peer { address, other, standing, failures, contradictions, strikes, rank, piece_time });
        Some(self.0.len() - 1)
    }

    pub(super) fn is_usable(&self, peer: usize) -> bool {
        self.0.get(peer).is_some_and(|peer| peer.standing == Standing::Usable)
    }

    /// A request to the peer came to nothing. Gives whether the peer is still to be used.
    pub(super) fn failed(&mut self, peer: usize, failure: Failure, config: &DownloadConfig) -> bool {
        let Some(peer) = self.0.get_mut(peer) else { return false };
        peer.strikes += 1;
        if failure == Failure::Unreachable
            && let Some(other) = peer.other.take()
        {
            peer.address = other;
            return true;
        }
        peer.failures += 1;
        // Who has not got the file, or is not there, is so the next time, too.
        let is_final = failure != Failure::Interrupted || peer.failures >= config.peer_failures.max(1);
        if peer.standing == Standing::Usable && is_final {
            peer.standing = Standing::Gone;
        }
        peer.standing == Standing::Usable
    }

    /// The peer gave what contradicts the piece hashes of a group: it is not asked again there, and
    /// after another time nowhere. If it was the piece hashes that lied the first time, it will not
    /// do it twice.
    pub(super) fn contradicted(&mut self, peer: usize) {
        let Some(known) = self.0.get_mut(peer) else { return };
        known.contradictions += 1;
        if known.contradictions >= MAX_CONTRADICTIONS {
            self.lied(peer);
        }
    }

    /// The peer gave what is wrong: it is never asked again.
    pub(super) fn lied(&mut self, peer: usize) {
        if let Some(peer) = self.0.get_mut(peer) {
            peer.standing = Standing::Bad;
        }
    }

    pub(super) fn was_late(&mut self, peer: usize) {
        if let Some(peer) = self.0.get_mut(peer) {
            peer.strikes += 1;
        }
    }

    pub(super) fn delivered(&mut self, peer: usize, took: Duration) {
        if let Some(peer) = self.0.get_mut(peer) {
            peer.piece_time = Some(took);
            peer.strikes = peer.strikes.saturating_sub(1);
        }
    }

    fn at(&self, address: &SocketAddr) -> Option<usize> {
        self.0.iter().position(|peer| peer.address == *address || peer.other == Some(*address))
    }
}

impl Index<usize> for Peers {
    type Output = Peer;

    fn index(&self, peer: usize) -> &Peer {
        &self.0[peer]
    }
}

/// Who has a vote: an IPv4 address, or a /64 of IPv6, which is one machine's as a rule.
pub(super) fn voter(claim: &Claim) -> Option<IpAddr> {
    let v6 = || claim.v6.map(|v6| IpAddr::V6((v6.ip().to_bits() >> 64 << 64).into()));
    claim.v4.map(|v4| IpAddr::V4(*v4.ip())).or_else(v6)
}
