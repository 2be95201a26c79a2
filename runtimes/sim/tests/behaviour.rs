//! The suite of all drivers, in virtual time.

#![allow(clippy::unwrap_used)]

use khashmir::config::{AddressFamilies, ConfigError};
use khashmir::{Config, Instant, Node};
use khashmir_driver::Handle;
use khashmir_driver_testing::World;
use khashmir_sim::{Link, Network, NodeIndex};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::{io, mem};

/// A network whose story starts nodes while it is told.
struct Simulated {
    network: RefCell<Network>,
    by_addr: RefCell<BTreeMap<SocketAddr, NodeIndex>>,
    /// When the next who sleeps wants to wake up.
    alarm: RefCell<Option<Instant>>,
}

impl Simulated {
    fn add(&self, node: NodeIndex) -> Handle {
        let handle = self.network.borrow_mut().handle(node);
        self.by_addr.borrow_mut().extend(handle.local_addrs().iter().map(|addr| (*addr, node)));
        handle
    }
}

impl World for Simulated {
    const NETWORKS: [&str; 2] = ["60.0.0.0/8", "2a00::/16"];
    const LIMIT: Duration = Duration::from_secs(24 * 3600);

    fn new() -> Simulated {
        let network = RefCell::new(Network::new(2008, Link::GOOD));
        Simulated { network, by_addr: RefCell::default(), alarm: RefCell::default() }
    }

    fn block_on<T>(&self, story: impl Future<Output = T>) -> T {
        let mut story = pin!(story);
        loop {
            if let Poll::Ready(told) = story.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return told;
            }
            let alarm = mem::take(&mut *self.alarm.borrow_mut());
            let goes_on = self.network.borrow_mut().turn(alarm.unwrap_or(Instant::LATEST));
            assert!(goes_on || alarm.is_some(), "the story waits for nothing");
        }
    }

    async fn sleep(&self, time: Duration) {
        let until = self.network.borrow().now() + time;
        poll_fn(|cx| {
            if self.network.borrow().now() >= until {
                return Poll::Ready(());
            }
            let mut alarm = self.alarm.borrow_mut();
            *alarm = Some(alarm.map_or(until, |alarm| alarm.min(until)));
            // Whoever sleeps among others is asked again in every turn.
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn start(&self, address_families: AddressFamilies, config: Config) -> io::Result<Handle> {
        let config = Config { address_families, ..config };
        config.validate().map_err(invalid)?;
        let node = self.network.borrow_mut().add_node(config);
        Ok(self.add(node))
    }

    fn restore(
        &self,
        before: &Handle,
        config: Config,
        snapshot: &[u8],
        downtime: Duration,
    ) -> io::Result<Handle> {
        let node = self.by_addr.borrow()[&before.local_addrs()[0]];
        let mut network = self.network.borrow_mut();
        // A network takes no snapshot that is none.
        Node::restore(config, snapshot, downtime, [0; 32], network.now()).map_err(invalid)?;
        network.run_for(downtime);
        network.restart(node, Some(snapshot));
        drop(network);
        Ok(self.add(node))
    }

    /// No network has as many nodes as that.
    fn silent_addr(&self) -> SocketAddr {
        ([60, 255, 255, 1], 9978).into()
    }
}

fn invalid(error: ConfigError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

khashmir_driver_testing::behaviour!(Simulated);
