//! The node: where the state machines meet.

mod command;
mod event;
mod maintenance;
mod operation;
mod outbox;
mod parts;
mod publication;
mod server;
mod snapshot;
mod stats;

pub use command::{Command, CommandError, Reply};
pub use event::{Ending, Event, OpId, PingError, Pong};
pub use operation::MAX_PUT_VALUE_LEN;
pub use stats::Stats;

use crate::config::{Config, ConfigError};
use crate::id::{Contact, Id};
use crate::krpc::{Body, MalformedResponse, Message, Response, TransactionId};
use crate::rng::{Purpose as Stream, Rng};
use crate::time::Instant;
use crate::timer::Timer;
use crate::transaction::{Due, Transaction};
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use command::check_value;
use core::net::SocketAddr;
use core::time::Duration;
use maintenance::Maintenance;
use operation::{Failure, Join, Kind, Operations, Over};
use parts::{Parts, Purpose};
use publication::Publications;
use server::Server;
use snapshot::Snapshot;

/// Bootstrap contacts that a node remembers.
const MAX_BOOTSTRAP: usize = 64;

/// One node of the network, without clock, socket or thread.
///
/// Feed it time, datagrams and commands; after each, poll what it wants sent, what happened, and
/// when it wants to be woken. The [front page](crate) shows the loop.
#[derive(Debug)]
pub struct Node {
    parts: Parts,
    server: Server,
    operations: Operations,
    publications: Publications,
    maintenance: Maintenance,
}

impl Node {
    /// A node with a new id that knows nobody.
    ///
    /// All its randomness comes from `seed`, secrets among it: 32 unpredictable bytes, other ones at
    /// each start. Fails where [`Config::validate`] does.
    pub fn new(config: Config, seed: [u8; 32], now: Instant) -> Result<Node, ConfigError> {
        Node::with_snapshot(config, &Snapshot::default(), Duration::ZERO, seed, now)
    }

    /// The node that made `snapshot`, after it was down for `downtime`.
    ///
    /// Its id stays the same unless [`Config::version`] has changed. It pings the contacts that it
    /// had and looks its neighbourhood up; values and publications have aged by `downtime`. What
    /// today's limits have no room for is left out. An unreadable snapshot is a
    /// [`ConfigError::Snapshot`]; the rest is as with [`new`](Self::new).
    pub fn restore(
        config: Config,
        snapshot: &[u8],
        downtime: Duration,
        seed: [u8; 32],
        now: Instant,
    ) -> Result<Node, ConfigError> {
        let snapshot = Snapshot::decode(snapshot).map_err(ConfigError::Snapshot)?;
        Node::with_snapshot(config, &snapshot, downtime, seed, now)
    }

    fn with_snapshot(
        config: Config,
        snapshot: &Snapshot,
        downtime: Duration,
        seed: [u8; 32],
        now: Instant,
    ) -> Result<Node, ConfigError> {
        config.validate()?;
        let kept = snapshot.id.filter(|id| id.0.ends_with(&config.version) && *id != Id::ZERO);
        let id = kept.unwrap_or_else(|| {
            let mut id = Id(Rng::new(seed, Stream::NodeId).bytes());
            id.0[16..].copy_from_slice(&config.version);
            id
        });
        let mut node = Node {
            parts: Parts::new(config, id, seed, now),
            server: Server::default(),
            operations: Operations::default(),
            publications: Publications::default(),
            maintenance: Maintenance::default(),
        };
        node.maintenance.start(&mut node.parts);
        node.take_back(snapshot, downtime);
        Ok(node)
    }

    fn take_back(&mut self, snapshot: &Snapshot, downtime: Duration) {
        let parts = &mut self.parts;
        self.publications.hold_for(parts, parts.config.upkeep.republish_spacing);
        for (key, value, source, age) in &snapshot.values {
            parts.store.restore(parts.now, *key, value, *source, age.saturating_add(downtime));
        }
        let publishable = snapshot.publications.iter().filter(|(_, value, _)| check_value(value).is_ok());
        for (key, value, until) in publishable.take(parts.config.limits.publications) {
            let until = until.saturating_sub(downtime).min(parts.config.upkeep.republish_after);
            let due = parts.now + until;
            self.publications.set_due(parts, (*key, value.clone()), due);
        }
        let usable = snapshot.contacts.iter().filter(|contact| parts.allows(&contact.addr));
        let contacts: Vec<Contact> = usable.copied().take(parts.config.limits.pings).collect();
        if !contacts.is_empty() {
            self.maintenance.remember_earlier(&contacts);
            self.start(Kind::Join(Join::back_through(contacts)), true);
        }
    }

    /// Our id.
    pub fn id(&self) -> Id {
        self.parts.id
    }

