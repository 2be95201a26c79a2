//! The command as a person meets it: what it prints, what its exit code is,
//! how it starts and ends.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(30);

fn khashmir(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_khashmir"));
    command.stdin(Stdio::null()).env("HOME", home).env_remove("XDG_CONFIG_HOME");
    command.env_remove("XDG_DATA_HOME");
    command
}

/// A daemon on ports that the system chose, killed when dropped.
struct Running {
    child: Child,
    greeting: String,
}

impl Running {
    fn start(home: &Path, arguments: &[&str]) -> Self {
        let mut child = khashmir(home)
            .args(["--proxy", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(home.join("data"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        // The last line of the greeting is the one for apt.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut greeting = String::new();
        while !greeting.contains("echo '") {
            let line = lines.next().expect("the daemon ended before it was ready").unwrap();
            greeting.push_str(&line);
            greeting.push('\n');
        }
        Self { child, greeting }
    }

    /// The address behind `name` in the line `listening: …`.
    fn address(&self, name: &str) -> &str {
        let line = self.greeting.lines().find(|line| line.starts_with("listening: ")).unwrap();
        let (_, rest) = line.split_once(&format!("{name} ")).unwrap();
        rest.split(',').next().unwrap()
    }

    fn signal(&mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "the daemon does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn output(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn fails(home: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = khashmir(home);
    command.args(["--proxy", "127.0.0.1:0", "--listen", "127.0.0.1:0"]).args(arguments);
    let (code, stdout, stderr) = output(command);
    assert_eq!(stdout, "");
    (code, stderr)
}

fn status(home: &Path, json: bool) -> (i32, String, String) {
    let mut command = khashmir(home);
    command.args(["status", "--data-dir"]).arg(home.join("data"));
    if json {
        command.arg("--json");
    }
    output(command)
}

#[test]
fn a_typo_in_the_configuration_is_named_with_its_line() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("k.toml");
    fs::write(&file, "[cache]\nsise_limit = '1 GiB'\n").unwrap();
    let file = file.to_str().unwrap();
    for arguments in [&["--config", file][..], &["--config", file, "--check-config"]] {
        let (code, stderr) = fails(home.path(), arguments);
        assert_eq!(code, 2);
        assert!(stderr.contains("k.toml, line 2"), "{stderr}");
        assert!(stderr.contains("sise_limit") && stderr.contains("size_limit"), "{stderr}");
    }
}

#[test]
fn a_configuration_that_is_named_must_exist() {
    let home = tempfile::tempdir().unwrap();
    let (code, stderr) = fails(home.path(), &["--config", "/nonexistent/k.toml"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("/nonexistent/k.toml"), "{stderr}");
}

#[test]
fn check_config_prints_what_is_in_effect_and_does_nothing() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("k.toml");
    fs::write(&file, "[cache]\nsize_limit = '2048 MiB'\n").unwrap();
    let data = home.path().join("data");
    let mut command = khashmir(home.path());
    command.args(["--check-config", "--proxy", "127.0.0.1:3142", "--config"]).arg(&file);
    command.arg("--data-dir").arg(&data);
    let (code, stdout, stderr) = output(command);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("size_limit = \"2 GiB\"\n"), "{stdout}");
    assert!(stdout.contains("listen = \"127.0.0.1:3142\"\n"), "{stdout}");
    assert!(stdout.contains(&format!("data_dir = \"{}\"\n", data.display())), "{stdout}");
    assert!(stdout.contains("hedge_delay_ms = "), "defaults are shown too: {stdout}");
    assert!(!data.exists());
    // What it printed is a configuration.
    fs::write(&file, &stdout).unwrap();
    let mut command = khashmir(home.path());
    command.args(["--check-config", "--config"]).arg(&file);
    assert_eq!(output(command).1, stdout);
}

#[test]
fn a_daemon_says_how_it_is_and_ends_cleanly() {
    let home = tempfile::tempdir().unwrap();
    let mut daemon = Running::start(home.path(), &[]);
    assert!(daemon.greeting.contains("--bootstrap HOST:PORT"), "{}", daemon.greeting);
    let proxy = daemon.address("proxy").to_owned();
    TcpStream::connect(&proxy).expect("the proxy listens once it says so");
    assert!(daemon.greeting.contains(&format!("http://{proxy}\"")), "{}", daemon.greeting);

    let (code, json, _) = status(home.path(), true);
    assert_eq!(code, 0);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["proxy"], proxy);
    assert_eq!(json["peers"], daemon.address("peers"));
    assert_eq!(json["cache"]["limit_bytes"], 10_u64 << 30);
    assert_eq!(json["claims"]["h"], 0);
    let (code, text, _) = status(home.path(), false);
    assert_eq!(code, 0);
    assert!(text.contains(&proxy) && text.contains("0 B of 10.0 GiB"), "{text}");

    assert_eq!(daemon.signal(Signal::TERM).code(), Some(0));
    let (code, stdout, stderr) = status(home.path(), true);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("no daemon answers"), "{stderr}");
}

#[test]
fn a_node_known_from_the_last_run_is_not_asked_for_again() {
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [one, other] = homes.each_ref().map(tempfile::TempDir::path);
    let file = one.join("k.toml");
    fs::write(&file, "[dht]\nlocal_networks = ['127.0.0.0/8']\n").unwrap();
    let file = file.to_str().unwrap();
    let first = Running::start(one, &["--config", file]);
    let peers = first.address("peers");
    let mut second = Running::start(other, &["--config", file, "--bootstrap", peers]);
    assert!(second.greeting.contains(&format!("by way of {peers}\n")), "{}", second.greeting);
    let began = Instant::now();
    while !status(other, false).1.contains(" 1 node known") {
        assert!(began.elapsed() < PATIENCE, "the second does not meet the first");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(second.signal(Signal::TERM).code(), Some(0));
    let second = Running::start(other, &["--config", file]);
    assert!(second.greeting.contains("1 node known from the last run\n"), "{}", second.greeting);
}

#[test]
fn control_c_ends_it_cleanly_too() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(Running::start(home.path(), &["run"]).signal(Signal::INT).code(), Some(0));
}

#[test]
fn killed_it_starts_again_on_the_same_data() {
    let home = tempfile::tempdir().unwrap();
    let mut daemon = Running::start(home.path(), &[]);
    daemon.signal(Signal::KILL);
    let _again = Running::start(home.path(), &[]);
    assert_eq!(status(home.path(), true).0, 0);
}

#[test]
fn only_its_user_can_reach_its_data_and_its_socket() {
    let home = tempfile::tempdir().unwrap();
    let _daemon = Running::start(home.path(), &[]);
    let mode = |path: &str| fs::metadata(home.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("data"), 0o700);
    assert_eq!(mode("data/control.sock"), 0o600);
}

#[test]
fn a_second_daemon_on_the_same_data_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Running::start(home.path(), &[]);
    let data = home.path().join("data");
    let (code, stderr) = fails(home.path(), &["--data-dir", data.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(stderr.contains(&format!("process {}", daemon.child.id())), "{stderr}");
    assert!(stderr.contains("--data-dir"), "{stderr}");
    // The first is none the worse.
    assert_eq!(status(home.path(), true).0, 0);
}

#[test]
fn a_second_daemon_on_the_same_cache_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Running::start(home.path(), &[]);
    let (config, data) = (home.path().join("second.toml"), home.path().join("second"));
    fs::write(&config, format!("[cache]\ndir = {:?}\n", home.path().join("data"))).unwrap();
    let (config, data) = (config.to_str().unwrap(), data.to_str().unwrap());
    let (code, stderr) = fails(home.path(), &["--config", config, "--data-dir", data]);
    assert_eq!(code, 1);
    assert!(stderr.contains(&format!("process {}", daemon.child.id())), "{stderr}");
    assert!(stderr.contains("[cache] dir"), "{stderr}");
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = home.path().join("data");
    for (option, other) in [("--proxy", "--listen"), ("--listen", "--proxy")] {
        let mut command = khashmir(home.path());
        command.args([option, &address, other, "127.0.0.1:0", "--data-dir"]).arg(&data);
        let (code, stdout, stderr) = output(command);
        assert_eq!((code, stdout.as_str()), (1, ""));
        assert!(stderr.contains(&address) && stderr.contains(option), "{stderr}");
        let port = taken.local_addr().unwrap().port();
        assert!(stderr.contains(&format!("`ss -lntup 'sport = :{port}'`")), "{stderr}");
    }
    // An address of nobody's here.
    let data = data.to_str().unwrap();
    let (code, stderr) = fails(home.path(), &["--data-dir", data, "run", "--listen", "192.0.2.1:9978"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("no such address") && stderr.contains("--listen"), "{stderr}");
}

#[test]
fn data_that_cannot_be_used_is_named_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("a-file");
    fs::write(&file, "").unwrap();
    let (code, stderr) = fails(home.path(), &["--data-dir", file.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(stderr.contains("a-file") && stderr.contains("--data-dir"), "{stderr}");

    let long = home.path().join("x".repeat(120));
    let (code, stderr) = fails(home.path(), &["--data-dir", long.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(stderr.contains("control.sock") && stderr.contains("short"), "{stderr}");
}

#[test]
fn a_damaged_database_makes_way_and_the_status_says_so() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("khashmir.db"), vec![b'x'; 8192]).unwrap();
    let daemon = Running::start(home.path(), &[]);
    let (_, text, _) = status(home.path(), false);
    assert!(text.contains("\nattention      The database was damaged"), "{text}");
    assert!(text.contains("khashmir.db.damaged") && text.contains("Check the disk"), "{text}");
    assert!(fs::read(data.join("khashmir.db.damaged")).unwrap() == [b'x'; 8192]);
    drop(daemon);
    // Told once.
    let _daemon = Running::start(home.path(), &[]);
    assert!(!status(home.path(), false).1.contains("attention"));
}

#[test]
fn a_wrong_option_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let (code, stderr) = fails(home.path(), &["--bootstrap", "nameless"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("nameless") && stderr.contains("name.example:9978"), "{stderr}");
}

/// A client that connects and says nothing does not keep others from asking.
#[test]
fn a_silent_client_of_the_socket_is_given_up() {
    let home = tempfile::tempdir().unwrap();
    let _daemon = Running::start(home.path(), &[]);
    let socket = home.path().join("data/control.sock");
    let mut silent = std::os::unix::net::UnixStream::connect(socket).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(status(home.path(), true).0, 0);
    assert_eq!(silent.read_to_end(&mut Vec::new()).unwrap(), 0, "it is closed");
}
