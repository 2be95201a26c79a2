//! Many nodes in virtual time, from one seed.
//!
//! A [`Network`] is one more driver of the engine: it has a clock that jumps from one thing that
//! happens to the next, and links that delay, lose, double and reorder. Two runs of the same script
//! with the same seed are the same to the last bit, which [`Network::trace_digest`] shows. After
//! every input to a node the laws of the engine are checked; the seed is printed when a check, or
//! the test around it, fails.
//!
//! ```
//! use khashmir::{Config, Id};
//! use khashmir_sim::{Link, Network};
//!
//! let mut network = Network::new(1, Link::BAD);
//! let nodes = network.grow(10, &Config::default());
//! let key = Id(*b"twenty bytes of hash");
//! let put = network.put(nodes[3], key, b"where to find it");
//! network.run_until_finished(put);
//! let get = network.get(nodes[7], key, 1);
//! assert_eq!(network.run_until_finished(get).values, ["where to find it"]);
//! ```
//!
//! A node has a [`Handle`](khashmir_driver::Handle) too, as with any driver: code that uses one runs
//! here in virtual time, with [`Network::block_on`].

mod adversary;
pub mod fault;
mod handles;
mod hops;
mod link;
pub mod model;
mod nat;
mod schedule;
mod watched;
mod weather;

pub use adversary::Malice;
pub use link::Link;
pub use nat::{Nat, NatKind};
pub use watched::Outcome;
pub use weather::Slowness;

use adversary::Adversary;
use bytes::Bytes;
use core::time::Duration;
use handles::Bell;
use hops::Walk;
use khashmir::config::{AddressFamilies, Config};
use khashmir::krpc::CompactAddress;
use khashmir::node::Reply;
use khashmir::rng::{Purpose, Rng};
use khashmir::{Command, Id, Instant, Node, OpId};
use khashmir_driver::Engine;
use model::Terrain;
use schedule::{Occurrence, Schedule};
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use watched::Watched;
use weather::{Condition, Cuts};

/// Names a node of a [`Network`], up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeIndex(usize);

/// Names an operation of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Whose it is.
    pub node: NodeIndex,
    /// Its name there, until the node crashes.
    pub op: OpId,
}

/// A modelled network and the nodes in it.
#[derive(Debug)]
pub struct Network {
    seed: u64,
    now: Instant,
    wires: Wires,
    link_rng: Rng,
    node_rng: Rng,
    hosts: Vec<Host>,
    by_ip: BTreeMap<IpAddr, NodeIndex>,
    schedule: Schedule,
    trace: Sha1,
    traffic: Traffic,
    /// From which part of the network nothing reaches which.
    cuts: Cuts,
    /// A lookup whose steps are counted.
    walk: Option<Walk>,
    is_checked: bool,
    is_oracle: bool,
    /// Rung when somebody who holds a handle wants something.
    bell: Arc<Bell>,
}

/// What connects the nodes.
#[derive(Debug)]
enum Wires {
    /// Every pair in the same way.
    Even(Link),
    /// Each according to where the two are, and of what kind.
    Uneven(Terrain),
}

/// What a network has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams that nodes sent.
    pub sent: u64,
    /// Datagrams that arrived at a node that was up, copies included.
    pub delivered: u64,
    /// Payload bytes of those.
    pub delivered_bytes: u64,
}

/// Where a node lives.
#[derive(Debug)]
struct Host {
    config: Config,
    addrs: Vec<SocketAddr>,
    /// What stands between it and all others.
    nat: Option<Nat>,
    condition: Condition,
    /// Instead of a node.
    adversary: Option<Adversary>,
    /// None: it is down.
    up: Option<Watched>,
    /// When it wants to be woken, by its own clock; other wake-ups in the schedule are void.
    wake_at: Option<Instant>,
    crashed_at: Instant,
}

/// From 60.0.0.0 to 99.255.255.255 all addresses are public.
const MAX_NODES: usize = 40 << 16;

/// The UDP port of every node.
const PORT: u16 = 9978;

impl Network {
    /// An empty network at the origin of time.
    pub fn new(seed: u64, link: Link) -> Network {
        Network::with_wires(seed, Wires::Even(link))
    }

    /// An empty network on a terrain: the nodes take its sites in order.
    pub fn on(terrain: Terrain, seed: u64) -> Network {
        Network::with_wires(seed, Wires::Uneven(terrain))
    }

