//! A proxy between apt and its mirror that fetches packages from peers.
//!
//! [`Context`] is what every part of the daemon shares: the configuration,
//! the statistics, and what is kept on disk. [`Daemon::start`] opens it and
//! the listeners; tests start a daemon the same way as `main` does.

pub mod cache;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod control;
pub mod database;
pub mod sources;
pub mod startup;
pub mod stats;

pub mod fetch;
pub mod listener;
pub mod proxy;
pub mod upstream;

pub use startup::{Daemon, StartError};

use std::sync::Arc;

/// What every part of the daemon shares.
#[derive(Debug)]
pub struct Context {
    /// The configuration in effect.
    pub config: config::Config,
    /// What is counted.
    pub stats: Arc<stats::Stats>,
    /// Small things on disk.
    pub database: Arc<database::Database>,
    /// Files, by the hash of their content.
    pub cache: cache::Cache,
    /// The hashes that files must have.
    pub catalog: catalog::Catalog,
    /// Which mirrors may be asked.
    pub sources: sources::Sources,
}
