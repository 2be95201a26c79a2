//! What machines fetch from each other, over HTTP (protocol, section 6).
//!
//! [`serve`] gives others what this machine has, [`Client`] asks them for what they have.

mod body;
mod client;
mod connection;
mod content;
mod limit;
mod places;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use smol::net::TcpListener;
use smol::{Async, Executor};

use crate::Context;

pub use client::{Client, PeerError, Wanted};

use limit::UploadLimit;
use places::Places;

/// The pause after the system refused a connection for want of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections of peers share.
#[derive(Debug)]
struct Server {
    context: Arc<Context>,
    upload_limit: UploadLimit,
}

/// Serves peers until dropped; all their connections end with it.
pub async fn serve(context: Arc<Context>, listener: TcpListener) {
    let listener: Arc<Async<std::net::TcpListener>> = listener.into();
    let executor = Executor::new();
    let config = &context.config;
    let places = Arc::new(Places::new(&config.peers, config.dht.uncounted_networks.clone()));
    let upload_limit = UploadLimit::new(config.peers.upload_limit_per_second.bytes());
    let server = Arc::new(Server { upload_limit, context });
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => match places.take(peer.ip().to_canonical()) {
                    Some(place) => {
                        let server = Arc::clone(&server);
                        let serve = async move {
                            serve_peer(&server, stream, peer).await;
                            drop(place);
                        };
                        executor.spawn(serve).detach();
                    }
                    None => {
                        server.context.stats.uploads.refused.increment();
                        tracing::debug!(%peer, "too many connections of peers");
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "a peer's connection cannot be accepted");
                    smol::Timer::after(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    executor.run(accept).await
}

async fn serve_peer(server: &Arc<Server>, stream: Async<std::net::TcpStream>, peer: SocketAddr) {
    let _open = server.context.stats.uploads.connections.enter();
    if let Err(error) = connection::serve(server, stream).await {
        tracing::debug!(%peer, %error, "a peer's connection ended");
    }
}
