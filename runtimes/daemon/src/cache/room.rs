//! Room on the disk, which may be less than the cache is allowed.

use std::fs::File;
use std::io;

use super::{Cache, Partial};

/// What is made free beside a file, in bytes at least: for the database, and for what a file system
/// takes itself.
const BESIDE: u64 = 1 << 20;
/// Or this part of all that is cached, if that is more, so that not every file has to make room.
const BESIDE_OF_ALL: u64 = 16;

impl Cache {
    /// As [`create_partial`](Self::create_partial), with room on the disk for a file of `len`
    /// bytes. If there is none, the least recently used files go for it, unless it is one that
    /// would not be kept.
    ///
    /// # Errors
    /// Of the disk; `StorageFull` if it would be too small without any of our files, too.
    pub fn create_partial_of(&self, len: u64) -> io::Result<Partial> {
        let partial = self.create_partial()?;
        if len <= self.size_limit_bytes
            && let Err(error) = reserve(partial.file(), len)
        {
            if error.kind() != io::ErrorKind::StorageFull {
                return self.note(Err(error));
            }
            let made = self.make_room(len, available(partial.file())?);
            made.and_then(|()| reserve(partial.file(), len)).inspect_err(|error| {
                // A smaller one may yet fit.
                self.tell(&error.to_string());
            })?;
        }
        Ok(partial)
    }

    /// Parts with so many of the least recently used files that `len` bytes fit where
    /// `available` are free now.
    pub(super) fn make_room(&self, len: u64, available: u64) -> io::Result<()> {
        let missing = len.saturating_sub(available);
        if missing > self.total_bytes() {
            let reason = format!("no space for {len} bytes, {available} are free");
            return Err(io::Error::new(io::ErrorKind::StorageFull, reason));
        }
        let beside = BESIDE.max(self.total_bytes() / BESIDE_OF_ALL);
        let missing = len.saturating_add(beside).saturating_sub(available);
        let evicted = self.part_with(&self.lock_changes(), missing, None)?;
        tracing::warn!(files = evicted.len(), "the disk is full; cached files made room for another");
        Ok(())
    }
}

/// Takes room for the file, whose length stays as it is. File systems that cannot are taken at
/// their word later.
#[cfg(target_os = "linux")]
fn reserve(file: &File, len: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    if len == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, len) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(file: &File, len: u64) -> io::Result<()> {
    match available(file)? {
        available if available < len => Err(io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    }
}

/// The bytes that are free for us where the file lies.
fn available(file: &File) -> io::Result<u64> {
    let system = rustix::fs::fstatvfs(file)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}
