//! The command: what it writes, and its exit status.

use crate::mutated::{Mutation, start};
use crate::trial::config;
use khashmir_conformance::node::checks;
use serde_json::Value;
use std::process::{Command, Output};

fn khashmir_conformance(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_khashmir-conformance")).arg("node").args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A fault of each weight: a wrong port is against the protocol, a long value against section 7.
const WRONG_PORT: Mutation = Mutation {
    outgoing: |_, _, out| {
        crate::mutated::responses(out, |r| {
            if r.get("port").is_some() {
                r.insert("port", 1.into());
            }
        });
    },
    ..Mutation::NONE
};
const LONG_VALUES: Mutation =
    Mutation { config: |config| config.limits.value_len = 60_000, ..Mutation::NONE };

#[test]
fn the_exit_status_tells_what_failed() {
    let status = |mutation, arguments: &[&str]| {
        let (addr, _node) = start(mutation, config(), None);
        let addr = addr.to_string();
        khashmir_conformance(&[&[&addr[..]], arguments].concat()).status.code()
    };
    assert_eq!(status(Mutation::NONE, &["--only", "join"]), Some(0));
    assert_eq!(status(WRONG_PORT, &["--only", "join"]), Some(1));
    let long = &["--only", "store_value/1392-bytes"][..];
    assert_eq!(status(LONG_VALUES, long), Some(0), "hardening");
    assert_eq!(status(LONG_VALUES, &[long, &["--strict"]].concat()), Some(1));
    assert_eq!(
        status(LONG_VALUES, &[long, &["--strict", "--dialect", "2008"]].concat()),
        Some(0),
        "2008 does so"
    );
    assert_eq!(status(Mutation::NONE, &["--only", "no-such-check"]), Some(2));
    assert_eq!(status(Mutation::NONE, &["--format", "markdown"]), Some(2));

    // Nobody listens there: it was free a moment ago.
    let unused = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let nothing = khashmir_conformance(&[&unused, "--wait", "1", "--patience", "200"]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8(nothing.stderr).unwrap().contains("answers a ping"));
    assert_eq!(khashmir_conformance(&[]).status.code(), Some(2));
}

#[test]
fn a_failure_is_told_in_every_format() {
    let (addr, _node) = start(WRONG_PORT, config(), None);
    let run =
        |format| text(&khashmir_conformance(&[&addr.to_string(), "--only", "join", "--format", format]));

    let people = run("text");
    let told = [
        "FAILED    join/says-the-port [required]",
        "section 2: where the query came from",
        "expected  port ",
        "came      port 1\n",
        "|d1:ad2:id20:",
        "  received:\n    0000  64 31 3a 72 64 32 3a 69 64 32 30 3a",
    ];
    for told in told {
        assert!(people.contains(told), "{told}: {people}");
    }
    assert!(!people.contains('\x1b'), "no colours in a pipe");

    let report: Value = serde_json::from_str(&run("json")).unwrap();
    assert_eq!(report["version"], 1);
    assert_eq!(report["target"], addr.to_string());
    assert_eq!(report["summary"]["required"]["failed"], 1);
    let failed: Vec<_> =
        report["checks"].as_array().unwrap().iter().filter(|check| check["status"] == "failed").collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["name"], "join/says-the-port");
    assert_eq!(failed[0]["came"], "port 1");
    let evidence = failed[0]["evidence"].as_array().unwrap();
    assert_eq!(
        evidence.iter().map(|e| e["label"].as_str().unwrap()).collect::<Vec<_>>(),
        ["sent", "received"]
    );
    assert!(evidence[0]["hex"].as_str().unwrap().starts_with("64313a6164323a6964"));

    let junit = run("junit");
    assert!(junit.contains(r#"<testsuite name="join" tests="6""#), "{junit}");
    assert!(junit.contains(r#"<failure message="port 1" type="required">"#), "{junit}");
}

#[test]
fn the_list_has_every_check() {
    let list = text(&khashmir_conformance(&["--list"]));
    assert_eq!(list.lines().count(), checks().len());
    let json: Value =
        serde_json::from_str(&text(&khashmir_conformance(&["--list", "--format", "json"]))).unwrap();
    assert_eq!(json.as_array().unwrap().len(), checks().len());
    let some = text(&khashmir_conformance(&["--list", "--only", "join/*-missing", "--level", "required"]));
    assert_eq!(some.lines().count(), 1);
}

/// The tables of the README are those of the code.
#[test]
fn the_readme_has_the_tables() {
    let readme = include_str!("../../README.md");
    for table in [
        khashmir_conformance::report::list::counts(&checks()),
        khashmir_conformance::report::list::differences(&checks()),
    ] {
        assert!(readme.contains(&table), "README.md lacks this, or has it otherwise:\n{table}");
    }
}
