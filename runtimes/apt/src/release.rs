//! `InRelease` and `Release` files: what files a suite has, and their hashes.
//!
//! The format is that of the Debian repository format, "Release files". Signatures are
//! apt's to check: what is read here only tells the daemon which hash to expect, and a
//! file that apt would not take does apt no harm in the daemon's catalog.

use std::collections::BTreeMap;
use std::fmt;

use httpdate::HttpDate;

use crate::deb822::{self, Line};
use crate::index::{Index, IndexName};
use crate::{Sha256, path};

/// The longest file that is read, in bytes. Debian's are under 200 KiB.
pub const MAX_RELEASE: usize = 16 * 1024 * 1024;
/// The most files that are taken from one Release. Debian's list under 2,000.
pub const MAX_FILES: usize = 100_000;

/// What the daemon needs of a Release file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// `Suite`, such as `stable`.
    pub suite: Option<String>,
    /// `Codename`, such as `bookworm`.
    pub codename: Option<String>,
    /// `Date`, if it can be read and is in UTC.
    pub date: Option<HttpDate>,
    /// `Acquire-By-Hash: yes`: apt will ask for indexes by their hash.
    pub acquire_by_hash: bool,
    /// `No-Support-for-Architecture-all: Packages`: what is for `all` stands in each
    /// architecture's Packages, so nobody fetches those of `all`.
    pub all_is_in_each: bool,
    /// The list `SHA256`, in its order; of the list `SHA512` what names the same files. Weaker
    /// lists are not read.
    pub files: Vec<ReleaseFile>,
    /// How many lines of the list were left out because their path leads elsewhere
    /// (absolute, `..`, control characters).
    pub skipped: usize,
}

/// A file that a Release lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseFile {
    /// Relative to the suite's directory, canonical (see [`crate::path`]).
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Of the whole file.
    pub sha256: Sha256,
    /// The SHA-512 of the same file, if the Release has one: apt asks by it then.
    pub sha512: Option<[u8; 64]>,
}

impl Release {
    /// Reads a `Release`, or an `InRelease` with its signature around.
    ///
    /// # Errors
    /// See [`ReleaseError`].
    pub fn parse(file: &[u8]) -> Result<Self, ReleaseError> {
        if file.len() > MAX_RELEASE {
            return Err(ReleaseError::TooLong);
        }
        let mut parser = Parser::default();
        let mut signed = None;
        for (line, number) in file.split(|&b| b == b'\n').zip(1..) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let Some(text) = Signed::next(&mut signed, line, number) else { continue };
            parser.line(text, number)?;
        }
        match signed {
            Some(Signed::Head | Signed::Text) => Err(ReleaseError::Unfinished),
            _ => Ok(parser.finish()),
        }
    }

    /// The indexes that teach hashes of packages and sources, each in the variant that
    /// is cheapest to fetch (xz, then gz, then plain), sorted by name.
    #[must_use]
    pub fn indexes(&self) -> Vec<Index<'_>> {
        let mut best: BTreeMap<IndexName<'_>, Index<'_>> = BTreeMap::new();
        for file in &self.files {
            let Some((name, compression)) = IndexName::parse(&file.path) else { continue };
            let index = Index { name, compression, file };
            best.entry(name)
                .and_modify(|known| {
                    if compression < known.compression {
                        *known = index;
                    }
                })
                .or_insert(index);
        }
        best.into_values().collect()
    }

    /// Those of [`indexes`](Self::indexes) that a machine of this architecture uses:
    /// `Packages` for it and, unless its own has them, for `all`; `Sources` if asked for;
    /// none of the installer's.
    #[must_use]
    pub fn indexes_for(&self, architecture: &str, sources: bool) -> Vec<Index<'_>> {
        let mut indexes = self.indexes();
        indexes.retain(|index| {
            let repeated = self.all_is_in_each && index.name.is_packages_of("all");
            index.name.is_for(architecture, sources) && !repeated
        });
        indexes
    }

    /// The best variant of one index.
    #[must_use]
    pub fn index(&self, name: IndexName<'_>) -> Option<Index<'_>> {
        self.indexes().into_iter().find(|index| index.name == name)
    }
}

impl ReleaseFile {
    /// The path under which a mirror with `Acquire-By-Hash` keeps this version, even
    /// after the next one came: relative to the suite's directory.
    #[must_use]
    pub fn by_hash_path(&self) -> String {
        match self.path.rsplit_once('/') {
            Some((directory, _)) => format!("{directory}/by-hash/SHA256/{}", self.sha256),
            None => format!("by-hash/SHA256/{}", self.sha256),
        }
    }
}

