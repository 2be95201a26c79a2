//! The proof that content has its hash.

use khashmir_apt::Sha256;
use sha2::Digest as _;

/// The fact that some bytes were hashed: made by [`Hasher::finish`], and by
/// the cache for its files, which had it when they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    sha256: Sha256,
    len: u64,
}

#[allow(clippy::len_without_is_empty)]
impl Verified {
    pub(super) fn of_cached(sha256: Sha256, len: u64) -> Self {
        Self { sha256, len }
    }

    /// What the bytes hash to.
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// How many they are.
    pub fn len(&self) -> u64 {
        self.len
    }
}

/// SHA-256 over bytes in order, and their count.
#[derive(Debug, Clone, Default)]
pub struct Hasher {
    state: sha2::Sha256,
    len: u64,
}

impl Hasher {
    /// Takes the bytes that follow.
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.len += bytes.len() as u64;
    }

    /// How many bytes were taken.
    pub fn position(&self) -> u64 {
        self.len
    }

    /// What the bytes hash to. Compare it with what was expected.
    pub fn finish(self) -> Verified {
        Verified { sha256: Sha256(self.state.finalize().into()), len: self.len }
    }
}
