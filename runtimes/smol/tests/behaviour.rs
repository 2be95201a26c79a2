//! The suite of all drivers, on smol.

#![allow(clippy::unwrap_used)]

mod runtime;

khashmir_driver_testing::driver_suite!(runtime::Smol);
