//! What is kept on disk; or, where the disk fails, nowhere, so that apt is served all the same.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::StartError;
use super::lock::Lock;
use crate::cache::Cache;
use crate::config::Config;
use crate::control::Control;
use crate::database::Database;
use crate::disk;
use crate::problems::Kind;

/// The daemon's places.
#[derive(Debug)]
pub(super) struct Storage {
    pub(super) database: Arc<Database>,
    pub(super) cache: Cache,
    /// `None`: nobody can ask for the status.
    pub(super) control: Option<Control>,
    pub(super) locks: Locks,
}

/// The right to the data directory, and to the cache's where that is another.
pub(super) type Locks = Vec<Lock>;

impl Storage {
    /// Opens what is on disk. If the disk is full, fails or can only be read, there is a database in
    /// memory instead, and no cache, and the person is told.
    ///
    /// # Errors
    /// What a person got wrong: a directory that is none, or another's.
    pub(super) fn open(config: &Config, data_dir: &Path) -> Result<Self, StartError> {
        let error = match Self::on_disk(config, data_dir) {
            Err(error) if is_the_disks(&error) => error,
            opened => return opened,
        };
        let database = Arc::new(Database::in_memory()?);
        let text = format!(
            "{error}\n\
             Until then apt is served, but all comes from the mirror: nothing is kept, and nothing is fetched from \
             peers or offered to them. {}, and restart khashmir.",
            disk::advice(&error.to_string())
        );
        database.problems().begin(Kind::Storage, text);
        let cache = Cache::closed(cache_dir(config, data_dir), Arc::clone(&database));
        // Where nothing can be written there may yet be a socket.
        Ok(Self { database, cache, control: Control::bind(data_dir).ok(), locks: Vec::new() })
    }

    fn on_disk(config: &Config, data_dir: &Path) -> Result<Self, StartError> {
        // Only this user may enter.
        disk::make_dir(data_dir, 0o700)
            .map_err(|source| StartError::DataDir { path: data_dir.to_owned(), source })?;
        let mut locks = vec![Lock::take(data_dir)?];
        let cache_dir = cache_dir(config, data_dir);
        let cache_failed = |source| StartError::Cache { path: cache_dir.to_owned(), source };
        disk::make_dir(cache_dir, 0o777).map_err(cache_failed)?;
        if fs::canonicalize(cache_dir).ok() != fs::canonicalize(data_dir).ok() {
            locks.push(Lock::take(cache_dir)?);
        }
        let database = Arc::new(Database::open_or_begin_anew(&data_dir.join("khashmir.db"))?);
        let cache = Cache::open(cache_dir, config.cache.size_limit.bytes(), Arc::clone(&database))
            .map_err(cache_failed)?;
        let control = Some(Control::bind(data_dir)?);
        Ok(Self { database, cache, control, locks })
    }
}

fn cache_dir<'a>(config: &'a Config, data_dir: &'a Path) -> &'a Path {
    config.cache.dir.as_deref().unwrap_or(data_dir)
}

fn is_the_disks(error: &StartError) -> bool {
    match error {
        StartError::DataDir { source, .. }
        | StartError::Cache { source, .. }
        | StartError::Control { source, .. } => disk::is_at_fault(source),
        StartError::Database(error) => error.is_disk() || error.is_damage(),
        _ => false,
    }
}
