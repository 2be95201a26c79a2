//! tokio, as the suite of all drivers uses it.

use khashmir::Config;
use khashmir_driver_testing::Runtime;
use khashmir_tokio::{Dht, Handle, Sockets};
use std::io;
use std::time::Duration;
use tokio::runtime::{self, Builder};

/// A runtime with one thread, on which the story and its nodes take turns.
pub struct Tokio(runtime::Runtime);

impl Runtime for Tokio {
    const ALLOCATES: bool = false;

    fn new() -> Tokio {
        Tokio(Builder::new_current_thread().enable_io().enable_time().build().unwrap())
    }

    fn block_on<T>(&self, story: impl Future<Output = T>) -> T {
        self.0.block_on(story)
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
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
