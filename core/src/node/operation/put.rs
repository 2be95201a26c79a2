//! Storing a value: a `find_node` search for the tokens, then `store_value` to the closest.

use super::search::Search;
use super::{Asker, Failure, Progress};
use crate::id::{Contact, Id};
use crate::krpc::{Call, ErrorCode, Method, Response};
use crate::lookup::ForeignToken;
use crate::node::event::{Ending, Event};
use crate::node::parts::{Family, Parts};
use crate::node::publication::Holder;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::{IpAddr, Ipv6Addr};

/// Longest value of a put, in bytes: with a token of 20 bytes it just fits a query over IPv6.
pub const MAX_PUT_VALUE_LEN: usize = 1299;

#[derive(Debug)]
pub(crate) struct Put {
    key: Id,
    value: Bytes,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Search(Search),
    Store(Vec<Target>),
}

/// One of the closest, in order of distance; we ourselves may be among them.
#[derive(Debug)]
struct Target {
    contact: Contact,
    token: Option<ForeignToken>,
    state: State,
    /// A token that was refused is looked up once more.
    renewed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Storing,
    RenewingToken,
    Stored,
    Failed,
}

impl Put {
    pub(crate) fn start(parts: &mut Parts, key: Id, value: Bytes) -> Put {
        let search = Search::start(parts, Method::FindNode, key);
        Put { key, value, phase: Phase::Search(search) }
    }

    pub(crate) fn item(&self) -> (Id, Bytes) {
        (self.key, self.value.clone())
    }

    /// The closest that were found, ourselves left out.
    pub(super) fn found(&self, own_id: &Id) -> Vec<Holder> {
        let others = self.targets().iter().filter(|target| target.contact.id != *own_id);
        let holder =
            |target: &Target| Holder { addr: target.contact.addr, stored: target.state == State::Stored };
        others.map(holder).collect()
    }

    pub(super) fn answered(
        &mut self,
        asker: &mut Asker<'_>,
        from: &Contact,
        method: Method,
        response: &Response<'_>,
    ) {
        let targets = match &mut self.phase {
            Phase::Search(search) => return search.answered(asker.parts, from, response),
            Phase::Store(targets) => targets,
        };
        let Some(target) = targets.iter_mut().find(|target| target.contact == *from) else {
            return;
        };
        match (target.state, method) {
            (State::Storing, Method::StoreValue) => target.state = State::Stored,
            (State::RenewingToken, Method::FindNode) => {
                target.token = response.token.and_then(ForeignToken::new);
                target.state = State::Waiting;
            }
            // A late answer to the search.
            _ => {}
        }
    }

    pub(super) fn failed(&mut self, asker: &mut Asker<'_>, to: &Contact, method: Method, failure: Failure) {
        let targets = match &mut self.phase {
            Phase::Search(search) => return search.failed(to),
            Phase::Store(targets) => targets,
        };
        let Some(target) = targets.iter_mut().find(|target| target.contact == *to) else {
            return;
        };
        match (target.state, method) {
            (State::Storing, Method::StoreValue) => {
                let refused = failure == Failure::Error(ErrorCode::InvalidToken);
                let renew = refused && !target.renewed;
                target.renewed = true;
                let asked = renew && asker.ask(target.contact, Call::FindNode { target: self.key });
                target.state = if asked { State::RenewingToken } else { State::Failed };
            }
            (State::RenewingToken, Method::FindNode) => target.state = State::Failed,
            _ => {}
        }
    }

    pub(super) fn late(&mut self, to: &Contact) {
        if let Phase::Search(search) = &mut self.phase {
            search.late(to);
        }
    }

    pub(super) fn advance(&mut self, asker: &mut Asker<'_>) -> Progress {
        let targets = match &mut self.phase {
            Phase::Search(search) => {
                if !search.advance(asker) {
                    return Progress::Waiting;
                }
                self.end_search(asker);
                return Progress::NextPhase;
            }
            Phase::Store(targets) => targets,
        };
        for family in Family::ALL {
            store_in(family, targets, asker, (self.key, &self.value));
        }
        let busy = |target: &Target| matches!(target.state, State::Storing | State::RenewingToken);
        if asker.is_starved || targets.iter().any(busy) {
            Progress::Waiting
        } else {
            Progress::Finished(self.finish(asker, Ending::Complete))
        }
    }

    /// Goes on to store at what the search has found. Returns whether it was searching.
    pub(super) fn end_search(&mut self, asker: &mut Asker<'_>) -> bool {
        let Phase::Search(search) = &self.phase else {
            return false;
        };
        let parts = &mut *asker.parts;
        let targets = search.closest(parts).map(|candidate| Target {
            contact: candidate.contact,
            token: candidate.token.clone(),
            state: State::Waiting,
            renewed: false,
        });
        let mut targets: Vec<Target> = targets.collect();
        let others_in = Family::ALL
            .map(|family| targets.iter().any(|target| target.is_in(family) && target.contact.id != parts.id));
        if others_in.contains(&true) {
            // A network in which we know nobody has nobody to find our copy either.
            targets.retain(|target| others_in[Family::of(&target.contact.addr) as usize]);
        } else {
            targets.truncate(1);
        }
        self.phase = Phase::Store(targets);
        true
    }

    pub(super) fn finish(&self, asker: &Asker<'_>, ending: Ending) -> Event {
        let own_id = &asker.parts.id;
        let stored = |target: &&Target| target.state == State::Stored;
        // In two networks we are ourselves twice.
        let own_copy = self.targets().iter().filter(stored).any(|target| target.contact.id == *own_id);
        let by_others = |target: &&Target| stored(target) && target.contact.id != *own_id;
        let copies = self.targets().iter().filter(by_others).count() + usize::from(own_copy);
        Event::PutFinished { op: asker.op, ending, copies }
    }

    fn targets(&self) -> &[Target] {
        match &self.phase {
            Phase::Search(_) => &[],
            Phase::Store(targets) => targets,
        }
    }
}

impl Target {
    fn is_in(&self, family: Family) -> bool {
        Family::of(&self.contact.addr) == family
    }
}

/// Starts as many stores in one address family as are still wanted there.
fn store_in(family: Family, targets: &mut [Target], asker: &mut Asker<'_>, (key, value): (Id, &[u8])) {
    let hopeful =
        |target: &&Target| matches!(target.state, State::Storing | State::RenewingToken | State::Stored);
    let under_way = targets.iter().filter(|target| target.is_in(family)).filter(hopeful).count();
    let mut wanted = usize::from(asker.parts.config.store_copies).saturating_sub(under_way);
    for target in targets.iter_mut().filter(|target| target.is_in(family) && target.state == State::Waiting) {
        if wanted == 0 || !asker.has_room() {
            return;
        }
        target.state = if target.contact.id == asker.parts.id {
            if store_here(asker.parts, key, value) { State::Stored } else { State::Failed }
        } else {
            // One without token stores nothing, which is no fault.
            let call = target.token.as_deref().map(|token| Call::StoreValue { key, value, token });
            let asked = call.is_some_and(|call| asker.ask(target.contact, call));
            if asked { State::Storing } else { State::Failed }
        };
        wanted -= usize::from(target.state != State::Failed);
    }
}

/// We are among the closest: one of the copies is ours. Returns whether it was stored.
fn store_here(parts: &mut Parts, key: Id, value: &[u8]) -> bool {
    let ourselves = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    parts.store.store(parts.now, key, value, ourselves, false).is_ok()
}