/// Where in a clearsigned text we are (RFC 9580, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signed {
    /// It has no signature around.
    Not,
    /// The armour's own header lines.
    Head,
    /// The signed text.
    Text,
    /// The signature and what follows, which nobody signed.
    Over,
}

impl Signed {
    /// The signed text of this line, without the dash escape; `None` if it has none.
    fn next<'a>(state: &mut Option<Self>, line: &'a [u8], number: usize) -> Option<&'a [u8]> {
        let now = match *state {
            None if number == 1 && line == b"-----BEGIN PGP SIGNED MESSAGE-----" => {
                *state = Some(Self::Head);
                return None;
            }
            None => *state.insert(Self::Not),
            Some(now) => now,
        };
        match now {
            Self::Not => Some(line),
            Self::Head => {
                if line.trim_ascii().is_empty() {
                    *state = Some(Self::Text);
                }
                None
            }
            Self::Text if line == b"-----BEGIN PGP SIGNATURE-----" => {
                *state = Some(Self::Over);
                None
            }
            Self::Text => Some(line.strip_prefix(b"- ").unwrap_or(line)),
            Self::Over => None,
        }
    }
}

/// A list of files that is read.
#[derive(Clone, Copy)]
enum List {
    Sha256,
    Sha512,
}

#[derive(Default)]
struct Parser {
    release: Release,
    list: Option<List>,
    seen_sha256: bool,
    /// By path, with the size that stands beside it.
    sha512: BTreeMap<String, (u64, [u8; 64])>,
    begun: bool,
    /// The stanza has ended: a Release has only one.
    over: bool,
}

impl Parser {
    fn line(&mut self, line: &[u8], number: usize) -> Result<(), ReleaseError> {
        let error = |problem| ReleaseError::Line { line: number, problem };
        match Line::parse(line) {
            Line::Blank => {
                self.over = self.begun;
                self.list = None;
            }
            Line::Comment => {}
            _ if self.over => return Err(error("text after the end of the only stanza")),
            Line::Malformed => return Err(error("neither a field nor part of one")),
            Line::Continuation(text) => {
                self.file(text).map_err(error)?;
                if self.release.files.len().max(self.sha512.len()) > MAX_FILES {
                    return Err(ReleaseError::TooManyFiles);
                }
            }
            Line::Field(name, value) => self.field(name, value).map_err(error)?,
        }
        Ok(())
    }

    fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        self.begun = true;
        self.list = None;
        let text = String::from_utf8_lossy(value);
        match name.to_ascii_lowercase().as_slice() {
            b"suite" => self.release.suite = Some(text.into_owned()),
            b"codename" => self.release.codename = Some(text.into_owned()),
            b"date" => self.release.date = date(&text),
            b"acquire-by-hash" => self.release.acquire_by_hash = value.eq_ignore_ascii_case(b"yes"),
            b"no-support-for-architecture-all" => {
                self.release.all_is_in_each = deb822::words(value).any(|word| word == b"Packages");
            }
            b"sha256" if self.seen_sha256 => return Err("a second SHA256 list"),
            b"sha256" => {
                self.seen_sha256 = true;
                self.begin(List::Sha256, value)?;
            }
            b"sha512" => self.begin(List::Sha512, value)?,
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, list: List, value: &[u8]) -> Result<(), &'static str> {
        self.list = Some(list);
        if value.is_empty() { Ok(()) } else { self.file(value) }
    }

    /// One line of a list: hash, size, path.
    fn file(&mut self, text: &[u8]) -> Result<(), &'static str> {
        let Some(list) = self.list else { return Ok(()) };
        let shape = match list {
            List::Sha256 => "a line of a SHA256 list is: 64 hex digits, size in bytes, path",
            List::Sha512 => "a line of a SHA512 list is: 128 hex digits, size in bytes, path",
        };
        let mut words = deb822::words(text);
        let (Some(hash), Some(size), Some(name), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(shape);
        };
        let size = deb822::number(size).ok_or(shape)?;
        match (list, path::from_index(name)) {
            (List::Sha256, Some(path)) => {
                let sha256 = Sha256::parse(hash).map_err(|_| shape)?;
                self.release.files.push(ReleaseFile { path, size, sha256, sha512: None });
            }
            (List::Sha256, None) => self.release.skipped += 1,
            (List::Sha512, Some(path)) => {
                let mut sha512 = [0; 64];
                hex::decode_to_slice(hash, &mut sha512).map_err(|_| shape)?;
                self.sha512.insert(path, (size, sha512));
            }
            (List::Sha512, None) => {}
        }
        Ok(())
    }

    fn finish(self) -> Release {
        let Self { mut release, sha512, .. } = self;
        for file in &mut release.files {
            let same = sha512.get(&file.path).filter(|(size, _)| *size == file.size);
            file.sha512 = same.map(|(_, sha512)| *sha512);
        }
        release
    }
}

