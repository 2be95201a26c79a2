//! SIGKILL, a power failure, and a disk that refuses, at every moment there is.
//!
//! A story runs in the daemon as it is shipped, traced ([`tracer`]) so that each change of its data
//! is a moment at which it can end, and every one of them is tried: what was told and announced is
//! found again, no wrong byte is served, and no litter is left.

#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../proxy/archive.rs"]
mod archive;
#[allow(dead_code)]
#[path = "../proxy/mirror.rs"]
mod mirror;

mod apt;
mod call;
mod every;
mod scene;
mod story;
mod tracer;

mod faults;
mod kill;
mod power;
