//! The piece hashes of cached files, made once.

use std::fs::File;
use std::io::{self, Read as _};

use khashmir::claim::{PieceHasher, PieceHashes};

use crate::cache::{Announceable, Cache};

/// What is read of a file at a time, in bytes.
const CHUNK: usize = 256 * 1024;

/// The piece hashes of a cached file: as the database has them, or else made from the file and kept
/// there. `None` if the file is not cached any more. Blocks.
pub(super) fn of(cache: &Cache, file: &Announceable) -> io::Result<Option<PieceHashes>> {
    if file.piece_hashes_sha1.is_some()
        && let Some(bytes) = cache.piece_hashes(&file.sha256)?
    {
        let (hashes, _) = bytes.as_chunks::<20>();
        return Ok(Some(PieceHashes::new(hashes.to_vec())));
    }
    let Some(cached) = cache.open_unused(&file.sha256) else { return Ok(None) };
    let hashes = read(cached.file)?;
    if !hashes.fits(cached.verified.len()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its length changed while it was read"));
    }
    let is_cached = cache.set_piece_hashes(&file.sha256, hashes.as_slice().as_flattened(), &hashes.sha1())?;
    Ok(is_cached.then_some(hashes))
}

fn read(mut file: File) -> io::Result<PieceHashes> {
    let mut hasher = PieceHasher::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(chunk.get(..read).unwrap_or_default()),
        }
    }
}
