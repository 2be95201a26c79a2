//! Where a story happens.

use futures_util::future::{Either, select};
use khashmir::Config;
use khashmir::config::AddressFamilies;
use khashmir_driver::Handle;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

/// A place with nodes, in real or virtual time.
pub trait World {
    /// The networks that its nodes are in.
    const NETWORKS: [&str; 2];

    /// Far more than any story takes.
    const LIMIT: Duration;

    /// A place without nodes.
    fn new() -> Self;

    /// Runs a story to its end.
    fn block_on<T>(&self, story: impl Future<Output = T>) -> T;

    /// Lets about that much time pass.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()>;

    /// Starts a node at new addresses.
    fn start(&self, families: AddressFamilies, config: Config) -> io::Result<Handle>;

    /// Starts a node that was shut down again, at the same addresses.
    fn restore(
        &self,
        before: &Handle,
        config: Config,
        snapshot: &[u8],
        downtime: Duration,
    ) -> io::Result<Handle>;

    /// An IPv4 address from which nothing ever comes.
    fn silent_addr(&self) -> SocketAddr;
}

/// The default configuration, for the networks of a world.
pub fn config<W: World>() -> Config {
    let networks = W::NETWORKS.map(|network| network.parse().unwrap()).to_vec();
    Config { uncounted_networks: networks.clone(), local_networks: networks, ..Config::default() }
}

/// Tells a story in a world of its own.
///
/// # Panics
/// If it takes longer than [`World::LIMIT`].
pub fn story<W: World>(story: impl AsyncFnOnce(&W)) {
    let world = W::new();
    world.block_on(async {
        let limit = pin!(world.sleep(W::LIMIT));
        if let Either::Right(_) = select(pin!(story(&world)), limit).await {
            panic!("not done after {:?}", W::LIMIT);
        }
    });
}
