//! Whatever peers and mirrors do, apt installs, and it costs no more than it must.
//!
//! In each story the apt of one machine, B, installs a package that others have or claim to have. The
//! mirror's own count says what came from it, and what B received beyond the package's bytes was
//! wasted: both at most the pieces that were bad, late or missing, and one more.

mod hashes;
mod mirrors;
mod pieces;
mod releases;
mod together;

use std::net::SocketAddr;
use std::sync::Arc;

use khashmir::Id;
use khashmir::claim::{PieceHashes, PieceHashesRef, encode_path};
use khashmir_apt::Sha256;

use crate::apt::{Apt, Via};
use crate::archive::{Archive, NOTABLE, PIECE, Package, pool_path};
use crate::daemon::{Daemon, Machine};
use crate::liar::{Liar, piece_hashes};
use crate::mirror::Mirror;

const THREE: &Package = &NOTABLE[2];
const TWENTY: &Package = &NOTABLE[3];
const EIGHTY: &Package = &NOTABLE[4];

/// Machine B, the network around it, and the mirror.
struct Scene {
    mirror: Mirror,
    /// An honest machine that has the packages, if there is one.
    a: Option<Daemon>,
    b: Daemon,
    apt: Apt,
    /// Puts claims into the hash table, right ones and others.
    liar: Liar,
    _machines: [Option<Machine>; 2],
}

/// A package as those who claim to have it know it.
struct File {
    package: &'static Package,
    content: Arc<[u8]>,
    hashes: PieceHashes,
}

impl File {
    fn of(package: &'static Package) -> File {
        let content: Arc<[u8]> = std::fs::read(Archive::shared().deb(package)).unwrap().into();
        File { package, hashes: piece_hashes(&content), content }
    }

    /// Where peers serve it.
    fn path(&self) -> String {
        encode_path(&Sha256::of(&self.content).0)
    }

    /// Another file, whose every piece differs.
    fn altered(&self) -> Arc<[u8]> {
        let mut other = self.content.to_vec();
        other.chunks_mut(PIECE as usize).for_each(|piece| piece[0] ^= 1);
        other.into()
    }
}

impl Scene {
    /// B alone, set up so, with nobody else to give anything.
    fn alone(b: impl Fn(Machine) -> Machine) -> Scene {
        let mirror = Mirror::serve(Archive::shared().www());
        let b_machine = b(Machine::new("127.0.0.2", mirror.address(), &[]));
        let b = b_machine.start();
        Scene::begin(mirror, None, b, [None, Some(b_machine)])
    }

    /// A has the packages and is announced; then B comes.
    fn with_a(
        packages: &[&Package],
        a: impl Fn(Machine) -> Machine,
        b: impl Fn(Machine) -> Machine,
    ) -> Scene {
        let mirror = Mirror::serve(Archive::shared().www());
        let a_machine = a(Machine::new("127.0.0.1", mirror.address(), &[]));
        let a = a_machine.start();
        let b_machine = b(Machine::new("127.0.0.2", mirror.address(), &[a.peers()]));
        let b = b_machine.start();
        let apt = Apt::new(mirror.address(), Via::Proxy(a.proxy()));
        apt.update().expect_success();
        let names: Vec<&str> = packages.iter().map(|package| package.name).collect();
        apt.install(&names).expect_success();
        a.wait("/downloads/in_progress", |count| count == 0);
        // The index is announced, too.
        a.wait("/dht/publications", |count| count > packages.len() as u64);
        a.wait("/dht/keys", |count| count > packages.len() as u64);
        b.wait("/dht/contacts", |count| count >= 1);
        Scene::begin(mirror, Some(a), b, [Some(a_machine), Some(b_machine)])
    }

    fn begin(mirror: Mirror, a: Option<Daemon>, b: Daemon, machines: [Option<Machine>; 2]) -> Scene {
        let mut apt = Apt::new(mirror.address(), Via::Proxy(b.proxy()));
        // One failure that it is told of, and it fails.
        apt.option("Acquire::Retries=0");
        apt.update().expect_success();
        b.wait("/downloads/in_progress", |count| count == 0);
        let liar = Liar::joining(b.peers());
        Scene { mirror, a, b, apt, liar, _machines: machines }
    }

