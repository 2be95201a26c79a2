//! The node under test, and where the peers that ask it come from.

use super::message::{Id, Query, random_id};
use super::peer::Peer;
use super::swarm::Bootstrap;
use crate::check::Unmet;
use crate::cli::Unusable;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How the node is treated.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// How long an answer may take; half way the query is sent again.
    pub patience: Duration,
    /// How long nothing has to come before silence is believed.
    pub quiet: Duration,
    /// Datagrams a second that go to it, from all peers together; 0: as many as there are.
    pub rate: u32,
}

impl Default for Manners {
    /// What the command line has.
    fn default() -> Manners {
        Manners { patience: Duration::from_secs(3), quiet: Duration::from_millis(300), rate: 1000 }
    }
}

/// A running node, and what is known of it.
#[derive(Debug)]
pub struct Target {
    /// Where it is.
    pub addr: SocketAddr,
    /// Its id.
    pub id: Id,
    /// How it is treated.
    pub manners: Manners,
    /// Our part as its bootstrap contact, if we have that.
    pub bootstrap: Option<Bootstrap>,
    source: Source,
    /// When the next datagram may go.
    next_send: Mutex<Instant>,
    /// The next distance from the node that no check has used.
    next_depth: AtomicU32,
    /// Someone whom the node knows, to see how far it has come.
    witness: Mutex<Option<Peer>>,
}

/// Where our peers are.
#[derive(Debug)]
enum Source {
    /// Each in a /24 of its own in 127.0.0.0/8: how many there were.
    Loopback(AtomicU32),
    /// All at this IP.
    One(IpAddr),
}

/// The shallowest distance that checks use: ids that share fewer bits with the node's are left to
/// peers that happen to become contacts.
const FIRST_DEPTH: u32 = 12;

/// The deepest; what is closer belongs to the swarm.
pub(super) const LAST_DEPTH: u32 = 100;

impl Target {
    /// Asks the node at `addr` who it is.
    pub fn find(addr: SocketAddr, manners: Manners, wait: Duration) -> Result<Target, Unusable> {
        let no_socket = |error| Unusable(format!("no socket for {addr}: {error}"));
        let source = match addr.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => Source::Loopback(AtomicU32::new(fastrand::u32(..1 << 15))),
            _ => Source::One(local_ip(addr).map_err(no_socket)?),
        };
        let mut target = Target {
            addr,
            id: [0; 20],
            manners,
            bootstrap: None,
            source,
            next_send: Mutex::new(Instant::now()),
            next_depth: AtomicU32::new(FIRST_DEPTH),
            witness: Mutex::new(None),
        };
        let deadline = Instant::now() + wait;
        loop {
            let mut peer = Peer::bind(&target, random_id()).map_err(no_socket)?;
            if let Ok(answer) = peer.ask(&target, Query::ping()) {
                // What else is wrong with it, the checks will say.
                let id = answer.response().ok().and_then(|r| r.get("id")?.bytes()?.try_into().ok());
                target.id = id.ok_or_else(|| Unusable(format!("{addr} answers a ping without an id")))?;
                return Ok(target);
            }
            if Instant::now() >= deadline {
                return Err(Unusable(format!("nothing at {addr} answers a ping")));
            }
        }
    }

    /// A stranger: nobody has heard of it, and it answers no ping.
    pub fn stranger(&self) -> Result<Peer, Unmet> {
        self.peer(random_id())
    }

    /// A stranger with this id.
    pub fn peer(&self, id: Id) -> Result<Peer, Unmet> {
        Peer::bind(self, id).map_err(|error| Unmet::skipped(format!("no socket on this machine: {error}")))
    }

    /// One that has proved its address by answering the node's ping.
    pub fn proved(&self) -> Result<Peer, Unmet> {
        self.proved_as(random_id())
    }

    /// The same with this id.
    pub fn proved_as(&self, id: Id) -> Result<Peer, Unmet> {
        let mut peer = self.peer(id)?;
        peer.answers_pings = true;
        peer.ask(self, Query::ping())?;
        // The node's ping may come after its answer.
        let deadline = Instant::now() + self.manners.quiet;
        while peer.pongs == 0 && peer.receive(self, deadline).is_some() {}
        Ok(peer)
    }

    /// `count` contacts that are closer to the node's id than any other that it knows, save those of
    /// other checks: their ids differ from its own in the same bit first.
    pub fn neighbours(&self, count: usize) -> Result<Vec<Peer>, Unmet> {
        self.needs_many()?;
        let depth = self.depth()?;
        (0..count).map(|_| self.proved_as(self.near(depth))).collect()
    }

    /// A distance for one check alone.
    pub fn depth(&self) -> Result<u32, Unmet> {
        let depth = self.next_depth.fetch_add(1, Ordering::Relaxed);
        if depth <= LAST_DEPTH { Ok(depth) } else { Err(Unmet::skipped("too many checks want neighbours")) }
    }

    /// A random id that shares exactly the first `depth` bits with the node's.
    pub fn near(&self, depth: u32) -> Id {
        let mut id = random_id();
        for bit in 0..=depth {
            let (at, mask) = (bit as usize / 8, 0x80 >> (bit % 8));
            let own = self.id[at] & mask;
            let wanted = if bit == depth { own ^ mask } else { own };
            id[at] = id[at] & !mask | wanted;
        }
        id
    }

    /// Skips a check for which peers at many addresses are needed, where there is but one.
    pub fn needs_many(&self) -> Result<(), Unmet> {
        match self.source {
            Source::Loopback(_) => Ok(()),
            Source::One(_) => Err(Unmet::skipped("it needs many addresses, as 127.0.0.0/8 has them")),
        }
    }

    /// An address for one more peer; in 127.0.0.0/8 each has a /24 of its own.
    pub(super) fn next_ip(&self) -> IpAddr {
        match &self.source {
            Source::Loopback(count) => {
                // 127.0.0.0/9 is left to others. 20,503 is odd, so that every /24 comes up once.
                let number = count.fetch_add(1, Ordering::Relaxed).wrapping_mul(20_503) as u16;
                let [high, low] = number.to_be_bytes();
                Ipv4Addr::new(127, high | 0x80, low, 9).into()
            }
            Source::One(ip) => *ip,
        }
    }

    /// Waits until another datagram may go to the node.
    pub(super) fn pace(&self) {
        if self.manners.rate == 0 {
            return;
        }
        let at = {
            let mut next = lock(&self.next_send);
            let at = (*next).max(Instant::now());
            *next = at + Duration::from_secs(1) / self.manners.rate;
            at
        };
        thread::sleep(at.saturating_duration_since(Instant::now()));
    }

    /// Waits until the node has taken all that was sent to it so far.
    pub fn settle(&self) -> Result<(), Unmet> {
        let mut witness = lock(&self.witness);
        let mut peer = match witness.take() {
            Some(peer) => peer,
            None => self.proved()?,
        };
        let answered = peer.ask(self, Query::ping());
        *witness = Some(peer);
        answered.map(drop)
    }
}

/// A panic elsewhere leaves nothing half done in what is locked here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Our address towards `addr`. Nothing is sent for that.
fn local_ip(addr: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if addr.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(addr)?;
    Ok(socket.local_addr()?.ip())
}
