//! Finding all nodes of the network, as the walker of the 2008 papers did.
//!
//! A [`Walk`] asks every node that it hears of for the contacts in its table, bucket by bucket, until
//! it hears of no new ones. It does so as a stranger: from a socket of its own, answering nobody's
//! ping, so that no node takes it for one of the network and none is counted as reachable because it
//! knew us before. Who answers can be reached by anyone. Who is named by nodes that answer, but is
//! silent, is behind a NAT or gone: several nodes do not agree for long on one that is gone.
//!
//! The state machine does no I/O: time, randomness and datagrams are arguments.

mod report;
mod sockets;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use khashmir::krpc::{Body, Call, Contacts, Message, Query, Response, TransactionId};
use khashmir::rng::Rng;
use khashmir::{Config, Contact, Id};

pub use report::{Advance, FoundNode, Reach, Report};
pub use sockets::walk;

/// Nodes that are remembered; who would have us believe in more than that does not exist.
pub const MAX_NODES: usize = 65_536;
/// Nodes at one IP address, unless the configuration has its network uncounted or local.
const MAX_PER_IP: usize = 4;
/// Requests that wait for an answer.
const MAX_OUTSTANDING: usize = 256;
/// Who names a node, as far as it matters.
const MAX_NAMERS: usize = 4;
/// When a request is sent again, and when it has failed (protocol, section 3).
const SCHEDULE: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(6), Duration::from_secs(9)];
/// Buckets of a table that are asked for at most: with 2^40 nodes it has no more.
const MAX_BUCKETS: u32 = 40;
/// Empty buckets in a row after which those closer to the node's own id are empty, too.
const EMPTY_ENOUGH: u32 = 2;

/// A walk under way.
#[derive(Debug)]
pub struct Walk {
    config: Config,
    rng: Rng,
    /// The id that queries show.
    id: Id,
    /// The time between two queries.
    pace: Duration,
    started: Instant,
    next_send: Instant,
    nodes: Vec<Node>,
    by_address: HashMap<SocketAddr, usize>,
    per_ip: HashMap<IpAddr, usize>,
    /// Whom to ask for what next.
    queue: VecDeque<(usize, Target)>,
    outstanding: HashMap<TransactionId, Outstanding>,
    /// When to look at which of them again.
    due: BinaryHeap<Reverse<(Instant, [u8; 20])>>,
    datagrams_sent: u64,
    not_allowed: u64,
}

#[derive(Debug)]
struct Node {
    contact: Contact,
    /// Addresses of nodes that name it; the daemon's own table counts as one.
    namers: Vec<IpAddr>,
    state: State,
    empty_buckets: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has not answered yet.
    Unknown,
    /// It answered so soon.
    Reachable(Duration),
    /// It did not answer.
    Silent,
}

/// What a node is asked for: whom it knows closest to an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// Its own.
    Itself,
    /// One in a half of the bucket whose ids share so many leading bits with its own.
    Half(u32, bool),
}

#[derive(Debug)]
struct Outstanding {
    node: usize,
    target: Target,
    first_sent: Instant,
    /// Transmissions so far, at least one.
    sent: usize,
}

impl Walk {
    /// A walk that begins with these contacts, known to be in the network, and sends so many
    /// queries in a second. `config` says which addresses may be asked.
    #[must_use]
    pub fn new(config: Config, seeds: &[Contact], per_second: u32, mut rng: Rng, now: Instant) -> Self {
        let mut id = Id(rng.bytes());
        id.0[16..].copy_from_slice(&config.version);
        let mut walk = Self {
            config,
            rng,
            id,
            pace: Duration::from_secs(1) / per_second.max(1),
            started: now,
            next_send: now,
            nodes: Vec::new(),
            by_address: HashMap::new(),
            per_ip: HashMap::new(),
            queue: VecDeque::new(),
            outstanding: HashMap::new(),
            due: BinaryHeap::new(),
            datagrams_sent: 0,
            not_allowed: 0,
        };
        for seed in seeds {
            walk.heard_of(*seed, None);
        }
        walk
    }