    /// A peer's server at `ip` that has the file, and is announced.
    fn peer(&self, ip: &str, file: &File) -> Mirror {
        self.peer_of(ip, std::slice::from_ref(file))
    }

    /// One that has several.
    fn peer_of(&self, ip: &str, files: &[File]) -> Mirror {
        let served = files.iter().flat_map(|file| served(file, &file.content, &file.hashes));
        let server = Mirror::peer(ip, served.collect());
        files.iter().for_each(|file| self.claim(file, server.address(), &file.hashes));
        server
    }

    /// One that has other bytes in place of the file, and the piece hashes that match them.
    fn false_peer(&self, ip: &str, file: &File, other: &Arc<[u8]>) -> Mirror {
        let hashes = piece_hashes(other);
        let server = Mirror::peer(ip, served(file, other, &hashes).into());
        self.claim(file, server.address(), &hashes);
        server
    }

    /// Puts it into the hash table that a server has the file, with these piece hashes.
    fn claim(&self, file: &File, server: SocketAddr, hashes: &PieceHashes) {
        let named = PieceHashesRef::to(hashes);
        if matches!(named, PieceHashesRef::Dht(_)) {
            self.liar.put(Id(hashes.sha1()), &hashes.encode());
        }
        self.liar.claim(&file.content, server, named);
    }

    /// B's apt installs it, and it is right; what that cost.
    #[track_caller]
    fn installs(&mut self, file: &File) -> Cost {
        self.installs_while(file, |_| {})
    }

    /// The same, while something happens.
    #[track_caller]
    fn installs_while(&mut self, file: &File, happens: impl FnOnce(&mut Scene)) -> Cost {
        let before = self.bill(file);
        let run = self.apt.start_install(&[file.package.name]);
        happens(self);
        run.wait().expect_success();
        self.apt.verify(std::slice::from_ref(file.package));
        self.b.wait("/downloads/in_progress", |count| count == 0);
        // Without being told, apt asks once more when its connection is cut.
        assert_eq!(self.b.count("/apt/cut"), 0, "{:#}", self.b.status());
        let after = self.bill(file);
        let received = after.received - before.received;
        Cost {
            from_mirror: after.mirror_sent - before.mirror_sent,
            wasted: (after.wasted - before.wasted).max(received.saturating_sub(file.package.size)),
            late: after.late - before.late,
        }
    }

    fn bill(&self, file: &File) -> Bill {
        let count = |name: &str| self.b.count(&format!("/downloads/{name}"));
        Bill {
            mirror_sent: self.mirror.sent(&pool_path(file.package)),
            received: count("bytes_from_peers") + count("bytes_from_mirror"),
            wasted: count("bytes_wasted"),
            late: count("pieces_late"),
        }
    }
}

/// What a peer serves who has `content` under the name of the file.
fn served(file: &File, content: &Arc<[u8]>, hashes: &PieceHashes) -> [(String, Arc<[u8]>); 2] {
    [(file.path(), Arc::clone(content)), (encode_path(&hashes.sha1()), Arc::from(hashes.encode()))]
}

/// How often a server was asked for a piece of the file.
fn asked(server: &Mirror, file: &File) -> u64 {
    server.requests(&file.path()).len() as u64
}

/// Counts at one moment.
struct Bill {
    mirror_sent: u64,
    received: u64,
    wasted: u64,
    late: u64,
}

/// What one installation cost.
#[derive(Debug)]
struct Cost {
    /// Bytes of the package, by the mirror's count.
    from_mirror: u64,
    /// Bytes that were of no use: by B's own word, or what it received beyond the package, whichever is more.
    wasted: u64,
    /// Pieces of which B said that they were late, however honest who was asked: the computer that
    /// runs the test may be slow.
    late: u64,
}

impl Cost {
    /// The mirror gave at most so many pieces, and so many were wasted; beside the late ones, and one.
    #[track_caller]
    fn is_at_most(&self, from_mirror: u64, wasted: u64) {
        let bound = |pieces: u64| (pieces + self.late + 1) * PIECE;
        assert!(
            self.from_mirror <= bound(from_mirror),
            "{from_mirror} pieces of the mirror would do: {self:?}"
        );
        assert!(self.wasted <= bound(wasted), "{wasted} pieces had to be wasted: {self:?}");
    }
}
