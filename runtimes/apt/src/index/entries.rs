//! The stream of entries of one index.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read as _};

use super::decoder::{Compression, Decoder};
use crate::deb822::{self, Line};
use crate::{Sha256, path};

/// The longest line that is read, in bytes. The longest of Debian (a `Provides`) have
/// some ten thousand.
pub const MAX_LINE: usize = 1024 * 1024;
/// The most files that one stanza of a Sources file may list.
pub const MAX_FILES_PER_STANZA: usize = 4096;

/// A file that an index lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the archive's root, canonical (see [`crate::path`]); of a patch, its
    /// name in the folder that has the `Index`.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Of the whole file.
    pub sha256: Sha256,
}

/// Reads a Packages or Sources file, or the `Index` of patches: what each stanza says is
/// told by its fields.
///
/// Only one stanza is in memory at a time. At most `max_bytes` are unpacked.
pub fn entries<R: BufRead>(input: R, compression: Compression, max_bytes: u64) -> Entries<R> {
    let (input, failed) = match Decoder::new(input, compression) {
        Ok(decoder) => (Some(BufReader::with_capacity(64 * 1024, decoder)), None),
        Err(error) => (None, Some(IndexError::Read { line: 1, error })),
    };
    Entries {
        input,
        failed,
        max_bytes,
        bytes: 0,
        line: Vec::new(),
        number: 0,
        stanza: Stanza::default(),
        ready: VecDeque::new(),
        skipped: 0,
    }
}

/// The iterator that [`entries`] makes. After an error it is at its end; what it gave
/// before is only as good as the hash of the whole file, which is the caller's to check.
pub struct Entries<R> {
    /// Taken away at the end.
    input: Option<BufReader<Decoder<R>>>,
    failed: Option<IndexError>,
    max_bytes: u64,
    bytes: u64,
    line: Vec<u8>,
    number: u64,
    stanza: Stanza,
    ready: VecDeque<Entry>,
    skipped: u64,
}

impl<R> Entries<R> {
    /// How many files were left out so far: without SHA-256 or size, or with a path
    /// that leads elsewhere (absolute, `..`, control characters).
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }
}

impl<R: BufRead> Iterator for Entries<R> {
    type Item = Result<Entry, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Some(Ok(entry));
            }
            if let Some(error) = self.failed.take() {
                return Some(Err(error));
            }
            self.input.as_ref()?;
            if let Err(error) = self.step() {
                self.input = None;
                return Some(Err(error));
            }
        }
    }
}

impl<R: BufRead> Entries<R> {
    /// Takes one line.
    fn step(&mut self) -> Result<(), IndexError> {
        if !self.read_line()? {
            self.input = None;
            self.end_stanza();
            return Ok(());
        }
        let error = |problem| IndexError::Line { line: self.number, problem };
        match Line::parse(&self.line) {
            Line::Blank => self.end_stanza(),
            Line::Comment => {}
            Line::Malformed => return Err(error("neither a field nor part of one")),
            Line::Field(name, value) => self.stanza.field(name, value).map_err(error)?,
            Line::Continuation(text) => self.stanza.continuation(text).map_err(error)?,
        }
        Ok(())
    }

    /// The next line, without its end, into `self.line`; `false` at the end of the file.
    fn read_line(&mut self) -> Result<bool, IndexError> {
        let Some(input) = &mut self.input else { return Ok(false) };
        self.line.clear();
        self.number += 1;
        let line = self.number;
        let read = input
            .take(MAX_LINE as u64 + 1)
            .read_until(b'\n', &mut self.line)
            .map_err(|error| IndexError::Read { line, error })?;
        self.bytes += read as u64;
        if self.bytes > self.max_bytes {
            return Err(IndexError::TooLong { max_bytes: self.max_bytes });
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        }
        if self.line.len() > MAX_LINE {
            return Err(IndexError::Line { line, problem: "longer than 1 MiB" });
        }
        Ok(read > 0)
    }

    fn end_stanza(&mut self) {
        self.skipped += self.stanza.finish(&mut self.ready);
    }
}

impl<R> fmt::Debug for Entries<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries")
            .field("line", &self.number)
            .field("skipped", &self.skipped)
            .finish_non_exhaustive()
    }
}

