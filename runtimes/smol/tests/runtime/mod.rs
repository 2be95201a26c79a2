//! smol, as the suite of all drivers uses it.

use khashmir_driver_testing::Runtime;
use std::time::Duration;

pub struct Smol;

impl Runtime for Smol {
    // A list of whom to wake for each event of its reactor, and room in the queue of its executor.
    const ALLOCATES: bool = true;

    fn new() -> Smol {
        Smol
    }

    fn block_on<T>(&self, story: impl Future<Output = T>) -> T {
        smol::block_on(story)
    }

    async fn sleep(&self, time: Duration) {
        smol::Timer::after(time).await;
    }

    khashmir_driver_testing::starts!(khashmir_smol::Dht);
}
