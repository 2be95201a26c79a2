//! The daemon as a proxy of apt and as a node, measured by the kit that measures any.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use khashmir_conformance::check::{Runner, Selection};
use khashmir_conformance::node::{self, Bootstrap, Manners};
use khashmir_conformance::proxy;
use khashmir_conformance::report::{CheckReport, Status};

/// A daemon that may ask any mirror and any node on this machine; killed when dropped.
struct Daemon {
    child: Child,
    proxy: SocketAddr,
    node: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Daemon {
    /// It joins others by way of `bootstrap`.
    fn start(bootstrap: Option<SocketAddr>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let configuration = format!(
            "data_dir = {data:?}\n\
             [proxy]\nlisten = \"127.0.0.1:0\"\nallowed_upstreams = [\"127.0.0.0/8\"]\n\
             [peers]\nlisten = \"127.0.0.1:0\"\n\
             [mirror]\napt_dir = {data:?}\n\
             [dht]\nbootstrap = {bootstrap:?}\nlocal_networks = [\"127.0.0.0/8\"]\n\
             queries_per_second_per_address = 64\n",
            data = dir.path().join("data"),
            bootstrap = Vec::from_iter(bootstrap.map(|addr| addr.to_string())),
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
        let listening = lines.find_map(|line| {
            let (proxy, node) = line.strip_prefix("listening: proxy ")?.split_once(", peers ")?;
            Some((proxy.parse().unwrap(), node.parse().unwrap()))
        });
        let (proxy, node) = listening.expect("it says where it listens");
        // Nobody reads what else it says.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, proxy, node, _dir: dir }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn runner() -> Runner {
    let timeout = Duration::from_secs(60);
    Runner { selection: Selection::default(), jobs: 32, timeout, dialect_2008: false }
}

fn all_passed(reports: &[CheckReport]) {
    let not_passed: Vec<_> = reports
        .iter()
        .filter(|report| report.status != Status::Passed)
        .map(|report| (report.name, report.level, &report.failure, &report.reason))
        .collect();
    assert!(not_passed.is_empty(), "{not_passed:#?}");
}

#[test]
fn it_passes_every_check_for_proxies() {
    let daemon = Daemon::start(None);
    // Less than apt waits, and more than twice as long as the daemon does between two bytes to wait on.
    let patience = Duration::from_secs(12);
    let target = proxy::Target::new(daemon.proxy, "127.0.0.1:0".parse().unwrap(), patience).unwrap();
    all_passed(&runner().run(&proxy::checks(), &Arc::new(target), |_| {}));
}

#[test]
fn it_passes_every_check_for_nodes() {
    let wait = Duration::from_secs(20);
    let bootstrap = Bootstrap::bind("127.0.0.1:0".parse().unwrap(), wait).unwrap();
    let daemon = Daemon::start(Some(bootstrap.addr));
    let manners = Manners { patience: Duration::from_secs(6), ..Manners::default() };
    let mut target = node::Target::find(daemon.node, manners, wait).unwrap();
    target.bootstrap = Some(bootstrap);
    all_passed(&runner().run(&node::checks(), &Arc::new(target), |_| {}));
}
