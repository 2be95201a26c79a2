//! A node with a fault: the engine in a plain loop, between hooks that change what it hears and says.

use bytes::BytesMut;
use khashmir::{Config, Instant, Node};
use khashmir_conformance::Tree;
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as Clock};

/// A datagram, and where it came from or goes.
pub type Datagram = (SocketAddr, Vec<u8>);

/// What a faulty node remembers.
#[derive(Default)]
pub struct Memory {
    /// For hooks that count.
    pub count: usize,
    /// Whether it has broken down for good.
    pub is_dead: bool,
    /// By address: bytes that a hook remembers.
    pub by_addr: BTreeMap<SocketAddr, Vec<u8>>,
    /// By any bytes: others.
    pub by_bytes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Datagrams that are to be sent, or heard, later.
    pub later: Vec<(Clock, Datagram)>,
}

/// Changes a datagram that came, or drops it.
pub type Incoming = fn(&mut Memory, Datagram) -> Option<Datagram>;

/// Changes what is sent, in answer to a datagram or on the node's own account.
pub type Outgoing = fn(&mut Memory, Option<&Datagram>, &mut Vec<Datagram>);

/// How a node differs from ours.
#[derive(Clone, Copy)]
pub struct Mutation {
    /// What is wrong with it.
    pub what: &'static str,
    /// The checks that this fails.
    pub fails: &'static [&'static str],
    pub config: fn(&mut Config),
    pub incoming: Incoming,
    pub outgoing: Outgoing,
}

impl Mutation {
    pub const NONE: Mutation = Mutation {
        what: "",
        fails: &[],
        config: |_| {},
        incoming: |_, datagram| Some(datagram),
        outgoing: |_, _, _| {},
    };
}

/// A running one; it ends when this is dropped.
pub struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Starts a node with this fault, which joins through `bootstrap` if there is one.
pub fn start(mutation: Mutation, mut config: Config, bootstrap: Option<SocketAddr>) -> (SocketAddr, Running) {
    (mutation.config)(&mut config);
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let addr = socket.local_addr().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    std::thread::spawn(move || run(mutation, config, &socket, bootstrap, &stopped));
    (addr, Running(stop))
}

fn run(
    mutation: Mutation,
    config: Config,
    socket: &UdpSocket,
    bootstrap: Option<SocketAddr>,
    stopped: &AtomicBool,
) {
    let started = Clock::now();
    let now = || Instant::from_micros(started.elapsed().as_micros().try_into().unwrap());
    let mut node = Node::new(config, [7; 32], now()).unwrap();
    let mut memory = Memory::default();
    if let Some(bootstrap) = bootstrap {
        node.join(now(), &[bootstrap]).unwrap();
    }
    let mut buffer = vec![0; 65_535];
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    while !stopped.load(Ordering::Relaxed) {
        let came = socket.recv_from(&mut buffer).ok().map(|(len, from)| (from, buffer[..len].to_vec()));
        let heard = came.clone().and_then(|datagram| (mutation.incoming)(&mut memory, datagram));
        if memory.is_dead {
            return;
        }
        if let Some((from, bytes)) = &heard {
            node.handle_datagram(now(), *from, bytes);
        }
        node.handle_timeout(now());
        let mut out = Vec::new();
        let mut payload = BytesMut::new();
        while let Some(to) = node.poll_transmit(&mut payload) {
            out.push((to, payload.split().to_vec()));
        }
        while node.poll_event().is_some() {}
        (mutation.outgoing)(&mut memory, came.as_ref(), &mut out);
        let due: Vec<_> = memory.later.iter().filter(|(at, _)| *at <= Clock::now()).cloned().collect();
        memory.later.retain(|(at, _)| *at > Clock::now());
        for (_, (addr, bytes)) in due {
            // To itself: to be heard as if it came from there.
            match kind(&bytes) {
                Some(b'q') => out.push((addr, bytes)),
                _ => node.handle_datagram(now(), addr, &bytes),
            }
        }
        for (to, bytes) in out {
            let _ = socket.send_to(&bytes, to);
        }
    }
}

/// The letter under `y`.
pub fn kind(bytes: &[u8]) -> Option<u8> {
    Tree::read(bytes).ok()?.get("y")?.bytes()?.first().copied()
}

/// The method of a query.
pub fn method(bytes: &[u8]) -> Option<String> {
    let message = Tree::read(bytes).ok()?;
    Some(String::from_utf8_lossy(message.get("q")?.bytes()?).into_owned())
}

/// What stands under `path` in a message.
pub fn at(bytes: &[u8], path: &[&str]) -> Option<Tree> {
    let message = Tree::read(bytes).ok()?;
    path.iter().try_fold(&message, |tree, key| tree.get(key)).cloned()
}

/// The bytes that stand there.
pub fn bytes_at(bytes: &[u8], path: &[&str]) -> Option<Vec<u8>> {
    at(bytes, path)?.bytes().map(<[u8]>::to_vec)
}

/// Changes a message of this kind, if it is one.
pub fn change(bytes: &mut Vec<u8>, wanted: u8, change: impl FnOnce(&mut Tree)) {
    if kind(bytes) == Some(wanted) {
        let mut message = Tree::read(bytes).unwrap();
        change(&mut message);
        *bytes = message.to_bytes();
    }
}

/// Changes what is under `r` in every response.
pub fn responses(out: &mut [Datagram], mut with: impl FnMut(&mut Tree)) {
    for (_, bytes) in out {
        change(bytes, b'r', |message| message.get_mut("r").into_iter().for_each(&mut with));
    }
}

/// Changes the list under `key` in every response.
pub fn lists(out: &mut [Datagram], key: &str, mut with: impl FnMut(&mut Vec<Tree>)) {
    responses(out, |r| r.get_mut(key).and_then(Tree::list_mut).into_iter().for_each(&mut with));
}

/// Changes every query.
pub fn queries(out: &mut [Datagram], mut with: impl FnMut(&mut Tree)) {
    for (_, bytes) in out {
        change(bytes, b'q', &mut with);
    }
}

/// A response with this under `r`.
pub fn response(t: &[u8], r: Tree) -> Vec<u8> {
    Tree::dictionary([("r", r), ("t", t.into()), ("y", b"r".into())]).to_bytes()
}
