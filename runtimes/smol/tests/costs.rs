//! What a node on smol costs: a binary of its own, since its allocator counts for all tests in one.

#![allow(clippy::unwrap_used)]

mod runtime;

khashmir_driver_testing::costs!(runtime::Smol);
