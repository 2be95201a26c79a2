//! The node of this repository passes every check, whatever drives it.

use crate::trial::{config, everything_passes};
use khashmir_smol::Sockets;
use std::net::SocketAddr;

fn sockets() -> Sockets {
    Sockets::bind(&[([127, 0, 0, 1], 0).into()]).unwrap()
}

#[test]
fn on_smol() {
    everything_passes(|bootstrap: SocketAddr| {
        let dht = khashmir_smol::Dht::start(sockets(), config()).unwrap();
        let addr = dht.local_addrs()[0];
        let joins = dht.clone();
        // What comes of it, the checks see.
        smol::spawn(async move { joins.join(&[bootstrap]).await }).detach();
        (addr, dht)
    });
}
