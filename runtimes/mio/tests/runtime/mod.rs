//! mio, as the suite of all drivers uses it.

use khashmir::Config;
use khashmir_driver_testing::Runtime;
use khashmir_mio::{Dht, Handle, Sockets};
use std::io;
use std::time::Duration;

/// Nodes have threads of their own; stories are told on any executor.
pub struct Mio;

impl Runtime for Mio {
    const ALLOCATES: bool = false;

    fn new() -> Mio {
        Mio
    }

    fn block_on<T>(&self, story: impl Future<Output = T>) -> T {
        smol::block_on(story)
    }

    async fn sleep(&self, time: Duration) {
        smol::Timer::after(time).await;
    }

    fn start(&self, sockets: Sockets, config: Config) -> io::Result<Handle> {
        Dht::start(sockets, config).map(|dht| Handle::clone(&dht))
    }

    fn restore(
        &self,
        sockets: Sockets,
        config: Config,
        snapshot: &[u8],
        downtime: Duration,
    ) -> io::Result<Handle> {
        Dht::restore(sockets, config, snapshot, downtime).map(|dht| Handle::clone(&dht))
    }
}
