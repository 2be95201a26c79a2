//! What callers, and the node's own upkeep, ask for: each runs until it makes its one final event.

mod find;
mod get;
mod join;
mod ping;
mod put;
mod search;

pub(super) use find::Find;
pub(super) use get::Get;
pub(super) use join::Join;
pub(super) use ping::Ping;
pub use put::MAX_PUT_VALUE_LEN;
pub(super) use put::Put;

use super::event::{Ending, Event, OpId};
use super::parts::{Parts, Purpose};
use super::publication::Holder;
use crate::id::{Contact, Id};
use crate::krpc::{Call, ErrorCode, Method, Response, TransactionId};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bytes::Bytes;
use core::ops::Bound::{Excluded, Unbounded};

/// Why a request of an operation came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    TimedOut,
    Error(ErrorCode),
    /// No response to what was asked, or from another id than was asked.
    BadAnswer,
}

/// An operation in progress.
#[derive(Debug)]
pub(super) struct Operation {
    kind: Kind,
    /// Whether the node started it itself, so that no caller waits for its final event.
    is_upkeep: bool,
    started: Instant,
    deadline: Instant,
    outstanding: Vec<(Contact, TransactionId)>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Ping(Ping),
    Find(Find),
    Get(Get),
    Put(Put),
    Join(Join),
}

/// All operations in progress.
#[derive(Debug, Default)]
pub(super) struct Operations {
    /// In boxes: a map has room for several, and each is large.
    running: BTreeMap<OpId, Box<Operation>>,
    /// Those that have something to ask for which there was no room.
    starved: BTreeSet<OpId>,
    begun: u64,
    upkeep: usize,
}

/// How an operation sends: everything it asks is noted as its own.
pub(super) struct Asker<'a> {
    pub(super) parts: &'a mut Parts,
    op: OpId,
    started: Instant,
    outstanding: &'a mut Vec<(Contact, TransactionId)>,
    is_starved: bool,
}

impl Asker<'_> {
    /// Whether a query can be sent now. If not, the operation goes on when one can.
    pub(super) fn has_room(&mut self) -> bool {
        let has_room = self.parts.has_room();
        self.is_starved |= !has_room;
        has_room
    }

    /// Sends a query. Returns whether it could be sent; where there was room for it, another try is
    /// no use.
    pub(super) fn ask(&mut self, to: Contact, call: Call<'_>) -> bool {
        let id = self.parts.query(Purpose::Operation(self.op), to, call);
        self.outstanding.extend(id.map(|id| (to, id)));
        id.is_some()
    }

    /// Gives up on an answer from `contact`: nothing is sent again.
    pub(super) fn abandon(&mut self, contact: &Contact) {
        for (_, id) in self.outstanding.iter().filter(|(to, _)| to == contact) {
            self.parts.transactions.stop_resending(id);
        }
    }
}

/// An operation that is over.
#[derive(Debug)]
pub(super) struct Over {
    /// Its final event, which a caller sees if a caller started it.
    pub(super) event: Event,
    /// What it stored, if it was a put, and whom it found.
    pub(super) put: Option<((Id, Bytes), Vec<Holder>)>,
    /// Whether it was a lookup of our own upkeep.
    pub(super) was_refresh: bool,
}

/// What became of an operation.
pub(super) enum Progress {
    /// It waits for answers.
    Waiting,
    /// It has more to do after this phase, for which it has the time of a lookup again.
    NextPhase,
    /// It is over: its final event.
    Finished(Event),
}

impl Operation {
    /// Whether it is a lookup of our own upkeep.
    fn is_refresh(&self) -> bool {
        self.is_upkeep && matches!(self.kind, Kind::Find(_))
    }
}

impl Kind {
    fn answered(&mut self, asker: &mut Asker<'_>, from: &Contact, method: Method, response: &Response<'_>) {
        match self {
            Kind::Ping(ping) => ping.answered(asker, from),
            Kind::Find(find) => find.answered(asker, from, response),
            Kind::Get(get) => get.answered(asker, from, method, response),
            Kind::Put(put) => put.answered(asker, from, method, response),
            Kind::Join(join) => join.answered(asker, from, method, response),
        }
    }

