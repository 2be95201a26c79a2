//! Entering the network: `join` to each bootstrap contact, and a search around our own id.

use super::search::Search;
use super::{Asker, Progress};
use crate::id::{Contact, Id};
use crate::krpc::{Call, Method, Response};
use crate::node::event::{Ending, Event};
use alloc::vec::Vec;

#[derive(Debug)]
pub(crate) struct Join {
    /// Not asked yet.
    waiting: Vec<Contact>,
    /// `join` for contacts whose id is not known, `ping` for those out of a snapshot.
    call: Call<'static>,
    asked: usize,
    search: Option<Search>,
}

/// Contacts that are asked at a time.
const PARALLELISM: usize = 16;

impl Join {
    /// Through bootstrap contacts whose ids are not known.
    pub(crate) fn through(addrs: impl IntoIterator<Item = core::net::SocketAddr>) -> Join {
        let waiting = addrs.into_iter().map(|addr| Contact { id: Id::ZERO, addr }).collect();
        Join { waiting, call: Call::Join, asked: 0, search: None }
    }

    /// Again, through contacts that an earlier run saved.
    pub(crate) fn back_through(contacts: Vec<Contact>) -> Join {
        Join { waiting: contacts, call: Call::Ping, asked: 0, search: None }
    }

    pub(super) fn answered(
        &mut self,
        asker: &mut Asker<'_>,
        from: &Contact,
        method: Method,
        response: &Response<'_>,
    ) {
        if method == Method::FindNode {
            if let Some(search) = &mut self.search {
                search.answered(asker.parts, from, response);
            }
            return;
        }
        self.asked -= 1;
        match &mut self.search {
            Some(search) => search.enter_through(asker.parts, *from),
            None => {
                let mut search = Search::start(asker.parts, Method::FindNode, asker.parts.id.neighbour());
                search.enter_through(asker.parts, *from);
                self.search = Some(search);
            }
        }
    }

    pub(super) fn failed(&mut self, to: &Contact, method: Method) {
        match (&mut self.search, method) {
            (Some(search), Method::FindNode) => search.failed(to),
            (_, Method::FindNode) => {}
            _ => self.asked -= 1,
        }
    }

    pub(super) fn late(&mut self, to: &Contact) {
        if let Some(search) = &mut self.search {
            search.late(to);
        }
    }

    pub(super) fn advance(&mut self, asker: &mut Asker<'_>) -> Progress {
        while self.asked < PARALLELISM
            && !self.waiting.is_empty()
            && asker.has_room()
            && let Some(contact) = self.waiting.pop()
        {
            self.asked += usize::from(asker.ask(contact, self.call));
        }
        let searched = self.search.as_mut().is_some_and(|search| search.advance(asker));
        let found = self.search.as_ref().is_some_and(|search| !search.closest_others(asker.parts).is_empty());
        if searched && !found {
            // The one that answered has fallen silent; the next answer starts anew.
            self.search = None;
        }
        if self.waiting.is_empty() && (searched && found || self.search.is_none() && self.asked == 0) {
            Progress::Finished(self.finish(asker, Ending::Complete))
        } else {
            Progress::Waiting
        }
    }

    pub(super) fn finish(&self, asker: &Asker<'_>, ending: Ending) -> Event {
        let found = self.search.as_ref().map(|search| search.closest_others(asker.parts));
        let contacts = found.map_or(0, |found| found.len());
        Event::JoinFinished { op: asker.op, ending, contacts }
    }
}
