//! The node of this repository passes every check, whatever drives it.

use crate::trial::{config, everything_passes};
use khashmir_smol::{Handle, Sockets};
use std::net::SocketAddr;

fn sockets() -> Sockets {
    Sockets::bind(&[([127, 0, 0, 1], 0).into()]).unwrap()
}

#[test]
fn on_smol() {
    everything_passes(|bootstrap: SocketAddr| {
        let dht = khashmir_smol::Dht::start(sockets(), config()).unwrap();
        (join(&dht, bootstrap), dht)
    });
}

#[test]
fn on_mio() {
    everything_passes(|bootstrap: SocketAddr| {
        let dht = khashmir_mio::Dht::start(sockets(), config()).unwrap();
        (join(&dht, bootstrap), dht)
    });
}

#[test]
fn on_tokio() {
    everything_passes(|bootstrap: SocketAddr| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let dht = {
            let _within = runtime.enter();
            khashmir_tokio::Dht::start(sockets(), config()).unwrap()
        };
        (join(&dht, bootstrap), (dht, runtime))
    });
}

/// Lets the node join, and returns where it is. What comes of it, the checks see.
fn join(node: &Handle, bootstrap: SocketAddr) -> SocketAddr {
    let joins = node.clone();
    smol::spawn(async move { joins.join(&[bootstrap]).await }).detach();
    node.local_addrs()[0]
}
