//! Files of the cache that were served last, kept open: the next who asks for one is answered
//! without a look at the disk.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use khashmir_apt::Sha256;

use crate::cache::{CachedFile, Verified};

/// A whole file, open for reading.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its content.
    pub file: Arc<File>,
    /// Its hash and length.
    pub verified: Verified,
}

impl From<CachedFile> for Kept {
    fn from(cached: CachedFile) -> Self {
        Self { file: Arc::new(cached.file), verified: cached.verified }
    }
}

/// Files kept open.
const MAX_OPEN: usize = 64;
/// For how long: then the cache is asked again whether it trusts its file.
const KEPT: Duration = Duration::from_secs(600);

/// The files that were served last.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<HashMap<Sha256, Open>>);

#[derive(Debug)]
struct Open {
    kept: Kept,
    since: Instant,
    /// When its inode changed last, in seconds and nanoseconds: whatever is done to it changes that.
    changed: Option<(i64, i64)>,
}

impl Open {
    /// Whether the file has a name and nothing was done to it.
    fn is_as_it_was(&self) -> bool {
        self.since.elapsed() < KEPT && self.changed.is_some() && change_of(&self.kept.file) == self.changed
    }
}

/// When the file's inode changed last, if it has a name.
fn change_of(file: &File) -> Option<(i64, i64)> {
    let file = file.metadata().ok()?;
    (file.nlink() > 0).then(|| (file.ctime(), file.ctime_nsec()))
}

impl Recent {
    /// The file, if it is open and still in its place.
    pub(super) fn find(&self, sha256: &Sha256) -> Option<Kept> {
        let mut files = self.lock();
        let open = files.get(sha256)?;
        if open.is_as_it_was() {
            return Some(open.kept.clone());
        }
        files.remove(sha256);
        None
    }

    /// Keeps a file open.
    pub(super) fn keep(&self, kept: &Kept) {
        let mut files = self.lock();
        if files.len() >= MAX_OPEN {
            files.clear();
        }
        let open = Open { kept: kept.clone(), since: Instant::now(), changed: change_of(&kept.file) };
        files.insert(kept.verified.sha256(), open);
    }

    /// Closes what is no longer in the cache, so that it takes no room on the disk.
    pub(super) fn close_removed(&self) {
        self.lock().retain(|_, open| open.is_as_it_was());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sha256, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cache::Hasher;

    fn kept(path: &std::path::Path, content: &[u8]) -> Kept {
        std::fs::write(path, content).unwrap();
        let mut hasher = Hasher::default();
        hasher.update(content);
        Kept { file: Arc::new(File::open(path).unwrap()), verified: hasher.finish() }
    }

    #[test]
    fn what_was_removed_or_changed_is_not_served() {
        let dir = tempfile::tempdir().unwrap();
        let recent = Recent::default();
        let path = dir.path().join("file");
        for is_changed in [false, true] {
            let kept = kept(&path, b"content");
            recent.keep(&kept);
            assert!(recent.find(&kept.verified.sha256()).is_some());
            let written = Instant::now();
            match is_changed {
                false => std::fs::remove_file(&path).unwrap(),
                true => std::fs::write(&path, b"CONTENT").unwrap(),
            }
            // Old systems note times of change by the tick.
            while recent.find(&kept.verified.sha256()).is_some() {
                assert!(is_changed && written.elapsed().as_secs() < 10, "it is still served");
                std::fs::write(&path, b"CONTENT").unwrap();
            }
            assert!(recent.lock().is_empty());
        }
    }

    #[test]
    fn no_more_than_so_many_are_open_and_none_that_takes_room_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let recent = Recent::default();
        for n in 0..200_u8 {
            let path = dir.path().join(n.to_string());
            recent.keep(&kept(&path, &[n]));
            assert!(recent.lock().len() <= MAX_OPEN);
            std::fs::remove_file(path).unwrap();
        }
        recent.close_removed();
        assert!(recent.lock().is_empty());
    }
}
