//! Outstanding requests: what was asked of whom, and when to ask again or give up.

use crate::config::Retransmission;
use crate::id::Contact;
use crate::krpc::{Method, TransactionId};
use crate::map::{HashKey, KeyedMap};
use crate::time::Instant;
use alloc::collections::BTreeSet;
use bytes::Bytes;
use core::net::SocketAddr;
use core::time::Duration;

/// A request that is about to become outstanding. `P` is what its answer is for.
#[derive(Clone, Debug)]
pub struct Request<P> {
    /// Marks the answer.
    pub id: TransactionId,
    /// Who is asked; the id is zero if it is not known yet.
    pub to: Contact,
    /// What is asked.
    pub method: Method,
    /// What to send again; empty if it is sent but once.
    pub datagram: Bytes,
    /// When to send it again, and when it has failed.
    pub schedule: Retransmission,
    /// What the answer is for.
    pub purpose: P,
}

/// An outstanding request.
#[derive(Clone, Debug)]
pub struct Transaction<P> {
    /// Who was asked; the id is zero if it is not known yet.
    pub to: Contact,
    /// What was asked: says what a response must carry.
    pub method: Method,
    /// What the answer is for.
    pub purpose: P,
    /// When it was first transmitted.
    started: Instant,
    datagram: Bytes,
    /// When it is sent again.
    resend_at: [Option<Instant>; 3],
    fails_at: Instant,
    /// Until when an answer comes no later than a lookup waits in any case.
    timely_until: Instant,
    transmissions: u8,
    /// Whether it may be sent again.
    resends: bool,
    /// Where it stands in the order of deadlines.
    deadline: Deadline,
}

/// The order of deadlines: ties go to the request begun first.
type Deadline = (Instant, u64, TransactionId);

/// What a deadline asks for.
#[derive(Debug)]
pub enum Due<P> {
    /// The same bytes again; an answer to the first ones was due by now.
    Resend {
        /// Who is asked.
        to: Contact,
        /// What was sent before.
        datagram: Bytes,
        /// What the answer is for.
        purpose: P,
    },
    /// It has failed, and is forgotten.
    Failed(Transaction<P>),
}

/// All outstanding requests, up to a bound.
#[derive(Debug)]
pub struct Transactions<P> {
    by_id: KeyedMap<TransactionId, Transaction<P>>,
    deadlines: BTreeSet<Deadline>,
    by_addr: BTreeSet<(SocketAddr, TransactionId)>,
    begun: u64,
    capacity: usize,
}

impl<P: Copy> Transactions<P> {
    /// None yet, `capacity` at most.
    pub fn new(capacity: usize, key: HashKey) -> Transactions<P> {
        Transactions {
            by_id: KeyedMap::new(key),
            deadlines: BTreeSet::new(),
            by_addr: BTreeSet::new(),
            begun: 0,
            capacity,
        }
    }

    /// How many more there may be.
    pub fn free(&self) -> usize {
        self.capacity.saturating_sub(self.by_id.len())
    }

    /// How many are outstanding.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Notes a request that has just been sent. The caller checks [`free`](Self::free) first.
    pub fn begin(&mut self, now: Instant, request: Request<P>) {
        let Request { id, to, method, datagram, schedule, purpose } = request;
        let mut transaction = Transaction {
            to,
            method,
            purpose,
            started: now,
            resends: !datagram.is_empty(),
            datagram,
            resend_at: [1, 2, 3].map(|sent| schedule.resend_at(sent).map(|after| now + after)),
            fails_at: now + schedule.fail_after,
            timely_until: now + schedule.soonest_failure.max(schedule.resend_after[0]),
            transmissions: 1,
            deadline: (now, self.begun, id),
        };
        self.begun += 1;
        transaction.deadline.0 = transaction.next_deadline();
        self.deadlines.insert(transaction.deadline);
        self.by_addr.insert((to.addr, id));
        self.by_id.insert(id, transaction);
    }

    /// Ends the request that `id` from exactly this address answers.
    pub fn finish(&mut self, id: &TransactionId, from: &SocketAddr) -> Option<Transaction<P>> {
        self.by_id.get(id).filter(|transaction| transaction.to.addr == *from)?;
        self.remove(id)
    }

    /// The request is not sent again; a late answer still counts until it fails.
    pub fn stop_resending(&mut self, id: &TransactionId) {
        if let Some(transaction) = self.by_id.get_mut(id) {
            self.deadlines.remove(&transaction.deadline);
            transaction.resends = false;
            transaction.deadline.0 = transaction.next_deadline();
            self.deadlines.insert(transaction.deadline);
        }
    }

