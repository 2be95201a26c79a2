//! Tries checks on a node that runs in this process.

use khashmir::Config;
use khashmir_conformance::check::Selection;
use khashmir_conformance::node::{Bootstrap, Manners, Target, checks};
use khashmir_conformance::report::{CheckReport, Status};
use khashmir_conformance::{Level, Runner};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How a node is configured for the checks, as `--help` says.
pub fn config() -> Config {
    Config { local_networks: vec!["127.0.0.0/8".parse().unwrap()], ..Config::default() }
}

/// What checks of these names come to on the node that `start` starts, which has to join through the
/// address that it is given. What `start` returns beside the node's address keeps the node alive.
pub fn try_checks<T>(
    only: &[&str],
    dialect_2008: bool,
    start: impl FnOnce(SocketAddr) -> (SocketAddr, T),
) -> Vec<CheckReport> {
    let wait = Duration::from_secs(20);
    let bootstrap = Bootstrap::bind(([127, 0, 0, 1], 0).into(), wait).unwrap();
    let (addr, _node) = start(bootstrap.addr);
    // Patient: this machine has other things to do.
    let manners = Manners { patience: Duration::from_secs(6), ..Manners::default() };
    let mut target = Target::find(addr, manners, wait).unwrap();
    target.bootstrap = Some(bootstrap);
    let only = only.iter().map(|name| (*name).to_owned()).collect();
    let runner = Runner {
        selection: Selection { only, levels: Vec::new() },
        jobs: 32,
        timeout: Duration::from_secs(60),
        dialect_2008,
    };
    runner.run(&checks(), &Arc::new(target), |_| {})
}

/// Panics unless every check passes on the node that `start` starts.
pub fn everything_passes<T>(start: impl FnOnce(SocketAddr) -> (SocketAddr, T)) {
    let reports = try_checks(&[], false, start);
    assert!(reports.len() >= 120, "{} checks", reports.len());
    let wrong: Vec<_> = reports.iter().filter(|report| report.status != Status::Passed).collect();
    assert!(wrong.is_empty(), "{} of {} did not pass:\n{}", wrong.len(), reports.len(), told(&wrong));
}

/// What came of checks, for people.
pub fn told(reports: &[&CheckReport]) -> String {
    let line = |report: &&CheckReport| {
        let why = match (&report.failure, &report.reason) {
            (Some(failure), _) => format!("expected {}, came {}", failure.expected, failure.came),
            (None, reason) => reason.clone().unwrap_or_default(),
        };
        format!("{}: {:?}: {why}\n", report.name, report.status)
    };
    reports.iter().map(line).collect()
}

/// The names of all checks of a level.
pub fn names(level: Level) -> impl Iterator<Item = &'static str> {
    checks().into_iter().filter(move |check| check.level == level).map(|check| check.name)
}
