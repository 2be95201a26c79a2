//! The laws of the engine, as properties over arbitrary scripts of what may happen to a node.
//!
//! A failing property prints the script that fails, made as short as possible. That each of them can
//! fail is shown by `core/tests/mutate.sh`.

#![allow(clippy::unwrap_used)]

mod driver;
mod law_1_polling;
mod law_2_time;
mod law_3_operations;
mod law_4_bounds;
mod law_5_determinism;
mod peer;
mod script;
