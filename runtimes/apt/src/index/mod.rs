//! Packages and Sources files: the hash and size of everything that a suite installs; and
//! those of the patches between versions of an index.

mod decoder;
mod entries;
mod name;

pub use decoder::{Compression, MAX_XZ_MEMORY};
pub use entries::{Entries, Entry, IndexError, MAX_FILES_PER_STANZA, MAX_LINE, entries};
pub use name::{Index, IndexKind, IndexName};
