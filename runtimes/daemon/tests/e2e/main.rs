//! The real apt-get installs from a real archive through the real daemon.
//!
//! `archive` builds a signed archive with Debian's tools, `mirror` serves it and
//! counts, `apt` drives apt-get in a root of its own, `daemon` runs the binary.
//! The other modules are the stories.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub, missing_debug_implementations)]

mod apt;
mod archive;
mod daemon;
#[allow(dead_code)]
#[path = "../peers/liar.rs"]
mod liar;
mod mirror;
#[path = "../common/tls.rs"]
mod tls;

mod customs;
mod faults;
mod harness;
mod https;
mod install;
mod peers;
mod stubborn;
