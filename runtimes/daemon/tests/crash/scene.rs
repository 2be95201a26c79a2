//! A daemon with its data, a mirror, and another node to announce to.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use khashmir_apt::Sha256;
use khashmir_daemon::control::ask_status;
use khashmir_smol::{Dht, Sockets};
use rusqlite::Connection;
use serde_json::Value;

use super::apt::{Failure, fetch};
use super::archive::{Archive, SUITE, content, pool};
use super::mirror::Mirror;

/// How long anything may take that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What the cache may hold: three of the packages, or the two and the indexes.
const SIZE_LIMIT: u64 = 400_000;
/// What a person shares.
pub const SHARED: &[u8] = b"a file of one's own";
/// A package, of so many bytes.
const PACKAGE: usize = 180_000;

/// The world around one daemon.
pub struct Scene {
    pub mirror: Mirror,
    pub archive: Archive,
    dir: tempfile::TempDir,
    config: PathBuf,
}

/// A node to announce to. Each daemon has its own, which knows of none that is dead.
pub struct Other {
    address: SocketAddr,
    _node: Dht,
}

impl Other {
    pub fn start() -> Self {
        let local = vec!["127.0.0.0/8".parse().unwrap()];
        let config = khashmir::Config {
            local_networks: local.clone(),
            uncounted_networks: local,
            ..khashmir::Config::default()
        };
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let node = smol::block_on(async { Dht::start(Sockets::new(vec![socket])?, config) }).unwrap();
        Self { address, _node: node }
    }
}

/// In memory where that can be, since no test waits for a disk to turn.
fn temporary() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

impl Scene {
    pub fn new() -> Self {
        let [a, b, c] = [1, 2, 3].map(|seed| content(seed, PACKAGE));
        let archive = Archive::of(&[("a.deb", &a), ("b.deb", &b), ("c.deb", &c)]);
        let mirror = Mirror::of(&archive, |_| None);
        let dir = temporary();
        let config = dir.path().join("khashmir.toml");
        let text = format!(
            "[proxy]\nlisten = \"127.0.0.1:0\"\nallowed_upstreams = [\"{mirror}\"]\n\
             [peers]\nlisten = \"127.0.0.1:0\"\nadvertise = \"127.0.0.1:9\"\n\
             [dht]\nlocal_networks = [\"127.0.0.0/8\"]\n\
             uncounted_networks = [\"127.0.0.0/8\"]\n\
             [cache]\nsize_limit = {SIZE_LIMIT}\n\
             [mirror]\nretries = 3\nretry_delay_ms = 10\napt_dir = {dir:?}\n",
            mirror = mirror.address,
            dir = dir.path(),
        );
        fs::write(&config, text).unwrap();
        fs::write(dir.path().join("shared"), SHARED).unwrap();
        Self { mirror, archive, dir, config }
    }

    /// A directory for the daemon's data, with what is in `template`.
    pub fn data(&self, template: Option<&Path>) -> tempfile::TempDir {
        let data = tempfile::tempdir_in(self.dir.path()).unwrap();
        if let Some(template) = template {
            copy(template, data.path());
        }
        data
    }

    /// The data of a daemon that was stopped after it did this.
    pub fn template(&self, deeds: &[Deed]) -> tempfile::TempDir {
        let data = self.data(None);
        let running = Running::start(self, data.path());
        for deed in deeds {
            self.perform(deed, running.proxy, data.path()).unwrap();
        }
        running.stop();
        // The node that it knew is gone, and would be waited for.
        let database = Connection::open(data.path().join("khashmir.db")).unwrap();
        assert_eq!(database.execute("DELETE FROM saved", []).unwrap(), 1);
        database.close().unwrap();
        data
    }

