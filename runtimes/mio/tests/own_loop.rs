//! Nodes, and who asks them, in one loop on one thread.

#![allow(clippy::unwrap_used)]

use khashmir::{Config, Id};
use khashmir_mio::{Driver, Handle, Loop, Setup, Sockets};
use mio::{Events, Poll, Token, Waker};
use smol::stream::StreamExt as _;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{self, Context, Wake};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(60);

/// A loop that runs nodes while it waits for a future.
struct Nodes {
    poll: Poll,
    waker: Arc<Waker>,
    drivers: Vec<Driver>,
}

struct Interrupt(Arc<Waker>);

impl Wake for Interrupt {
    fn wake(self: Arc<Self>) {
        self.0.wake().unwrap();
    }
}

impl Nodes {
    fn new() -> Nodes {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        Nodes { poll, waker, drivers: Vec::new() }
    }

    /// A loop with tokens that no other node has.
    fn place(&self) -> Loop<'_> {
        let tokens = [1, 2].map(|n| Token(2 * self.drivers.len() + n));
        Loop { registry: self.poll.registry(), tokens, waker: self.waker.clone() }
    }

    fn add(&mut self, (handle, driver): (Handle, Driver)) -> Handle {
        self.drivers.push(driver);
        handle
    }

    fn start(&mut self, sockets: Sockets) -> Handle {
        self.add(Driver::start(sockets, config(), self.place()).unwrap())
    }

    fn run<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let waker = task::Waker::from(Arc::new(Interrupt(self.waker.clone())));
        let mut events = Events::with_capacity(8);
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let task::Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            self.drivers.retain_mut(|driver| driver.turn().unwrap());
            let left = deadline.checked_duration_since(Instant::now()).expect("done in time");
            let timeouts = self.drivers.iter().filter_map(Driver::timeout);
            self.poll.poll(&mut events, timeouts.chain([left]).min()).unwrap();
            for event in &events {
                self.drivers.iter_mut().for_each(|driver| driver.handle_event(event));
            }
        }
    }
}

fn config() -> Config {
    let local = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap()).to_vec();
    Config { uncounted_networks: local.clone(), local_networks: local, ..Config::default() }
}

fn bind(ips: &[&str]) -> Sockets {
    let addrs: Vec<_> = ips.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect();
    Sockets::bind(&addrs).unwrap()
}

#[test]
fn nodes_share_a_loop_with_whoever_asks_them() {
    let mut nodes = Nodes::new();
    let both = nodes.start(bind(&["127.0.0.1", "::1"]));
    let (v4, v6) = (nodes.start(bind(&["127.0.0.1"])), nodes.start(bind(&["::1"])));
    nodes.run(async {
        assert_eq!(v4.join(&both.local_addrs()[..1]).await, Ok(1));
        assert_eq!(v6.join(&both.local_addrs()[1..]).await, Ok(1));
        assert_eq!(both.put(Id([1; 20]), b"for all").await, Ok(3));
        for dht in [&both, &v4, &v6] {
            let values: Vec<_> = dht.get(Id([1; 20]), usize::MAX).await.unwrap().collect().await;
            assert_eq!(values, [&b"for all"[..]]);
        }
    });

    let (id, addrs) = (v6.id(), v6.local_addrs().to_vec());
    let snapshot = nodes.run(v6.snapshot()).unwrap();
    nodes.run(v6.shutdown());
    assert_eq!(nodes.drivers.len(), 2, "the last one is gone");
    let sockets = Sockets::bind(&addrs).expect("it is closed");
    let restored = Driver::start(
        sockets,
        Setup::from(config()).restored(&snapshot, Duration::from_secs(1)),
        nodes.place(),
    );
    let again = nodes.add(restored.unwrap());
    let pong = nodes.run(both.ping(again.local_addrs()[0])).unwrap();
    assert_eq!(pong.contact.id, id);

    drop((both, v4, again));
    nodes.drivers.retain_mut(|driver| driver.turn().unwrap() && driver.turn().unwrap());
    assert!(nodes.drivers.is_empty(), "without handles they end");
}
