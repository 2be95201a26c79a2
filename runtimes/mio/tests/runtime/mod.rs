//! mio, as the suite of all drivers uses it.

use khashmir_driver_testing::Runtime;
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

    khashmir_driver_testing::starts!(khashmir_mio::Dht);
}
