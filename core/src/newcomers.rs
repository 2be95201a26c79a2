//! Who queried us, and is worth a ping once it has been silent for long enough.
//!
//! A NAT lets us reach a node behind it for a while after it has sent us something. Only an answer
//! to a ping that comes out of the blue shows that others reach it too. All of them have proved
//! their addresses: a forged query makes no newcomer.

use crate::id::{Contact, Id};
use crate::krpc::K;
use crate::time::Instant;
use alloc::collections::BTreeMap;
use core::net::SocketAddr;
use core::time::Duration;

/// How many there may be. Who finds no place is met elsewhere, in a lookup, or comes again.
const CAPACITY: usize = 96;

/// How long one that did not answer is not asked again, in times of the silence before a ping.
const AFTER_REFUSAL: u32 = 20;

/// Nodes that queried us, with when they are to be pinged.
#[derive(Clone, Debug)]
pub struct Newcomers {
    own_id: Id,
    silence: Duration,
    all: BTreeMap<SocketAddr, Newcomer>,
}

#[derive(Clone, Copy, Debug)]
struct Newcomer {
    /// Leading bits of its id that are those of ours: the more, the fewer others can take its place.
    common_prefix_len: u32,
    state: State,
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
    pub fn new(own_id: Id, silence: Duration) -> Newcomers {
        Newcomers { own_id, silence, all: BTreeMap::new() }
    }

    /// `contact`, which may have a place in the table, has sent us something.
    pub fn heard(&mut self, now: Instant, contact: &Contact) {
        let common_prefix_len = self.own_id.common_prefix_len(&contact.id);
        if self.has_refused(now, &contact.addr) || !self.has_place(&contact.addr, common_prefix_len) {
            return;
        }
        let state = State::Waiting(now + self.silence);
        self.all.insert(contact.addr, Newcomer { common_prefix_len, state });
    }

    /// Whether `addr` has a place, or one can be had: a bucket takes K, and whoever would be in a bucket
    /// closer to ours goes before others.
    fn has_place(&mut self, addr: &SocketAddr, common_prefix_len: u32) -> bool {
        if self.all.contains_key(addr) {
            return true;
        }
        let hopeful = |newcomer: &&Newcomer| !matches!(newcomer.state, State::Refused(_));
        let as_far = |newcomer: &&Newcomer| newcomer.common_prefix_len == common_prefix_len;
        if self.all.values().filter(hopeful).filter(as_far).count() >= K {
            return false;
        }
        self.all.len() < CAPACITY || self.forget_a_refusal() || self.forget_one_farther(common_prefix_len)
    }

    /// Makes room: forgets the one that was refused longest ago. Returns whether there was one.
    fn forget_a_refusal(&mut self) -> bool {
        let refused = self.all.iter().filter_map(|(addr, newcomer)| match newcomer.state {
            State::Refused(until) => Some((until, *addr)),
            State::Waiting(_) | State::Pinged => None,
        });
        let first = refused.min();
        first.is_some_and(|(_, addr)| self.all.remove(&addr).is_some())
    }

    /// Makes room: forgets the farthest, if its id has less in common with ours. Returns whether it has.
    fn forget_one_farther(&mut self, common_prefix_len: u32) -> bool {
        let farthest = self.all.iter().min_by_key(|(_, newcomer)| newcomer.common_prefix_len);
        let farther = farthest.filter(|(_, newcomer)| newcomer.common_prefix_len < common_prefix_len);
        let addr = farther.map(|(addr, _)| *addr);
        addr.is_some_and(|addr| self.all.remove(&addr).is_some())
    }

    /// `addr` is a contact now, or cannot become one.
    pub fn forget(&mut self, addr: &SocketAddr) {
        self.all.remove(addr);
    }

    /// `addr` did not answer its ping.
    pub fn refused(&mut self, now: Instant, addr: &SocketAddr) {
        if let Some(Newcomer { state, .. }) = self.all.get_mut(addr)
            && *state == State::Pinged
        {
            *state = State::Refused(now + self.silence.saturating_mul(AFTER_REFUSAL));
        }
    }

    /// Whether `addr` did not answer its ping lately.
    pub fn has_refused(&self, now: Instant, addr: &SocketAddr) -> bool {
        matches!(self.all.get(addr), Some(Newcomer { state: State::Refused(until), .. }) if *until > now)
    }