    fn with_wires(seed: u64, wires: Wires) -> Network {
        Network {
            seed,
            now: Instant::ORIGIN,
            wires,
            link_rng: stream(seed, Purpose::Jitter),
            node_rng: stream(seed, Purpose::NodeId),
            hosts: Vec::new(),
            by_ip: BTreeMap::new(),
            schedule: Schedule::default(),
            trace: Sha1::new(),
            traffic: Traffic::default(),
            cuts: Cuts::new(),
            walk: None,
            is_checked: true,
            is_oracle: false,
            bell: Arc::default(),
        }
    }

    /// A new node that knows nobody, at public addresses of its own, of the families that `config`
    /// names: no two nodes share a /24 or a /48. There may be 2,621,440.
    pub fn add_node(&mut self, config: Config) -> NodeIndex {
        let index = self.add_host(config);
        self.start(index, None);
        index
    }

    /// A hostile host, with an IPv4 address of its own, which queries these nodes again and
    /// again, `asks_every` apart (what floods does not keep to that). It counts among the
    /// [`nodes`](Self::nodes), as one that is down.
    pub fn add_adversary(
        &mut self,
        malice: Malice,
        asks_every: Duration,
        victims: &[NodeIndex],
    ) -> NodeIndex {
        let index = self.add_host(Config::default());
        let victims = victims.iter().map(|node| self.hosts[node.0].addrs[0]).collect();
        let rng = Rng::new(self.node_rng.bytes(), Purpose::Sample);
        self.hosts[index.0].adversary = Some(Adversary::new(malice, rng, asks_every, victims));
        self.schedule.add(self.now, Occurrence::Act(index));
        index
    }

    fn add_host(&mut self, config: Config) -> NodeIndex {
        let index = NodeIndex(self.hosts.len());
        assert!(index.0 < MAX_NODES, "too many nodes");
        let [_, high, middle, low] = (index.0 as u32).to_be_bytes();
        let ipv4: SocketAddr = (Ipv4Addr::new(60 + high, middle, low, 1), PORT).into();
        let (high, low) = (1 + u16::from(high), u16::from_be_bytes([middle, low]));
        let ipv6: SocketAddr = (Ipv6Addr::new(0x2a00, high, low, 0, 0, 0, 0, 1), PORT).into();
        let addrs = match config.address_families {
            AddressFamilies::Ipv4 => vec![ipv4],
            AddressFamilies::Ipv6 => vec![ipv6],
            AddressFamilies::Both => vec![ipv4, ipv6],
        };
        self.by_ip.extend(addrs.iter().map(|addr| (addr.ip(), index)));
        let crashed_at = self.now;
        let nat = match &self.wires {
            Wires::Even(_) => None,
            Wires::Uneven(terrain) => terrain.nat(index.0),
        };
        let (condition, adversary) = (Condition::default(), None);
        let wake_at = None;
        self.hosts.push(Host { config, addrs, nat, condition, adversary, up: None, wake_at, crashed_at });
        index
    }

    /// On a terrain: whether a node hears at once, as by ICMP, that one it sends to is slow, or behind a
    /// NAT that does not let it in. No real network tells.
    pub fn set_oracle(&mut self, is_oracle: bool) {
        self.is_oracle = is_oracle;
    }

    /// Adds nodes one after the other, each joined through the first one of the network. On a bad
    /// link a join may come to nothing; then this waits for the node's own next try.
    ///
    /// Panics if one finds nobody within an hour.
    pub fn grow(&mut self, count: usize, config: &Config) -> Vec<NodeIndex> {
        let nodes: Vec<NodeIndex> = (0..count).map(|_| self.add_node(config.clone())).collect();
        for &node in nodes.iter().filter(|node| node.0 > 0) {
            let through = self.hosts[0].addrs.clone();
            let usable = through.iter().filter(|addr| self.hosts[node.0].config.allows(&addr.ip()));
            let through: Vec<SocketAddr> = usable.copied().collect();
            let join = self.join(node, &through);
            self.run_until_finished(join);
            let give_up_at = self.now + Duration::from_secs(3600);
            while self.node(node).contacts().next().is_none() {
                assert!(self.now < give_up_at, "{node:?} could not join");
                self.run_for(Duration::from_secs(1));
            }
        }
        nodes
    }

    /// The seed that all of this comes from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Changes how nodes are connected, for datagrams sent from now on.
    pub fn set_link(&mut self, link: Link) {
        self.wires = Wires::Even(link);
    }

    /// Puts a node behind a NAT, or takes it from behind one.
    pub fn set_nat(&mut self, node: NodeIndex, nat: Option<Nat>) {
        self.hosts[node.0].nat = nat;
    }

    /// Whether the laws are checked after every step. They are, unless this says otherwise: a
    /// measurement is several times faster without.
    pub fn set_checked(&mut self, is_checked: bool) {
        self.is_checked = is_checked;
        self.hosts.iter_mut().filter_map(|host| host.up.as_mut()).for_each(|up| up.is_checked = is_checked);
    }

