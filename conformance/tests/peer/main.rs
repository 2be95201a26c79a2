//! The checks for peers are right about a tiny peer that is right, and about each of its faults.

#![allow(clippy::unwrap_used, missing_debug_implementations, unreachable_pub)]

mod tiny;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use khashmir_conformance::check::{Runner, Selection};
use khashmir_conformance::peer::{Target, checks};
use khashmir_conformance::report::list::render;
use khashmir_conformance::report::{CheckReport, Format, Status};
use sha2::Digest as _;

/// A fault of the tiny peer, and the checks that fail because of it.
const FAULTS: &[(&str, &[&str])] = &[
    ("no-length", &["file/whole"]),
    ("no-ranges", &["file/first-piece", "file/every-piece"]),
    ("no-clipping", &["file/last-piece"]),
    ("off-by-one", &["file/single-byte"]),
    ("no-open-range", &["file/open-range"]),
    ("no-suffix", &["file/suffix"]),
    ("empty-416", &["file/past-the-end"]),
    ("any-unit", &["file/other-range"]),
    ("ignores-if-range", &["file/if-range"]),
    ("404-is-200", &["file/unknown"]),
    ("prefix-of-a-hash", &["file/not-quite"]),
    ("no-piece-hashes", &["piece-hashes/served"]),
    ("other-type", &["piece-hashes/type"]),
    ("short-piece-hashes", &["piece-hashes/right"]),
    ("plus-is-plus", &["escapes/form", "escapes/plus"]),
    ("no-needless-escapes", &["escapes/all-upper"]),
    ("upper-case-only", &["escapes/all-lower"]),
    ("form-only", &["escapes/as-few-as-can-be"]),
    ("lax-escapes", &["escapes/malformed"]),
    ("few-answers", &["http/keep-alive", "http/pipeline"]),
    ("closes-on-404", &["http/pipeline-with-404"]),
    ("wants-a-port", &["http/host-without-port"]),
    ("knows-its-host", &["http/other-host"]),
    ("body-to-head", &["http/head"]),
    ("never-closes", &["http/close"]),
    ("any-method", &["http/other-methods"]),
    ("one-packet-heads", &["http/in-pieces"]),
    ("has-a-page", &["hardening/nothing-else"]),
    ("open-proxy", &["hardening/no-open-proxy"]),
    ("opens-parents", &["hardening/parent"]),
    ("no-head-limit", &["hardening/endless-head"]),
    ("ignores-bodies", &["hardening/body-of-a-get"]),
    ("prefers-length", &["hardening/two-framings"]),
    ("few-connections", &["hardening/half-heads"]),
];

const PATIENCE: Duration = Duration::from_secs(3);

/// A file of three pieces whose hash has both a space and a byte that only some escape.
fn content() -> Vec<u8> {
    let fits = |content: &Vec<u8>| {
        let hash = sha2::Sha256::digest(content);
        hash.contains(&b' ') && hash.iter().any(|byte| b"/!$&()*,;=:@~'".contains(byte))
    };
    (0_u64..)
        .map(|seed| (0..1_048_676_u64).map(|n| (n * n / 7 + seed * n + n / 251) as u8).collect())
        .find(fits)
        .unwrap()
}

fn run(fault: &'static str, content: &[u8], only: &[&str]) -> Vec<CheckReport> {
    let peer = tiny::start(fault, content.to_vec());
    let only = only.iter().map(|name| (*name).to_owned()).collect();
    let selection = Selection { only, levels: Vec::new() };
    let runner = Runner { selection, jobs: 4, timeout: Duration::from_secs(45), dialect_2008: false };
    let hash = sha2::Sha256::digest(content);
    let target = Target::new(peer, &hash, PATIENCE).unwrap_or_else(|error| panic!("{fault}: {error}"));
    runner.run(&checks(), &Arc::new(target), |_| {})
}

#[test]
fn a_peer_without_fault_passes_every_check() {
    let reports = run("", &content(), &[]);
    assert_eq!(reports.len(), checks().len());
    let not_passed: Vec<_> = reports
        .iter()
        .filter(|report| report.status != Status::Passed)
        .map(|report| (report.name, &report.failure, &report.reason))
        .collect();
    assert!(not_passed.is_empty(), "{not_passed:#?}");
}

#[test]
fn each_fault_is_found_by_its_checks() {
    let content = content();
    let mut missed = Vec::new();
    for (fault, names) in FAULTS {
        let reports = run(fault, &content, names);
        assert_eq!(reports.len(), names.len(), "{fault}: {names:?} are checks");
        let passed = reports.into_iter().filter(|report| report.status != Status::Failed);
        missed.extend(passed.map(|report| (*fault, report.name, report.status)));
    }
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
fn who_has_not_the_file_is_not_checked() {
    let content = content();
    let peer = tiny::start("", content.clone());
    let error = Target::new(peer, &[7; 32], PATIENCE).unwrap_err().to_string();
    assert!(error.contains("status 404"), "{error}");
    let other = tiny::start("404-is-200", content);
    let error = Target::new(other, &[7; 32], PATIENCE).unwrap_err().to_string();
    assert!(error.contains("its hash is"), "{error}");
}

#[test]
fn a_file_of_one_piece_is_checked_as_far_as_it_goes() {
    let reports = run("", b"a short file, whatever its hash", &[]);
    let of = |status| reports.iter().filter(|report| report.status == status).count();
    let failed: Vec<_> = reports.iter().filter(|report| report.status == Status::Failed).collect();
    assert!(failed.is_empty() && of(Status::Skipped) >= 5, "{failed:#?}");
}

#[test]
fn the_table_is_of_these_checks() {
    let table = render(&checks(), Format::Markdown);
    assert!(include_str!("../../README.md").contains(table.trim()), "README.md has not this table:\n{table}");
}

#[test]
fn every_check_rests_on_what_stands_somewhere() {
    let page = include_str!("../../PROTOCOL.md");
    let start = page.find("\n## 6. ").unwrap();
    let section = &page[start..page.find("\n## 7. ").unwrap()];
    for check in checks() {
        let place = check.place();
        let stands = match place.as_str() {
            "section 6" => section.contains(check.sentence),
            other => other.starts_with("RFC "),
        };
        assert!(stands, "{}: {:?} is not in {place}", check.name, check.sentence);
    }
}
