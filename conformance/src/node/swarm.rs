//! The network that a node joins through us: one bootstrap contact, and some hundred peers behind
//! it, who answer rightly, wrongly or not at all.
//!
//! One join shows how the node looks up. Its target is known beforehand (section 5), so every
//! peer has an id at a chosen distance from it. They come in stages, each closer than the one
//! before: whoever is the *relay* of a stage answers after a while, with the next stage; whoever is
//! *prompt* answers at once, so that it is no waste of time to ask those whom a response names; the
//! others each have a fault.

use super::message::{Id, compact, random_id};
use super::peer::{Heard, respond};
use super::target::Target;
use crate::tree::Tree;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Transmissions of `join` that are not answered, so that it is sent again.
const IGNORED_JOINS: usize = 2;

/// The same of the first `find_node`.
const IGNORED_FINDS: usize = 1;

/// How long a relay waits, so that its whole stage is asked before the next one is known.
const RELAY_AFTER: Duration = Duration::from_millis(300);

/// The lookup is over, or nearly: nothing was asked for so long. Longer than the first repetition
/// takes, to see what is not repeated.
const QUIET: Duration = Duration::from_millis(2800);

/// Peers that each know one closer than themselves, more than any lookup should ask.
const CHAIN: usize = 90;

/// How many the response has that has too many.
const CROWD: usize = 24;

/// Our part as bootstrap contact.
#[derive(Debug)]
pub struct Bootstrap {
    /// Where it is.
    pub addr: SocketAddr,
    log: Arc<Log>,
    swarm: Arc<OnceLock<Actor>>,
    recording: OnceLock<Option<Recording>>,
    /// How long the node may take until it asks.
    wait: Duration,
}

/// What the node sent while it joined.
#[derive(Debug)]
pub struct Recording {
    /// What it looked up.
    pub target: Id,
    /// Everyone it could ask, the bootstrap contact first.
    pub actors: Vec<Actor>,
    /// What each was sent, in order of arrival.
    pub heard: Vec<(usize, Heard)>,
    /// They stay until this is dropped: some are contacts of the node now.
    _stop: OnDrop,
}

