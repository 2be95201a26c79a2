//! A file that may be changed at any time.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use khashmir::claim::{PieceHasher, PieceHashes, piece_range};
use khashmir_apt::Sha256;
use sha1::{Digest as _, Sha1};

use super::ShareError;
use crate::cache::Hasher;
use crate::fetch::MAX_LEN;

/// What is read of a file at a time, in bytes.
const CHUNK: usize = 256 * 1024;

/// What tells, in all likelihood, that a file was written to or replaced. Nothing relies on it but
/// the announcement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Its length in bytes.
    pub len: u64,
    /// Its inode.
    pub inode: u64,
    /// When its content changed last, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// When anything of it did.
    pub changed_ns: i64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let ns = |seconds: i64, ns: i64| seconds.saturating_mul(1_000_000_000).saturating_add(ns);
        Self {
            len: metadata.len(),
            inode: metadata.ino(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What has become of a shared file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is as it was.
    Unchanged,
    /// It may be something else: it has this stamp now, and is yet to be hashed anew.
    Touched(Stamp),
    /// It is something else.
    Changed,
    /// There is no file any more.
    Gone,
    /// The daemon may not read it, or cannot.
    Unreadable(String),
}

/// What lies at `path`, which had this stamp.
pub(super) fn state(path: &Path, stamp: &Stamp) -> State {
    // Opened, since who may not read it is told so by nothing less.
    match File::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) if !metadata.is_file() => State::Changed,
        Ok(metadata) => match Stamp::of(&metadata) {
            now if now == *stamp => State::Unchanged,
            now => State::Touched(now),
        },
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => State::Gone,
            _ => State::Unreadable(error.to_string()),
        },
    }
}

/// What was read of a file.
pub(super) struct Contents {
    pub(super) sha256: Sha256,
    pub(super) piece_hashes: PieceHashes,
    pub(super) stamp: Stamp,
}

/// Reads a file whole, as long as `go_on` says so.
pub(super) fn read(path: &Path, mut go_on: impl FnMut(u64, u64) -> bool) -> Result<Contents, ShareError> {
    let unreadable = |source| ShareError::Unreadable { path: path.to_owned(), source };
    // A pipe, say, is not even opened: that would wait for its other end.
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(ShareError::NoFile(path.to_owned()));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let before = file.metadata().map_err(unreadable)?;
    match before.len() {
        0 => return Err(ShareError::Empty(path.to_owned())),
        1..=MAX_LEN => {}
        len => return Err(ShareError::TooLong { path: path.to_owned(), len }),
    }
    let (mut hasher, mut pieces) = (Hasher::default(), PieceHasher::new());
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk).map_err(unreadable)?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
        pieces.update(bytes);
        if !go_on(hasher.position(), before.len()) {
            return Err(ShareError::Stopped);
        }
    }
    let verified = hasher.finish();
    let stamp = Stamp::of(&file.metadata().map_err(unreadable)?);
    if stamp != Stamp::of(&before) || stamp.len != verified.len() {
        return Err(ShareError::Changing(path.to_owned()));
    }
    Ok(Contents { sha256: verified.sha256(), piece_hashes: pieces.finish(), stamp })
}

/// A shared file, open, with the hashes that its pieces must have.
#[derive(Debug)]
pub struct SharedFile {
    /// Where it was opened.
    pub path: PathBuf,
    /// Its length in bytes when it was shared.
    pub len: u64,
    /// The hashes of its pieces then.
    pub hashes: PieceHashes,
    file: File,
}

impl SharedFile {
    /// The file at `path`, if it has this stamp.
    pub(super) fn open(path: &Path, stamp: &Stamp) -> Option<Self> {
        if state(path, stamp) != State::Unchanged {
            return None;
        }
        let file = File::open(path).ok()?;
        let is_same = Stamp::of(&file.metadata().ok()?) == *stamp;
        is_same.then(|| Self { path: path.to_owned(), len: stamp.len, hashes: PieceHashes::default(), file })
    }

    pub(super) fn with_hashes(self, hashes: PieceHashes) -> Self {
        Self { hashes, ..self }
    }

    /// The bytes of one piece, counted from 0, of which each is what it was when the file was
    /// shared.
    ///
    /// # Errors
    /// Of the disk; `InvalidData` if it was changed.
    pub fn read_piece(&self, index: u64) -> io::Result<Bytes> {
        let range = piece_range(self.len, index);
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let changed =
            || io::Error::new(io::ErrorKind::InvalidData, "the file was changed after it was shared");
        self.file.read_exact_at(&mut bytes, range.start).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => changed(),
            _ => error,
        })?;
        let sha1: [u8; 20] = Sha1::digest(&bytes).into();
        let expected = usize::try_from(index).ok().and_then(|index| self.hashes.of_piece(index));
        if expected == Some(sha1) { Ok(bytes.into()) } else { Err(changed()) }
    }
}
