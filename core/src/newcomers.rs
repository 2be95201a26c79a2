//! Who queried us, and is worth a ping once it has been silent for long enough.
//!
//! A NAT lets us reach a node behind it for a while after it has sent us something. Only an answer
//! to a ping that comes out of the blue shows that others reach it too. All of them have proved
//! their addresses: a forged query makes no newcomer.

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
    /// Its ping is under way.
    Pinged,
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
        if self.has_refused(now, &addr) {
            return;
        }
        let has_place = self.all.contains_key(&addr) || self.all.len() < CAPACITY;
        if !has_place && !self.forget_a_refusal() {
            return;
        }
        self.all.insert(addr, State::Waiting(now + self.silence));
    }

    /// Makes room: forgets the one that was refused longest ago. Returns whether there was one.
    fn forget_a_refusal(&mut self) -> bool {
        let refused = self.all.iter().filter_map(|(addr, state)| match state {
            State::Refused(until) => Some((*until, *addr)),
            State::Waiting(_) | State::Pinged => None,
        });
        let first = refused.min();
        first.is_some_and(|(_, addr)| self.all.remove(&addr).is_some())
    }

    /// `addr` is a contact now, or cannot become one.
    pub fn forget(&mut self, addr: &SocketAddr) {
        self.all.remove(addr);
    }

    /// `addr` did not answer its ping.
    pub fn refused(&mut self, now: Instant, addr: &SocketAddr) {
        if let Some(state) = self.all.get_mut(addr)
            && *state == State::Pinged
        {
            *state = State::Refused(now + self.silence * AFTER_REFUSAL);
        }
    }

    /// Whether `addr` did not answer its ping lately.
    pub fn has_refused(&self, now: Instant, addr: &SocketAddr) -> bool {
        matches!(self.all.get(addr), Some(State::Refused(until)) if *until > now)
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
        *state = State::Pinged;
        Some(*addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(120);

    fn at(secs: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(secs)
    }

    fn addr(n: u16) -> SocketAddr {
        ([10, 0, (n >> 8) as u8, n as u8], 9978).into()
    }

    #[test]
    fn whoever_goes_on_sending_is_pinged_only_when_it_is_silent() {
        let mut newcomers = Newcomers::new(SILENCE);
        newcomers.heard(at(0), addr(1));
        newcomers.heard(at(100), addr(1));
        assert_eq!(newcomers.next_ping_at(), Some(at(220)));
        assert_eq!(newcomers.take_due(at(219)), None);
        assert_eq!(newcomers.take_due(at(220)), Some(addr(1)));
        assert_eq!((newcomers.take_due(at(220)), newcomers.next_ping_at()), (None, None), "once");
        newcomers.heard(at(221), addr(1));
        assert_eq!(newcomers.next_ping_at(), Some(at(341)), "its answer came too soon after a query");
    }

    #[test]
    fn whoever_could_not_be_reached_is_left_alone_for_a_while() {
        let mut newcomers = Newcomers::new(SILENCE);
        newcomers.heard(at(0), addr(1));
        newcomers.refused(at(1), &addr(1));
        assert!(!newcomers.has_refused(at(1), &addr(1)), "another ping than ours failed");
        newcomers.take_due(at(120));
        newcomers.refused(at(130), &addr(1));
        newcomers.heard(at(200), addr(1));
        assert!(newcomers.has_refused(at(200), &addr(1)));
        assert_eq!(newcomers.next_ping_at(), None);
        let later = at(131) + SILENCE * AFTER_REFUSAL;
        assert!(!newcomers.has_refused(later, &addr(1)));
        newcomers.heard(later, addr(1));
        assert_eq!(newcomers.next_ping_at(), Some(later + SILENCE));
    }

    #[test]
    fn there_are_never_too_many_and_refusals_make_room() {
        let mut newcomers = Newcomers::new(SILENCE);
        (0..1000).for_each(|n| newcomers.heard(at(0), addr(n)));
        assert_eq!(newcomers.all.len(), CAPACITY);
        let first = newcomers.take_due(at(120));
        newcomers.refused(at(120), &first.unwrap());
        newcomers.heard(at(121), addr(2000));
        assert_eq!(newcomers.all.len(), CAPACITY);
        assert!(newcomers.all.contains_key(&addr(2000)));
    }
}