#[derive(Debug)]
struct OnDrop(Arc<AtomicBool>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Someone whom the node may ask.
#[derive(Clone, Debug)]
pub struct Actor {
    /// What is special about it; some share a name.
    pub name: &'static str,
    /// The id under which it is made known.
    pub id: Id,
    /// Where it is.
    pub addr: SocketAddr,
    role: Role,
}

#[derive(Clone, Debug)]
enum Role {
    /// Answers `find_node` with these contacts after so long.
    Knows(Vec<Vec<u8>>, Duration),
    /// Answers at once, with more keys in the response than are known.
    Extended(Vec<Vec<u8>>),
    /// Answers at once, without a token.
    WithoutToken(Vec<Vec<u8>>),
    /// Never answers.
    Silent,
    /// Answers something that is to count as a failure, or not to count.
    Wrong(Wrong),
}

#[derive(Clone, Copy, Debug)]
enum Wrong {
    Error,
    NoNodes,
    ShortEntry,
    NoId,
    OtherId,
    OtherTransaction,
    OtherPort,
}

type Log = Mutex<Vec<(usize, Heard)>>;

impl Bootstrap {
    /// Listens at `addr` from now on.
    pub fn bind(addr: SocketAddr, wait: Duration) -> io::Result<Bootstrap> {
        let socket = UdpSocket::bind(addr)?;
        let addr = socket.local_addr()?;
        let (log, swarm) = (Arc::new(Log::default()), Arc::new(OnceLock::new()));
        let bootstrap = Bootstrap {
            addr,
            log: Arc::clone(&log),
            swarm: Arc::clone(&swarm),
            recording: OnceLock::new(),
            wait,
        };
        thread::spawn(move || answer_as_bootstrap(&socket, &log, &swarm));
        Ok(bootstrap)
    }

    /// What the node did when it joined; waits until it has. `None`: it did not ask.
    pub(super) fn recording(&self, target: &Target) -> Option<&Recording> {
        self.recording.get_or_init(|| self.record(target)).as_ref()
    }

    fn record(&self, target: &Target) -> Option<Recording> {
        let wanted = neighbour(&target.id);
        let stop = OnDrop(Arc::default());
        let (actors, sockets) = cast(target, &wanted, self.addr).ok()?;
        for (number, socket) in (1..).zip(sockets) {
            let (actor, log, stop) = (actors[number].clone(), Arc::clone(&self.log), Arc::clone(&stop.0));
            thread::spawn(move || act(&actor, &socket, number, &wanted, &log, &stop));
        }
        self.swarm.set(actors[0].clone()).ok()?;

        let asked = self.wait_for_silence(&wanted);
        let heard = lock(&self.log).clone();
        asked.then_some(Recording { target: wanted, actors, heard, _stop: stop })
    }

    /// Waits until the node has looked `wanted` up. Returns whether it asked at all.
    fn wait_for_silence(&self, wanted: &Id) -> bool {
        let started = Instant::now();
        loop {
            thread::sleep(Duration::from_millis(50));
            let last = {
                let log = lock(&self.log);
                let finds = log.iter().filter(|(_, heard)| looks_up(heard, wanted));
                // A join alone is something too, if nothing follows.
                finds
                    .map(|(_, heard)| heard.at)
                    .max()
                    .or(log.iter().map(|(_, heard)| heard.at + self.wait / 2).max())
            };
            match last {
                Some(last) if last + QUIET < Instant::now() => return true,
                None if started.elapsed() > self.wait => return false,
                _ => {}
            }
        }
    }
}

impl Recording {
    /// Those of this name.
    pub fn named(&self, name: &str) -> impl Iterator<Item = (usize, &Actor)> {
        self.actors.iter().enumerate().filter(move |(_, actor)| actor.name == name)
    }

    /// What one of them was sent with this method.
    pub fn sent_to(&self, number: usize, method: &str) -> Vec<&Heard> {
        let its = self.heard.iter().filter(|(other, _)| *other == number).map(|(_, heard)| heard);
        its.filter(|heard| heard.method().as_deref() == Some(method)).collect()
    }

    /// The queries of the lookup that one of them was sent, repeated ones included.
    pub fn lookups_of(&self, number: usize) -> Vec<&Heard> {
        let finds = self.sent_to(number, "find_node");
        finds.into_iter().filter(|heard| looks_up(heard, &self.target)).collect()
    }

    /// How many of this name were asked.
    pub fn asked(&self, name: &str) -> usize {
        self.named(name).filter(|(number, _)| !self.lookups_of(*number).is_empty()).count()
    }
}

/// An id with one added to its last byte: what a node looks up when it joins.
pub(super) fn neighbour(id: &Id) -> Id {
    let mut id = *id;
    id[19] = id[19].wrapping_add(1);
    id
}

fn looks_up(heard: &Heard, wanted: &Id) -> bool {
    heard.message().is_some_and(|message| {
        let target = message.get("a").and_then(|a| a.get("target")?.bytes().map(<[u8]>::to_vec));
        target.as_deref() == Some(wanted)
    })
}

/// The peers and their sockets, in the same order but for the bootstrap contact, who has its own.
fn cast(target: &Target, wanted: &Id, bootstrap: SocketAddr) -> io::Result<(Vec<Actor>, Vec<UdpSocket>)> {
    let mut stage = Stage { target, wanted, distance: 0, actors: Vec::new(), sockets: Vec::new() };
    // From the closest to the farthest, since each stage names the next.
    let mut next = Vec::new();
    for _ in 0..CHAIN {
        next = vec![stage.one("chain", Role::Knows(next, Duration::ZERO))?];
    }
    stage.end();
    let prefix = stage.next_prefix();
    let mut nodes = stage.begin("relay", next, RELAY_AFTER * 2)?;
    for last in 1..=5 {
        let role = Role::Knows(Vec::new(), RELAY_AFTER);
        nodes.push(stage.at("of-a-prefix", role, prefix.map(|[a, b, c, _]| [a, b, c, last].into()))?);
    }
    next = nodes;
    stage.end();

    let ip = stage.target.next_ip();
    nodes = stage.begin("relay", next, RELAY_AFTER * 2)?;
    for _ in 0..5 {
        nodes.push(stage.at("of-an-ip", Role::Wrong(Wrong::Error), Some(ip))?);
    }
    let own = stage.one("with-the-own-id", Role::Silent)?;
    nodes.push([&target.id[..], &own[20..]].concat());
    next = nodes;
    stage.end();

    nodes = stage.begin("relay", next, RELAY_AFTER * 2)?;
    for _ in nodes.len()..CROWD {
        nodes.push(stage.one("in-a-crowd", Role::Wrong(Wrong::Error))?);
    }
    next = nodes;
    stage.end();

    nodes = stage.begin("relay", next, RELAY_AFTER)?;
    nodes.push(stage.one("extended", Role::Extended(nodes.clone()))?);
    nodes.push(stage.one("without-a-token", Role::WithoutToken(nodes.clone()))?);
    nodes.push(stage.one("without-an-id", Role::Wrong(Wrong::NoId))?);
    nodes.push(stage.one("from-another-port", Role::Wrong(Wrong::OtherPort))?);
    nodes.push(stage.one("error", Role::Wrong(Wrong::Error))?);
    next = nodes;
    stage.end();

    nodes = stage.begin("first-relay", next, RELAY_AFTER)?;
    nodes.push(stage.one("without-nodes", Role::Wrong(Wrong::NoNodes))?);
    nodes.push(stage.one("with-a-short-entry", Role::Wrong(Wrong::ShortEntry))?);
    nodes.push(stage.one("with-another-id", Role::Wrong(Wrong::OtherId))?);
    nodes.push(stage.one("with-another-transaction", Role::Wrong(Wrong::OtherTransaction))?);
    nodes.push(stage.one("silent", Role::Silent)?);

    stage.end();
    // Closer than any contact of other checks too, so that it is asked.
    let (id, role) = (stage.next_id(), Role::Knows(nodes, Duration::ZERO));
    let mut actors = vec![Actor { name: "bootstrap", id, addr: bootstrap, role }];
    actors.append(&mut stage.actors);
    Ok((actors, stage.sockets))
}

/// Peers at ever greater distances.
struct Stage<'a> {
    target: &'a Target,
    wanted: &'a Id,
    distance: u64,
    actors: Vec<Actor>,
    sockets: Vec<UdpSocket>,
}

