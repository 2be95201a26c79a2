//! Who queried us, and is worth a ping once it has been silent for long enough.
//!
//! A NAT lets us reach a node behind it for a while after it has sent us something. Only an answer
//! to a ping that comes out of the blue shows that others reach it too.

use crate::time::Instant;
use alloc::collections::BTreeMap;
use core::net::SocketAddr;
use core::time::Duration;

/// How many there may be. Who finds no place is met elsewhere, in a lookup, or comes again.
const CAPACITY: usize = 128;

/// How long one that did not answer is not asked again, in times of the silence before a ping.
const AFTER_REFUSAL: u32 = 20;

/// Nodes that queried us, with when they are to be pinged.
#[derive(Clone, Debug)]
pub struct Newcomers {
    silence: Duration,
    all: BTreeMap<SocketAddr, State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be pinged then.
    Waiting(Instant),
    /// Pinged; what it sends in the meantime changes nothing.
    Pinged(Instant),
    /// It did not answer: not pinged again until then.
    Refused(Instant),
}

impl Newcomers {
    /// Nobody yet. `silence`: how long one must not have sent us anything before its ping.
    pub fn new(silence: Duration) -> Newcomers {
        Newcomers { silence, all: BTreeMap::new() }
    }

    /// `addr`, which may become a contact, has sent us something.
    pub fn heard(&mut self, now: Instant, addr: SocketAddr) {
        match self.all.get_mut(&addr) {
            Some(State::Waiting(at)) => *at = now + self.silence,
            Some(State::Refused(until)) if *until > now => {}
            Some(State::Pinged(_)) => {}
            Some(state) => *state = State::Waiting(now + self.silence),
            None => {
                if self.all.len() >= CAPACITY {
                    self.all.retain(|_, state| !matches!(state, State::Refused(until) | State::Pinged(until) if *until <= now));
                }
                if self.all.len() < CAPACITY {
                    self.all.insert(addr, State::Waiting(now + self.silence));
                }
            }
        }
    }

    /// `addr` is a contact now, or cannot become one.
    pub fn forget(&mut self, addr: &SocketAddr) {
        self.all.remove(addr);
    }

    /// `addr` did not answer its ping.
    pub fn refused(&mut self, now: Instant, addr: &SocketAddr) {
        if let Some(state) = self.all.get_mut(addr)
            && matches!(state, State::Pinged(_))
        {
            *state = State::Refused(now + self.silence * AFTER_REFUSAL);
        }
    }

    /// When the next ping is due.
    pub fn next_ping_at(&self) -> Option<Instant> {
        let waiting = |state: &State| if let State::Waiting(at) = state { Some(*at) } else { None };
        self.all.values().filter_map(waiting).min()
    }

    /// The next one to be pinged by now; each is given once.
    pub fn take_due(&mut self, now: Instant) -> Option<SocketAddr> {
        let is_due = |state: &State| matches!(state, State::Waiting(at) if *at <= now);
        let (addr, state) = self.all.iter_mut().find(|(_, state)| is_due(state))?;
        *state = State::Pinged(now + self.silence);
        Some(*addr)
    }
}
