//! A proxy between apt and its mirror that fetches packages from peers.
//!
//! The binary `khashmir` is [`cli`] and [`Daemon`]; tests start a daemon the
//! same way. What its parts share is [`Context`].
//!
//! | a request of apt, from left to right | |
//! |---|---|
//! | [`listener`] | reads apt's pipeline ahead, answers in order |
//! | [`proxy`] | decides what a request means |
//! | [`catalog`] | knows which hash a file must have: Release files, then the indexes they list |
//! | [`cache`] | holds files under their hash |
//! | [`fetch`] | downloads what is not there, once for all who ask |
//! | [`exchange`] | gets a file's bytes from peers, and from the mirror what they lack |
//! | [`upstream`] | asks mirrors, which [`sources`] says may be asked |
//!
//! | other machines | |
//! |---|---|
//! | [`dht`] | the node in the hash table, in which peers find each other |
//! | [`peer`] | serves files to peers, and asks them for theirs |
//! | [`publisher`] | announces what peers may have |
//! | [`shares`] | files that a person gives to others from where they lie |
//!
//! | beside it | |
//! |---|---|
//! | [`config`] | every knob; `khashmir.toml` shows them all |
//! | [`history`] | what became of downloads, and why |
//! | [`database`] | small things on disk, in SQLite |
//! | [`recording`] | what happens to the node, in a file |
//! | [`control`] | answers `khashmir status` and the other commands over a Unix socket |
//! | [`walk`] | finds all nodes of the network |
//! | [`stats`] | what is counted |
//! | [`clock`] | whether the system clock is plainly behind |
//! | [`problems`] | what is wrong |
//! | [`startup`] | opens and binds all of it, and ends it |
//!
//! The executor is smol's; what blocks (files, SQLite, name resolution) runs
//! in [`smol::unblock`].

pub mod cache;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod database;
pub mod dht;
mod disk;
pub mod exchange;
pub mod fetch;
pub mod history;
pub mod listener;
pub mod peer;
pub mod problems;
pub mod proxy;
pub mod publisher;
pub mod recording;
pub mod shares;
pub mod sources;
pub mod startup;
pub mod stats;
pub mod upstream;
pub mod walk;

pub use startup::{Daemon, StartError};

use std::sync::Arc;

/// What every part of the daemon shares.
#[derive(Debug)]
pub struct Context {
    /// The configuration in effect.
    pub config: config::Config,
    /// What is counted.
    pub stats: Arc<stats::Stats>,
    /// What is wrong now.
    pub problems: Arc<problems::Problems>,
    /// Small things on disk.
    pub database: Arc<database::Database>,
    /// Files, by the hash of their content.
    pub cache: cache::Cache,
    /// The hashes that files must have.
    pub catalog: catalog::Catalog,
    /// Whether the system clock is plainly behind.
    pub clock: clock::Clock,
    /// Files on their way into the cache.
    pub settling: fetch::Settling,
    /// What became of downloads.
    pub history: Arc<history::History>,
    /// Files that a person gives to others.
    pub shares: Arc<shares::Shares>,
    /// Which mirrors may be asked.
    pub sources: Arc<sources::Sources>,
    /// Who may vouch for those that are asked over https.
    pub tls: upstream::Tls,
}