    /// The command that starts a daemon which joins by way of the `other` node.
    pub fn command(&self, data: &Path, other: &Other) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_khashmir"));
        command.arg("--bootstrap").arg(other.address.to_string());
        command.arg("--config").arg(&self.config).arg("--data-dir").arg(data);
        command.env("HOME", self.dir.path());
        command
    }

    /// The path of a package at the mirror, or of an index.
    pub fn url(&self, name: &str) -> String {
        self.mirror.url(&match name {
            "InRelease" => format!("{SUITE}/InRelease"),
            "Packages" => self.archive.packages_by_hash(),
            package => pool(package),
        })
    }

    /// What a file has to be.
    pub fn content(&self, name: &str) -> &[u8] {
        let path = self.url(name);
        let path = path.strip_prefix(&format!("http://{}", self.mirror.address)).unwrap();
        &self.archive.files[path]
    }

    /// A file that a person may share.
    pub fn shared(&self) -> PathBuf {
        self.dir.path().join("shared")
    }

    /// How often the mirror was asked for a file.
    pub fn times_asked(&self, name: &str) -> usize {
        let url = self.url(name);
        self.mirror.asked(url.strip_prefix(&format!("http://{}", self.mirror.address)).unwrap()).len()
    }

    /// Where a file lies in the cache, below the data directory.
    pub fn cached_at(&self, name: &str) -> PathBuf {
        let hash = self.sha256(name).to_string();
        Path::new("cache").join(&hash[..2]).join(hash)
    }

    pub fn sha256(&self, name: &str) -> Sha256 {
        Sha256::of(self.content(name))
    }

    /// What clients do with a daemon.
    ///
    /// # Errors
    /// If it ends meanwhile.
    pub fn perform(&self, deed: &Deed, proxy: SocketAddr, data: &Path) -> Result<(), Failure> {
        match deed {
            Deed::Fetch(name) => {
                let fetched = fetch(proxy, &self.url(name))?;
                assert!(fetched == self.content(name), "{name}: wrong bytes reached apt");
                Ok(())
            }
            Deed::Share => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_khashmir"));
                let shared = command.arg("--data-dir").arg(data).arg("share").arg(self.shared());
                let is_told = shared.env("HOME", self.dir.path()).output().unwrap().status.success();
                is_told.then_some(()).ok_or(Failure::Cut)
            }
            Deed::AwaitNeighbour => await_status(data, |status| status["dht"]["contacts"] != 0),
            Deed::AwaitCached(count) => {
                await_status(data, |status| status["downloads"]["completed"] == *count)
            }
            Deed::AwaitAnnounced(count) => {
                await_status(data, |status| status["dht"]["publications"] == *count)
            }
        }
    }
}

/// Something that is done with a daemon.
#[derive(Debug, Clone, Copy)]
pub enum Deed {
    /// Fetches a file and checks its bytes.
    Fetch(&'static str),
    /// Shares a file that lies elsewhere.
    Share,
    /// Waits until the daemon knows the other node.
    AwaitNeighbour,
    /// Waits until so many downloads are complete.
    AwaitCached(u64),
    /// Waits until so many files are announced.
    AwaitAnnounced(u64),
}

/// Waits until the status is as it should be.
///
/// # Errors
/// If the daemon ends before.
pub fn await_status(data: &Path, is_so: impl Fn(&Value) -> bool) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask_status(data) {
            Ok(status) if is_so(&status) => return Ok(()),
            Ok(status) => assert!(Instant::now() < deadline, "waited in vain: {status}"),
            Err(_) => return Err(Failure::Cut),
        }
        std::thread::sleep(Duration::from_millis(4));
    }
}

/// The addresses in a daemon's greeting: for apt, and for peers. `None` if it ended before.
pub fn greeting(stdout: ChildStdout) -> Option<(SocketAddr, SocketAddr)> {
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let line = lines.find_map(|line| line.strip_prefix("listening: proxy ").map(str::to_owned))?;
    let (proxy, peers) = line.split_once(", peers ")?;
    // Until the end of the greeting, after which nothing is written.
    lines.find(|line| line.contains("echo '"))?;
    Some((proxy.parse().unwrap(), peers.parse().unwrap()))
}

/// A daemon that nobody disturbs; killed when dropped.
pub struct Running {
    child: Child,
    pub proxy: SocketAddr,
    pub peers: SocketAddr,
    _other: Other,
}

impl Running {
    #[track_caller]
    pub fn start(scene: &Scene, data: &Path) -> Self {
        let other = Other::start();
        let mut command = scene.command(data, &other);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let Some((proxy, peers)) = greeting(child.stdout.take().unwrap()) else {
            let mut text = String::new();
            child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
            panic!("the daemon does not start: {text}");
        };
        Self { child, proxy, peers, _other: other }
    }

    /// Kills it. Returns what it said to complain.
    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.complaints()
    }

    /// Ends it cleanly. Returns what it said to complain.
    pub fn stop(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.complaints()
    }

    fn complaints(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        self.child.wait().unwrap();
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Copies a directory, with the times of its files, without sockets.
pub fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else if !kind.is_socket() {
            fs::copy(entry.path(), &target).unwrap();
            let modified = entry.metadata().unwrap().modified().unwrap();
            fs::File::options().write(true).open(&target).unwrap().set_modified(modified).unwrap();
        }
    }
}