    /// When something is due next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, ..)| *at)
    }

    /// What is due by now, one at a time.
    pub fn take_due(&mut self, now: Instant) -> Option<(TransactionId, Due<P>)> {
        let deadline = *self.deadlines.first().filter(|(at, ..)| *at <= now)?;
        let id = deadline.2;
        let transaction = self.by_id.get_mut(&id)?;
        if transaction.fails_at <= now {
            return self.remove(&id).map(|transaction| (id, Due::Failed(transaction)));
        }
        self.deadlines.remove(&deadline);
        // After a jump of the clock, transmissions that were missed are not made up for.
        while transaction.next_resend_at().is_some_and(|at| at <= now) {
            transaction.transmissions += 1;
        }
        transaction.deadline.0 = transaction.next_deadline();
        self.deadlines.insert(transaction.deadline);
        let Transaction { to, purpose, .. } = *transaction;
        Some((id, Due::Resend { to, datagram: transaction.datagram.clone(), purpose }))
    }

    /// Forgets a request to `addr` which cannot be reached, and returns it; call until `None`.
    pub fn take_unreachable(&mut self, addr: &SocketAddr) -> Option<(TransactionId, Transaction<P>)> {
        let from_first = (*addr, TransactionId([0; TransactionId::LEN]));
        let (_, id) = *self.by_addr.range(from_first..).next().filter(|(to, _)| to == addr)?;
        self.remove(&id).map(|transaction| (id, transaction))
    }

    fn remove(&mut self, id: &TransactionId) -> Option<Transaction<P>> {
        let transaction = self.by_id.remove(id)?;
        self.deadlines.remove(&transaction.deadline);
        self.by_addr.remove(&(transaction.to.addr, *id));
        Some(transaction)
    }
}

impl<P> Transaction<P> {
    /// How long the answer that comes `now` took, if it is in time: before the request was, or might
    /// have been, sent again, so that it is certain which transmission it answers.
    pub fn round_trip(&self, now: Instant) -> Option<Duration> {
        let in_time = self.transmissions == 1 && now <= self.resend_at[0].unwrap_or(self.fails_at);
        in_time.then(|| now.saturating_duration_since(self.started))
    }

    /// Whether the answer that comes `now` took no longer than a lookup waits in any case.
    pub fn is_timely(&self, now: Instant) -> bool {
        now <= self.timely_until
    }

    /// Whether it was not sent as often as its schedule says.
    pub fn was_given_up(&self) -> bool {
        !self.resends
    }

    /// When it is sent the next time.
    fn next_resend_at(&self) -> Option<Instant> {
        let next = self.resend_at.get(usize::from(self.transmissions) - 1)?;
        next.filter(|_| self.resends)
    }

    fn next_deadline(&self) -> Instant {
        self.next_resend_at().unwrap_or(self.fails_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use crate::rng::{Purpose, Rng};

    const ID: TransactionId = TransactionId([7; 20]);

    fn addr(port: u16) -> SocketAddr {
        ([10, 0, 0, 1], port).into()
    }

    fn one() -> Transactions<()> {
        let mut all = Transactions::new(8, HashKey::new(&mut Rng::new([0; 32], Purpose::HashKey)));
        let to = Contact { id: Id([1; 20]), addr: addr(1) };
        let request = Request {
            id: ID,
            to,
            method: Method::Ping,
            datagram: Bytes::from_static(b"ping"),
            schedule: Retransmission::KHASHMIR_2008,
            purpose: (),
        };
        all.begin(Instant::ORIGIN, request);
        all
    }

    fn at(secs: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(secs)
    }

    #[test]
    fn resends_after_two_and_six_seconds_and_fails_after_nine() {
        let mut all = one();
        for secs in [2, 6] {
            assert_eq!(all.next_deadline(), Some(at(secs)));
            assert!(matches!(all.take_due(at(secs)), Some((_, Due::Resend { .. }))));
            assert!(all.take_due(at(secs)).is_none());
        }
        assert_eq!(all.next_deadline(), Some(at(9)));
        assert!(matches!(all.take_due(at(9)), Some((_, Due::Failed(_)))));
        assert_eq!((all.next_deadline(), all.len()), (None, 0));
    }

    #[test]
    fn only_the_address_that_was_asked_can_answer_and_only_once() {
        let mut all = one();
        assert!(all.finish(&ID, &addr(2)).is_none());
        assert!(all.finish(&ID, &addr(1)).is_some());
        assert!(all.finish(&ID, &addr(1)).is_none());
        assert_eq!(all.next_deadline(), None);
    }

    #[test]
    fn all_requests_to_an_unreachable_address_fail_and_no_others() {
        let mut all = one();
        let to = |port| Contact { id: Id([1; 20]), addr: addr(port) };
        for (n, port) in [(1, 1), (0, 0), (2, 1), (9, 2)] {
            let request = Request {
                id: TransactionId([n; 20]),
                to: to(port),
                method: Method::Ping,
                datagram: Bytes::new(),
                schedule: Retransmission::KHASHMIR_2008,
                purpose: (),
            };
            all.begin(Instant::ORIGIN, request);
        }
        for n in [1, 2, 7] {
            assert_eq!(all.take_unreachable(&addr(1)).map(|(id, _)| id), Some(TransactionId([n; 20])));
        }
        assert!(all.take_unreachable(&addr(1)).is_none());
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn one_that_lost_its_place_is_not_sent_again_but_waits_for_its_answer() {
        let mut all = one();
        all.stop_resending(&ID);
        assert_eq!(all.next_deadline(), Some(at(9)));
        assert!(all.finish(&ID, &addr(1)).is_some());
    }

    #[test]
    fn a_jump_of_the_clock_does_not_make_up_for_missed_transmissions() {
        let mut all = one();
        assert!(matches!(all.take_due(at(8)), Some((_, Due::Resend { .. }))));
        assert_eq!(all.next_deadline(), Some(at(9)));
    }
}