/// What is known of the stanza that is being read.
#[derive(Default)]
struct Stanza {
    /// `Filename`, `Size` and `SHA256`: a binary package.
    filename: Vec<u8>,
    size: Option<u64>,
    sha256: Option<Sha256>,
    /// `Directory` and `Checksums-Sha256`: a source package.
    directory: Option<Vec<u8>>,
    checksums: Vec<(Sha256, u64, Vec<u8>)>,
    /// `SHA256-Download`: patches, as they are packed.
    patches: Vec<(Sha256, u64, Vec<u8>)>,
    list: Option<List>,
}

/// A list of files that is read.
#[derive(Clone, Copy)]
enum List {
    Checksums,
    Patches,
}

impl Stanza {
    fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let is = |field: &str| name.eq_ignore_ascii_case(field.as_bytes());
        self.list = None;
        if is("Filename") {
            self.filename.clear();
            self.filename.extend_from_slice(value);
        } else if is("Size") {
            self.size = Some(deb822::number(value).ok_or("Size is not a number of bytes")?);
        } else if is("SHA256") {
            self.sha256 = Some(Sha256::parse(value).map_err(|_| "SHA256 is not 64 hex digits")?);
        } else if is("Directory") {
            self.directory = Some(value.to_vec());
        } else if is("Checksums-Sha256") || is("SHA256-Download") {
            self.list = Some(if is("SHA256-Download") { List::Patches } else { List::Checksums });
            if !value.is_empty() {
                self.continuation(value)?;
            }
        }
        Ok(())
    }

    fn continuation(&mut self, text: &[u8]) -> Result<(), &'static str> {
        const SHAPE: &str = "a line of this list is: 64 hex digits, size in bytes, name";
        let list = match self.list {
            Some(List::Checksums) => &mut self.checksums,
            Some(List::Patches) => &mut self.patches,
            None => return Ok(()),
        };
        let mut words = deb822::words(text);
        let (Some(hash), Some(size), Some(name), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(SHAPE);
        };
        if list.len() == MAX_FILES_PER_STANZA {
            return Err("more than 4096 files in one stanza");
        }
        let sha256 = Sha256::parse(hash).map_err(|_| SHAPE)?;
        let size = deb822::number(size).ok_or(SHAPE)?;
        list.push((sha256, size, name.to_vec()));
        Ok(())
    }

    /// Gives what the stanza listed, and is as new. Returns how many files were left out.
    fn finish(&mut self, out: &mut VecDeque<Entry>) -> u64 {
        let mut skipped = 0;
        let mut give = |path: &[u8], size: Option<u64>, sha256: Option<Sha256>| match (
            path::from_index(path),
            size,
            sha256,
        ) {
            (Some(path), Some(size), Some(sha256)) => {
                out.push_back(Entry { path, size, sha256 });
            }
            _ => skipped += 1,
        };
        let (size, sha256) = (self.size.take(), self.sha256.take());
        if !self.filename.is_empty() {
            give(&self.filename, size, sha256);
            self.filename.clear();
        }
        let directory = self.directory.take();
        for (sha256, size, name) in self.checksums.drain(..) {
            match &directory {
                // Policy, section 5.6.21: names in this list have no directory part.
                Some(directory) if !name.contains(&b'/') => {
                    let separator: &[u8] = if directory.is_empty() { b"" } else { b"/" };
                    give(&[directory, separator, &name].concat(), Some(size), Some(sha256));
                }
                _ => give(b"", None, None),
            }
        }
        for (sha256, size, name) in self.patches.drain(..) {
            let name: &[u8] = if name.contains(&b'/') { b"" } else { &name };
            give(name, Some(size), Some(sha256));
        }
        self.list = None;
        skipped
    }
}

/// Why an index cannot be read further. Lines are counted from 1, unpacked.
#[derive(Debug)]
pub enum IndexError {
    /// The input failed or is not packed as expected; near this line.
    Read {
        /// The line that was being read.
        line: u64,
        /// What the input or the decoder said.
        error: io::Error,
    },
    /// A line that is not as it should be.
    Line {
        /// Which.
        line: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// It unpacks to more than the caller allows.
    TooLong {
        /// What the caller allows.
        max_bytes: u64,
    },
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { line, error } => write!(f, "index, near line {line}: {error}"),
            Self::Line { line, problem } => write!(f, "index, line {line}: {problem}"),
            Self::TooLong { max_bytes } => write!(f, "the index unpacks to over {max_bytes} bytes"),
        }
    }
}

