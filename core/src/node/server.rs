//! Answering queries.
//!
//! To an address that has not proved that it is whose it says, no more goes than a small multiple
//! of what came (protocol, section 7). Nothing here allocates once the queues have grown.

use super::parts::{Family, Parts};
use crate::bencode::{bytes_len, integer_len};
use crate::config::AddressFamilies;
use crate::id::{Contact, Id};
use crate::krpc::{
    Body, Call, CompactAddress, Contacts, EMPTY_RESPONSE_LEN, ErrorCode, K, Message, Query, Response,
    TransactionId, Values, contact_len, empty_list_len,
};
use crate::rng::Rng;
use alloc::collections::VecDeque;
use arrayvec::{ArrayString, ArrayVec};
use core::fmt::Write;
use core::net::SocketAddr;

/// Values that one response can possibly hold: the tokens of a datagram bound it.
const MAX_VALUES: usize = 512;

/// What is kept of strangers until they prove their address.
#[derive(Debug, Default)]
pub(super) struct Server {
    /// `get_value` queries whose answer does not fit the budget.
    waiting: VecDeque<Waiting>,
    /// Verification pings that are outstanding, oldest first.
    verifications: VecDeque<(TransactionId, SocketAddr)>,
}

#[derive(Debug)]
struct Waiting {
    from: SocketAddr,
    transaction_id: TransactionId,
    key: Id,
    num: i64,
}

/// A query under answer.
struct Asked {
    from: SocketAddr,
    transaction_id: TransactionId,
    /// Bytes that may still go to it.
    budget: usize,
}

impl Server {
    /// Answers one query, which came in a datagram of `len` bytes.
    pub(super) fn handle_query(
        &mut self,
        parts: &mut Parts,
        from: SocketAddr,
        transaction_id: TransactionId,
        query: Result<Query<'_>, ErrorCode>,
        len: usize,
    ) {
        if from.port() == 0 {
            return;
        }
        if !parts.budget.admit(parts.now, &from.ip()) {
            parts.stats.queries_over_budget += 1;
            return;
        }
        let has_token = matches!(query, Ok(Query { call: Call::StoreValue { key, token, .. }, .. })
            if parts.tokens.accepts(token, &from.ip(), &key));
        if has_token {
            parts.proofs.prove(parts.now, from);
        }
        let amplification = usize::from(parts.config.limits.amplification);
        let is_proved = amplification == 0 || parts.proofs.is_proved(parts.now, &from);
        let budget = if is_proved { usize::MAX } else { amplification * len };
        let mut asked = Asked { from, transaction_id, budget };
        let query = match query {
            Ok(query) => query,
            Err(code) => return asked.refuse(parts, code),
        };
        let worth_a_ping = parts.was_queried_by(Contact { id: query.id, addr: from });
        if !is_proved {
            asked.budget = asked.budget.saturating_sub(self.verify(parts, from));
        } else if worth_a_ping {
            self.verify(parts, from);
        }
        match query.call {
            Call::Ping => asked.answer_ping(parts),
            Call::Join => asked.answer_join(parts),
            Call::FindNode { target } => asked.answer_find_node(parts, &target),
            Call::FindValue { key } => asked.answer_find_value(parts, &key),
            Call::GetValue { key, num } => self.get_value(parts, asked, key, num),
            Call::StoreValue { .. } if !has_token => asked.refuse(parts, ErrorCode::InvalidToken),
            Call::StoreValue { key, value, .. } => asked.store_value(parts, key, value),
        }
    }

    /// Somebody answered our ping: what waited for that is answered in full.
    pub(super) fn proved(&mut self, parts: &mut Parts, from: &SocketAddr) {
        self.ping_is_over(from);
        for _ in 0..self.waiting.len() {
            match self.waiting.pop_front() {
                Some(Waiting { from: other, transaction_id, key, num }) if other == *from => {
                    let asked = Asked { from: other, transaction_id, budget: usize::MAX };
                    asked.answer_get_value(parts, &key, num);
                }
                Some(other) => self.waiting.push_back(other),
                None => return,
            }
        }
    }

    /// Somebody did not answer our ping.
    pub(super) fn unproved(&mut self, from: &SocketAddr) {
        self.ping_is_over(from);
        self.waiting.retain(|waiting| waiting.from != *from);
    }

    fn ping_is_over(&mut self, addr: &SocketAddr) {
        self.verifications.retain(|(_, pinged)| pinged != addr);
    }

    /// Gives back the room that a crowd of strangers took.
    pub(super) fn trim(&mut self) {
        self.verifications.shrink_to_fit();
        self.waiting.shrink_to_fit();
    }