    fn failed(&mut self, asker: &mut Asker<'_>, to: &Contact, method: Method, failure: Failure) {
        match self {
            Kind::Ping(ping) => ping.failed(failure),
            Kind::Find(find) => find.failed(to),
            Kind::Get(get) => get.failed(to, method),
            Kind::Put(put) => put.failed(asker, to, method, failure),
            Kind::Join(join) => join.failed(to, method),
        }
    }

    fn late(&mut self, to: &Contact) {
        match self {
            Kind::Find(find) => find.late(to),
            Kind::Get(get) => get.late(to),
            Kind::Put(put) => put.late(to),
            Kind::Join(join) => join.late(to),
            Kind::Ping(_) => {}
        }
    }

    fn advance(&mut self, asker: &mut Asker<'_>) -> Progress {
        match self {
            Kind::Ping(ping) => ping.advance(asker),
            Kind::Find(find) => find.advance(asker),
            Kind::Get(get) => get.advance(asker),
            Kind::Put(put) => put.advance(asker),
            Kind::Join(join) => join.advance(asker),
        }
    }

    /// The time of a phase is up. `NextPhase` means to go on with what was found.
    fn out_of_time(&mut self, asker: &mut Asker<'_>) -> Progress {
        let was_searching = match self {
            Kind::Get(get) => get.end_search(asker),
            Kind::Put(put) => put.end_search(asker),
            Kind::Ping(_) | Kind::Find(_) | Kind::Join(_) => false,
        };
        if was_searching {
            Progress::NextPhase
        } else {
            Progress::Finished(self.finish(asker, Ending::OutOfTime))
        }
    }

    fn finish(&mut self, asker: &mut Asker<'_>, ending: Ending) -> Event {
        match self {
            Kind::Ping(ping) => ping.finish(asker.op, ending),
            Kind::Find(find) => find.finish(asker, ending),
            Kind::Get(get) => get.finish(asker.op, ending),
            Kind::Put(put) => put.finish(asker, ending),
            Kind::Join(join) => join.finish(asker, ending),
        }
    }
}

impl Operations {
    /// Starts an operation, which may be over at once.
    pub(super) fn start(&mut self, parts: &mut Parts, kind: Kind, is_upkeep: bool) -> (OpId, Option<Over>) {
        let op = OpId(self.begun);
        self.begun += 1;
        self.upkeep += usize::from(is_upkeep);
        let deadline = parts.now + parts.config.limits.lookup_duration;
        let operation = Operation { kind, is_upkeep, started: parts.now, deadline, outstanding: Vec::new() };
        self.running.insert(op, Box::new(operation));
        (op, self.advance(parts, op))
    }

    /// A response to a request of `op`.
    pub(super) fn answered(
        &mut self,
        parts: &mut Parts,
        op: OpId,
        from: &Contact,
        method: Method,
        response: &Response<'_>,
    ) -> Option<Over> {
        self.with(parts, op, |kind, asker| kind.answered(asker, from, method, response))?;
        self.advance(parts, op)
    }

    /// A request of `op` to `to` failed.
    pub(super) fn failed(
        &mut self,
        parts: &mut Parts,
        op: OpId,
        to: &Contact,
        method: Method,
        failure: Failure,
    ) -> Option<Over> {
        self.with(parts, op, |kind, asker| kind.failed(asker, to, method, failure))?;
        self.advance(parts, op)
    }

    /// An answer of `to` to a request of `op` is late.
    pub(super) fn late(&mut self, parts: &mut Parts, op: OpId, to: &Contact) -> Option<Over> {
        self.with(parts, op, |kind, _| kind.late(to))?;
        self.advance(parts, op)
    }

    /// The request `id` of `op` is over.
    pub(super) fn settle(&mut self, op: OpId, id: &TransactionId) {
        if let Some(operation) = self.running.get_mut(&op) {
            operation.outstanding.retain(|(_, other)| other != id);
        }
    }

