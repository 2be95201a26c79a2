//! What the server, the operations and the upkeep of a node share: the state machines of layer
//! three, and the ways to send and to take in what a contact did.

use super::event::{Event, Events, OpId};
use super::outbox::Outbox;
use super::stats::Stats;
use crate::config::{Admission, Config};
use crate::id::{Contact, Id};
use crate::krpc::{Call, Query, TransactionId};
use crate::limit::{Proofs, QueryBudget};
use crate::map::{HashKey, KeyedMap};
use crate::newcomers::Newcomers;
use crate::outside::OutsideVotes;
use crate::prefix::NetworkPrefix;
use crate::rng::{Purpose as Stream, Rng};
use crate::round_trip::RoundTrips;
use crate::routing::{Answer, Room, RoutingTable};
use crate::store::Store;
use crate::time::Instant;
use crate::timer::{Timer, Timers};
use crate::token::Tokens;
use crate::transaction::{Request, Transaction, Transactions};
use bytes::{Bytes, BytesMut};
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use core::num::NonZeroU32;
use core::time::Duration;

/// What the answer to a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// An operation waits for it.
    Operation(OpId),
    /// To see whether somebody is there: a stranger, or a contact in the table.
    Ping,
}

/// One of the two networks that a node is in (BEP 32).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    pub(super) const ALL: [Family; 2] = [Family::Ipv4, Family::Ipv6];

    pub(super) fn of(addr: &SocketAddr) -> Family {
        if addr.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
    }

    /// Stands for our own address in lookups.
    pub(super) fn unspecified(self) -> SocketAddr {
        match self {
            Family::Ipv4 => (Ipv4Addr::UNSPECIFIED, 0).into(),
            Family::Ipv6 => (Ipv6Addr::UNSPECIFIED, 0).into(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Rngs {
    pub(super) transaction_id: Rng,
    pub(super) token: Rng,
    pub(super) sample: Rng,
    pub(super) refresh: Rng,
    pub(super) jitter: Rng,
}

#[derive(Debug)]
pub(super) struct Parts {
    pub(super) config: Config,
    pub(super) id: Id,
    pub(super) now: Instant,
    pub(super) rngs: Rngs,
    pub(super) tables: [RoutingTable; 2],
    pub(super) transactions: Transactions<Purpose>,
    /// Addresses with a ping of [`Purpose::Ping`] outstanding.
    pub(super) pinging: KeyedMap<SocketAddr, TransactionId>,
    pub(super) round_trips: RoundTrips,
    pub(super) newcomers: Newcomers,
    pub(super) tokens: Tokens,
    pub(super) store: Store,
    pub(super) proofs: Proofs,
    pub(super) budget: QueryBudget,
    pub(super) outside: [OutsideVotes; 2],
    pub(super) outbox: Outbox,
    pub(super) events: Events,
    /// Not before this is the next contact pinged again.
    pub(super) re_ping_from: Instant,
    pub(super) timers: Timers,
    pub(super) stats: Stats,
}

impl Parts {
    pub(super) fn new(config: Config, id: Id, seed: [u8; 32], now: Instant) -> Parts {
        let now = now.min(Instant::LATEST);
        let mut hash_keys = Rng::new(seed, Stream::HashKey);
        let mut key = || HashKey::new(&mut hash_keys);
        let mut token = Rng::new(seed, Stream::TokenSecret);
        let limits = config.limits;
        Parts {
            tables: [(); 2].map(|()| RoutingTable::new(id, config.upkeep, &config.lookup, now)),
            transactions: Transactions::new(limits.transactions, key()),
            pinging: KeyedMap::new(key()),
            round_trips: RoundTrips::default(),
            newcomers: Newcomers::new(id, config.upkeep.nat_timeout),
            tokens: Tokens::new(&mut token),
            store: Store::new(&limits, config.upkeep.value_lifetime, key()),
            proofs: Proofs::new(&limits, key()),
            budget: QueryBudget::new(&limits, config.upkeep.nat_timeout, key()),
            outside: [(); 2].map(|()| OutsideVotes::new(limits.outside_votes)),
            outbox: Outbox::new(limits.outbox_datagrams),
            events: Events::new(&limits),
            re_ping_from: now,
            timers: Timers::default(),
            stats: Stats::default(),
            rngs: Rngs {
                transaction_id: Rng::new(seed, Stream::TransactionId),
                token,
                sample: Rng::new(seed, Stream::Sample),
                refresh: Rng::new(seed, Stream::Refresh),
                jitter: Rng::new(seed, Stream::Jitter),
            },
            config,
            id,
            now,
        }
    }

    pub(super) fn table(&mut self, addr: &SocketAddr) -> &mut RoutingTable {
        &mut self.tables[Family::of(addr) as usize]
    }

    /// Whether datagrams of ours may go to `addr`.
    pub(super) fn allows(&self, addr: &SocketAddr) -> bool {
        addr.port() != 0 && self.config.allows(&addr.ip())
    }

    /// Whether rules that count per IP or per prefix apply to `addr`.
    pub(super) fn counts(&self, addr: &SocketAddr) -> bool {
        self.config.counts(&addr.ip())
    }

    /// Longest payload that may go to `addr`.
    pub(super) fn max_datagram(&self, addr: &SocketAddr) -> usize {
        let limits = &self.config.limits;
        usize::from(if addr.is_ipv4() { limits.datagram_ipv4 } else { limits.datagram_ipv6 })
    }

    /// Whether one more query can be sent now.
    pub(super) fn has_room(&self) -> bool {
        self.transactions.free() > 0 && !self.outbox.is_full()
    }

    /// Sends a query that is sent again until it is answered or fails. `None`: it could not be sent.
    pub(super) fn query(&mut self, purpose: Purpose, to: Contact, call: Call<'_>) -> Option<TransactionId> {
        if self.transactions.free() == 0 {
            self.stats.requests_refused += 1;
            return None;
        }
        self.send_query(purpose, to, call, true).map(|(id, _)| id)
    }

    /// Pings whoever is at `to.addr`, unless a ping is under way there, or too many are in all.
    /// `resends`: whether it is sent again until it is answered or fails. Returns the length of the
    /// datagram; `None`: it was not sent.
    pub(super) fn ping(&mut self, to: Contact, resends: bool) -> Option<usize> {
        let limits = &self.config.limits;
        let too_many =
            self.pinging.len() >= limits.pings || self.transactions.free() <= limits.transactions / 4;
        if !self.allows(&to.addr) || self.pinging.get(&to.addr).is_some() {
            return None;
        }
        if too_many || self.outbox.is_busy() {
            self.stats.requests_refused += 1;
            return None;
        }
        let (id, len) = self.send_query(Purpose::Ping, to, Call::Ping, resends)?;
        self.pinging.insert(to.addr, id);
        Some(len)
    }

    /// Forgets the ping `id` to `addr`. Returns whether it was outstanding.
    pub(super) fn give_up_ping(&mut self, id: &TransactionId, addr: &SocketAddr) -> bool {
        let given_up = self.transactions.finish(id, addr).is_some();
        if given_up {
            self.pinging.remove(addr);
            self.stats.requests_failed += 1;
        }
        given_up
    }

    fn send_query(
        &mut self,
        purpose: Purpose,
        to: Contact,
        call: Call<'_>,
        resends: bool,
    ) -> Option<(TransactionId, usize)> {
        let id = TransactionId(self.rngs.transaction_id.bytes());
        let query = Query { id: self.id, call };
        let mut datagram = BytesMut::new();
        let len = self.send(to.addr, usize::MAX, |out| {
            let start = out.len();
            query.encode(id, out);
            if resends {
                datagram.extend_from_slice(&out[start..]);
            }
        })?;
        self.stats.requests_sent += 1;
        let request = Request {
            id,
            to,
            method: call.method(),
            datagram: datagram.freeze(),
            schedule: self.round_trips.schedule(&self.config.lookup.retransmission),
            purpose,
        };
        self.transactions.begin(self.now, request);
        Some((id, len))
    }

    /// Sends the same bytes again.
    pub(super) fn resend(&mut self, to: SocketAddr, datagram: &Bytes) {
        self.stats.retransmissions += 1;
        self.send(to, usize::MAX, |out| out.extend_from_slice(datagram));
    }

    /// Queues what `write` appends, of at most `budget` bytes. Returns its length, `None` if it was
    /// dropped.
    pub(super) fn send(
        &mut self,
        to: SocketAddr,
        budget: usize,
        write: impl FnOnce(&mut BytesMut),
    ) -> Option<usize> {
        let max_len = self.max_datagram(&to).min(budget);
        let len = self.outbox.push(to, max_len, write);
        match len {
            Some(_) => self.stats.datagrams_sent += 1,
            None => self.stats.outbox_overflows += 1,
        }
        len
    }

    pub(super) fn emit(&mut self, event: Event) {
        if !self.events.push(event) {
            self.stats.events_dropped += 1;
        }
    }

    /// `contact` queried us. Returns whether the table may have a place for it, so that it is
    /// worth a ping.
    pub(super) fn was_queried_by(&mut self, contact: Contact) -> bool {
        if !self.allows(&contact.addr) {
            return false;
        }
        let (now, counted) = (self.now, self.counts(&contact.addr));
        if self.config.lookup.admission == Admission::Query {
            self.table(&contact.addr).assume(now, contact, counted);
            self.schedule_re_ping();
        }
        let room = self.table(&contact.addr).room(now, &contact, counted);
        if room != Room::None {
            // What it answers next may come through the hole that this made in its NAT.
            self.budget.remember(&contact.addr.ip());
            self.table(&contact.addr).was_queried_by(now, &contact);
        }
        let has_room = !matches!(room, Room::Known | Room::None);
        // Who has not proved its address is pinged at once for that; then this goes on below.
        if has_room && self.proofs.is_proved(now, &contact.addr) && self.needs_silence(&contact.addr) {
            self.newcomers.heard(now, &contact);
            self.schedule_newcomers();
            return false;
        }
        has_room
    }

    /// Whether only an answer to a query out of the blue makes a contact of `addr`. Where addresses
    /// are not counted, there is no NAT to think of.
    fn needs_silence(&self, addr: &SocketAddr) -> bool {
        self.config.lookup.admission == Admission::Reach
            && self.tables[Family::of(addr) as usize].is_settled()
    }

    /// `contact` answered a query of ours rightly.
    pub(super) fn contact_answered(&mut self, contact: Contact, transaction: &Transaction<Purpose>) {
        if !self.allows(&contact.addr) {
            return;
        }
        let (now, counted) = (self.now, self.counts(&contact.addr));
        let silent_since = now.saturating_sub(self.config.upkeep.nat_timeout);
        let reached = self.config.lookup.admission != Admission::Reach
            || !counted
            || !self.budget.has_queried(silent_since, &contact.addr.ip());
        if !reached && self.needs_silence(&contact.addr) {
            match self.table(&contact.addr).room(now, &contact, counted) {
                Room::Known => {}
                Room::None => return self.newcomers.forget(&contact.addr),
                Room::Free | Room::AfterPing(_) | Room::InsteadOf(_) => {
                    self.newcomers.heard(now, &contact);
                    return self.schedule_newcomers();
                }
            }
        }
        self.newcomers.forget(&contact.addr);
        let micros = |took: Duration| u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let round_trip_micros = transaction.round_trip(now).map(micros).and_then(NonZeroU32::new);
        let timely = transaction.is_timely(now);
        let answer = Answer { contact, counted, reached, timely, round_trip_micros };
        let oldest = self.table(&contact.addr).answered(now, answer);
        self.schedule_re_ping();
        if let Some(oldest) = oldest {
            self.ping(oldest, true);
        }
    }

    /// How many are known.
    pub(super) fn contacts(&self) -> usize {
        self.tables.iter().map(RoutingTable::len).sum()
    }

    /// Whether there is reason to believe that `contact` will not answer.
    pub(super) fn doubts(&self, contact: &Contact) -> bool {
        self.config.lookup.passes_over()
            && (self.newcomers.has_refused(self.now, &contact.addr)
                || self.tables[Family::of(&contact.addr) as usize].doubts(contact))
    }

    /// A query of ours to `contact` failed.
    pub(super) fn contact_failed(&mut self, contact: &Contact) {
        let now = self.now;
        self.table(&contact.addr).failed(now, contact);
        self.schedule_re_ping();
    }

    /// Another than `contact` answered in its place.
    pub(super) fn contact_replaced(&mut self, contact: &Contact) {
        self.table(&contact.addr).remove(contact);
        self.schedule_re_ping();
    }

    /// `voter`, whom we asked, says that we are at `reported`.
    pub(super) fn seen_at(&mut self, voter: SocketAddr, reported: SocketAddr) {
        // Who was reached over one network cannot have seen us in the other.
        let seen = reported.is_ipv4() == voter.is_ipv4();
        if !seen || reported.port() == 0 || !self.config.allows(&reported.ip()) {
            return;
        }
        let ip = voter.ip();
        let voter = if self.counts(&voter) { NetworkPrefix::of(&ip) } else { NetworkPrefix::exact(&ip) };
        let votes = &mut self.outside[Family::of(&reported) as usize];
        let before = votes.believed();
        votes.vote(voter, reported);
        if let Some(addr) = votes.believed().filter(|addr| before != Some(*addr)) {
            self.emit(Event::OutsideAddressChanged { addr });
        }
    }

    /// Whether `contact` is ourselves.
    pub(super) fn is_self(&self, contact: &Contact) -> bool {
        let believed = self.outside[Family::of(&contact.addr) as usize].believed();
        contact.id == self.id || believed == Some(contact.addr)
    }

    /// Whoever is at `addr` did not answer a ping.
    pub(super) fn newcomer_failed(&mut self, addr: &SocketAddr) {
        self.newcomers.refused(self.now, addr);
    }

    pub(super) fn schedule_newcomers(&mut self) {
        self.timers.set(Timer::Newcomer, self.newcomers.next_ping_at());
    }

    pub(super) fn schedule_re_ping(&mut self) {
        let next = self.tables.iter().filter_map(RoutingTable::next_ping_at).min();
        self.timers.set(Timer::RePing, next.map(|next| next.max(self.re_ping_from)));
    }
}