    /// All nodes, also those that are down.
    pub fn nodes(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..self.hosts.len()).map(NodeIndex)
    }

    /// All addresses of a node, IPv4 first.
    pub fn addresses(&self, node: NodeIndex) -> &[SocketAddr] {
        &self.hosts[node.0].addrs
    }

    /// A node that is up, to look at.
    pub fn node(&self, node: NodeIndex) -> &Node {
        self.watched(node).node()
    }

    /// How often the node told that its outside address is another now.
    pub fn outside_changes(&self, node: NodeIndex) -> u64 {
        self.watched(node).outside_changes()
    }

    /// What was carried until now.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// SHA-1 of every datagram that arrived until now: when, from whom, at whom, and its bytes.
    pub fn trace_digest(&self) -> [u8; 20] {
        self.trace.clone().finalize().into()
    }

    /// [`Node::join`].
    pub fn join(&mut self, node: NodeIndex, bootstrap: &[SocketAddr]) -> Operation {
        self.start_operation(node, Command::Join { bootstrap: bootstrap.to_vec() })
    }

    /// [`Node::ping`].
    pub fn ping(&mut self, node: NodeIndex, addr: SocketAddr) -> Operation {
        self.start_operation(node, Command::Ping { addr })
    }

    /// [`Node::find_node`].
    pub fn find_node(&mut self, node: NodeIndex, target: Id) -> Operation {
        self.start_operation(node, Command::FindNode { target })
    }

    /// [`Node::get`].
    pub fn get(&mut self, node: NodeIndex, key: Id, wanted: usize) -> Operation {
        self.start_operation(node, Command::Get { key, wanted })
    }

    /// [`Node::put`].
    pub fn put(&mut self, node: NodeIndex, key: Id, value: &[u8]) -> Operation {
        let value = Bytes::copy_from_slice(value);
        self.start_operation(node, Command::Put { key, value })
    }

    /// [`Node::publish`].
    pub fn publish(&mut self, node: NodeIndex, key: Id, value: &[u8]) -> Operation {
        let value = Bytes::copy_from_slice(value);
        self.start_operation(node, Command::Publish { key, value })
    }

    /// [`Node::unpublish`].
    pub fn unpublish(&mut self, node: NodeIndex, key: Id, value: &[u8]) -> bool {
        let value = Bytes::copy_from_slice(value);
        self.execute(node, &Command::Unpublish { key, value }) == Reply::Done(true)
    }

    /// [`Node::cancel`].
    pub fn cancel(&mut self, operation: Operation) -> bool {
        let Operation { node, op } = operation;
        self.execute(node, &Command::Cancel { op }) == Reply::Done(true)
    }

    /// Hands a node a datagram from anywhere, as if it had just arrived.
    pub fn deliver(&mut self, from: SocketAddr, to: NodeIndex, datagram: &[u8]) {
        let addr = self.hosts[to.0].addrs.iter().find(|addr| addr.is_ipv4() == from.is_ipv4());
        let Some(&addr) = addr else {
            panic!("{to:?} cannot hear {from}");
        };
        self.arrive(from, addr, datagram);
    }

    /// How an operation ended, if it is over, once.
    pub fn take_outcome(&mut self, operation: Operation) -> Option<Outcome> {
        self.watched_mut(operation.node).take_outcome(operation.op)
    }

    /// Lets everything happen that happens by `until`, and sets the clock to that.
    pub fn run_until(&mut self, until: Instant) {
        while self.step(until) {}
        self.now = self.now.max(until);
        if self.is_checked {
            for host in self.hosts.iter().filter(|host| host.condition.suspended.is_none()) {
                let local = host.condition.local(self.now);
                host.up.iter().for_each(|watched| watched.check_deadlines(local));
            }
        }
    }

    /// Lets `duration` pass.
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now + duration);
    }

    /// Lets time pass until the operation is over, and says how it ended.
    ///
    /// Panics if it is over and told already.
    pub fn run_until_finished(&mut self, operation: Operation) -> Outcome {
        let Operation { node, op } = operation;
        loop {
            if let Some(outcome) = self.watched_mut(node).take_outcome(op) {
                return outcome;
            }
            assert!(self.watched(node).is_running(op), "{operation:?} has been told already");
            let end_of_time = Instant::from_micros(u64::MAX);
            assert!(self.step(end_of_time), "law 3: {operation:?} waits for nothing");
        }
    }

    /// What a restart of the node needs.
    pub fn snapshot(&self, node: NodeIndex) -> Bytes {
        self.node(node).snapshot()
    }

    /// The node is gone from one moment to the next, with all its operations. Returns what it was.
    pub fn crash(&mut self, node: NodeIndex) -> Engine {
        let host = &mut self.hosts[node.0];
        host.wake_at = None;
        host.crashed_at = self.now;
        match host.up.take() {
            Some(watched) => watched.into_engine(),
            None => panic!("{node:?} is down already"),
        }
    }

    /// A node that is down starts again, at its addresses: with a snapshot as the same, without as
    /// another.
    ///
    /// Panics if the snapshot is none.
    pub fn restart(&mut self, node: NodeIndex, snapshot: Option<&[u8]>) {
        assert!(self.hosts[node.0].up.is_none(), "{node:?} is up");
        self.start(node, snapshot);
    }

    fn start(&mut self, node: NodeIndex, snapshot: Option<&[u8]>) {
        let seed = self.node_rng.bytes();
        let host = &mut self.hosts[node.0];
        host.condition.suspended = None;
        let downtime = self.now.saturating_duration_since(host.crashed_at);
        let now = host.condition.local(self.now);
        let started = match snapshot {
            Some(snapshot) => Watched::restored(&host.config, snapshot, downtime, seed, now),
            None => Watched::new(&host.config, seed, now),
        };
        let mut started = started.unwrap_or_else(|error| panic!("{node:?} does not start: {error}"));
        started.is_checked = self.is_checked;
        host.up = Some(started);
        self.settle(node);
    }

    fn start_operation(&mut self, node: NodeIndex, command: Command) -> Operation {
        match self.execute(node, &command) {
            Reply::Started(op) => Operation { node, op },
            Reply::Done(_) => panic!("{command} starts no operation"),
        }
    }

    fn execute(&mut self, node: NodeIndex, command: &Command) -> Reply {
        let now = self.local(node);
        let taken = self.watched_mut(node).command(now, command);
        let reply = taken.unwrap_or_else(|error| panic!("{node:?} refuses {command}: {error}"));
        self.settle(node);
        reply
    }

    /// The next thing happens, if it does by `until`.
    fn step(&mut self, until: Instant) -> bool {
        let Some((at, what)) = self.schedule.take(until) else {
            return false;
        };
        self.now = at;
        match what {
            Occurrence::Arrival { from, to, datagram } => self.arrive(from, to, &datagram),
            Occurrence::Wake(node) => self.wake(node),
            Occurrence::Act(node) => self.act(node),
        }
        true
    }

    fn arrive(&mut self, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        let now = self.now;
        let Some(node) = self.by_ip.get(&to.ip()).copied() else {
            return;
        };
        let local = self.local(node);
        let Host { addrs, nat, condition, adversary, up, .. } = &mut self.hosts[node.0];
        let is_let_in = nat.as_ref().map_or(to.port() == PORT, |nat| nat.lets_in(now, &from, to.port()));
        if !is_let_in || condition.suspended.is_some() {
            return;
        }
        if let Some(adversary) = adversary {
            if let Some((from, to, answer)) = adversary.answer(addrs[0], from, datagram) {
                self.put_on_way(node, from, to, &answer);
            }
            return;
        }
        let Some(watched) = up else {
            return;
        };
        self.traffic.delivered += 1;
        self.traffic.delivered_bytes += datagram.len() as u64;
        self.trace.update(now.as_micros().to_le_bytes());
        self.trace.update(CompactAddress(from).to_bytes());
        self.trace.update(CompactAddress(to).to_bytes());
        self.trace.update((datagram.len() as u64).to_le_bytes());
        self.trace.update(datagram);
        if let Some(walk) = &mut self.walk {
            walk.see(from, to, datagram);
        }
        watched.give(local, |n| n.handle_datagram(local, from, datagram));
        self.settle(node);
    }

    fn wake(&mut self, node: NodeIndex) {
        let local = self.local(node);
        let host = &mut self.hosts[node.0];
        if host.condition.suspended.is_some() || host.wake_at.is_none_or(|at| at > local) {
            return;
        }
        host.wake_at = None;
        self.watched_mut(node).give(local, |n| n.handle_timeout(local));
        self.settle(node);
    }

    fn act(&mut self, node: NodeIndex) {
        let Host { addrs, adversary: Some(adversary), .. } = &mut self.hosts[node.0] else {
            return;
        };
        let (sent, pause) = adversary.act(addrs[0]);
        for (from, to, datagram) in sent {
            self.put_on_way(node, from, to, &datagram);
        }
        self.schedule.add(self.now + pause, Occurrence::Act(node));
    }

    /// What a node's clock shows.
    fn local(&self, node: NodeIndex) -> Instant {
        self.hosts[node.0].condition.local(self.now)
    }

    /// A node's clock has changed: it is woken at another time.
    fn reschedule(&mut self, node: NodeIndex) {
        let host = &self.hosts[node.0];
        if let Some(at) = host.wake_at {
            self.schedule.add(host.condition.global(at, self.now), Occurrence::Wake(node));
        }
    }

    /// Polls a node until there is nothing left, as every driver does after every input.
    fn settle(&mut self, node: NodeIndex) {
        let now = self.local(node);
        while let Some(watched) = &mut self.hosts[node.0].up
            && let Some((to, datagram)) = watched.poll_transmit()
        {
            self.send(node, to, &datagram);
            if self.is_oracle
                && self.is_hopeless(node, to)
                && let Some(watched) = &mut self.hosts[node.0].up
            {
                watched.give(now, |n| n.handle_unreachable(now, to));
            }
        }
        let host = &mut self.hosts[node.0];
        let Some(watched) = &mut host.up else {
            return;
        };
        watched.poll_events();
        let wake_at = watched.node().poll_timeout();
        if wake_at != host.wake_at {
            host.wake_at = wake_at;
            if let Some(at) = wake_at {
                self.schedule.add(host.condition.global(at, self.now), Occurrence::Wake(node));
            }
        }
    }

    /// Puts a datagram of a node on its way.
    fn send(&mut self, node: NodeIndex, to: SocketAddr, datagram: &Bytes) {
        let host = &mut self.hosts[node.0];
        let from = host.addrs.iter().find(|addr| addr.is_ipv4() == to.is_ipv4());
        let mut from = *from.unwrap_or_else(|| panic!("{node:?} has no address to reach {to} from"));
        self.traffic.sent += 1;
        if let Some(nat) = &mut host.nat {
            from.set_port(nat.lets_out(self.now, from.port(), to));
        }
        self.put_on_way(node, from, to, datagram);
    }

    fn put_on_way(&mut self, node: NodeIndex, from: SocketAddr, to: SocketAddr, datagram: &Bytes) {
        let receiver = self.by_ip.get(&to.ip()).copied();
        let mut later = Duration::ZERO;
        if let Some(receiver) = receiver {
            let slowness = self.hosts[receiver.0].condition.slowness;
            let is_dropped = slowness.is_some_and(|slowness| {
                later = slowness.delay;
                self.link_rng.below(100) < u64::from(slowness.drops_percent)
            });
            if is_dropped || self.is_cut(node, receiver) {
                return;
            }
        }
        let delays = match &self.wires {
            Wires::Even(link) => link.delays(&mut self.link_rng),
            Wires::Uneven(terrain) => {
                [receiver.and_then(|to| terrain.delay(node.0, to.0, &mut self.link_rng)), None]
            }
        };
        for delay in delays.into_iter().flatten() {
            let datagram = match &self.wires {
                Wires::Even(link) => link.carry(datagram, &mut self.link_rng),
                Wires::Uneven(_) => datagram.clone(),
            };
            self.schedule.add(self.now + later + delay, Occurrence::Arrival { from, to, datagram });
        }
    }

    /// Whether an oracle would say that it is no use to send anything from `node` to `to`.
    fn is_hopeless(&self, node: NodeIndex, to: SocketAddr) -> bool {
        let Some(host) = self.by_ip.get(&to.ip()) else {
            return true;
        };
        let is_slow = match &self.wires {
            Wires::Even(_) => false,
            Wires::Uneven(terrain) => terrain.sites()[host.0].kind == model::Kind::Slow,
        };
        let mut from = self.hosts[node.0].addrs.iter();
        let nat = &self.hosts[host.0].nat;
        is_slow || nat.as_ref().is_some_and(|nat| !from.any(|from| nat.lets_in(self.now, from, to.port())))
    }

    fn watched(&self, node: NodeIndex) -> &Watched {
        self.hosts[node.0].up.as_ref().unwrap_or_else(|| panic!("{node:?} is down"))
    }

    fn watched_mut(&mut self, node: NodeIndex) -> &mut Watched {
        self.hosts[node.0].up.as_mut().unwrap_or_else(|| panic!("{node:?} is down"))
    }
}

/// The random numbers of a network for one purpose.
fn stream(seed: u64, purpose: Purpose) -> Rng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    Rng::new(bytes, purpose)
}

/// A failure without its seed could not be repeated.
impl Drop for Network {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("simulated network: seed {}, at {} µs", self.seed, self.now.as_micros());
        }
    }
}
