//! Storing a value: a `find_node` search for the tokens, then `store_value` to the closest.

use super::search::Search;
use super::{Asker, Failure, Progress};
use crate::id::{Contact, Id};
use crate::krpc::{Call, ErrorCode, Method, Response};
use crate::lookup::ForeignToken;
use crate::node::event::{Ending, Event, OpId};
use crate::node::parts::{Family, Parts};
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
    /// Whether we are among the closest, and so made one of the copies.
    own_copy: bool,
    copies: usize,
}

#[derive(Debug)]
enum Phase {
    Search(Search),
    Store(Vec<Target>),
}

/// One of the closest, in order of distance.
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
        Put { key, value, phase: Phase::Search(search), own_copy: false, copies: 0 }
    }

    pub(crate) fn item(&self) -> (Id, Bytes) {
        (self.key, self.value.clone())
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
            (State::Storing, Method::StoreValue) => {
                target.state = State::Stored;
                self.copies += 1;
            }
            (State::RenewingToken, Method::FindNode) => {
                target.token = response.token.and_then(|token| ForeignToken::try_from(token).ok());
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
        let others = usize::from(asker.parts.config.store_copies) - usize::from(self.own_copy);
        for family in Family::ALL {
            store_in(family, others, targets, asker, (self.key, &self.value));
        }
        let busy = |target: &Target| matches!(target.state, State::Storing | State::RenewingToken);
        if targets.iter().any(busy) {
            Progress::Waiting
        } else {
            Progress::Finished(self.finish(asker.op, Ending::Complete))
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
        let among_closest = targets.iter().any(|target| target.contact.id == parts.id);
        targets.retain(|target| target.contact.id != parts.id);
        if among_closest {
            let ourselves = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            let stored = parts.store.store(parts.now, self.key, &self.value, ourselves, false);
            self.own_copy = stored.is_ok();
            self.copies += usize::from(self.own_copy);
        }
        self.phase = Phase::Store(targets);
        true
    }

    pub(super) fn finish(&self, op: OpId, ending: Ending) -> Event {
        Event::PutFinished { op, ending, copies: self.copies }
    }
}

/// Starts as many stores in one address family as are still wanted there.
fn store_in(
    family: Family,
    copies: usize,
    targets: &mut [Target],
    asker: &mut Asker<'_>,
    (key, value): (Id, &[u8]),
) {
    let in_family = |target: &&mut Target| Family::of(&target.contact.addr) == family;
    let hopeful =
        |target: &&mut Target| matches!(target.state, State::Storing | State::RenewingToken | State::Stored);
    let under_way = targets.iter_mut().filter(in_family).filter(hopeful).count();
    let mut wanted = copies.saturating_sub(under_way);
    let waiting = |target: &&mut Target| target.state == State::Waiting;
    for target in targets.iter_mut().filter(in_family).filter(waiting) {
        if wanted == 0 {
            return;
        }
        // One without token stores nothing, which is no fault.
        let call = target.token.as_deref().map(|token| Call::StoreValue { key, value, token });
        let asked = call.is_some_and(|call| asker.ask(target.contact, call));
        target.state = if asked { State::Storing } else { State::Failed };
        wanted -= usize::from(asked);
    }
}
