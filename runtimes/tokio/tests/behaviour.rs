//! The suite of all drivers, on tokio.

#![allow(clippy::unwrap_used)]

mod runtime;

khashmir_driver_testing::driver_suite!(runtime::Tokio);
