//! Who is closest to an id?

use super::search::Search;
use super::{Asker, Progress};
use crate::id::{Contact, Id};
use crate::krpc::{Method, Response};
use crate::node::event::{Ending, Event};
use crate::node::parts::Parts;

#[derive(Debug)]
pub(crate) struct Find {
    search: Search,
}

impl Find {
    pub(crate) fn start(parts: &mut Parts, target: Id) -> Find {
        Find { search: Search::start(parts, Method::FindNode, target) }
    }

    pub(super) fn answered(&mut self, asker: &mut Asker<'_>, from: &Contact, response: &Response<'_>) {
        self.search.answered(asker.parts, from, response);
    }

    pub(super) fn failed(&mut self, to: &Contact) {
        self.search.failed(to);
    }

    pub(super) fn late(&mut self, to: &Contact) {
        self.search.late(to);
    }

    pub(super) fn advance(&mut self, asker: &mut Asker<'_>) -> Progress {
        if self.search.advance(asker) {
            Progress::Finished(self.finish(asker, Ending::Complete))
        } else {
            Progress::Waiting
        }
    }

    pub(super) fn finish(&self, asker: &Asker<'_>, ending: Ending) -> Event {
        let closest = self.search.closest_others(asker.parts);
        Event::FindNodeFinished { op: asker.op, ending, closest }
    }
}
