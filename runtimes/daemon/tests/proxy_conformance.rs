//! The daemon as a proxy of apt, measured by the kit that measures any.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use khashmir_conformance::check::{Runner, Selection};
use khashmir_conformance::proxy::{Target, checks};
use khashmir_conformance::report::Status;

/// A daemon that may ask any mirror on this machine; killed when dropped.
struct Daemon {
    child: Child,
    proxy: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let configuration = format!(
            "data_dir = {data:?}\n\
             [proxy]\nlisten = \"127.0.0.1:0\"\nallowed_upstreams = [\"127.0.0.0/8\"]\n\
             [peers]\nlisten = \"127.0.0.1:0\"\n\
             [mirror]\napt_dir = {data:?}\n",
            data = dir.path().join("data"),
        );
        let file = dir.path().join("khashmir.toml");
        fs::write(&file, configuration).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_khashmir"))
            .arg("--config")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let proxy = lines.find_map(|line| {
            let addresses = line.strip_prefix("listening: proxy ")?.to_owned();
            addresses.split(',').next()?.parse().ok()
        });
        // Nobody reads what else it says.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, proxy: proxy.expect("it says where it listens"), _dir: dir }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_passes_every_check_for_proxies() {
    let daemon = Daemon::start();
    // Less than apt waits, and more than twice as long as the daemon does between two bytes to wait on.
    let patience = Duration::from_secs(12);
    let target = Target::new(daemon.proxy, "127.0.0.1:0".parse().unwrap(), patience).unwrap();
    let runner = Runner {
        selection: Selection::default(),
        jobs: 32,
        timeout: Duration::from_secs(60),
        dialect_2008: false,
    };
    let reports = runner.run(&checks(), &Arc::new(target), |_| {});
    let not_passed: Vec<_> = reports
        .iter()
        .filter(|report| report.status != Status::Passed)
        .map(|report| (report.name, report.level, &report.failure, &report.reason))
        .collect();
    assert!(not_passed.is_empty(), "{not_passed:#?}");
}
