//! A daemon in this process.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use khashmir_apt::Sha256;
use khashmir_daemon::Daemon;
use khashmir_daemon::config::Config;

use super::archive::{Archive, SUITE};
use super::client::Client;
use super::mirror::Mirror;

/// A daemon that may ask one mirror. Its data goes with it.
pub struct Proxy {
    pub daemon: Daemon,
    _dir: tempfile::TempDir,
}

impl Proxy {
    /// A daemon with the defaults, but for quick retries.
    pub fn start(mirror: &Mirror) -> Self {
        Self::impatient(mirror, 30)
    }

    /// As [`start`](Self::start), but a mirror may be silent for this long only.
    pub fn impatient(mirror: &Mirror, silence_seconds: u32) -> Self {
        Self::asking(
            mirror,
            &format!(
                "first_byte_timeout_seconds = {silence_seconds}\nidle_timeout_seconds = {silence_seconds}\n"
            ),
        )
    }

    /// As [`start`](Self::start), with these keys under `[mirror]`.
    pub fn asking(mirror: &Mirror, mirror_keys: &str) -> Self {
        let proxy = format!(
            "[proxy]\nlisten = \"127.0.0.1:0\"\nallowed_upstreams = [\"{}\"]\n\
             drip_interval_seconds = 1",
            mirror.address
        );
        Self::with_keys(&proxy, mirror_keys)
    }

    /// A daemon with this `[proxy]` section.
    pub fn configured(proxy: &str) -> Self {
        Self::with_keys(proxy, "")
    }

    /// A daemon with this `[proxy]` section, on a machine with these apt sources.
    pub fn with_sources(proxy: &str, sources: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("sources.list"), sources).unwrap();
        Self::in_dir(dir, proxy, "")
    }

    /// A daemon with this `[proxy]` section and these keys under `[mirror]`.
    pub fn with_keys(proxy: &str, mirror_keys: &str) -> Self {
        Self::in_dir(tempfile::tempdir().unwrap(), proxy, mirror_keys)
    }

    fn in_dir(dir: tempfile::TempDir, proxy: &str, mirror_keys: &str) -> Self {
        let text = format!(
            "data_dir = {data:?}\n{proxy}\n\
             [peers]\nlisten = \"127.0.0.1:0\"\n\
             [mirror]\nretries = 3\nretry_delay_ms = 10\napt_dir = {data:?}\n{mirror_keys}",
            data = dir.path()
        );
        let config = Config::parse(&text, Path::new("test.toml")).unwrap();
        let daemon = smol::block_on(Daemon::start(config)).unwrap();
        Self { daemon, _dir: dir }
    }

    pub fn data_dir(&self) -> &Path {
        self.daemon.data_dir()
    }

    pub fn is_cached(&self, content: &[u8]) -> bool {
        self.daemon.context().cache.contains(&Sha256::of(content)).is_some()
    }

    /// What apt has got already is kept a moment later.
    #[track_caller]
    pub fn wait_until_cached(&self, content: &[u8]) {
        wait("a file that was fetched is kept", || self.is_cached(content));
    }

    pub fn address(&self) -> SocketAddr {
        self.daemon.proxy_address()
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// Asks for the archive's indexes as `apt update` does, so that the proxy knows
    /// the hashes of its packages.
    pub fn learn(&self, mirror: &Mirror, archive: &Archive) {
        let mut client = self.connect();
        client.get(&mirror.url(&format!("{SUITE}/InRelease")), &[]).ok();
        client.get(&mirror.url(&archive.packages_by_hash()), &[]).ok();
    }
}

#[track_caller]
pub fn wait(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
