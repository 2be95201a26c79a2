//! Claims in groups that name the same piece hashes, and the vote among them.

use super::peers::Peers;
use crate::claim::{PieceHashes, PieceHashesRef};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::net::IpAddr;

/// The claims that name the same piece hashes, in whatever tier, or none.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// The SHA-1 of the piece hashes.
    pub(super) named: Option<[u8; 20]>,
    /// The piece hashes, once they are there.
    pub(super) hashes: Option<PieceHashes>,
    /// Whether the DHT is said to have them.
    pub(super) in_dht: InDht,
    /// The peers that were asked for them.
    pub(super) asked: Vec<usize>,
    /// The peers that gave something else than they say. Anybody can have claimed in a peer's name
    /// that it has what these piece hashes name: in another group it may be honest.
    pub(super) contradicted_by: Vec<usize>,
    /// Piece hashes of that SHA-1 cannot be those of the file.
    pub(super) refuted: bool,
    /// IP addresses that stand for it.
    pub(super) votes: u32,
    pub(super) peers: Vec<usize>,
}

impl Group {
    /// Whether pieces can be asked for.
    pub(super) fn is_ready(&self) -> bool {
        self.named.is_none() || self.hashes.is_some()
    }

    /// The next peer to ask for the piece hashes.
    pub(super) fn next_to_ask(&self, peers: &Peers) -> Option<usize> {
        let left = self.peers.iter().filter(|peer| self.may_ask(peers, **peer) && !self.asked.contains(peer));
        left.copied().min_by_key(|&peer| (peers[peer].strikes, peers[peer].rank))
    }

    /// Whether a peer of the group is to be asked for anything.
    pub(super) fn may_ask(&self, peers: &Peers, peer: usize) -> bool {
        peers.is_usable(peer) && !self.contradicted_by.contains(&peer)
    }

    fn is_usable(&self, peers: &Peers, asking: bool) -> bool {
        !self.refuted
            && self.peers.iter().any(|&peer| self.may_ask(peers, peer))
            && (self.is_ready()
                || self.in_dht == InDht::Unasked
                || asking
                || self.next_to_ask(peers).is_some())
    }
}

/// Whether a group's piece hashes are in the DHT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InDht {
    /// No claim says so.
    Unnamed,
    /// One does.
    Unasked,
    /// One does, and the DHT was asked for them.
    Asked,
}

/// All groups, each at one index for ever.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    groups: Vec<Group>,
    voters: Vec<IpAddr>,
    claims: usize,
}

impl Groups {
    /// How many claims there are in all.
    pub(super) fn claims(&self) -> usize {
        self.claims
    }

    /// Takes a claim of a peer, and its voter's vote if it is the first. What the peer claimed
    /// before changes nothing.
    pub(super) fn add(&mut self, pieces: PieceHashesRef, voter: IpAddr, peer: usize) {
        let named = pieces.sha1();
        let known = self.groups.iter().position(|group| group.named == named);
        let index = known.unwrap_or(self.groups.len());
        if known.is_none() {
            self.groups.push(Group {
                named,
                hashes: None,
                in_dht: InDht::Unnamed,
                asked: Vec::new(),
                contradicted_by: Vec::new(),
                refuted: false,
                votes: 0,
                peers: Vec::new(),
            });
        }
        let group = &mut self.groups[index];
        if group.peers.contains(&peer) {
            return;
        }
        self.claims += 1;
        match pieces {
            PieceHashesRef::Inline(hashes) => group.hashes = Some(hashes),
            // One claim with `h` is enough to look there, whatever the others say.
            PieceHashesRef::Dht(_) if group.in_dht == InDht::Unnamed => group.in_dht = InDht::Unasked,
            _ => {}
        }
        group.peers.push(peer);
        if !self.voters.contains(&voter) {
            self.voters.push(voter);
            group.votes += 1;
        }
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Group> {
        self.groups.get_mut(index)
    }

    pub(super) fn get(&self, index: usize) -> Option<&Group> {
        self.groups.get(index)
    }

    /// The group to believe: the most votes; then one that names piece hashes; then the one
    /// heard of first. Groups that can give nothing are passed over; `asking` is the one whose
    /// piece hashes are being asked for.
    pub(super) fn best(&self, peers: &Peers, asking: Option<usize>) -> Option<usize> {
        let usable =
            self.groups.iter().enumerate().filter(|(i, group)| group.is_usable(peers, asking == Some(*i)));
        usable.max_by_key(|(i, group)| (group.votes, group.named.is_some(), Reverse(*i))).map(|(i, _)| i)
    }

    pub(super) fn is_usable(&self, index: usize, peers: &Peers, asking: bool) -> bool {
        self.groups.get(index).is_some_and(|group| group.is_usable(peers, asking))
    }
}
