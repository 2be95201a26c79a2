//! Which peer gave which bytes, until it is known which were right.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use khashmir::claim::PIECE_LEN;
use sha1::{Digest as _, Sha1};

/// What one piece was as a peer gave it.
#[derive(Debug)]
struct Given {
    peer: SocketAddr,
    bytes: Range<u64>,
    sha1: [u8; 20],
}

/// The pieces of one file that peers gave.
///
/// That a piece does not match its piece hash says little: the piece hashes may be the lie, and who
/// spreads one would have honest peers distrusted. The whole file, once it is right, says who lied.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    kept: Vec<Given>,
    doubtful: Vec<Given>,
}

/// As many pieces are compared in the end.
const MAX_DOUBTFUL: usize = 256;

impl Evidence {
    /// A peer gave a piece, which went into the file.
    pub(super) fn kept(&mut self, peer: SocketAddr, bytes: Range<u64>, sha1: [u8; 20]) {
        self.kept.push(Given { peer, bytes, sha1 });
    }

    /// A peer gave a piece that did not match.
    pub(super) fn refused(&mut self, peer: SocketAddr, bytes: Range<u64>, sha1: [u8; 20]) {
        self.doubt(Given { peer, bytes, sha1 });
    }

    /// Pieces within these bytes are in the file no longer.
    pub(super) fn discarded(&mut self, bytes: &Range<u64>) {
        let (gone, kept) = std::mem::take(&mut self.kept)
            .into_iter()
            .partition(|given| bytes.start <= given.bytes.start && given.bytes.end <= bytes.end);
        self.kept = kept;
        Vec::into_iter(gone).for_each(|given| self.doubt(given));
    }

    fn doubt(&mut self, given: Given) {
        if self.doubtful.len() < MAX_DOUBTFUL {
            self.doubtful.push(given);
        }
    }

    /// Whether anything is to be compared.
    pub(super) fn is_doubtful(&self) -> bool {
        !self.doubtful.is_empty()
    }

    /// Who gave other bytes than the right `file` has.
    ///
    /// # Errors
    /// Of the disk.
    pub(super) fn liars(&self, file: &File) -> io::Result<HashSet<SocketAddr>> {
        let mut liars = HashSet::new();
        let mut piece = vec![0; PIECE_LEN as usize];
        for given in &self.doubtful {
            let len = (given.bytes.end - given.bytes.start).min(PIECE_LEN) as usize;
            let Some(piece) = piece.get_mut(..len) else { continue };
            file.read_exact_at(piece, given.bytes.start)?;
            if <[u8; 20]>::from(Sha1::digest(&*piece)) != given.sha1 {
                liars.insert(given.peer);
            }
        }
        Ok(liars)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn only_who_gave_other_bytes_than_the_file_has_lied() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"aaaabbbbcc").unwrap();
        let sha1 = |bytes: &[u8]| <[u8; 20]>::from(Sha1::digest(bytes));
        let peers: Vec<SocketAddr> = (1..=4).map(|n| SocketAddr::from(([203, 0, 113, n], 9978))).collect();
        let mut evidence = Evidence::default();
        // Refused by piece hashes that were the lie themselves.
        evidence.refused(peers[0], 0..4, sha1(b"aaaa"));
        evidence.refused(peers[1], 4..8, sha1(b"bxbb"));
        evidence.kept(peers[2], 4..8, sha1(b"xxxx"));
        evidence.kept(peers[3], 8..10, sha1(b"yy"));
        evidence.discarded(&(4..8));
        assert!(evidence.is_doubtful());
        assert_eq!(evidence.liars(&file).unwrap(), HashSet::from([peers[1], peers[2]]));
    }
}