/// The date of a Release: as in HTTP, but for the name of the zone and a day that need
/// not have two digits.
fn date(text: &str) -> Option<HttpDate> {
    let mut words = text.split_ascii_whitespace();
    let mut next = || words.next();
    let (weekday, day, month, year, time, zone) = (next()?, next()?, next()?, next()?, next()?, next()?);
    if !matches!(zone, "UTC" | "GMT" | "Z" | "+0000") {
        return None;
    }
    format!("{weekday} {day:0>2} {month} {year} {time:0>8} GMT").parse().ok()
}

/// Why a Release cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseError {
    /// Longer than [`MAX_RELEASE`].
    TooLong,
    /// More files than [`MAX_FILES`].
    TooManyFiles,
    /// It begins as clearsigned text and ends before the signature.
    Unfinished,
    /// A line that is not as it should be.
    Line {
        /// Counted from 1, the lines of the armour included.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the Release is longer than {MAX_RELEASE} bytes"),
            Self::TooManyFiles => write!(f, "the Release lists more than {MAX_FILES} files"),
            Self::Unfinished => f.write_str("the InRelease ends before its signature"),
            Self::Line { line, problem } => write!(f, "Release, line {line}: {problem}"),
        }
    }
}

impl std::error::Error for ReleaseError {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use khashmir_testing::quickcheck;

    const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn text() -> String {
        format!(
            "Origin: Example\nSuite: stable\nCodename: bookworm\n\
             Date: Sat, 9 Nov 2024 10:12:13 UTC\nAcquire-By-Hash: yes\n\
             Description: two\n lines: here\n\
             MD5Sum:\n d41d8cd98f00b204e9800998ecf8427e 0 main/binary-amd64/Packages\n\
             SHA256:\n {HASH} 0 main/binary-amd64/Packages\n \
             {HASH}        7 main/binary-amd64/Packages.gz\n \
             {HASH} 5 main/binary-amd64/Packages.xz\n \
             {HASH} 5 main/binary-amd64/Packages.bz2\n \
             {HASH} 5 main/binary-amd64/Release\n \
             {HASH} 5 main/binary-all/Packages.gz\n \
             {HASH} 5 main/binary-armhf/Packages.gz\n \
             {HASH} 5 main/debian-installer/binary-amd64/Packages.gz\n \
             {HASH} 5 main/source/Sources.xz\n \
             {HASH} 5 ../escape\n"
        )
    }

