//! What is due when.

use super::mirror::Standing;
use super::requests::By;
use super::{Action, Download, Failure, Phase};
use crate::time::Instant;

impl Download {
    /// When to call [`handle_timeout`](Download::handle_timeout), if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.phase != Phase::Fetching {
            return None;
        }
        let lookup = (!self.lookup_ended).then(|| self.started + self.config.lookup_timeout);
        let gathered = self.first_claim.map(|first| first + self.config.gather);
        let streaming = self.requests.of(By::Mirror).next().is_some();
        let alone = self.alone_at().filter(|_| !streaming);
        let probe = self.probe_at().filter(|_| !streaming);
        let mirror = match self.mirror.standing {
            Standing::UsableFrom(at) => Some(at),
            Standing::Usable | Standing::Gone => None,
        };
        let after = self.late();
        let late = self.requests.iter().filter_map(|request| request.late_at(&after));
        let failing = self.requests.iter().filter_map(|request| self.fails_at(request));
        [lookup, gathered, alone, probe, mirror]
            .into_iter()
            .flatten()
            .chain(late)
            .chain(failing)
            // What was due has been done.
            .filter(|&at| at > self.now)
            .min()
    }

    /// Fails the requests of which nothing was heard for too long.
    pub(super) fn expire(&mut self) {
        loop {
            let due = |request: &&super::Outstanding| self.fails_at(request).is_some_and(|at| at <= self.now);
            let Some(id) = self.requests.iter().find(due).map(|request| request.id) else { return };
            self.actions.push_back(Action::Cancel(id));
            self.request_failed(id, Failure::Interrupted);
        }
    }

    fn fails_at(&self, request: &super::Outstanding) -> Option<Instant> {
        // A wait of nothing would fail requests before they are made.
        let shortest = core::time::Duration::from_millis(1);
        let piece_timeout = Some(self.config.piece_timeout.max(shortest));
        request.fails_at(
            self.config.stall.max(shortest),
            piece_timeout.filter(|_| self.others_could_be_asked(request.by)),
        )
    }

    /// Whether there is somebody else who may have what was asked of a source.
    fn others_could_be_asked(&self, by: By) -> bool {
        let group = self.group.and_then(|index| self.groups.get(index));
        self.mirror.standing != Standing::Gone
            || group.is_some_and(|group| {
                let mut others = group.peers.iter().filter(|peer| By::Peer(**peer) != by);
                others.any(|&peer| group.may_ask(&self.peers, peer))
            })
    }
}
