//! Benchmarks of khashmir, beside other people's crates. What they gave stands in `RESULTS.md`.

pub mod counting;
pub mod scene;
