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
use khashmir_conformance::report::{CheckReport, Status};

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
fn there_are_checks_of_every_level() {
    for level in Level::ALL {
        assert!(checks().iter().any(|check| check.level == level), "{level}");
    }
}