    /// Tells the next operation whose time is up by now; it may have another phase.
    pub(super) fn take_out_of_time(&mut self, parts: &mut Parts) -> Option<Option<Over>> {
        let now = parts.now;
        let (op, _) = self.running.iter().find(|(_, operation)| operation.deadline <= now)?;
        let op = *op;
        let progress = self.with(parts, op, |kind, asker| kind.out_of_time(asker))?;
        Some(self.settle_progress(parts, op, progress).or_else(|| self.advance(parts, op)))
    }

    /// Ends an operation that a caller started.
    pub(super) fn cancel(&mut self, parts: &mut Parts, op: OpId) -> Option<Over> {
        self.running.get(&op).filter(|operation| !operation.is_upkeep)?;
        let event = self.with(parts, op, |kind, asker| kind.finish(asker, Ending::Cancelled))?;
        self.settle_progress(parts, op, Progress::Finished(event))
    }

    /// The next operation after `after` that waited for room, now that there is some: goes on with it.
    pub(super) fn resume_next(
        &mut self,
        parts: &mut Parts,
        after: Option<OpId>,
    ) -> Option<(OpId, Option<Over>)> {
        let later = (after.map_or(Unbounded, Excluded), Unbounded);
        let op = *self.starved.range(later).next().filter(|_| parts.has_room())?;
        Some((op, self.advance(parts, op)))
    }

    /// When the next operation runs out of time.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.running.values().map(|operation| operation.deadline).min()
    }

    /// Operations that callers started and that are not over.
    pub(super) fn len(&self) -> usize {
        self.running.len() - self.upkeep
    }

    /// Lookups of our own upkeep.
    pub(super) fn refreshes(&self) -> usize {
        self.running.values().filter(|operation| operation.is_refresh()).count()
    }

    /// Operations of our own upkeep.
    pub(super) fn upkeep(&self) -> usize {
        self.upkeep
    }

    fn advance(&mut self, parts: &mut Parts, op: OpId) -> Option<Over> {
        loop {
            let progress = self.with(parts, op, |kind, asker| kind.advance(asker))?;
            let again = matches!(progress, Progress::NextPhase);
            let over = self.settle_progress(parts, op, progress);
            if !again {
                return over;
            }
        }
    }

    /// Does what `progress` asks for. The final event of our own upkeep is for the node alone.
    fn settle_progress(&mut self, parts: &mut Parts, op: OpId, progress: Progress) -> Option<Over> {
        match progress {
            Progress::Waiting => None,
            Progress::NextPhase => {
                let operation = self.running.get_mut(&op)?;
                operation.deadline = parts.now + parts.config.limits.lookup_duration;
                None
            }
            Progress::Finished(event) => {
                let operation = self.running.remove(&op)?;
                self.starved.remove(&op);
                self.upkeep -= usize::from(operation.is_upkeep);
                if !parts.config.lookup.passes_over() {
                    for (_, id) in &operation.outstanding {
                        parts.transactions.stop_resending(id);
                    }
                }
                if !operation.is_upkeep {
                    parts.emit(event.clone());
                }
                let put = match &operation.kind {
                    Kind::Put(put) => Some((put.item(), put.found(&parts.id))),
                    _ => None,
                };
                Some(Over { event, put, was_refresh: operation.is_refresh() })
            }
        }
    }

    fn with<T>(
        &mut self,
        parts: &mut Parts,
        op: OpId,
        act: impl FnOnce(&mut Kind, &mut Asker<'_>) -> T,
    ) -> Option<T> {
        let Operation { kind, outstanding, started, .. } = &mut **self.running.get_mut(&op)?;
        let mut asker = Asker { parts, op, started: *started, outstanding, is_starved: false };
        let result = act(kind, &mut asker);
        if asker.is_starved {
            self.starved.insert(op);
        } else {
            self.starved.remove(&op);
        }
        Some(result)
    }
}
