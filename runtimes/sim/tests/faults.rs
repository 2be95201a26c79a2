//! What each policy achieves while datagrams are lost, as a table that is kept: whoever changes a
//! policy sees what that changes. On purpose? Then make it anew, and look at the difference:
//!
//!     KHASHMIR_RECORD=1 cargo test -p khashmir-sim --test faults
//!
//! For more nodes: `cargo run --release -p khashmir-sim --bin faults -- 1000 10000`.

#![allow(clippy::unwrap_used)]

use khashmir::Config;
use khashmir_sim::fault::{Fault, Row, policies};
use std::path::PathBuf;

/// All policies in a small network, and ours in one ten times as large, which takes its time.
fn rows() -> Vec<Row> {
    let fault = |policy, config, nodes, loss_percent| Fault {
        policy,
        config,
        nodes,
        loss_percent,
        values: 1000,
        seed: 1,
    };
    let mut rows = Vec::new();
    for (policy, config) in policies() {
        rows.extend([0, 10, 30].map(|loss| fault(policy, config.clone(), 100, loss).run()));
    }
    rows.push(fault("default", Config::default(), 1000, 10).run());
    rows
}

#[test]
fn the_table_is_the_one_that_is_kept_and_ours_finds_what_it_should() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/faults.csv");
    let rows = rows();
    let lines: Vec<String> = rows.iter().map(Row::to_string).collect();
    let table = format!("{}\n{}\n", Row::COLUMNS, lines.join("\n"));
    if std::env::var_os("KHASHMIR_RECORD").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    for (now, before) in table.lines().zip(kept.lines()) {
        assert_eq!(now, before, "see the head of this file");
    }
    assert_eq!(table, kept);

    for row in rows.iter().filter(|row| row.policy == "default") {
        let least_per_mille = if row.loss_percent > 10 { 990 } else { 999 };
        assert!(row.found * 1000 >= row.puts * least_per_mille && row.puts > 0, "{row}");
    }
}