impl Stage<'_> {
    /// The first of a stage: the relay, who knows `next`, and whoever is prompt.
    fn begin(
        &mut self,
        relay: &'static str,
        next: Vec<Vec<u8>>,
        after: Duration,
    ) -> io::Result<Vec<Vec<u8>>> {
        let relay = self.one(relay, Role::Knows(next, after))?;
        let prompt = self.one("prompt", Role::Knows(Vec::new(), Duration::ZERO))?;
        Ok(vec![relay, prompt])
    }

    /// What follows is farther by a bit, so that it has a bucket of its own in the node's table.
    fn end(&mut self) {
        self.distance = (self.distance + 1).next_power_of_two() << 1;
    }

    /// One more, at an address of its own, farther than all before. Returns its compact contact.
    fn one(&mut self, name: &'static str, role: Role) -> io::Result<Vec<u8>> {
        self.at(name, role, None)
    }

    fn at(&mut self, name: &'static str, role: Role, ip: Option<IpAddr>) -> io::Result<Vec<u8>> {
        let socket = UdpSocket::bind((ip.unwrap_or_else(|| self.target.next_ip()), 0))?;
        let addr = socket.local_addr()?;
        let id = self.next_id();
        let contact = compact(&id, &addr);
        self.actors.push(Actor { name, id, addr, role });
        self.sockets.push(socket);
        Ok(contact)
    }

    /// An id farther from what is looked up than all before.
    fn next_id(&mut self) -> Id {
        self.distance += 1 << 32;
        let mut id = *self.wanted;
        let distance = (self.distance | fastrand::u64(1..1 << 31)).to_be_bytes();
        id[12..].iter_mut().zip(distance).for_each(|(byte, distance)| *byte ^= distance);
        id
    }

    /// The bytes of an IPv4 address whose /24 nobody else is in.
    fn next_prefix(&self) -> Option<[u8; 4]> {
        match self.target.next_ip() {
            IpAddr::V4(ip) => Some(Ipv4Addr::octets(&ip)),
            IpAddr::V6(_) => None,
        }
    }
}

/// Reads until told to stop, and hands each datagram to `take`.
fn read(socket: &UdpSocket, stop: impl Fn() -> bool, mut take: impl FnMut(Heard)) {
    let mut buffer = [0; 65_535];
    if socket.set_read_timeout(Some(Duration::from_millis(200))).is_err() {
        return;
    }
    while !stop() {
        if let Ok((len, from)) = socket.recv_from(&mut buffer) {
            take(Heard { at: Instant::now(), from, bytes: buffer[..len].to_vec() });
        }
    }
}

