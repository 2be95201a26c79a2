//! What the checks cite stands in the page, and what they say of 2008 in a recording.

use khashmir_conformance::check::{In2008, Source};
use khashmir_conformance::node::checks;
use khashmir_conformance::{Level, probes};
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../PROTOCOL.md");

/// A section of the page, from its head to the next.
fn section(number: u8) -> &'static str {
    let start = PAGE.find(&format!("\n## {number}. ")).unwrap_or_else(|| panic!("section {number}"));
    let rest = &PAGE[start + 1..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

#[test]
fn every_sentence_stands_in_its_section() {
    let missing: Vec<_> = checks()
        .into_iter()
        .filter(|check| !section(check.section).contains(check.sentence))
        .map(|check| format!("{}: section {}: {}", check.name, check.section, check.sentence))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_name_is_of_its_own_and_has_a_group() {
    let names: BTreeSet<_> = checks().into_iter().map(|check| check.name).collect();
    assert_eq!(names.len(), checks().len());
    assert!(names.iter().all(|name| name.split('/').count() == 2), "{names:?}");
    assert!(names.len() >= 120, "{}", names.len());
    for level in Level::ALL {
        assert!(checks().iter().any(|check| check.level == level), "{level}");
    }
}

#[test]
fn every_probe_that_is_named_is_recorded() {
    let recorded: BTreeSet<_> = probes().into_iter().map(|probe| probe.name).collect();
    for check in checks() {
        if let In2008::Same(Source::Probe(probe)) | In2008::Differs { source: Source::Probe(probe), .. } =
            check.in_2008
        {
            assert!(recorded.contains(probe), "{}: {probe}", check.name);
        }
    }
}
