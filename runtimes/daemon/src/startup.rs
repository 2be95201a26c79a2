//! Starting the daemon, and stopping it.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::Context;
use crate::config::Config;

/// A running daemon. Dropping it stops it at once.
#[derive(Debug)]
pub struct Daemon {
    context: Arc<Context>,
    proxy_address: SocketAddr,
}

/// Why the daemon did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {}

impl Daemon {
    /// Opens what the configuration names and starts listening.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let _ = config;
        std::future::pending().await
    }

    /// Where apt reaches the proxy: the real port if the configuration says 0.
    pub fn proxy_address(&self) -> SocketAddr {
        self.proxy_address
    }

    /// What the daemon's parts share.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Stops listening, saves what is to be kept, and ends.
    pub async fn stop(self) {}
}
