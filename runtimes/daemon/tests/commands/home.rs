//! A person's machine: a home, a daemon that runs in it, and the commands typed there.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::archive::{Archive, SUITE, pool};
use super::client::Client;
use super::mirror::Mirror;

/// How long anything may take that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A machine at an address of its own on loopback. Its daemon is killed, and its home removed, when
/// it is dropped.
pub struct Home {
    dir: tempfile::TempDir,
    ip: &'static str,
    daemon: Option<Running>,
    /// Where it listened first: where it listens after every start.
    peers: Option<SocketAddr>,
    /// A library that the daemon, and each command, runs with.
    preload: Option<PathBuf>,
    /// Further lines of its `[peers]` section.
    peers_section: &'static str,
}

struct Running {
    child: Child,
    proxy: SocketAddr,
    peers: SocketAddr,
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let Output { status, stdout, stderr } = output;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
    }

    /// What it printed, if it succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// What it complained, if it failed and printed nothing else.
    #[track_caller]
    pub fn fails(self) -> String {
        assert_eq!((self.code, self.out.as_str()), (1, ""), "{}", self.err);
        self.err
    }

    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}

impl Home {
    /// A machine without a daemon.
    pub fn at(ip: &'static str) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            ip,
            daemon: None,
            peers: None,
            preload: None,
            peers_section: "",
        }
    }

    /// A machine whose daemon runs, asks this mirror, and joins those machines.
    pub fn start(ip: &'static str, mirror: Option<&Mirror>, others: &[&Home]) -> Self {
        let mut home = Self::at(ip);
        home.begin_daemon(mirror, others);
        home
    }

    /// The same on this machine.
    pub fn begin_daemon(&mut self, mirror: Option<&Mirror>, others: &[&Home]) {
        self.configure(mirror, others);
        self.run_daemon();
    }

    /// It gives others so much in a second, from its next start on.
    pub fn give_slowly(&mut self) {
        self.peers_section = "upload_limit_per_second = '4 MB'";
    }

    /// Everything runs with this library from now on.
    pub fn preload(&mut self, library: PathBuf) {
        self.preload = Some(library);
    }

    /// What the daemon has written to standard error.
    pub fn complaints(&self) -> String {
        fs::read_to_string(self.path("data.log")).unwrap()
    }

    /// Peers are waited for as long as may be: what comes from the mirror, no peer had.
    fn configure(&self, mirror: Option<&Mirror>, others: &[&Home]) {
        let bootstrap: Vec<String> = others.iter().map(|other| other.peers().to_string()).collect();
        let mirrors: Vec<String> = mirror.iter().map(|mirror| mirror.address.to_string()).collect();
        let text = format!(
            "data_dir = {data:?}\n\
             [proxy]\nlisten = \"127.0.0.1:0\"\nallowed_upstreams = {mirrors:?}\n\
             [peers]\n{peers}\n\
             [dht]\nbootstrap = {bootstrap:?}\nlocal_networks = [\"127.0.0.0/8\"]\n\
             uncounted_networks = [\"127.0.0.0/8\"]\n\
             [mirror]\nretries = 1\nretry_delay_ms = 10\napt_dir = {data:?}\nhedge_delay_ms = 25000\n",
            data = self.data(),
            peers = self.peers_section,
        );
        fs::write(self.path("k.toml"), text).unwrap();
    }

    /// Starts the daemon, where it was before.
    pub fn run_daemon(&mut self) {
        let listen = self.peers.unwrap_or_else(|| format!("{}:0", self.ip).parse().unwrap());
        let deadline = Instant::now() + PATIENCE;
        let (mut child, mut lines) = loop {
            let mut child = self
                .khashmir(&["run", "--listen", &listen.to_string()])
                .stdout(Stdio::piped())
                .stderr(File::create(self.path("data.log")).unwrap())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            if lines.next().is_some() {
                break (child, lines);
            }
            // The port of the one that was killed may be free a moment later.
            child.wait().unwrap();
            assert!(Instant::now() < deadline, "the daemon does not start");
        };
        let Some(Ok(line)) = lines.next() else {
            child.kill().unwrap();
            panic!("the daemon says nothing")
        };
        let (_, rest) = line.split_once("proxy ").unwrap();
        let (proxy, peers) = rest.split_once(", peers ").unwrap();
        let running = Running { child, proxy: proxy.parse().unwrap(), peers: peers.parse().unwrap() };
        self.peers = Some(running.peers);
        self.daemon = Some(running);
    }

    /// An end without warning.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// An end as at a shutdown.
    pub fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    fn end(&mut self, signal: Signal) {
        let mut running = self.daemon.take().unwrap();
        kill_process(Pid::from_child(&running.child), signal).unwrap();
        running.child.wait().unwrap();
    }

    /// Where other machines reach it.
    pub fn peers(&self) -> SocketAddr {
        self.daemon.as_ref().unwrap().peers
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// A file in the home.
    pub fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The command, with the home's configuration.
    fn khashmir(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_khashmir"));
        command.stdin(Stdio::null()).current_dir(self.dir.path());
        command.env("HOME", self.dir.path()).env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME");
        command.args(arguments);
        if let Some(library) = &self.preload {
            command.env("LD_PRELOAD", library);
        }
        match self.path("k.toml") {
            config if config.exists() => command.arg("--config").arg(config),
            _ => command.arg("--data-dir").arg(self.data()),
        };
        command
    }

    /// Types a command and waits for its end.
    pub fn type_in(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.khashmir(arguments).output().unwrap())
    }

    /// Types a command that goes on.
    pub fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.khashmir(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// What a command shows on a terminal of 120 columns.
    pub fn type_on_terminal(&self, arguments: &[&str]) -> String {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let size = rustix::termios::Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&controller, size).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let terminal = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let mut command = self.khashmir(arguments);
        command.env("TERM", "xterm").env_remove("NO_COLOR");
        command.stdin(terminal.try_clone().unwrap()).stdout(terminal.try_clone().unwrap()).stderr(terminal);
        let mut child = command.spawn().unwrap();
        // Or the terminal would never end.
        drop(command);
        let reading = thread::spawn(move || {
            let (mut controller, mut shown) = (File::from(controller), Vec::new());
            let mut chunk = [0; 4096];
            // It ends with an error when nobody has the terminal any more.
            while let Ok(read @ 1..) = controller.read(&mut chunk) {
                shown.extend_from_slice(&chunk[..read]);
            }
            String::from_utf8(shown).unwrap()
        });
        assert!(child.wait().unwrap().success());
        reading.join().unwrap()
    }

    pub fn status(&self) -> serde_json::Value {
        self.type_in(&["status", "--json"]).json()
    }

    /// Waits until the status is so.
    #[track_caller]
    pub fn wait_status(&self, what: &str, is_so: impl Fn(&serde_json::Value) -> bool) {
        wait(what, || is_so(&self.status()));
    }

    /// Waits until it knows so many other nodes.
    #[track_caller]
    pub fn wait_joined(&self, contacts: u64) {
        self.wait_status("it has joined", |status| status["dht"]["contacts"].as_u64() >= Some(contacts));
    }

    /// Waits until so many files are announced.
    #[track_caller]
    pub fn wait_announced(&self, files: u64) {
        self.wait_status("files are announced", |status| {
            status["dht"]["publications"].as_u64() == Some(files)
        });
    }

    /// A connection as apt makes it.
    pub fn apt(&self) -> Client {
        Client::connect(self.daemon.as_ref().unwrap().proxy)
    }

    /// Asks for the archive's indexes as `apt update` does.
    pub fn update(&self, mirror: &Mirror, archive: &Archive) {
        let mut client = self.apt();
        client.get(&mirror.url(&format!("{SUITE}/InRelease")), &[]).ok();
        client.get(&mirror.url(&archive.packages_by_hash()), &[]).ok();
    }

    /// Asks for a package as `apt install` does.
    #[track_caller]
    pub fn install(&self, mirror: &Mirror, name: &str) -> Vec<u8> {
        self.apt().get(&mirror.url(&pool(name)), &[]).ok()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(running) = &mut self.daemon {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}

/// Waits for what is about to be.
#[track_caller]
pub fn wait(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What lies in a directory.
pub fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
