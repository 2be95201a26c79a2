//! What machines give each other, and what a daemon does about those that lie.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../proxy/archive.rs"]
mod archive;
#[allow(dead_code)]
#[path = "../proxy/client.rs"]
mod client;
#[allow(dead_code)]
#[path = "../proxy/mirror.rs"]
mod mirror;

mod liar;
mod machine;

mod conformance;
mod lan;
mod limits;
mod lying;
mod paths;
mod restart;
mod sharing;