    /// When the next ping is due.
    pub fn next_ping_at(&self) -> Option<Instant> {
        let waiting = |newcomer: &Newcomer| match newcomer.state {
            State::Waiting(at) => Some(at),
            State::Pinged | State::Refused(_) => None,
        };
        self.all.values().filter_map(waiting).min()
    }

    /// The next one to be pinged by now; each is given once.
    pub fn take_due(&mut self, now: Instant) -> Option<SocketAddr> {
        let is_due = |newcomer: &Newcomer| matches!(newcomer.state, State::Waiting(at) if at <= now);
        let (addr, newcomer) = self.all.iter_mut().find(|(_, newcomer)| is_due(newcomer))?;
        newcomer.state = State::Pinged;
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

    /// The `n`th of whose id so many leading bits are zero, as all of ours are.
    fn contact(common_prefix_len: usize, n: u16) -> Contact {
        let mut id = [0; 20];
        id[common_prefix_len / 8] = 0x80 >> (common_prefix_len % 8);
        id[18..].copy_from_slice(&n.to_be_bytes());
        Contact { id: Id(id), addr: addr(n) }
    }

    fn newcomers() -> Newcomers {
        Newcomers::new(Id::ZERO, SILENCE)
    }

    #[test]
    fn whoever_goes_on_sending_is_pinged_only_when_it_is_silent() {
        let mut newcomers = newcomers();
        newcomers.heard(at(0), &contact(0, 1));
        newcomers.heard(at(100), &contact(0, 1));
        assert_eq!(newcomers.next_ping_at(), Some(at(220)));
        assert_eq!(newcomers.take_due(at(219)), None);
        assert_eq!(newcomers.take_due(at(220)), Some(addr(1)));
        assert_eq!((newcomers.take_due(at(220)), newcomers.next_ping_at()), (None, None), "once");
        newcomers.heard(at(221), &contact(0, 1));
        assert_eq!(newcomers.next_ping_at(), Some(at(341)), "its answer came too soon after a query");
    }

    #[test]
    fn whoever_could_not_be_reached_is_left_alone_for_a_while() {
        let mut newcomers = newcomers();
        newcomers.heard(at(0), &contact(0, 1));
        newcomers.refused(at(1), &addr(1));
        assert!(!newcomers.has_refused(at(1), &addr(1)), "another ping than ours failed");
        newcomers.take_due(at(120));
        newcomers.refused(at(130), &addr(1));
        newcomers.heard(at(200), &contact(0, 1));
        assert!(newcomers.has_refused(at(200), &addr(1)));
        assert_eq!(newcomers.next_ping_at(), None);
        let later = at(131) + SILENCE * AFTER_REFUSAL;
        assert!(!newcomers.has_refused(later, &addr(1)));
        newcomers.heard(later, &contact(0, 1));
        assert_eq!(newcomers.next_ping_at(), Some(later + SILENCE));
    }

    #[test]
    fn a_bucket_has_no_more_of_them_than_it_takes() {
        let mut newcomers = newcomers();
        (0..1000).for_each(|n| newcomers.heard(at(0), &contact(0, n)));
        assert_eq!(newcomers.all.len(), K);
        newcomers.heard(at(1), &contact(1, 1000));
        assert_eq!(newcomers.all.len(), K + 1);
        let first = newcomers.take_due(at(120)).unwrap();
        newcomers.heard(at(120), &contact(0, 2000));
        assert!(!newcomers.all.contains_key(&addr(2000)));
        newcomers.refused(at(121), &first);
        newcomers.heard(at(121), &contact(0, 2000));
        assert!(newcomers.all.contains_key(&addr(2000)));
    }

    #[test]
    fn there_are_never_too_many_and_the_closest_stay() {
        let mut newcomers = newcomers();
        (0..1000).for_each(|n| newcomers.heard(at(0), &contact(usize::from(n) % 40, n)));
        assert_eq!(newcomers.all.len(), CAPACITY);
        let closest = newcomers.all.values().filter(|newcomer| newcomer.common_prefix_len >= 30);
        assert_eq!(closest.count(), 10 * K);
        let refused = newcomers.take_due(at(120)).unwrap();
        newcomers.refused(at(120), &refused);
        newcomers.heard(at(121), &contact(1, 2000));
        assert_eq!(newcomers.all.len(), CAPACITY);
        assert!(newcomers.all.contains_key(&addr(2000)), "refusals make room first");
    }
}
