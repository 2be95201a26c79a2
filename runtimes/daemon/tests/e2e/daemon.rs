//! The daemon's binary, run as a user would run it: a configuration file, a data
//! directory, signals.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long a start, a stop or a change of the statistics may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// One machine. Its data, and the addresses of its daemon's first run, outlive the
/// daemon's runs.
#[derive(Debug)]
pub struct Machine {
    directory: tempfile::TempDir,
    mirrors: Vec<SocketAddr>,
    bootstrap: Vec<SocketAddr>,
    proxy: Cell<SocketAddr>,
    peers: Cell<SocketAddr>,
    hedge_delay_ms: u32,
    /// Further lines of its configuration, each with the table that it belongs to.
    lines: Vec<(&'static str, String)>,
}

/// A running daemon; dropped, it is killed.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    data: PathBuf,
    proxy: SocketAddr,
    peers: SocketAddr,
    output: Arc<Mutex<String>>,
}

impl Machine {
    /// A machine whose daemon may ask the mirror at `mirror`, listens on the loopback
    /// address `ip`, and knows the nodes at `bootstrap`.
    pub fn new(ip: &str, mirror: SocketAddr, bootstrap: &[SocketAddr]) -> Machine {
        let directory = tempfile::Builder::new().prefix("khashmir").tempdir().unwrap();
        // The machine's own apt sources are not to matter.
        fs::create_dir(directory.path().join("apt")).unwrap();
        Machine {
            directory,
            mirrors: vec![mirror],
            bootstrap: bootstrap.to_vec(),
            proxy: Cell::new(SocketAddr::from(([127, 0, 0, 1], 0))),
            peers: Cell::new(SocketAddr::new(ip.parse().unwrap(), 0)),
            hedge_delay_ms: 1_500,
            lines: Vec::new(),
        }
    }

    /// Its daemon waits for late peers as long as it may, however slow the computer
    /// that runs the test: what comes from the mirror then is what no peer had.
    pub fn patient(self) -> Machine {
        self.hedging_after(25_000)
    }

    /// After so long its daemon asks somebody else for what is late.
    pub fn hedging_after(self, hedge_delay_ms: u32) -> Machine {
        Machine { hedge_delay_ms, ..self }
    }

    /// Its daemon may ask this mirror, too.
    pub fn also_asking(mut self, mirror: SocketAddr) -> Machine {
        self.mirrors.push(mirror);
        self
    }

    /// Its daemon trusts the authority in this file, and opens tunnels to the mirror's port.
    pub fn trusting(self, authority: &Path) -> Machine {
        let port = self.mirrors[0].port();
        self.with("mirror", format!("ca_file = {authority:?}"))
            .with("proxy", format!("tunnel_ports = [{port}]"))
    }

    /// A further line of its configuration, in this table.
    pub fn with(mut self, table: &'static str, line: impl Into<String>) -> Machine {
        self.lines.push((table, line.into()));
        self
    }

    fn configuration(&self) -> String {
        let texts = |addresses: &[SocketAddr]| Vec::from_iter(addresses.iter().map(SocketAddr::to_string));
        let (mirrors, bootstrap) = (texts(&self.mirrors), texts(&self.bootstrap));
        let apt_dir = self.directory.path().join("apt");
        let mut tables = BTreeMap::from([
            ("proxy", format!("listen = \"{}\"\nallowed_upstreams = {mirrors:?}\n", self.proxy.get())),
            ("peers", format!("listen = \"{}\"\n", self.peers.get())),
            (
                "dht",
                format!(
                    "bootstrap = {bootstrap:?}\nlocal_networks = [\"127.0.0.0/8\"]\n\
                     uncounted_networks = [\"127.0.0.0/8\"]\n"
                ),
            ),
            ("mirror", format!("apt_dir = {apt_dir:?}\nhedge_delay_ms = {}\n", self.hedge_delay_ms)),
            ("log", "level = \"debug\"\n".to_owned()),
        ]);
        for (table, line) in &self.lines {
            *tables.entry(table).or_default() += &format!("{line}\n");
        }
        tables.iter().map(|(table, lines)| format!("[{table}]\n{lines}")).collect()
    }

    /// Starts the daemon and waits until it says where it listens.
    pub fn start(&self) -> Daemon {
        let configuration = self.directory.path().join("khashmir.toml");
        fs::write(&configuration, self.configuration()).unwrap();
        let data = self.directory.path().join("data");
        let mut child = Command::new(env!("CARGO_BIN_EXE_khashmir"))
            .arg("--config")
            .arg(&configuration)
            .arg("--data-dir")
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().unwrap(), &output);
        collect(child.stderr.take().unwrap(), &output);

        let began = Instant::now();
        loop {
            let addresses = listening(&output.lock().unwrap());
            if let Some((proxy, peers)) = addresses {
                self.proxy.set(proxy);
                self.peers.set(peers);
                return Daemon { child, data, proxy, peers, output };
            }
            let ended = child.try_wait().unwrap();
            if ended.is_some() || began.elapsed() > PATIENCE {
                let _ = child.kill();
                panic!("the daemon is not ready ({ended:?}):\n{}", output.lock().unwrap());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Daemon {
    /// Where apt reaches it.
    pub fn proxy(&self) -> SocketAddr {
        self.proxy
    }

    /// Where other machines reach it.
    pub fn peers(&self) -> SocketAddr {
        self.peers
    }

    /// `khashmir status --json`.
    pub fn status(&self) -> Value {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_khashmir"))
            .args(["status", "--json", "--data-dir"])
            .arg(&self.data)
            .output()
            .unwrap();
        assert!(status.success(), "khashmir status: {}", String::from_utf8_lossy(&stderr));
        serde_json::from_slice(&stdout).unwrap()
    }

    /// One number of the status, such as `/claims/t`.
    #[track_caller]
    pub fn count(&self, pointer: &str) -> u64 {
        let status = self.status();
        let number = status.pointer(pointer).and_then(Value::as_u64);
        number.unwrap_or_else(|| panic!("no number {pointer} in {status:#}"))
    }

    /// What it wrote so far.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Waits until a number of the status is as wanted.
    #[track_caller]
    pub fn wait(&self, pointer: &str, wanted: impl Fn(u64) -> bool) -> u64 {
        let began = Instant::now();
        loop {
            let count = self.count(pointer);
            if wanted(count) {
                return count;
            }
            assert!(began.elapsed() < PATIENCE, "{pointer} stays at {count}: {:#}", self.status());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// SIGTERM, and a clean end.
    pub fn stop(mut self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "the daemon does not stop");
            thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "the daemon ended with {status}");
    }

    /// SIGKILL: what a power failure looks like to the daemon's files.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- the daemon at {} said:\n{}---", self.peers, self.output.lock().unwrap());
        }
    }
}

/// The addresses in the line `listening: proxy ADDRESS, peers ADDRESS`.
fn listening(output: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line = output.split_inclusive('\n').find_map(|line| line.strip_prefix("listening: proxy "))?;
    let (proxy, peers) = line.strip_suffix('\n')?.split_once(", peers ")?;
    Some((proxy.parse().ok()?, peers.trim().parse().ok()?))
}

fn collect(pipe: impl Read + Send + 'static, output: &Arc<Mutex<String>>) {
    let output = Arc::clone(output);
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut output = output.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
        }
    });
}
