//! Which group of claims is believed, and how its piece hashes are obtained.

use super::groups::InDht;
use super::requests::By;
use super::{Download, Failure, RequestId, What};
use crate::claim::{Claim, PieceHashes, PieceHashesRef};

/// Requests for piece hashes at a time: the first, and one more when it is late.
const HASHES_AT_A_TIME: usize = 2;

impl Download {
    /// Whether a claim may be about this file: piece hashes of the right number.
    pub(super) fn can_be_true(&self, claim: &Claim) -> bool {
        match &claim.pieces {
            PieceHashesRef::Inline(hashes) => hashes.len() == self.pieces.len(),
            _ => true,
        }
    }

    /// Whether no peer can help any more, whatever comes.
    pub(super) fn peers_are_exhausted(&self) -> bool {
        let ended = self.lookup_ended || self.now >= self.started + self.config.lookup_timeout;
        self.mirror_alone || (ended && self.group.is_none())
    }

    /// Chooses a group, again when the one that was chosen can give nothing more, or when another
    /// got more votes before anything came from it.
    pub(super) fn choose_group(&mut self) {
        if self.mirror_alone {
            self.leave_group();
            return;
        }
        let ready = self.lookup_ended
            || self.first_claim.is_some_and(|first| self.now >= first + self.config.gather)
            || self.now >= self.started + self.config.lookup_timeout;
        if !ready {
            return;
        }
        let asking = self.requests.iter().any(|request| matches!(request.what, What::PieceHashes(_)));
        let asking = self.group.filter(|_| asking);
        if let Some(chosen) = self.group {
            if !self.groups.is_usable(chosen, &self.peers, asking == Some(chosen)) {
                self.leave_group();
            } else if let Some(best) = self.groups.best(&self.peers, asking)
                && !self.committed
                && self.votes(best) > self.votes(chosen)
            {
                self.leave_group();
            } else {
                return;
            }
        }
        self.group = self.groups.best(&self.peers, None);
        self.committed = false;
        self.drop_what_does_not_match();
    }

    /// Asks for the piece hashes of the group: the DHT, where it is said to have them, then its
    /// peers, the next when one is late or failed.
    pub(super) fn ask_for_piece_hashes(&mut self) {
        let Some(index) = self.group else { return };
        let late = self.late();
        let asked = || self.requests.iter().filter(|request| matches!(request.what, What::PieceHashes(_)));
        let all_late = asked().all(|request| self.requests.is_late(self.now, request.by, &late));
        if !all_late || asked().count() >= HASHES_AT_A_TIME {
            return;
        }
        let Some(group) = self.groups.get_mut(index).filter(|group| group.hashes.is_none()) else { return };
        let Some(named) = group.named else { return };
        let by = if group.in_dht == InDht::Unasked {
            group.in_dht = InDht::Asked;
            By::Dht
        } else if let Some(peer) = group.next_to_ask(&self.peers) {
            group.asked.push(peer);
            By::Peer(peer)
        } else {
            return;
        };
        self.request(by, What::PieceHashes(named));
    }

    pub(super) fn piece_hashes_arrived(&mut self, id: RequestId, bytes: &[u8]) {
        let Some(request) = self.requests.get_mut(id).copied() else { return };
        let What::PieceHashes(named) = request.what else { return };
        match PieceHashes::decode(bytes).ok().filter(|hashes| hashes.sha1() == named) {
            Some(hashes) => {
                match request.by {
                    By::Peer(_) => self.stats.piece_hashes_from_peers += 1,
                    By::Dht | By::Mirror => self.stats.piece_hashes_from_dht += 1,
                }
                // Values of the DHT may follow.
                self.requests.remove(self.now, id).filter(|request| request.by == By::Dht).inspect(|_| {
                    self.actions.push_back(super::Action::Cancel(id));
                });
                self.cancel_where(|request| matches!(request.what, What::PieceHashes(_)));
                self.adopt(hashes);
            }
            None => {
                self.stats.piece_hashes_wrong += 1;
                // Anybody may store under that key; a peer is asked for what it said it has.
                if let By::Peer(peer) = request.by {
                    self.requests.remove(self.now, id);
                    self.contradicted(peer);
                    self.cancel_where(|other| other.by == request.by);
                }
            }
        }
    }

    pub(super) fn piece_hashes_failed(&mut self, id: RequestId, failure: Failure) {
        match self.requests.get_mut(id).copied() {
            // It has the file, by its word, if not the piece hashes.
            Some(request) if failure == Failure::NotFound && matches!(request.what, What::PieceHashes(_)) => {
                self.requests.remove(self.now, id);
                self.stats.requests_failed += 1;
            }
            Some(request) if matches!(request.what, What::PieceHashes(_)) => self.request_failed(id, failure),
            _ => {}
        }
    }

    /// Takes piece hashes of the right SHA-1 for those of the group, if they can be the file's.
    fn adopt(&mut self, hashes: PieceHashes) {
        let pieces = self.pieces.len();
        let Some(group) = self.group.and_then(|index| self.groups.get_mut(index)) else { return };
        if hashes.len() == pieces {
            group.hashes = Some(hashes);
            self.drop_what_does_not_match();
        } else {
            group.refuted = true;
        }
    }

    /// A peer gave something else than the piece hashes of the group say.
    pub(super) fn contradicted(&mut self, peer: usize) {
        if let Some(group) = self.group.and_then(|index| self.groups.get_mut(index)) {
            group.contradicted_by.push(peer);
        }
        self.peers.contradicted(peer);
    }

    fn leave_group(&mut self) {
        if self.group.take().is_some() {
            self.cancel_where(|request| !matches!(request.what, What::Range { .. }));
        }
    }

    /// What peers of another group gave is kept only if it is what this one says.
    fn drop_what_does_not_match(&mut self) {
        let hashes =
            self.group.and_then(|index| self.groups.get(index)).and_then(|group| group.hashes.clone());
        if hashes.is_some() {
            self.discard_from_peers(hashes.as_ref());
        }
    }

    fn votes(&self, group: usize) -> u32 {
        self.groups.get(group).map_or(0, |group| group.votes)
    }
}
