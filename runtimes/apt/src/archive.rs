//! Where in an archive a canonical path points.

use crate::Sha256;

/// A path under `/dists/`, taken apart. All parts are canonical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DistsPath<'a> {
    /// The archive's root, with no `/` at its end: `/debian`, or empty. What a Packages
    /// file names is relative to it.
    pub root: &'a str,
    /// What stands behind `/dists/`: suite and file.
    pub rest: &'a str,
}

impl<'a> DistsPath<'a> {
    /// Splits `path`, which begins with `/`, at its first `/dists/`; `None` if it has none.
    #[must_use]
    pub fn parse(path: &'a str) -> Option<Self> {
        let (root, rest) = path.split_once("/dists/")?;
        Some(Self { root, rest })
    }

    /// The suite, if this is the path of its `InRelease`, `Release` or `Release.gpg`.
    ///
    /// A suite may have a `/` in its name, as in `bookworm/updates`.
    #[must_use]
    pub fn suite_of_release(&self) -> Option<&'a str> {
        let (suite, name) = self.rest.rsplit_once('/')?;
        let release = matches!(name, "InRelease" | "Release" | "Release.gpg");
        (release && !suite.is_empty()).then_some(suite)
    }

    /// Every way to read the rest as a suite and a path relative to the suite's
    /// directory, shortest suite first. Only who knows the suites can choose.
    pub fn splits(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let rest = self.rest;
        rest.match_indices('/')
            .map(move |(slash, _)| (&rest[..slash], &rest[slash + 1..]))
            .filter(|(suite, path)| !suite.is_empty() && !path.is_empty())
    }
}

/// The folder and the name of a file that may be a patch of an index. The Release does not
/// list it, but the `Index` in that folder does.
#[must_use]
pub fn patch(path: &str) -> Option<(&str, &str)> {
    let (folder, name) = path.rsplit_once('/')?;
    (folder.ends_with(".diff") && name != "Index").then_some((folder, name))
}

/// The hash by which a path names a file that never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByHash {
    /// `/by-hash/SHA256/<64 hex digits>`
    Sha256(Sha256),
    /// `/by-hash/SHA512/<128 hex digits>`
    Sha512([u8; 64]),
}

/// The hash in a path that ends with `/by-hash/SHA256/…` or `/by-hash/SHA512/…`.
///
/// apt asks for the strongest hash that the Release lists, so weaker ones are not looked
/// at: such files count as unhashed.
#[must_use]
pub fn by_hash(path: &str) -> Option<ByHash> {
    let (directory, hash) = path.rsplit_once('/')?;
    if directory.ends_with("/by-hash/SHA256") {
        return hash.parse().ok().map(ByHash::Sha256);
    }
    let mut sha512 = [0; 64];
    let is_sha512 = directory.ends_with("/by-hash/SHA512") && hex::decode_to_slice(hash, &mut sha512).is_ok();
    is_sha512.then_some(ByHash::Sha512(sha512))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn index_paths_come_apart() {
        let path = DistsPath::parse("/debian/dists/bookworm/updates/InRelease").unwrap();
        assert_eq!((path.root, path.rest), ("/debian", "bookworm/updates/InRelease"));
        assert_eq!(path.suite_of_release(), Some("bookworm/updates"));

        let path = DistsPath::parse("/dists/sid/main/Contents-all.gz").unwrap();
        assert_eq!((path.root, path.suite_of_release()), ("", None));
        assert_eq!(
            path.splits().collect::<Vec<_>>(),
            [("sid", "main/Contents-all.gz"), ("sid/main", "Contents-all.gz")]
        );
        assert_eq!(DistsPath::parse("/debian/pool/main/d/dists.deb"), None);
        assert_eq!(DistsPath::parse("/dists/InRelease").unwrap().suite_of_release(), None);
    }

    #[test]
    fn patches_lie_in_folders_of_their_own() {
        let folder = "/d/dists/sid/main/binary-amd64/Packages.diff";
        assert_eq!(patch(&format!("{folder}/T-1-F-0.gz")), Some((folder, "T-1-F-0.gz")));
        assert_eq!(patch(&format!("{folder}/Index")), None);
        assert_eq!(patch(&format!("{folder}/by-hash/SHA256/0")), None);
        assert_eq!(patch("/d/dists/sid/main/binary-amd64/Packages.xz"), None);
    }

    #[test]
    fn by_hash_paths_tell_the_hash() {
        let hash = Sha256::of(b"");
        let path = |name: &str| format!("/d/dists/sid/main/by-hash/{name}/{hash}");
        assert_eq!(by_hash(&path("SHA256")), Some(ByHash::Sha256(hash)));
        assert_eq!(by_hash(&path("SHA512")), None);
        let longer = format!("/d/dists/sid/main/by-hash/SHA512/{}", "0f".repeat(64));
        assert_eq!(by_hash(&longer), Some(ByHash::Sha512([15; 64])));
        assert_eq!(by_hash(&longer.replace("SHA512", "SHA256")), None);
        assert_eq!(by_hash(&path("MD5Sum")), None);
        assert_eq!(by_hash(&format!("{}0", path("SHA256"))), None);
        assert_eq!(by_hash(&format!("/d/{hash}")), None);
    }
}