    /// Pings a stranger: to prove its address, or because there is room for it in the table.
    /// Returns the bytes that this takes, none while a ping is under way.
    ///
    /// The id that its query names is not believed: the answer says who is there.
    fn verify(&mut self, parts: &mut Parts, addr: SocketAddr) -> usize {
        let Some(len) = parts.ping(Contact { id: Id::ZERO, addr }, false) else {
            return 0;
        };
        self.verifications.extend(parts.pinging.get(&addr).map(|id| (*id, addr)));
        // Whoever has not answered for longest is least likely to. Without this, a few forged
        // queries a second would keep everybody else from being pinged.
        let half = (parts.config.limits.pings / 2).max(1);
        while self.verifications.len() > half
            && let Some((id, addr)) = self.verifications.pop_front()
        {
            if parts.give_up_ping(&id, &addr) {
                self.unproved(&addr);
            }
        }
        len
    }

    fn get_value(&mut self, parts: &mut Parts, asked: Asked, key: Id, num: i64) {
        let Asked { from, transaction_id, budget } = asked;
        if budget < parts.max_datagram(&from) && full_len(parts, &from, &key) > budget {
            // Sent again, it is answered once.
            let is_same = |other: &Waiting| other.from == from && other.transaction_id == transaction_id;
            if self.waiting.iter().any(is_same) {
                return;
            }
            let pinged = parts.pinging.get(&from).is_some();
            if pinged && self.waiting.len() < parts.config.limits.waiting_for_proof {
                self.waiting.push_back(Waiting { from, transaction_id, key, num });
                return;
            }
        }
        asked.answer_get_value(parts, &key, num);
    }

    /// How many queries wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

impl Asked {
    fn answer_ping(&self, parts: &mut Parts) {
        let mut response = Response::new(parts.id);
        self.add_ip(&mut response, EMPTY_RESPONSE_LEN);
        self.respond(parts, &response);
    }

    fn answer_join(&self, parts: &mut Parts) {
        let mut text = ArrayString::<64>::new();
        // 39 characters are the longest that an address has.
        let written = write!(text, "{}", self.from.ip());
        debug_assert!(written.is_ok());
        let mut response = Response::new(parts.id);
        response.ip_addr = Some(text.as_bytes());
        response.port = Some(self.from.port());
        let len = EMPTY_RESPONSE_LEN
            + bytes_len("ip_addr".len())
            + bytes_len(text.len())
            + bytes_len("port".len())
            + integer_len(self.from.port().into());
        self.add_ip(&mut response, len);
        self.respond(parts, &response);
    }

    fn answer_find_node(&self, parts: &mut Parts, target: &Id) {
        let ip = self.from.ip();
        let counted = parts.counts(&self.from);
        let stores = parts.config.accept_stores && parts.store.would_accept(parts.now, target, &ip, counted);
        let token = stores.then(|| parts.tokens.issue(&ip, target));
        let mut response = Response::new(parts.id);
        response.token = token.as_ref().map(|token| &token[..]);
        let token_len = token.map_or(0, |token| bytes_len("token".len()) + bytes_len(token.len()));
        self.respond_with_contacts(parts, target, response, token_len);
    }

    fn answer_find_value(&self, parts: &mut Parts, key: &Id) {
        let num = i64::try_from(parts.store.count(parts.now, key)).unwrap_or(i64::MAX);
        let mut response = Response::new(parts.id);
        response.num = Some(num);
        let num_len = bytes_len("num".len()) + integer_len(num);
        self.respond_with_contacts(parts, key, response, num_len);
    }

    fn answer_get_value(&self, parts: &mut Parts, key: &Id, num: i64) {
        let max = parts.max_datagram(&self.from).min(self.budget);
        let other_len = EMPTY_RESPONSE_LEN + empty_list_len("values");
        let room = max.saturating_sub(other_len);
        let longest = parts.max_datagram(&self.from).saturating_sub(other_len);
        let Parts { store, rngs, now, .. } = parts;
        let mut values = ArrayVec::<&[u8], MAX_VALUES>::new();
        some_of(store.values(*now, key), &mut rngs.sample, &mut values);
        let held = values.len();
        let wanted = usize::try_from(num).ok().filter(|num| (1..held).contains(num)).unwrap_or(held);
        let all: usize = values.iter().map(|value| bytes_len(value.len())).sum();
        let shortest = values.iter().map(|value| value.len()).min().map_or(0, bytes_len);
        let mut sent = held;
        let mut too_long = false;
        if wanted < held || all > room {
            // In random order when anything is left out, so that repeated queries reach all. Those
            // that fit come first.
            sent = 0;
            let mut len = 0;
            for at in 0..wanted {
                if sent > 0 && len + shortest > room {
                    break;
                }
                rngs.sample.partial_shuffle(&mut values[at..], 1);
                let value_len = bytes_len(values[at].len());
                too_long |= value_len > longest;
                if len + value_len <= room {
                    len += value_len;
                    values.swap(sent, at);
                    sent += 1;
                }
            }
        }
        if sent == 0 && too_long {
            drop(values);
            return self.refuse(parts, ErrorCode::ResponseTooLong);
        }
        let cut = sent < wanted && room < longest;
        let mut response = Response::new(parts.id);
        response.values = Some(Values::new(&values[..sent]));
        let transaction_id = self.transaction_id;
        let outbox = &mut parts.outbox;
        let queued = outbox.push(self.from, max, |out| response.encode(transaction_id, out));
        parts.stats.answers_cut += u64::from(cut);
        parts.stats.datagrams_sent += u64::from(queued.is_some());
        parts.stats.outbox_overflows += u64::from(queued.is_none());
        parts.stats.queries_answered += 1;
    }

