//! The logic of apt's world, without I/O: no sockets, no files, no clock.
//!
//! A daemon that stands between apt and its mirror has to know which file a request
//! means, and which hash and size that file must have, because only then may its bytes
//! come from a stranger. This crate follows that chain, and reads and writes the HTTP
//! heads at its ends:
//!
//! | step | module |
//! |---|---|
//! | request head → target, range, preconditions; response head | [`http`] |
//! | target → mirror and canonical path | [`url`], [`path`] |
//! | path → archive root, suite, by-hash | [`archive`] |
//! | `InRelease` → hashes of the indexes | [`release`] |
//! | Packages, Sources → hashes of the packages | [`index`] |
//! | hash → key in the DHT, `Last-Modified` | [`hash`] |
//! | `sources.list` → archives that the machine uses | [`sources`] |
//!
//! ```
//! use khashmir_apt::archive::DistsPath;
//! use khashmir_apt::index::{self, Compression};
//! use khashmir_apt::release::Release;
//! use khashmir_apt::url::Target;
//! # let hash = khashmir_apt::Sha256::of(b"");
//! # let in_release = format!("SHA256:\n {hash} 5 main/binary-amd64/Packages.gz\n");
//! # let packages = format!("Filename: pool/g++_1~2.deb\nSize: 7\nSHA256: {hash}\n");
//!
//! // apt asks for the suite's InRelease, through either style of proxy.
//! let target = Target::parse("/mirror.example/debian/dists/sid/InRelease")?;
//! let path = DistsPath::parse(&target.upstream.path).expect("it is under /dists/");
//! assert_eq!((path.root, path.suite_of_release()), ("/debian", Some("sid")));
//!
//! // The mirror's answer says what the indexes must hash to, …
//! let release = Release::parse(in_release.as_bytes())?;
//! let best = release.indexes_for("amd64", false)[0];
//! assert_eq!(best.file.path, "main/binary-amd64/Packages.gz");
//!
//! // … and an index, once its own hash is right, what the packages must.
//! let entries = index::entries(packages.as_bytes(), Compression::Plain, 1 << 30);
//! let entry = entries.last().expect("there is one")?;
//!
//! // apt's request for a package meets that entry, though it is spelt otherwise.
//! let target = Target::parse("http://mirror.example/debian/pool/g%2b%2b_1%7e2.deb")?;
//! assert_eq!(target.upstream.path, format!("{}/{}", path.root, entry.path));
//! assert_eq!(entry.sha256.dht_key().len(), 20);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Everything here may be given to the worst of mirrors and clients: nothing panics on
//! input, every collection has a bound that its module names, and an error says what is
//! wrong and where. Bytes are decoded as they arrive, so that an index of any size needs
//! the memory of one stanza. Time appears only as the dates that heads and files carry.

pub mod archive;
mod deb822;
pub mod hash;
pub mod http;
pub mod index;
pub mod path;
pub mod release;
pub mod sources;
pub mod url;

pub use hash::Sha256;
/// A date as HTTP writes it, in whole seconds.
pub use httpdate::HttpDate;
