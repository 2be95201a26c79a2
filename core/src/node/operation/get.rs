//! All values under a key: a `find_value` search to its end, then `get_value` to who holds some; or,
//! with [`Config::early_values`](crate::Config::early_values), to each as soon as it is known.

use super::search::Search;
use super::{Asker, Progress};
use crate::config::Limits;
use crate::id::{Contact, Id};
use crate::krpc::{Call, Method, Response};
use crate::node::event::{Ending, Event, OpId};
use crate::node::parts::{Family, Parts};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use bytes::Bytes;

/// Distinct values that a get delivers at most: those of six nodes with
/// [`values_per_key`](Limits::values_per_key) each.
const MAX_VALUES: usize = 1536;

#[derive(Debug)]
pub(crate) struct Get {
    key: Id,
    wanted: usize,
    /// Until it has ended.
    search: Option<Search>,
    fetch: Fetch,
    values: BTreeSet<Bytes>,
}

/// Who holds values, closest first, and how far they were asked.
#[derive(Debug, Default)]
struct Fetch {
    holders: Vec<Holder>,
}

#[derive(Debug)]
struct Holder {
    contact: Contact,
    /// How many values it said that it holds.
    num: usize,
    /// Distinct ones that it sent.
    received: BTreeSet<Bytes>,
    rounds: u8,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Asked,
    Done,
}

impl Get {
    /// A get that is over as soon as it has `wanted` distinct values.
    pub(crate) fn start(parts: &mut Parts, key: Id, wanted: usize) -> Get {
        let search = Search::start(parts, Method::FindValue, key);
        let (wanted, fetch, values) = (wanted.min(MAX_VALUES), Fetch::default(), BTreeSet::new());
        Get { key, wanted, search: Some(search), fetch, values }
    }

    pub(super) fn answered(
        &mut self,
        asker: &mut Asker<'_>,
        from: &Contact,
        method: Method,
        response: &Response<'_>,
    ) {
        if method == Method::GetValue {
            // Others are no values: nobody stores them, and they may be as long as a datagram. Who
            // stores only shorter ones itself still finds what others do.
            let lens = 1..=asker.parts.config.limits.value_len.max(Limits::DEFAULT.value_len);
            let values = response.values.iter().flat_map(|values| values.iter());
            let values = values.filter(|value| lens.contains(&value.len()));
            let values: Vec<Bytes> = values.map(Bytes::copy_from_slice).collect();
            self.fetch.answered(from, &values, asker.parts.config.get_rounds);
            values.into_iter().for_each(|value| self.deliver(asker, value));
        } else if let Some(search) = &mut self.search {
            search.answered(asker.parts, from, response);
        }
    }

    pub(super) fn failed(&mut self, to: &Contact, method: Method) {
        if method == Method::GetValue {
            self.fetch.finish(to);
        } else if let Some(search) = &mut self.search {
            search.failed(to);
        }
    }

    pub(super) fn late(&mut self, to: &Contact) {
        if let Some(search) = &mut self.search {
            search.late(to);
        }
    }

    pub(super) fn advance(&mut self, asker: &mut Asker<'_>) -> Progress {
        if let Some(search) = &mut self.search {
            if search.advance(asker) {
                self.end_search(asker);
                return Progress::NextPhase;
            }
            if !asker.parts.config.early_values {
                return Progress::Waiting;
            }
            self.fetch.take_holders(search, asker.parts);
        }
        if self.values.len() >= self.wanted {
            return Progress::Finished(self.finish(asker.op, Ending::Complete));
        }
        let answers = usize::from(asker.parts.config.get_answers);
        while let Some(holder) = self.fetch.next(answers) {
            if !asker.has_room() {
                return Progress::Waiting;
            }
            let call = Call::GetValue { key: self.key, num: 0 };
            holder.state = if asker.ask(holder.contact, call) { State::Asked } else { State::Done };
        }
        if self.search.is_none() && self.fetch.is_done() {
            Progress::Finished(self.finish(asker.op, Ending::Complete))
        } else {
            Progress::Waiting
        }
    }

    /// Goes on to fetch the values with what the search has found. Returns whether it was searching.
    pub(super) fn end_search(&mut self, asker: &mut Asker<'_>) -> bool {
        let Some(search) = self.search.take() else {
            return false;
        };
        self.fetch.take_holders(&search, asker.parts);
        let parts = &asker.parts;
        let own: Vec<Bytes> = parts.store.values(parts.now, &self.key).map(Bytes::copy_from_slice).collect();
        own.into_iter().for_each(|value| self.deliver(asker, value));
        true
    }

    pub(super) fn finish(&self, op: OpId, ending: Ending) -> Event {
        Event::GetFinished { op, ending, values: self.values.len() }
    }

    fn deliver(&mut self, asker: &mut Asker<'_>, value: Bytes) {
        if self.values.len() < self.wanted && self.values.insert(value.clone()) {
            asker.parts.emit(Event::ValueFound { op: asker.op, value });
        }
    }
}

impl Fetch {
    /// Takes in those that the search has found since, closest first.
    fn take_holders(&mut self, search: &Search, parts: &Parts) {
        let mut known = core::mem::take(&mut self.holders);
        let holders = search.holders(parts).map(|candidate| {
            match known.iter().position(|holder| holder.contact == candidate.contact) {
                Some(at) => known.swap_remove(at),
                None => Holder {
                    contact: candidate.contact,
                    num: usize::try_from(candidate.num).unwrap_or(usize::MAX),
                    received: BTreeSet::new(),
                    rounds: 0,
                    state: State::Waiting,
                },
            }
        });
        self.holders = holders.collect();
        // The frontier is bounded: who has fallen out of it may still answer.
        self.holders.append(&mut known);
    }

    /// The next to ask, as long as more answers are wanted in its network than have come or are on
    /// their way.
    fn next(&mut self, answers: usize) -> Option<&mut Holder> {
        let in_hand = Family::ALL.map(|family| {
            let has_or_will = |holder: &&Holder| holder.rounds > 0 || holder.state == State::Asked;
            let in_family = |holder: &&Holder| Family::of(&holder.contact.addr) == family;
            self.holders.iter().filter(in_family).filter(has_or_will).count()
        });
        // One who has more to say is asked again in any case.
        let more = |holder: &&mut Holder| {
            let in_hand = in_hand[Family::of(&holder.contact.addr) as usize];
            holder.state == State::Waiting && (holder.rounds > 0 || in_hand < answers)
        };
        self.holders.iter_mut().find(more)
    }

    fn answered(&mut self, from: &Contact, values: &[Bytes], max_rounds: u8) {
        let Some(holder) = self.holders.iter_mut().find(|holder| holder.contact == *from) else {
            return;
        };
        let before = holder.received.len();
        holder.received.extend(values.iter().cloned());
        holder.rounds += 1;
        // What does not fit a response comes in random order: asking again reaches the rest.
        let unfinished = holder.received.len() < holder.num && !values.is_empty();
        let hopeful = before < holder.received.len() || holder.rounds < 3;
        holder.state =
            if unfinished && hopeful && holder.rounds < max_rounds { State::Waiting } else { State::Done };
    }

    fn finish(&mut self, contact: &Contact) {
        if let Some(holder) = self.holders.iter_mut().find(|holder| holder.contact == *contact) {
            holder.state = State::Done;
        }
    }

    fn is_done(&self) -> bool {
        self.holders.iter().all(|holder| holder.state != State::Asked)
    }
}
