//! A machine with a daemon in this process.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use khashmir_daemon::Daemon;
use khashmir_daemon::config::Config;
use khashmir_daemon::stats::Stats;

use super::archive::{Archive, SUITE, pool};
use super::client::Client;
use super::mirror::Mirror;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(40);

/// A machine; its data goes with it.
pub struct Machine {
    daemon: Option<Daemon>,
    config: Setup,
    dir: tempfile::TempDir,
}

/// What distinguishes a machine.
#[derive(Clone)]
pub struct Setup {
    /// Where peers reach it.
    pub ip: &'static str,
    /// Whom it joins.
    pub bootstrap: Vec<SocketAddr>,
    /// How long the mirror is left alone.
    pub hedge_delay_ms: u32,
    /// Further lines of its `[peers]` section.
    pub peers: &'static str,
    /// Whether connections from one address are counted.
    pub counted: bool,
}

impl Setup {
    /// A machine that waits for peers as long as it may, however slow the computer is: what comes
    /// from the mirror then is what no peer had.
    pub fn at(ip: &'static str) -> Self {
        Self { ip, bootstrap: Vec::new(), hedge_delay_ms: 25_000, peers: "", counted: false }
    }

    pub fn joining(self, other: &Machine) -> Self {
        Self { bootstrap: vec![other.peers()], ..self }
    }

    /// In networks like these addresses are counted.
    pub fn counted(self) -> Self {
        Self { counted: true, ..self }
    }

    pub fn impatient(self) -> Self {
        Self { hedge_delay_ms: 300, ..self }
    }

    pub fn start(self, mirror: &Mirror) -> Machine {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = Machine { daemon: None, config: self, dir };
        machine.run(mirror, SocketAddr::new(machine.config.ip.parse::<IpAddr>().unwrap(), 0));
        machine
    }
}

impl Machine {
    fn run(&mut self, mirror: &Mirror, listen: SocketAddr) {
        let Setup { bootstrap, hedge_delay_ms, peers, counted, .. } = &self.config;
        let bootstrap: Vec<String> = bootstrap.iter().map(SocketAddr::to_string).collect();
        let uncounted = if *counted { "[]" } else { "[\"127.0.0.0/8\"]" };
        let text = format!(
            "data_dir = {data:?}\n\
             [proxy]\nlisten = \"127.0.0.1:0\"\nallowed_upstreams = [\"{mirror}\"]\n\
             [peers]\nlisten = \"{listen}\"\n{peers}\n\
             [dht]\nbootstrap = {bootstrap:?}\nlocal_networks = [\"127.0.0.0/8\"]\n\
             uncounted_networks = {uncounted}\n\
             [mirror]\nretries = 2\nretry_delay_ms = 10\napt_dir = {data:?}\n\
             hedge_delay_ms = {hedge_delay_ms}\n",
            data = self.dir.path(),
            mirror = mirror.address,
        );
        let config = Config::parse(&text, Path::new("test.toml")).unwrap();
        self.daemon = Some(smol::block_on(Daemon::start(config)).unwrap());
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    /// Where others reach it.
    pub fn peers(&self) -> SocketAddr {
        self.daemon().peers_address()
    }

    /// Where apt reaches it.
    pub fn proxy(&self) -> SocketAddr {
        self.daemon().proxy_address()
    }

    pub fn stats(&self) -> &Stats {
        &self.daemon().context().stats
    }

    pub fn context(&self) -> &khashmir_daemon::Context {
        self.daemon().context()
    }

    /// Asks for the archive's indexes as `apt update` does.
    pub fn update(&self, mirror: &Mirror, archive: &Archive) {
        let mut client = Client::connect(self.daemon().proxy_address());
        client.get(&mirror.url(&format!("{SUITE}/InRelease")), &[]).ok();
        client.get(&mirror.url(&archive.packages_by_hash()), &[]).ok();
    }

    /// Asks for a package as `apt install` does.
    #[track_caller]
    pub fn install(&self, mirror: &Mirror, name: &str) -> Vec<u8> {
        let mut client = Client::connect(self.daemon().proxy_address());
        client.get(&mirror.url(&pool(name)), &[]).ok()
    }

    /// Waits until so many files, indexes included, are announced.
    #[track_caller]
    pub fn wait_announced(&self, files: u64) {
        wait("files are announced", || self.stats().dht.publications.value() >= files);
    }

    /// What `khashmir status` reads.
    pub fn status(&self) -> serde_json::Value {
        khashmir_daemon::control::ask_status(self.daemon().data_dir()).unwrap()
    }

    /// The next start names no other node.
    pub fn forget_bootstrap(&mut self) {
        self.config.bootstrap.clear();
    }

    /// A clean stop; its data stays.
    pub fn stop(&mut self) {
        smol::block_on(self.daemon.take().unwrap().stop());
    }

    /// An end without warning: nothing is written any more.
    pub fn kill(&mut self) {
        drop(self.daemon.take());
    }

    /// Starts it again where it was.
    #[track_caller]
    pub fn start_again(&mut self, mirror: &Mirror, peers: SocketAddr) {
        let deadline = Instant::now() + PATIENCE;
        // The old one's sockets close a moment after it is gone.
        while std::net::UdpSocket::bind(peers).is_err() || std::net::TcpListener::bind(peers).is_err() {
            assert!(Instant::now() < deadline, "the old daemon still listens");
            thread::sleep(Duration::from_millis(5));
        }
        self.run(mirror, peers);
    }
}

/// Waits for what is about to be.
#[track_caller]
pub fn wait(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What apt asked the mirror for in its pool.
pub fn asked_for(mirror: &Mirror, name: &str) -> usize {
    mirror.asked(&pool(name)).len()
}
