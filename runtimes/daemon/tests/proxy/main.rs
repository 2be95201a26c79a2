//! What a client of the proxy sees, with a mirror that does as each story needs.

#![allow(clippy::unwrap_used)]

mod access;
mod altered;
mod archive;
mod client;
mod documents;
mod faults;
mod https;
mod learning;
mod mirror;
mod passing;
mod pipeline;
mod proxy;
mod ranges;
mod single_flight;
#[path = "../common/tls.rs"]
mod tls;
mod tunnels;