    /// Whether there is nobody left to ask.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.queue.is_empty() && self.outstanding.is_empty()
    }

    /// Appends the next datagram to send now to `out`, and says where it goes.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut BytesMut) -> Option<SocketAddr> {
        if self.next_send > now {
            return None;
        }
        let (transaction_id, to) = self.resend(now).or_else(|| self.ask_next(now))?;
        let outstanding = self.outstanding.get(&transaction_id)?;
        let node = self.nodes.get(outstanding.node)?;
        let target = outstanding.target.of(&node.contact.id);
        Query { id: self.id, call: Call::FindNode { target } }.encode(transaction_id, out);
        self.next_send = now.max(self.next_send + self.pace);
        self.datagrams_sent += 1;
        Some(to)
    }

    /// When there is something to do without a datagram.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let may_ask = !self.queue.is_empty() && self.outstanding.len() < MAX_OUTSTANDING;
        let ask = may_ask.then_some(self.next_send);
        let due = self.due.peek().map(|Reverse((at, _))| (*at).max(self.next_send));
        ask.into_iter().chain(due).min()
    }

    /// A datagram came.
    pub fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let Ok(Message { transaction_id, body }) = Message::decode(datagram) else { return };
        let is_ours = |outstanding: &Outstanding| {
            self.nodes.get(outstanding.node).is_some_and(|node| node.contact.addr == from)
        };
        if !self.outstanding.get(&transaction_id).is_some_and(is_ours) {
            return;
        }
        let Some(asked) = self.outstanding.remove(&transaction_id) else { return };
        let Some(node) = self.nodes.get_mut(asked.node) else { return };
        let Body::Response(Ok(response)) = body else {
            // Somebody is there, but tells nothing.
            if node.state == State::Unknown {
                node.state = State::Reachable(now.saturating_duration_since(asked.first_sent));
            }
            return;
        };
        if node.state == State::Unknown {
            node.state = State::Reachable(now.saturating_duration_since(asked.first_sent));
            // What others call it may be out of date.
            node.contact.id = response.id;
        }
        let own_id = node.contact.id;
        let told = contacts(&response);
        let is_there = |contact: &Contact| match asked.target {
            Target::Itself => true,
            Target::Half(bits, _) => own_id.common_prefix_len(&contact.id) == bits,
        };
        let is_empty = !told.iter().any(is_there);
        node.empty_buckets = if is_empty { node.empty_buckets + 1 } else { 0 };
        if let Some(next) = asked.target.next().filter(|_| node.empty_buckets < 2 * EMPTY_ENOUGH) {
            self.queue.push_back((asked.node, next));
        }
        for contact in told {
            self.heard_of(contact, Some(from.ip()));
        }
    }

    /// What is known so far.
    #[must_use]
    pub fn report(&self, now: Instant) -> Report {
        Report::of(self, now)
    }

    /// A contact was named: by a node at this address, or by our own table.
    fn heard_of(&mut self, contact: Contact, namer: Option<IpAddr>) {
        let namer = namer.unwrap_or(IpAddr::from([0, 0, 0, 0]));
        if let Some(known) = self.by_address.get(&contact.addr).and_then(|index| self.nodes.get_mut(*index)) {
            if known.namers.len() < MAX_NAMERS && !known.namers.contains(&namer) {
                known.namers.push(namer);
            }
            return;
        }
        let ip = contact.addr.ip();
        let nobody = contact.addr.port() == 0 || contact.id == self.id;
        if nobody || !self.config.allows(&ip) {
            self.not_allowed += 1;
            return;
        }
        let at_ip = self.per_ip.entry(ip).or_default();
        if self.config.counts(&ip) && *at_ip >= MAX_PER_IP || self.nodes.len() >= MAX_NODES {
            return;
        }
        *at_ip += 1;
        let index = self.nodes.len();
        self.by_address.insert(contact.addr, index);
        self.nodes.push(Node { contact, namers: vec![namer], state: State::Unknown, empty_buckets: 0 });
        // New ones first, so that their silence is known soon.
        self.queue.push_front((index, Target::Itself));
    }

    /// What is due to be sent again; what has failed is noted.
    fn resend(&mut self, now: Instant) -> Option<(TransactionId, SocketAddr)> {
        while let Some(Reverse((at, id))) = self.due.peek().copied() {
            if at > now {
                return None;
            }
            self.due.pop();
            let id = TransactionId(id);
            let Some(outstanding) = self.outstanding.get_mut(&id) else { continue };
            let Some(node) = self.nodes.get_mut(outstanding.node) else { continue };
            match SCHEDULE.get(outstanding.sent) {
                Some(next) => {
                    outstanding.sent += 1;
                    self.due.push(Reverse((outstanding.first_sent + *next, id.0)));
                    return Some((id, node.contact.addr));
                }
                None => {
                    if node.state == State::Unknown {
                        node.state = State::Silent;
                    }
                    self.outstanding.remove(&id);
                }
            }
        }
        None
    }

    fn ask_next(&mut self, now: Instant) -> Option<(TransactionId, SocketAddr)> {
        if self.outstanding.len() >= MAX_OUTSTANDING {
            return None;
        }
        let (index, target) = self.queue.pop_front()?;
        let to = self.nodes.get(index)?.contact.addr;
        let id = TransactionId(self.rng.bytes());
        self.outstanding.insert(id, Outstanding { node: index, target, first_sent: now, sent: 1 });
        self.due.push(Reverse((now + SCHEDULE[0], id.0)));
        Some((id, to))
    }
}

impl Target {
    /// The id to ask for.
    fn of(self, own: &Id) -> Id {
        let mut id = *own;
        let mut flip = |bit: u32| {
            if let Some(byte) = id.0.get_mut(bit as usize / 8) {
                *byte ^= 0x80 >> (bit % 8);
            }
        };
        if let Self::Half(bits, half) = self {
            flip(bits);
            if half {
                flip(bits + 1);
            }
        }
        id
    }

    /// What to ask the same node for next. A stranger is told few contacts at a time, so each
    /// bucket is asked for in halves.
    fn next(self) -> Option<Self> {
        match self {
            Self::Itself => Some(Self::Half(0, false)),
            Self::Half(bits, false) => Some(Self::Half(bits, true)),
            Self::Half(bits, true) => (bits + 1 < MAX_BUCKETS).then_some(Self::Half(bits + 1, false)),
        }
    }
}

fn contacts(response: &Response<'_>) -> Vec<Contact> {
    let lists = [response.nodes, response.nodes6].into_iter().flatten();
    // Nobody has more than 8 of each to give.
    lists.flat_map(|contacts: Contacts<'_>| contacts.iter().take(khashmir::krpc::K)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
