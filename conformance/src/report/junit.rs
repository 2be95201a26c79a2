//! As JUnit XML: a suite for each group, a case for each check.

use super::{CheckReport, FailureReport, Report, Status, hexdump::hexdump};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) fn render(report: &Report) -> String {
    let name = format!("khashmir-conformance {} {}", report.runner, report.target);
    let mut out = quick_junit::Report::new(name);
    out.set_time(Duration::from_secs_f64(report.seconds));
    let mut suites = BTreeMap::<&str, TestSuite>::new();
    for check in &report.checks {
        let suite = suites.entry(check.group()).or_insert_with(|| TestSuite::new(check.group()));
        suite.add_test_case(case(check));
    }
    out.add_test_suites(suites.into_values());
    // It fails on names that XML cannot have; ours are plain.
    out.to_string().unwrap_or_default()
}

fn case(check: &CheckReport) -> TestCase {
    let status = match (check.status, &check.failure) {
        (Status::Failed, Some(failure)) => failed(check, failure),
        // JUnit has no word for it.
        (Status::Different, Some(failure)) => skipped(&format!("different: {}", failure.came)),
        (Status::Skipped, _) => skipped(check.reason.as_deref().unwrap_or_default()),
        _ => TestCaseStatus::success(),
    };
    let mut case = TestCase::new(check.name, status);
    case.set_classname(format!("{}.{}", check.level, check.group()));
    case.set_time(Duration::from_secs_f64(check.seconds));
    case
}

fn failed(check: &CheckReport, failure: &FailureReport) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    let dumps = failure.evidence.iter().map(|e| format!("{}:\n{}", e.label, hexdump(&e.hex, "  ")));
    let text = format!(
        "{}: {}\nexpected: {}\ncame: {}\n{}",
        check.place(),
        check.sentence,
        failure.expected,
        failure.came,
        dumps.collect::<String>(),
    );
    status.set_message(failure.came.clone()).set_type(check.level.name()).set_description(text);
    status
}

fn skipped(why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(why);
    status
}
