//! Shows whether an implementation keeps to the protocol, whatever wrote it.
//!
//! `khashmir-conformance node ADDR` plays peers over UDP against a running node, `proxy URL` plays a
//! mirror and a client around any apt proxy, and `peer URL HASH` asks a peer for its file. Each [`Check`] cites the sentence that it rests on. [`Runner`] runs
//! the checks that were chosen; [`Report`] says what came of it, as text, JSON or JUnit XML.
//!
//! `khashmir-conformance proxy URL` puts a mirror and a client around an apt proxy, any one, and the
//! real apt-get where it is installed ([`proxy`]); what apt does is written down in `APT.md`.
//! `khashmir-conformance peer URL HASH` asks a peer over HTTP for a file that it has ([`peer`]).
//!
//! [`session`] and [`probes`] are what a 2008 node sent: every datagram of the one reads, and writes
//! back to the same bytes; to every one of the other our node answers as the 2008 node did, or
//! better, as a table in the tests says. The recordings themselves lie in `vectors/recordings`, for
//! other implementations to read.
//!
//! Nothing here uses the engine of this repository: what judges it must not share its mistakes.

pub mod check;
pub mod cli;
pub mod http;
pub mod node;
pub mod peer;
pub mod proxy;
mod recordings;
pub mod report;
mod tree;

pub use check::{Check, Evidence, Failure, In2008, Level, Outcome, Runner, Unmet};
pub use recordings::{Datagram, Probe, probes, session};
pub use report::Report;
pub use tree::{Malformed, Tree};