fn answer_as_bootstrap(socket: &UdpSocket, log: &Arc<Log>, swarm: &OnceLock<Actor>) {
    let gone = || Arc::strong_count(log) == 1;
    let (mut joins, mut finds) = (0, 0);
    read(socket, gone, |heard| {
        let (method, from) = (heard.method(), heard.from);
        lock(log).push((0, heard.clone()));
        joins += usize::from(method.as_deref() == Some("join"));
        // Before the swarm stands, which a first transmission may find, nothing is answered.
        let Some(Actor { id, role: Role::Knows(nodes, _), .. }) = swarm.get() else { return };
        let response = match method.as_deref() {
            Some("join") => {
                let (ip, port) = (from.ip().to_string(), i64::from(from.port()));
                let response = [("ip_addr", ip.as_bytes().into()), ("port", port.into())];
                (joins > IGNORED_JOINS).then(|| Tree::dictionary(response))
            }
            Some("find_node") => {
                finds += 1;
                (finds > IGNORED_FINDS).then(|| found(nodes))
            }
            Some("ping") => Some(Tree::dictionary([])),
            _ => None,
        };
        if let Some(mut response) = response {
            response.insert("id", (*id).into());
            // What is lost is asked for again.
            let _ = socket.send_to(&respond(&heard, response), from);
        }
    });
}

/// Plays one of the others.
fn act(actor: &Actor, socket: &UdpSocket, number: usize, wanted: &Id, log: &Log, stop: &AtomicBool) {
    read(
        socket,
        || stop.load(Ordering::Relaxed),
        |heard| {
            let from = heard.from;
            lock(log).push((number, heard.clone()));
            let is_good = !matches!(actor.role, Role::Silent | Role::Wrong(_));
            let reply = match heard.method().as_deref() {
                Some("ping") if is_good => Some(Tree::dictionary([])),
                Some("find_node") if looks_up(&heard, wanted) => return actor.find(&heard, socket),
                Some("find_node") if is_good => Some(found(&[])),
                _ => None,
            };
            if let Some(mut response) = reply {
                response.insert("id", actor.id.into());
                let _ = socket.send_to(&respond(&heard, response), from);
            }
        },
    );
}

impl Actor {
    /// Answers a query of the lookup as its role wants it.
    fn find(&self, heard: &Heard, socket: &UdpSocket) {
        let mut response = found(&[]);
        response.insert("id", self.id.into());
        let mut bytes = None;
        match &self.role {
            Role::Knows(nodes, after) => {
                thread::sleep(*after);
                response.insert("nodes", list(nodes));
            }
            Role::Extended(nodes) => {
                response.insert("nodes", list(nodes));
                response.insert("aa", Tree::dictionary([("x", 1.into())]));
                response.insert("zz", b"?".into());
            }
            Role::WithoutToken(nodes) => {
                response.insert("nodes", list(nodes));
                response.take("token");
            }
            Role::Silent => return,
            Role::Wrong(Wrong::NoNodes) => drop(response.take("nodes")),
            Role::Wrong(Wrong::ShortEntry) => response.insert("nodes", list(&[vec![b'n'; 25]])),
            Role::Wrong(Wrong::NoId) => drop(response.take("id")),
            Role::Wrong(Wrong::OtherId) => response.insert("id", random_id().into()),
            Role::Wrong(Wrong::Error) => {
                let error = Tree::List(vec![201.into(), b"server error".into()]);
                let t = heard.message().and_then(|message| message.get("t").cloned());
                let t = t.unwrap_or(Tree::Bytes(Vec::new()));
                bytes = Some(Tree::dictionary([("e", error), ("t", t), ("y", b"e".into())]).to_bytes());
            }
            Role::Wrong(Wrong::OtherTransaction) => {
                let items = [("r", response.clone()), ("t", random_id().into()), ("y", b"r".into())];
                bytes = Some(Tree::dictionary(items).to_bytes());
            }
            Role::Wrong(Wrong::OtherPort) => {
                if let Ok(other) = UdpSocket::bind((self.addr.ip(), 0)) {
                    let _ = other.send_to(&respond(heard, response), heard.from);
                }
                return;
            }
        }
        let bytes = bytes.unwrap_or_else(|| respond(heard, response));
        let _ = socket.send_to(&bytes, heard.from);
    }
}

/// What a response to `find_node` has beside `id`.
fn found(nodes: &[Vec<u8>]) -> Tree {
    Tree::dictionary([("nodes", list(nodes)), ("token", b"a token".into())])
}

fn list(nodes: &[Vec<u8>]) -> Tree {
    Tree::List(nodes.iter().map(|node| Tree::Bytes(node.clone())).collect())
}

/// A panic elsewhere leaves the log whole.
fn lock(log: &Log) -> std::sync::MutexGuard<'_, Vec<(usize, Heard)>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
