//! Is anybody there?

use super::{Asker, Failure, Progress};
use crate::id::{Contact, Id};
use crate::krpc::Call;
use crate::node::event::{Ending, Event, OpId, PingError, Pong};
use core::net::SocketAddr;

#[derive(Debug)]
pub(crate) struct Ping {
    to: SocketAddr,
    asked: bool,
    result: Option<Result<Pong, PingError>>,
}

impl Ping {
    pub(crate) fn new(to: SocketAddr) -> Ping {
        Ping { to, asked: false, result: None }
    }

    pub(super) fn answered(&mut self, asker: &mut Asker<'_>, from: &Contact) {
        let round_trip = asker.parts.now.saturating_duration_since(asker.started);
        self.result = Some(Ok(Pong { contact: *from, round_trip }));
    }

    pub(super) fn failed(&mut self, failure: Failure) {
        self.result = Some(Err(match failure {
            Failure::TimedOut => PingError::TimedOut,
            Failure::Error(_) | Failure::BadAnswer => PingError::BadAnswer,
        }));
    }

    pub(super) fn advance(&mut self, asker: &mut Asker<'_>) -> Progress {
        if !self.asked {
            self.asked = true;
            if !asker.ask(Contact { id: Id::ZERO, addr: self.to }, Call::Ping) {
                self.result = Some(Err(PingError::Busy));
            }
        }
        match self.result {
            Some(_) => Progress::Finished(self.finish(asker.op, Ending::Complete)),
            None => Progress::Waiting,
        }
    }

    pub(super) fn finish(&self, op: OpId, ending: Ending) -> Event {
        let without = match ending {
            Ending::Cancelled => PingError::Cancelled,
            Ending::Complete | Ending::OutOfTime => PingError::TimedOut,
        };
        Event::PingFinished { op, result: self.result.unwrap_or(Err(without)) }
    }
}
