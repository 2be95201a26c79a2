//! The checks for proxies are right about a tiny proxy that is right, and about each of its faults.

#![allow(clippy::unwrap_used, missing_debug_implementations, unreachable_pub)]

mod faults;
mod tiny;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use khashmir_conformance::check::{Level, Runner, Selection};
use khashmir_conformance::proxy::{Target, checks};
use khashmir_conformance::report::list::render;
use khashmir_conformance::report::{CheckReport, Format, Status};

use faults::FAULTS;

/// How long the client waits for a byte: less than apt does.
const PATIENCE: Duration = Duration::from_secs(5);

/// Faults tried at a time; most of the time is waiting.
const JOBS: usize = 8;

fn run(fault: &'static str, only: &[&str]) -> Vec<CheckReport> {
    let proxy = tiny::start(fault, PATIENCE / 4);
    let only = only.iter().map(|name| (*name).to_owned()).collect();
    let runner = Runner {
        selection: Selection { only, levels: Vec::new() },
        jobs: 16,
        timeout: Duration::from_secs(45),
        dialect_2008: false,
    };
    let mirror = "127.0.0.1:0".parse().unwrap();
    let target = Target::new(proxy, mirror, PATIENCE).unwrap_or_else(|error| panic!("{fault}: {error}"));
    runner.run(&checks(), &Arc::new(target), |_| {})
}

#[test]
fn a_proxy_without_fault_passes_every_check() {
    let reports = run("", &[]);
    assert!(reports.len() >= 60);
    let not_passed: Vec<_> = reports
        .iter()
        .filter(|report| report.status != Status::Passed)
        .map(|r| (r.name, &r.failure, &r.reason))
        .collect();
    assert!(not_passed.is_empty(), "{not_passed:#?}");
}

#[test]
fn each_fault_is_found_by_its_checks() {
    // Each with a proxy of its own, so that none disturbs another.
    let pairs = FAULTS.iter().flat_map(|(fault, names)| names.iter().map(|name| (*fault, *name)));
    let waiting = Mutex::new(pairs);
    let missed = Mutex::new(Vec::new());
    thread::scope(|threads| {
        for _ in 0..JOBS {
            threads.spawn(|| {
                loop {
                    let Some((fault, name)) = waiting.lock().unwrap().next() else { return };
                    let reports = run(fault, &[name]);
                    assert_eq!(reports.len(), 1, "{name} is one check");
                    let passed = reports.iter().filter(|report| report.status != Status::Failed);
                    missed.lock().unwrap().extend(passed.map(|report| (fault, report.name, report.status)));
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "faults that were not found: {missed:#?}");
}

#[test]
fn every_check_has_its_fault() {
    let tried: BTreeSet<&str> = FAULTS.iter().flat_map(|(_, names)| *names).copied().collect();
    let untried: Vec<_> =
        checks().iter().map(|check| check.name).filter(|name| !tried.contains(name)).collect();
    assert!(untried.is_empty(), "{untried:?}");
}

#[test]
fn every_check_rests_on_what_stands_somewhere() {
    let mut missing = Vec::new();
    let page = include_str!("../../APT.md");
    for check in checks() {
        let place = check.place();
        let Some(section) = place.strip_prefix("APT.md, section ") else {
            assert!(place.starts_with("RFC ") && place.contains(", section "), "{}: {place}", check.name);
            continue;
        };
        let start = page.find(&format!("\n## {section}. ")).unwrap_or_else(|| panic!("no section {section}"));
        let text = &page[start + 4..];
        let text = text.find("\n## ").map_or(text, |end| &text[..end]);
        if !text.contains(check.sentence) {
            missing.push((place, check.sentence));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_tables_are_of_these_checks() {
    let list = render(&checks(), Format::Markdown);
    let groups = list.split("\n\n").next().unwrap();
    assert!(include_str!("../../README.md").contains(groups), "README.md has not this table:\n{groups}");
    let measured = include_str!("../../proxies.md");
    let rows: Vec<&str> =
        measured.lines().filter(|line| line.starts_with("| `") && line.split('|').count() == 9).collect();
    let name = |row: &&str| row.split('`').nth(1).unwrap().to_owned();
    let names: Vec<String> = checks().iter().map(|check| check.name.to_owned()).collect();
    assert_eq!(
        rows.iter().map(name).collect::<Vec<_>>(),
        names,
        "conformance/compare-proxies writes it anew"
    );
    // The daemon's own tests hold it to that.
    let ours = |row: &&str| row.split('|').nth(5).unwrap().trim() == "ok";
    assert!(rows.iter().all(ours), "the daemon passes all");
}

/// The command against a proxy with this fault, told to run these checks.
fn command(proxy: &str, only: &str) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_khashmir-conformance"))
        .args(["proxy", proxy, "--patience", "3", "--only", only])
        .output()
        .unwrap()
}

#[test]
fn the_command_says_what_came_of_it() {
    let right = format!("http://{}", tiny::start("", PATIENCE / 4));
    let output = command(&right, "ranges");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let wrong = format!("http://{}", tiny::start("range-off-by-one", PATIENCE / 4));
    let output = command(&wrong, "ranges");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("ranges/from [required]") && text.contains("bytes 60000 to 99999"), "{text}");
}

#[test]
fn the_command_says_why_nothing_can_be_checked() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = command(&format!("http://{nobody}"), "*");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no proxy at"), "{output:?}");
    // A server that is no proxy.
    let peer = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", peer.local_addr().unwrap());
    thread::spawn(move || peer.incoming().for_each(drop));
    let output = command(&url, "*");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("the proxy gives nothing from a mirror"), "{text}");
}

#[test]
fn there_are_checks_of_every_level() {
    for level in Level::ALL {
        assert!(checks().iter().any(|check| check.level == level), "{level}");
    }
}