    /// A datagram came. Whatever it holds, the work is bounded and nothing fails.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        self.advance(now);
        self.parts.stats.datagrams_received += 1;
        match Message::decode(datagram) {
            Err(_) => self.parts.stats.malformed += 1,
            Ok(Message { transaction_id, body: Body::Query(query) }) => {
                self.server.handle_query(&mut self.parts, from, transaction_id, query, datagram.len());
            }
            Ok(Message { transaction_id, body: Body::Response(response) }) => {
                self.handle_response(from, &transaction_id, response);
            }
            Ok(Message { transaction_id, body: Body::Error(code, _) }) => {
                if let Some(transaction) = self.answered_request(&transaction_id, &from) {
                    self.request_failed(&transaction_id, &transaction, Failure::Error(code));
                }
            }
        }
        self.requests_changed();
    }

    /// A datagram to `to` could not be delivered, as the driver has heard (ICMP): the requests
    /// there fail now instead of later.
    pub fn handle_unreachable(&mut self, now: Instant, to: SocketAddr) {
        self.advance(now);
        while let Some((id, transaction)) = self.parts.transactions.take_unreachable(&to) {
            self.request_failed(&id, &transaction, Failure::TimedOut);
        }
        self.requests_changed();
    }

    /// Time has passed: does what was due by `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    /// Appends one datagram's payload to `out` and returns where it goes; `None`: nothing to send.
    #[must_use = "the datagram is in no queue any more"]
    pub fn poll_transmit(&mut self, out: &mut BytesMut) -> Option<SocketAddr> {
        self.parts.outbox.pop(out)
    }

    /// What happened, oldest first.
    #[must_use = "the event is in no queue any more"]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.parts.events.pop()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next, if no datagram or command comes
    /// before. O(1).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.parts.timers.next()
    }

    /// The values published, each with its key.
    pub fn publications(&self) -> impl Iterator<Item = (Id, &Bytes)> {
        self.publications.iter().map(|((key, value), _)| (*key, value))
    }

    /// The address that others agree we have, in each family.
    pub fn outside_addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.parts.outside.iter().filter_map(|votes| votes.believed())
    }

    /// All contacts in the routing tables.
    pub fn contacts(&self) -> impl Iterator<Item = Contact> + '_ {
        self.parts.tables.iter().flat_map(|table| table.iter()).map(|(contact, _)| contact)
    }

    /// What [`restore`](Self::restore) needs: id, contacts, publications, and the values of others.
    pub fn snapshot(&self) -> Bytes {
        Snapshot::encode(self)
    }

    /// Counters and sizes.
    pub fn stats(&self) -> Stats {
        let parts = &self.parts;
        Stats {
            contacts_ipv4: parts.tables[0].len(),
            contacts_ipv6: parts.tables[1].len(),
            contacts_restored: self.maintenance.earlier().len(),
            keys: parts.store.keys(),
            values: parts.store.len(),
            store_bytes: parts.store.bytes(),
            transactions: parts.transactions.len(),
            operations: self.operations.len() + parts.events.finals(),
            upkeep_operations: self.operations.upkeep(),
            publications: self.publications.len(),
            outbox: parts.outbox.len(),
            events: parts.events.len(),
            ..parts.stats
        }
    }

    /// Panics if something does not hold that always must; for tests and simulators.
    pub fn check_invariants(&self) {
        let (parts, limits) = (&self.parts, &self.parts.config.limits);
        parts.tables.iter().for_each(|table| table.check_invariants());
        let stats = self.stats();
        assert!(stats.transactions <= limits.transactions);
        assert!(parts.pinging.len() <= limits.pings);
        assert!(stats.outbox <= limits.outbox_datagrams);
        assert!(stats.operations <= limits.operations);
        assert!(stats.events <= limits.progress_events.saturating_add(limits.operations));
        assert!(stats.publications <= limits.publications);
        assert!(stats.store_bytes <= limits.store_bytes);
        assert!(self.server.waiting() <= limits.waiting_for_proof);
        assert!(self.poll_timeout().is_none_or(|at| at > parts.now), "what was due has been done");
    }

    /// Takes the time and fires what is due, in order.
    fn advance(&mut self, now: Instant) {
        self.parts.now = self.parts.now.max(now.min(Instant::LATEST));
        while let Some(timer) = self.parts.timers.take_due(self.parts.now) {
            match timer {
                Timer::Request => self.fire_requests(),
                Timer::Operation => self.fire_operations(),
                Timer::RePing => self.fire_re_pings(),
                Timer::Newcomer => self.fire_newcomers(),
                Timer::Checkpoint => self.fire_checkpoint(),
                Timer::Republish => self.fire_republish(),
                Timer::Rejoin => self.fire_rejoin(),
            }
        }
    }

    fn fire_requests(&mut self) {
        while let Some((id, due)) = self.parts.transactions.take_due(self.parts.now) {
            match due {
                Due::Resend { to, datagram, purpose } => self.request_late(&to, &datagram, purpose),
                Due::Failed(transaction) => self.request_failed(&id, &transaction, Failure::TimedOut),
            }
        }
        self.requests_changed();
    }

    fn fire_operations(&mut self) {
        while let Some(over) = self.operations.take_out_of_time(&mut self.parts) {
            self.operation_over(over);
        }
        self.schedule_operations();
        self.requests_changed();
    }

    fn handle_response(
        &mut self,
        from: SocketAddr,
        id: &TransactionId,
        response: Result<Response<'_>, MalformedResponse>,
    ) {
        let Some(transaction) = self.answered_request(id, &from) else {
            return;
        };
        let (to, method) = (transaction.to, transaction.method);
        let response = match response {
            Ok(response) if response.id != to.id && to.id != Id::ZERO => {
                self.parts.contact_replaced(&to);
                return self.request_failed(id, &transaction, Failure::BadAnswer);
            }
            Ok(response) if response.answers(method) => response,
            _ => return self.request_failed(id, &transaction, Failure::BadAnswer),
        };
        let contact = Contact { id: response.id, addr: from };
        self.parts.contact_answered(contact, &transaction);
        if let Some(reported) = reported_address(&response) {
            self.parts.seen_at(from, reported);
        }
        if let Purpose::Operation(op) = transaction.purpose {
            self.operations.settle(op, id);
            let over = self.operations.answered(&mut self.parts, op, &contact, method, &response);
            self.operation_over(over);
        }
    }

    /// The request that an answer from `from` ends. Whatever the answer says, `from` has proved
    /// that it receives what is sent to it.
    fn answered_request(&mut self, id: &TransactionId, from: &SocketAddr) -> Option<Transaction<Purpose>> {
        let Some(transaction) = self.parts.transactions.finish(id, from) else {
            self.parts.stats.unsolicited += 1;
            return None;
        };
        self.parts.proofs.prove(self.parts.now, *from);
        if let Some(took) = transaction.round_trip(self.parts.now) {
            self.parts.round_trips.answered(took);
        }
        if transaction.purpose == Purpose::Ping {
            self.parts.pinging.remove(from);
            self.server.proved(&mut self.parts, from);
        }
        Some(transaction)
    }

    fn request_late(&mut self, to: &Contact, datagram: &Bytes, purpose: Purpose) {
        self.parts.round_trips.late();
        self.parts.resend(to.addr, datagram);
        if let Purpose::Operation(op) = purpose
            && self.parts.config.lookup.passes_over()
        {
            let over = self.operations.late(&mut self.parts, op, to);
            self.operation_over(over);
        }
    }

    fn request_failed(&mut self, id: &TransactionId, transaction: &Transaction<Purpose>, failure: Failure) {
        let Transaction { to, method, purpose, .. } = transaction;
        self.parts.stats.requests_failed += 1;
        // A token grown old is no fault of its giver, and a request that was not sent as often as it
        // might have been tells little.
        let tells_little = self.parts.config.lookup.prefer_sound
            && failure == Failure::TimedOut
            && transaction.was_given_up();
        if failure != Failure::Error(crate::krpc::ErrorCode::InvalidToken) && !tells_little {
            self.parts.contact_failed(to);
        }
        match purpose {
            Purpose::Ping => {
                self.parts.pinging.remove(&to.addr);
                self.parts.newcomer_failed(&to.addr);
                self.server.unproved(&to.addr);
            }
            Purpose::Operation(op) => {
                self.operations.settle(*op, id);
                let over = self.operations.failed(&mut self.parts, *op, to, *method, failure);
                self.operation_over(over);
            }
        }
    }

    fn start(&mut self, kind: Kind, is_upkeep: bool) -> OpId {
        let (op, over) = self.operations.start(&mut self.parts, kind, is_upkeep);
        self.operation_over(over);
        self.schedule_operations();
        self.requests_changed();
        op
    }

    /// What follows for the node itself from an operation that is over.
    fn operation_over(&mut self, over: Option<Over>) {
        let Some(Over { event, put, was_refresh }) = over else {
            return;
        };
        match event {
            Event::JoinFinished { contacts, .. } => self.joined(contacts),
            Event::PutFinished { .. } => {
                if let Some((item, found)) = put {
                    self.publications.stored(&mut self.parts, item, &found);
                    // Another may have come due meanwhile.
                    self.fire_republish();
                }
            }
            // Another may have been waiting for this one.
            Event::FindNodeFinished { .. } if was_refresh => self.refresh(),
            _ => {}
        }
        self.schedule_operations();
    }

    /// Requests have begun or ended: operations for which there was no room go on if there is now.
    fn requests_changed(&mut self) {
        let mut resumed = None;
        while let Some((op, over)) = self.operations.resume_next(&mut self.parts, resumed) {
            self.operation_over(over);
            resumed = Some(op);
        }
        self.parts.timers.set(Timer::Request, self.parts.transactions.next_deadline());
    }

    fn schedule_operations(&mut self) {
        self.parts.timers.set(Timer::Operation, self.operations.next_deadline());
    }
}

/// Where the responder saw our query come from.
fn reported_address(response: &Response<'_>) -> Option<SocketAddr> {
    if let Some(ip) = response.ip {
        return Some(ip.0);
    }
    let text = core::str::from_utf8(response.ip_addr?).ok()?;
    Some(SocketAddr::new(text.parse().ok()?, response.port?))
}