    fn signed(text: &str) -> String {
        format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{text}\
             -----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\nnoise\n"
        )
    }

    #[test]
    fn a_release_says_what_the_suite_has() {
        let release = Release::parse(text().as_bytes()).unwrap();
        assert_eq!(release.suite.as_deref(), Some("stable"));
        assert_eq!(release.codename.as_deref(), Some("bookworm"));
        assert_eq!(release.date.unwrap().to_string(), "Sat, 09 Nov 2024 10:12:13 GMT");
        assert!(release.acquire_by_hash);
        assert_eq!((release.files.len(), release.skipped), (9, 1));
        assert_eq!(release.files[1].path, "main/binary-amd64/Packages.gz");
        assert_eq!(release.files[1].size, 7);
        assert_eq!(release.files[1].by_hash_path(), format!("main/binary-amd64/by-hash/SHA256/{HASH}"));
    }

    #[test]
    fn a_signature_around_changes_nothing_and_what_follows_it_is_not_read() {
        let plain = Release::parse(text().as_bytes());
        assert_eq!(Release::parse(signed(&text()).as_bytes()), plain);
        let escaped = text().replace("Suite:", "- Suite:");
        assert_eq!(Release::parse(signed(&escaped).as_bytes()), plain);
        let crlf = signed(&text()).replace('\n', "\r\n");
        assert_eq!(Release::parse(crlf.as_bytes()), plain);
    }

    #[test]
    fn the_best_variants_for_a_machine_are_chosen() {
        let release = Release::parse(text().as_bytes()).unwrap();
        let paths = |indexes: Vec<Index<'_>>| {
            indexes.into_iter().map(|index| index.file.path.clone()).collect::<Vec<_>>()
        };
        assert_eq!(
            paths(release.indexes_for("amd64", false)),
            ["main/binary-all/Packages.gz", "main/binary-amd64/Packages.xz"]
        );
        assert_eq!(
            paths(release.indexes_for("riscv64", true)),
            ["main/binary-all/Packages.gz", "main/source/Sources.xz"]
        );
        let each = format!("No-Support-for-Architecture-all: Packages\n{}", text());
        let release = Release::parse(each.as_bytes()).unwrap();
        assert_eq!(paths(release.indexes_for("amd64", false)), ["main/binary-amd64/Packages.xz"]);
        let (name, _) = IndexName::parse("main/binary-amd64/Packages").unwrap();
        assert_eq!(release.index(name).unwrap().file.path, "main/binary-amd64/Packages.xz");
        assert_eq!(release.indexes().len(), 5);
    }

    #[test]
    fn a_sha512_belongs_to_the_file_of_its_path_and_size() {
        let digits = "0f".repeat(64);
        let list = format!(
            "SHA512:\n {digits} 0 main/binary-amd64/Packages\n {digits} 8 main/source/Sources.xz\n {digits} 1 main/other\n"
        );
        for text in [format!("{list}{}", text()), format!("{}{list}", text())] {
            let release = Release::parse(text.as_bytes()).unwrap();
            let known: Vec<_> = release.files.iter().filter(|file| file.sha512.is_some()).collect();
            assert_eq!(known.len(), 1);
            assert_eq!(
                (known[0].path.as_str(), known[0].sha512),
                ("main/binary-amd64/Packages", Some([15; 64]))
            );
        }
        let short = Release::parse(format!("SHA512:\n {HASH} 0 a\n").as_bytes()).unwrap_err();
        assert!(short.to_string().contains("128 hex digits"), "{short}");
    }

    #[test]
    fn nothing_weaker_than_sha256_counts() {
        let weak = "Suite: s\nMD5Sum:\n d41d8cd98f00b204e9800998ecf8427e 0 a\n";
        assert_eq!(Release::parse(weak.as_bytes()).unwrap().files, []);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let error = |text: &str| Release::parse(text.as_bytes()).unwrap_err();
        let line = |text: &str| match error(text) {
            ReleaseError::Line { line, .. } => line,
            other => panic!("{other}"),
        };
        assert_eq!(line("Suite: s\n<html>\n"), 2);
        assert_eq!(line("SHA256:\n abc 0 x\n"), 2);
        assert_eq!(line(&format!("SHA256:\n {HASH} 0 x\n {HASH} -1 x\n")), 3);
        assert_eq!(line(&format!("SHA256:\n {HASH} 0\n")), 2);
        assert_eq!(line("SHA256:\nSHA256:\n"), 2);
        assert_eq!(line("Suite: s\n\nSuite: t\n"), 3);
        assert_eq!(line(&signed("<html>\n")), 4);
        let signed = signed(&text());
        let cut = &signed[..signed.find("-----BEGIN PGP SIGNATURE").unwrap()];
        assert_eq!(error(cut), ReleaseError::Unfinished);
        assert_eq!(error(&"#".repeat(MAX_RELEASE + 1)), ReleaseError::TooLong);
        let many = format!(" {HASH} 0 x\n").repeat(MAX_FILES + 1);
        assert_eq!(error(&format!("SHA256:\n{many}")), ReleaseError::TooManyFiles);
    }

    #[test]
    fn dates_in_utc_are_read_under_all_its_names() {
        for zone in ["UTC", "GMT", "Z", "+0000"] {
            let read = date(&format!("Sun, 06 Nov 1994  8:49:37 {zone}")).unwrap();
            assert_eq!(read.to_string(), "Sun, 06 Nov 1994 08:49:37 GMT");
        }
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 +0100"), None);
        assert_eq!(date("now"), None);
    }

    quickcheck! {
        fn a_changed_or_cut_file_never_panics(at: usize, byte: u8, cut: bool) -> bool {
            let mut file = signed(&text()).into_bytes();
            let at = at % file.len();
            file[at] = byte;
            if cut {
                file.truncate(at);
            }
            let _ = Release::parse(&file);
            true
        }
    }
}
