//! Doing without the disk while it fails.
//!
//! apt asks again after a cut, but not for ever: when a file could not be written, the next ones are
//! not tried for a while, so that they pass through from the mirror instead.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Cache, Partial};
use crate::disk;
use crate::problems::Kind;

/// How long nothing is written after a failure; then a few bytes are, to see.
const PAUSE: Duration = Duration::from_secs(60);
/// What is written to see whether the disk can, in bytes: more than a disk takes unasked.
const PROBE: usize = 64 << 10;

/// Whether files can be written.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Never: there is no place for them.
    is_closed: bool,
    paused_until: Mutex<Option<Instant>>,
    is_told: AtomicBool,
}

impl Trouble {
    pub(super) fn closed() -> Self {
        Self { is_closed: true, ..Self::default() }
    }
}

impl Cache {
    /// A file of ours could not be written, or read again: for a while none is written, and
    /// [`create_partial`](Self::create_partial) fails.
    pub fn file_failed(&self, error: &str) {
        *self.paused_until() = Some(Instant::now() + PAUSE);
        self.tell(error);
    }

    /// Files were written: whatever was wrong is over.
    pub(super) fn file_was_written(&self) {
        if self.trouble.is_told.swap(false, Ordering::Relaxed) {
            self.database.problems().end(Kind::Disk);
        }
    }

    /// Notes that a file failed, if it is the disk that is at fault.
    pub(super) fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            if disk::is_at_fault(error) {
                self.file_failed(&error.to_string());
            }
        })
    }

    /// Says what is wrong to whoever looks.
    pub(super) fn tell(&self, error: &str) {
        self.trouble.is_told.store(true, Ordering::Relaxed);
        let text = format!(
            "Files cannot be kept in {}: {error}. Until they can, apt is served from the mirror, and nothing new \
             is shared. {}; nothing else is to be done.",
            self.dir.display(),
            disk::advice(error)
        );
        self.database.problems().begin(Kind::Disk, text);
    }

    /// A new file, unless it is known that it could not be written.
    pub(super) fn create_checked(&self) -> io::Result<Partial> {
        let is_paused = {
            let paused_until = self.paused_until();
            paused_until.is_some_and(|until| Instant::now() < until)
        };
        if self.trouble.is_closed || is_paused {
            return Err(io::Error::other("the disk cannot take it"));
        }
        let partial =
            // Whoever asked is served otherwise already, so that the next may try again at once.
            Partial::create(&self.partial_dir()).inspect_err(|error| self.tell(&error.to_string()))?;
        // Taken only when it is over: others may be told at the same time.
        if self.paused_until().is_some() {
            self.note(probe(&partial))?;
            *self.paused_until() = None;
        }
        Ok(partial)
    }

    /// As if the pause were over.
    #[cfg(test)]
    pub(super) fn resume(&self) {
        *self.paused_until() = Some(Instant::now());
    }

    fn paused_until(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.trouble.paused_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a few bytes to the disk, and takes them back.
fn probe(partial: &Partial) -> io::Result<()> {
    let mut file = partial.file();
    file.write_all(&[0; PROBE])?;
    file.sync_all()?;
    file.set_len(0)
}