impl std::error::Error for IndexError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { error, .. } => Some(error),
            Self::Line { .. } | Self::TooLong { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::index::MAX_XZ_MEMORY;
    use khashmir_testing::quickcheck;
    use std::io::Write as _;

    const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn packages() -> String {
        format!(
            "Package: g++\nVersion: 1~2\nDescription: two\n lines\n .\n here: too\n\
             Filename: ./pool/g/g++_1~2_all.deb\nSize: 7\nMD5sum: x\nSHA256: {HASH}\n\n\n\
             Package: weak\nFilename: pool/weak.deb\nSize: 7\n\n\
             Package: bad\nFilename: ../bad.deb\nSize: 7\nSHA256: {HASH}\n\n\
             # a comment\n\
             sha256: {HASH}\nsize: 8\nfilename: pool/last.deb"
        )
    }

    fn sources() -> String {
        format!(
            "Package: a\nFiles:\n x 1 a.dsc\nChecksums-Sha256:\n {HASH} 1 a.dsc\n {HASH} 2 a.tar.xz\n\
             Directory: pool/a\n\nPackage: flat\nDirectory: .\nChecksums-Sha256:\n {HASH} 3 f.dsc\n \
             {HASH} 3 x/../f\n\nChecksums-Sha256:\n {HASH} 3 nowhere\n"
        )
    }

    fn pack(text: &[u8], compression: Compression) -> Vec<u8> {
        match compression {
            Compression::Plain => text.to_vec(),
            Compression::Gzip => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                out.write_all(text).unwrap();
                out.finish().unwrap()
            }
            Compression::Xz => {
                let mut out = liblzma::write::XzEncoder::new(Vec::new(), 1);
                out.write_all(text).unwrap();
                out.finish().unwrap()
            }
        }
    }

    /// Paths and sizes, how many were skipped, and the error at the end.
    fn read(file: &[u8], compression: Compression) -> (Vec<(String, u64)>, u64, Option<IndexError>) {
        let mut entries = entries(file, compression, 1 << 24);
        let (mut good, mut error) = (Vec::new(), None);
        for entry in &mut entries {
            match entry {
                Ok(entry) => good.push((entry.path, entry.size)),
                Err(e) => error = Some(e),
            }
        }
        assert!(entries.next().is_none());
        (good, entries.skipped(), error)
    }

    fn list(entries: &[(&str, u64)]) -> Vec<(String, u64)> {
        entries.iter().map(|(path, size)| ((*path).to_owned(), *size)).collect()
    }

    #[test]
    fn packages_teach_hashes_however_packed() {
        for compression in [Compression::Plain, Compression::Gzip, Compression::Xz] {
            let (good, skipped, error) = read(&pack(packages().as_bytes(), compression), compression);
            assert!(error.is_none(), "{error:?}");
            assert_eq!(good, list(&[("pool/g/g++_1~2_all.deb", 7), ("pool/last.deb", 8)]));
            assert_eq!(skipped, 2);
        }
    }

    #[test]
    fn sources_teach_hashes_of_each_file() {
        let (good, skipped, error) = read(sources().as_bytes(), Compression::Plain);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(good, list(&[("pool/a/a.dsc", 1), ("pool/a/a.tar.xz", 2), ("f.dsc", 3)]));
        assert_eq!(skipped, 2);
    }

    #[test]
    fn an_index_of_patches_teaches_hashes_of_what_is_downloaded() {
        let text = format!(
            "SHA256-Current: {HASH} 9\nSHA256-History:\n {HASH} 8 T-1-F-0\nSHA256-Patches:\n {HASH} 7 T-1-F-0\n\
             SHA256-Download:\n {HASH} 6 T-1-F-0.gz\n {HASH} 5 ../escape.gz\nX-Unmerged-SHA256-Download:\n {HASH} 4 x.gz\n"
        );
        let (good, skipped, error) = read(text.as_bytes(), Compression::Plain);
        assert!(error.is_none(), "{error:?}");
        assert_eq!((good, skipped), (list(&[("T-1-F-0.gz", 6)]), 1));
    }

    #[test]
    fn files_of_several_parts_are_read_to_their_end() {
        for compression in [Compression::Gzip, Compression::Xz] {
            let text = packages();
            let (first, second) = text.as_bytes().split_at(40);
            let file = [pack(first, compression), pack(second, compression)].concat();
            assert_eq!(read(&file, compression).0.len(), 2);
        }
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        for compression in [Compression::Gzip, Compression::Xz] {
            let file = pack(packages().as_bytes(), compression);
            for len in 0..file.len() {
                let (.., error) = read(&file[..len], compression);
                assert!(matches!(error, Some(IndexError::Read { .. })), "{compression:?} {len}");
            }
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let line = |text: String| match read(text.as_bytes(), Compression::Plain).2 {
            Some(IndexError::Line { line, .. }) => line,
            other => panic!("{other:?}"),
        };
        assert_eq!(line("Package: a\n\n<html>".to_owned()), 3);
        assert_eq!(line("Size: 1\nSHA256: 12".to_owned()), 2);
        assert_eq!(line("Size: 1 kB".to_owned()), 1);
        assert_eq!(line("Checksums-Sha256:\n 12 1 x".to_owned()), 2);
        assert_eq!(line(format!("A: b\nC: {}", "d".repeat(MAX_LINE))), 2);
        let many = format!(" {HASH} 1 x\n").repeat(MAX_FILES_PER_STANZA + 1);
        assert_eq!(line(format!("Checksums-Sha256:\n{many}")), MAX_FILES_PER_STANZA as u64 + 2);
    }

    #[test]
    fn what_unpacks_to_more_than_allowed_is_not_read_on() {
        let bomb = pack(&b"A: b\n".repeat(1 << 20), Compression::Xz);
        assert!(bomb.len() < 10_000);
        let mut read = entries(bomb.as_slice(), Compression::Xz, 1000);
        let error = read.next().unwrap().unwrap_err();
        assert!(matches!(error, IndexError::TooLong { max_bytes: 1000 }), "{error}");
        assert!(read.number <= 201);
    }

    #[test]
    fn xz_that_needs_too_much_memory_is_refused() {
        use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
        let mut options = LzmaOptions::new_preset(1).unwrap();
        options.dict_size(MAX_XZ_MEMORY as u32 * 2);
        let stream = Stream::new_stream_encoder(Filters::new().lzma2(&options), Check::Crc32);
        let mut out = liblzma::write::XzEncoder::new_stream(Vec::new(), stream.unwrap());
        out.write_all(packages().as_bytes()).unwrap();
        let (good, _, error) = read(&out.finish().unwrap(), Compression::Xz);
        assert_eq!(good, []);
        assert!(matches!(error, Some(IndexError::Read { .. })), "{error:?}");
    }

    /// Gives its bytes in pieces of one length.
    struct Dribble<'a>(&'a [u8], usize);

    impl io::Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = self.1.min(self.0.len()).min(buffer.len());
            let (now, later) = self.0.split_at(len);
            buffer[..len].copy_from_slice(now);
            self.0 = later;
            Ok(len)
        }
    }

    quickcheck! {
        fn how_the_bytes_arrive_does_not_matter(step: usize, which: u8) -> bool {
            let compression = [Compression::Plain, Compression::Gzip, Compression::Xz][usize::from(which % 3)];
            let file = pack((packages() + "\n\n" + &sources()).as_bytes(), compression);
            let input = BufReader::new(Dribble(&file, step % 50 + 1));
            let dribbled: Vec<_> = entries(input, compression, 1 << 20)
                .map(|entry| entry.map(|entry| (entry.path, entry.size)).unwrap())
                .collect();
            dribbled == read(&file, compression).0 && dribbled.len() == 5
        }

        fn a_changed_file_never_panics(at: usize, byte: u8, which: u8) -> bool {
            let compression = [Compression::Plain, Compression::Gzip, Compression::Xz][usize::from(which % 3)];
            let mut file = pack((packages() + "\n\n" + &sources()).as_bytes(), compression);
            let at = at % file.len();
            file[at] = byte;
            read(&file, compression).0.len() <= 8
        }

        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) -> bool {
            [Compression::Plain, Compression::Gzip, Compression::Xz]
                .into_iter()
                .all(|compression| read(&bytes, compression).0.len() <= bytes.len())
        }
    }
}
