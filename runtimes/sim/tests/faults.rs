//! What each policy achieves while datagrams are lost, as a table that is kept: whoever changes a
//! policy sees what that changes. On purpose? Then make it anew, and look at the difference:
//!
//!     KHASHMIR_RECORD=1 cargo test -p khashmir-sim --test faults
//!
//! For more nodes: `cargo run --release -p khashmir-sim --bin faults -- 10000`.

#![allow(clippy::unwrap_used)]

use khashmir_sim::fault::{Fault, Row, policies};
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

/// All policies in a small network and in one ten times as large. Each row has a network of its own, so
/// that they can be made at the same time.
fn rows() -> Vec<Row> {
    let mut faults = Vec::new();
    for nodes in [100, 1000] {
        for (policy, config) in policies() {
            faults.extend([0, 10, 30].map(|loss_percent| {
                let config = config.clone();
                Fault { policy, config, nodes, loss_percent, values: 1000, seed: 1 }
            }));
        }
    }
    // The largest first: what comes last is short.
    let next = Mutex::new(faults.into_iter().enumerate().rev());
    let rows = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some((at, fault)) = next.lock().unwrap().next() else { return };
                    let row = fault.run();
                    rows.lock().unwrap().push((at, row));
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by_key(|(at, _)| *at);
    rows.into_iter().map(|(_, row)| row).collect()
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
