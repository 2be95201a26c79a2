//! The commands that ask a running daemon, as a person meets them: real processes on real sockets.

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

#[allow(dead_code)]
mod home;

mod clock;
mod explain;
mod share;
mod status;
mod walk;