    /// Stores for a querier whose token was good.
    fn store_value(&self, parts: &mut Parts, key: Id, value: &[u8]) {
        let ip = self.from.ip();
        let counted = parts.counts(&self.from);
        let code = match value.len() {
            0 => Some(ErrorCode::MalformedRequest),
            len if len > parts.config.limits.value_len => Some(ErrorCode::ResponseTooLong),
            _ if !parts.config.accept_stores => Some(ErrorCode::ServerError),
            _ => {
                let stored = parts.store.store(parts.now, key, value, ip, counted);
                stored.is_err().then_some(ErrorCode::ServerError)
            }
        };
        match code {
            Some(code) => {
                parts.stats.stores_refused += 1;
                self.refuse(parts, code);
            }
            None => self.respond(parts, &Response::new(parts.id)),
        }
    }

    /// Answers with as many of the closest contacts as the budget allows; `other_len` bytes of the
    /// response are taken already.
    fn respond_with_contacts(
        &self,
        parts: &mut Parts,
        target: &Id,
        response: Response<'_>,
        other_len: usize,
    ) {
        let mut lists = [ArrayVec::<Contact, K>::new(), ArrayVec::new()];
        for (family, list) in Family::ALL.into_iter().zip(&mut lists) {
            parts.tables[family as usize].closest(target, list);
        }
        let [nodes, nodes6] = &mut lists;
        let unlimited = self.budget == usize::MAX;
        let mut room = self.budget.saturating_sub(EMPTY_RESPONSE_LEN + other_len + empty_list_len("nodes"));
        let wanted = nodes.len() + nodes6.len();
        if !unlimited {
            // One family only: that of the querier, who can surely use it.
            let (used, unused) = if self.from.is_ipv4() { (nodes, nodes6) } else { (nodes6, nodes) };
            unused.clear();
            if self.from.is_ipv6() {
                room = room.saturating_sub(empty_list_len("nodes6"));
            }
            used.truncate(room / contact_len(&self.from));
        }
        let [nodes, nodes6] = &lists;
        parts.stats.answers_cut += u64::from(nodes.len() + nodes6.len() < wanted);
        let knows_ipv6 = parts.config.address_families != AddressFamilies::Ipv4 && !nodes6.is_empty();
        let nodes6 = knows_ipv6.then(|| Contacts::new(nodes6));
        self.respond(parts, &Response { nodes: Some(Contacts::new(nodes)), nodes6, ..response });
    }

    /// Tells the querier its address, if there is room for that.
    fn add_ip(&self, response: &mut Response<'_>, len: usize) {
        let ip = CompactAddress(self.from);
        if len + bytes_len("ip".len()) + bytes_len(ip.to_bytes().len()) <= self.budget {
            response.ip = Some(ip);
        }
    }

    fn respond(&self, parts: &mut Parts, response: &Response<'_>) {
        parts.send(self.from, self.budget, |out| response.encode(self.transaction_id, out));
        parts.stats.queries_answered += 1;
    }

    fn refuse(&self, parts: &mut Parts, code: ErrorCode) {
        let body = Body::Error(code, code.text().as_bytes());
        let message = Message { transaction_id: self.transaction_id, body };
        parts.send(self.from, self.budget, |out| message.encode(out));
        parts.stats.errors_sent += 1;
    }
}

/// Gathers all of the values, or as many as can be looked at: a uniform choice among them (reservoir
/// sampling). Into a list that stays where it is: it is too large to be moved for nothing.
fn some_of<'a>(
    all: impl Iterator<Item = &'a [u8]>,
    rng: &mut Rng,
    values: &mut ArrayVec<&'a [u8], MAX_VALUES>,
) {
    for (seen, value) in all.enumerate() {
        if !values.is_full() {
            values.push(value);
        } else if let Some(at) = values.get_mut(rng.below(seen as u64 + 1) as usize) {
            *at = value;
        }
    }
}

/// Bytes of the answer to a `get_value` for all values of `key`, if it is not cut to a budget.
fn full_len(parts: &Parts, to: &SocketAddr, key: &Id) -> usize {
    let all: usize = parts.store.values(parts.now, key).map(|value| bytes_len(value.len())).sum();
    let full = EMPTY_RESPONSE_LEN + empty_list_len("values") + all;
    full.min(parts.max_datagram(to))
}
