//! A node that announces what it likes.

use std::net::SocketAddr;

use khashmir::claim::{Claim, PieceHasher, PieceHashes, PieceHashesRef, file_key};
use khashmir::{Config, Id};
use khashmir_apt::Sha256;
use khashmir_smol::{Dht, Sockets};

/// A node beside the daemons.
pub struct Liar {
    dht: Dht,
}

impl Liar {
    /// A node that has joined the network of the machine that others reach there.
    pub fn joining(machine: SocketAddr) -> Self {
        let mut config = Config::default();
        config.local_networks = vec!["127.0.0.0/8".parse().unwrap()];
        config.uncounted_networks = config.local_networks.clone();
        let sockets = Sockets::bind(&["127.0.9.9:0".parse().unwrap()]).unwrap();
        let dht = Dht::start(sockets, config).unwrap();
        assert!(smol::block_on(dht.join(&[machine])).unwrap() > 0);
        Self { dht }
    }

    /// Claims that `server` has `content`, with these piece hashes.
    pub fn claim(&self, content: &[u8], server: SocketAddr, pieces: PieceHashesRef) {
        let SocketAddr::V4(server) = server else { panic!("claims name IPv4") };
        let claim = Claim { v4: Some(server), v6: None, pieces };
        self.put(file_key(&Sha256::of(content).0), &claim.encode());
    }

    /// It answers no more.
    pub fn fall_silent(&self) {
        smol::block_on(self.dht.shutdown());
    }

    pub fn put(&self, key: Id, value: &[u8]) {
        assert!(smol::block_on(self.dht.put(key, value)).unwrap() > 0);
    }
}

pub fn piece_hashes(content: &[u8]) -> PieceHashes {
    let mut hasher = PieceHasher::new();
    hasher.update(content);
    hasher.finish()
}
