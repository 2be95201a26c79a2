//! What a node tells its driver.

use crate::config::Limits;
use crate::id::Contact;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

/// Names an operation. Never reused in the life of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub(super) u64);

impl OpId {
    /// The operation whose number is `number`; one that no node has begun is nobody's.
    pub const fn from_number(number: u64) -> OpId {
        OpId(number)
    }

    /// Its number: operations are numbered in the order in which they begin, our own upkeep among
    /// them.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {}", self.0)
    }
}

/// What happened. Every operation that a caller started ends in exactly one event whose name ends in
/// `Finished`; until that is polled it holds one of [`Limits::operations`]. Of all other events,
/// those that come while [`Limits::progress_events`] wait are dropped, and counted in
/// [`Stats::events_dropped`](super::Stats::events_dropped).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A get found a value; each distinct one comes once, as it arrives.
    ValueFound {
        /// The get.
        op: OpId,
        /// The value as it was stored: opaque bytes.
        value: Bytes,
    },
    /// A ping is over.
    PingFinished {
        /// Which.
        op: OpId,
        /// Who answered and how soon, or why nobody did.
        result: Result<Pong, PingError>,
    },
    /// A lookup is over.
    FindNodeFinished {
        /// Which.
        op: OpId,
        /// How it ended.
        ending: Ending,
        /// Up to 8 contacts of each address family that answered, closest first; we ourselves
        /// are left out.
        closest: Vec<Contact>,
    },
    /// A get is over.
    GetFinished {
        /// Which.
        op: OpId,
        /// How it ended.
        ending: Ending,
        /// How many distinct values it found, those included whose events were dropped.
        values: usize,
    },
    /// A put is over, or the first one of a publication.
    PutFinished {
        /// Which.
        op: OpId,
        /// How it ended.
        ending: Ending,
        /// How many nodes confirmed that they stored the value, ourselves included. 0: it failed.
        copies: usize,
    },
    /// A join is over.
    JoinFinished {
        /// Which.
        op: OpId,
        /// How it ended.
        ending: Ending,
        /// Contacts that the search around our own id found. 0: the network is empty, or nobody
        /// could be reached; if there are bootstrap contacts, the node keeps trying, without another
        /// event: that it has succeeded shows in [`Node::contacts`](crate::Node::contacts).
        contacts: usize,
    },
    /// Others agree that this is our address in its family. Its port differs from the socket's behind
    /// a NAT.
    OutsideAddressChanged {
        /// As the others see us.
        addr: SocketAddr,
    },
    /// A good time to keep a [`snapshot`](crate::Node::snapshot).
    CheckpointPassed,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It ran its course.
    Complete,
    /// Its time was up; what it has is what it found until then.
    OutOfTime,
    /// [`cancel`](crate::Node::cancel) ended it.
    Cancelled,
}

/// An answer to a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    /// Who answered.
    pub contact: Contact,
    /// From the first transmission to the answer.
    pub round_trip: Duration,
}

/// Why a ping came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PingError {
    /// No answer, or the driver [heard](crate::Node::handle_unreachable) that there will be none.
    TimedOut,
    /// The answer was an error, or no response to a ping.
    BadAnswer,
    /// Too many requests are outstanding.
    Busy,
    /// [`cancel`](crate::Node::cancel) ended it.
    Cancelled,
}

impl fmt::Display for PingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PingError::TimedOut => "no answer",
            PingError::BadAnswer => "an answer that is none to a ping",
            PingError::Busy => "too many requests are outstanding",
            PingError::Cancelled => "cancelled",
        })
    }
}

impl core::error::Error for PingError {}

impl Event {
    /// The operation that this event ends.
    pub fn finished(&self) -> Option<OpId> {
        match self {
            Event::PingFinished { op, .. }
            | Event::FindNodeFinished { op, .. }
            | Event::GetFinished { op, .. }
            | Event::PutFinished { op, .. }
            | Event::JoinFinished { op, .. } => Some(*op),
            Event::ValueFound { .. } | Event::OutsideAddressChanged { .. } | Event::CheckpointPassed => None,
        }
    }
}

/// Events that wait to be polled. Final ones are bounded by the slots for operations, the others
/// by a bound of their own.
#[derive(Debug)]
pub(super) struct Events {
    queue: VecDeque<Event>,
    finals: usize,
    max_progress: usize,
}

impl Events {
    pub(super) fn new(limits: &Limits) -> Events {
        Events { queue: VecDeque::new(), finals: 0, max_progress: limits.progress_events }
    }

    /// Queues an event. Returns whether it was kept; final ones always are.
    pub(super) fn push(&mut self, event: Event) -> bool {
        let is_final = event.finished().is_some();
        if !is_final && self.queue.len() - self.finals >= self.max_progress {
            return false;
        }
        self.finals += usize::from(is_final);
        self.queue.push_back(event);
        true
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        let event = self.queue.pop_front()?;
        self.finals -= usize::from(event.finished().is_some());
        Some(event)
    }

    /// Final events not yet polled.
    pub(super) fn finals(&self) -> usize {
        self.finals
    }

    /// Gives back the room that is not taken.
    pub(super) fn trim(&mut self) {
        self.queue.shrink_to_fit();
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}
