//! One peer with a socket of its own.

use super::message::{Answer, Id, Query};
use super::target::Target;
use crate::check::{Outcome, Unmet};
use crate::tree::Tree;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// A peer that asks the node under test.
#[derive(Debug)]
pub struct Peer {
    /// Its id.
    pub id: Id,
    /// Where it is.
    pub addr: SocketAddr,
    /// Whether it answers pings.
    pub answers_pings: bool,
    /// How many it has answered.
    pub pongs: usize,
    /// All that came from the node, in order.
    pub heard: Vec<Heard>,
    socket: UdpSocket,
}

/// A datagram that came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// When.
    pub at: Instant,
    /// From where.
    pub from: SocketAddr,
    /// Its payload.
    pub bytes: Vec<u8>,
}

impl Heard {
    /// As a message, if it is one.
    pub fn message(&self) -> Option<Tree> {
        Tree::read(&self.bytes).ok()
    }

    /// What it asks for, if it is a query.
    pub fn method(&self) -> Option<String> {
        let message = self.message()?;
        let is_query = message.get("y")?.bytes()? == b"q";
        let method = message.get("q").and_then(Tree::bytes).unwrap_or_default();
        is_query.then(|| String::from_utf8_lossy(method).into_owned())
    }
}

/// The longest datagram that there is.
const MAX_DATAGRAM: usize = 65_535;

impl Peer {
    pub(super) fn bind(target: &Target, id: Id) -> io::Result<Peer> {
        let socket = UdpSocket::bind((target.next_ip(), 0))?;
        Peer::on(socket, id)
    }

    /// One on a socket that is there already.
    fn on(socket: UdpSocket, id: Id) -> io::Result<Peer> {
        let addr = socket.local_addr()?;
        Ok(Peer { id, addr, answers_pings: false, pongs: 0, heard: Vec::new(), socket })
    }

    /// One more at the same IP, with another port.
    pub fn sibling(&self) -> Result<Peer, Unmet> {
        let socket = UdpSocket::bind((self.addr.ip(), 0)).and_then(|socket| Peer::on(socket, self.id));
        socket.map_err(|error| Unmet::skipped(format!("no socket on this machine: {error}")))
    }

    /// One at the next IP of the same /24.
    pub fn next_door(&self) -> Result<Peer, Unmet> {
        let IpAddr::V4(ip) = self.addr.ip() else { return Err(Unmet::skipped("it needs IPv4")) };
        let ip = Ipv4Addr::from(u32::from(ip) ^ 1);
        let socket = UdpSocket::bind((ip, 0)).and_then(|socket| Peer::on(socket, self.id));
        socket.map_err(|error| Unmet::skipped(format!("no socket on this machine: {error}")))
    }

    /// Sends any bytes to the node.
    pub fn send(&self, target: &Target, bytes: &[u8]) -> Outcome {
        target.pace();
        let sent = self.socket.send_to(bytes, target.addr);
        sent.map(drop).map_err(|error| Unmet::skipped(format!("this machine cannot send: {error}")))
    }

    /// What comes next before `deadline`. Pings are answered, if this peer answers them, and are
    /// returned all the same.
    pub fn receive(&mut self, target: &Target, deadline: Instant) -> Option<Heard> {
        let mut buffer = [0; MAX_DATAGRAM];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            // It fails on zero only.
            self.socket.set_read_timeout(Some(left)).ok()?;
            // A refusal by ICMP of what was sent before is no datagram.
            let Ok((len, from)) = self.socket.recv_from(&mut buffer) else { continue };
            let heard = Heard { at: Instant::now(), from, bytes: buffer[..len].to_vec() };
            self.heard.push(heard.clone());
            if self.answers_pings && heard.method().as_deref() == Some("ping") {
                let pong = self.pong(&heard);
                self.pongs += usize::from(self.send(target, &pong).is_ok());
            }
            return Some(heard);
        }
    }

    /// Takes in whatever comes for `time`.
    pub fn listen(&mut self, target: &Target, time: Duration) {
        let deadline = Instant::now() + time;
        while self.receive(target, deadline).is_some() {}
    }

    /// The answer that a ping wants.
    pub fn pong(&self, ping: &Heard) -> Vec<u8> {
        self.reply(ping, [])
    }

    /// A response to `query` with these keys beside `id`.
    pub fn reply<const N: usize>(&self, query: &Heard, items: [(&str, Tree); N]) -> Vec<u8> {
        let mut response = Tree::dictionary(items);
        if response.get("id").is_none() {
            response.insert("id", self.id.into());
        }
        respond(query, response)
    }

    /// Sends `query` and waits for its answer. Half way through the patience it is sent again, in
    /// case it was lost.
    pub fn ask(&mut self, target: &Target, query: Query) -> Result<Answer, Unmet> {
        let query = if query.takes_id { query.argument("id", self.id) } else { query };
        let bytes = query.to_bytes();
        self.send(target, &bytes)?;
        self.await_answer(target, &query, &bytes)
    }

    /// Waits for the answer to `query`, which was sent as `bytes`. Half way through the patience
    /// they are sent again, in case they were lost.
    pub fn await_answer(&mut self, target: &Target, query: &Query, bytes: &[u8]) -> Result<Answer, Unmet> {
        let since = self.heard.len();
        for sent_again in [false, true] {
            if sent_again {
                self.send(target, bytes)?;
            }
            let deadline = Instant::now() + target.manners.patience / 2;
            while let Some(heard) = self.receive(target, deadline) {
                if let Some(answer) = answer(target, query, bytes, &heard)? {
                    return Ok(answer);
                }
            }
        }
        let mut unmet = Unmet::failed("an answer", "none").with("sent", bytes);
        for heard in &self.heard[since..] {
            unmet = unmet.with(format!("received from {}", heard.from), &heard.bytes[..]);
        }
        Err(unmet)
    }

    /// Waits for the first query of the node's that is still to be taken in.
    pub fn next_query(&mut self, target: &Target, method: &str) -> Option<Heard> {
        let deadline = Instant::now() + target.manners.patience;
        while let Some(heard) = self.receive(target, deadline) {
            if heard.method().as_deref() == Some(method) {
                return Some(heard);
            }
        }
        None
    }

    /// The pings that came.
    pub fn pings(&self) -> impl Iterator<Item = &Heard> {
        self.heard.iter().filter(|heard| heard.method().as_deref() == Some("ping"))
    }
}

/// A datagram with `response` under `r`, in answer to `query`.
pub fn respond(query: &Heard, response: Tree) -> Vec<u8> {
    let t = query.message().and_then(|message| message.get("t").cloned());
    Tree::dictionary([("r", response), ("t", t.unwrap_or(Tree::Bytes(Vec::new()))), ("y", b"r".into())])
        .to_bytes()
}

/// `heard` as an answer to `query`, if it is one. Fails on what is no message at all.
fn answer(target: &Target, query: &Query, bytes: &[u8], heard: &Heard) -> Result<Option<Answer>, Unmet> {
    let message = Tree::read(&heard.bytes).map_err(|error| {
        Unmet::failed("canonical bencode", error.to_string())
            .with("sent", bytes)
            .with("received", &heard.bytes[..])
    })?;
    let is_query = message.get("y").and_then(Tree::bytes) == Some(b"q");
    let is_ours = heard.from == target.addr && message.get("t") == query.transaction_id();
    Ok((is_ours && !is_query).then(|| Answer { query: bytes.to_vec(), bytes: heard.bytes.clone(), message }))
}
