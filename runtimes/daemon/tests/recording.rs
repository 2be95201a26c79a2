//! The daemon records its node, is killed, and what happened happens again.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use khashmir::{Config, Id};
use khashmir_recording::{Fault, Input, ReadError, Replay, Step, Verdict};
use khashmir_smol::{Dht, Sockets};
use smol::stream::StreamExt as _;

const PATIENCE: Duration = Duration::from_secs(30);
const KEY: Id = Id(*b"twenty bytes of hash");

/// A daemon that is killed when dropped.
struct Daemon {
    child: Child,
    peers: SocketAddr,
}

fn khashmir(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_khashmir"));
    command.env("HOME", home).env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME").current_dir(home);
    command.args(["--proxy", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--data-dir", "data"]);
    command.args(["--local-network", "127.0.0.0/8"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Daemon {
    fn start(home: &Path, arguments: &[&str]) -> Daemon {
        let mut child = khashmir(home, arguments).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = lines.map_while(Result::ok).find(|line| line.starts_with("listening: "));
        let listening = listening.expect("the daemon ended before it was ready");
        let peers = listening.rsplit(' ').next().unwrap().parse().unwrap();
        Daemon { child, peers }
    }

    /// What it wrote to standard error, after kill -9.
    fn kill(mut self) -> String {
        self.child.kill().unwrap();
        let mut stderr = self.child.stderr.take().unwrap();
        std::io::read_to_string(&mut stderr).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Another node joins the daemon's, puts and gets.
fn exchange(daemon: &Daemon) {
    let config = Config { local_networks: vec!["127.0.0.0/8".parse().unwrap()], ..Config::default() };
    smol::block_on(async {
        let sockets = Sockets::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let node = Dht::start(sockets, config).unwrap();
        assert_eq!(node.join(&[daemon.peers]).await, Ok(1));
        assert_eq!(node.put(KEY, b"where to find it").await, Ok(2));
        let mut values = node.get(KEY, 1).await.unwrap();
        assert_eq!(values.next().await.unwrap(), &b"where to find it"[..]);
        node.shutdown().await;
    });
}

fn replay(recording: &[u8]) -> (Vec<Step>, Option<ReadError>) {
    let (mut steps, mut error) = (Vec::new(), None);
    for step in Replay::open(recording).unwrap() {
        match step {
            Ok(step) => steps.push(step),
            Err(end) => error = Some(end),
        }
    }
    (steps, error)
}

#[test]
fn what_was_recorded_until_a_kill_replays_bit_for_bit_and_what_is_left_of_it_too() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("node.khashmir");
    let daemon = Daemon::start(home.path(), &["--record", "node.khashmir"]);
    exchange(&daemon);
    daemon.kill();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "it holds secrets");
    let recording = fs::read(&path).unwrap();

    let (steps, error) = replay(&recording);
    assert_eq!(error.unwrap().fault, Fault::CutShort, "nobody ended it");
    let (last, checked) = steps.split_last().unwrap();
    assert_eq!(last.verdict, Verdict::Unchecked, "what the last came to was to be written with the next");
    let differs = checked.iter().find(|step| step.verdict != Verdict::Same);
    assert_eq!(differs, None);
    let datagrams =
        |steps: &[Step]| steps.iter().filter(|step| matches!(step.input, Input::Datagram { .. })).count();
    let sent = checked.iter().map(|step| step.sent.len()).sum::<usize>();
    assert!(datagrams(&steps) > 5 && sent > 5, "{} in, {sent} out", datagrams(&steps));

    // Cut anywhere behind the start, it replays up to there.
    let start = recording.len() * 2 / 3;
    for at in [start, start + 100, recording.len() - 200, recording.len() - 1] {
        let (left, error) = replay(&recording[..at]);
        assert_eq!(error.unwrap().fault, Fault::CutShort);
        let whole = left.len().saturating_sub(1);
        assert!(whole > 0 && whole < steps.len());
        assert_eq!(left[..whole], steps[..whole]);
    }
}

#[test]
fn a_recording_ends_at_its_limit_and_the_node_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("node.khashmir");
    fs::write(home.path().join("k.toml"), "[recording]\nfile = 'node.khashmir'\nsize_limit = 2500\n")
        .unwrap();
    let daemon = Daemon::start(home.path(), &["--config", "k.toml"]);
    exchange(&daemon);
    let said = daemon.kill();
    assert!(said.contains("node.khashmir") && said.contains("size limit"), "{said}");
    let recording = fs::read(&path).unwrap();
    assert!((1000..=2500).contains(&recording.len()), "{}", recording.len());
    let (steps, error) = replay(&recording);
    assert_eq!(error.unwrap(), ReadError { fault: Fault::CutShort, offset: recording.len() as u64 });
    assert!(steps[..steps.len() - 1].iter().all(|step| step.verdict == Verdict::Same) && steps.len() > 3);
}

#[test]
fn a_blinded_recording_tells_nothing_that_identifies_anybody() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("told");
    let mut daemon = Daemon::start(home.path(), &["--record-blinded", "told"]);
    exchange(&daemon);
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&daemon.child),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    let began = Instant::now();
    while daemon.child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("khashmir recording, blinded, 1\n"), "{text}");
    assert!(text.ends_with("\nend\n"), "it was stopped, not killed: {text}");
    assert!(text.contains("StoreValue query by ~") && text.contains("FindNode query by ~"), "{text}");
    let mut secrets = vec![KEY.to_string(), "where to find it".to_owned(), "127.0.0".to_owned()];
    secrets.push(format!(":{}", daemon.peers.port()));
    secrets.push("twenty bytes".to_owned());
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} in {text}");
    }
    assert_eq!(Replay::open(text.as_bytes()).err().unwrap().fault, Fault::Blinded);
}

#[test]
fn an_earlier_recording_is_moved_aside_and_nothing_else_is_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let [path, old] = ["node.khashmir", "node.khashmir.old"].map(|name| home.path().join(name));
    Daemon::start(home.path(), &["--record", "node.khashmir"]).kill();
    let first = fs::read(&path).unwrap();
    Daemon::start(home.path(), &["--record", "node.khashmir"]).kill();
    assert_eq!(fs::read(&old).unwrap(), first);
    assert_ne!(fs::read(&path).unwrap(), first);
    // The second was restored from what the first had saved, if that came to a checkpoint; either way:
    assert!(!replay(&fs::read(&path).unwrap()).0.is_empty());

    fs::write(&path, "a letter").unwrap();
    let refused = khashmir(home.path(), &["--record", "node.khashmir"]).output().unwrap();
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr.contains("node.khashmir") && stderr.contains("no recording"), "{stderr}");
    assert_eq!(fs::read(&path).unwrap(), b"a letter");
}
