//! tokio, as the suite of all drivers uses it.

use khashmir_driver_testing::Runtime;
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

    khashmir_driver_testing::starts!(khashmir_tokio::Dht);
}
