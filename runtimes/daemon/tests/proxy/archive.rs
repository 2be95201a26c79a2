//! A small archive in memory, with the index files that name its packages.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use khashmir_apt::Sha256;

/// Where the archive's suite lies at every mirror.
pub const SUITE: &str = "/debian/dists/sid";

/// Files by their path at the mirror.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    pub files: BTreeMap<String, Vec<u8>>,
    packages: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    /// An archive whose pool has these files; names are relative to the pool.
    pub fn of(packages: &[(&str, &[u8])]) -> Self {
        let mut archive = Self::default();
        for (name, content) in packages {
            archive.packages.insert(format!("pool/{name}"), content.to_vec());
            archive.files.insert(pool(name), content.to_vec());
        }
        archive.index();
        archive
    }

    /// Writes Packages and InRelease anew.
    pub fn index(&mut self) {
        let mut packages = String::new();
        for (path, content) in &self.packages {
            let (size, sha256) = (content.len(), Sha256::of(content));
            write!(packages, "Package: p\nFilename: {path}\nSize: {size}\nSHA256: {sha256}\n\n").unwrap();
        }
        let hash = Sha256::of(packages.as_bytes());
        let release = format!(
            "Suite: sid\nDate: Sun, 06 Nov 1994 08:49:37 UTC\nAcquire-By-Hash: yes\nSHA256:\n {hash} {} \
             main/binary-{ARCH}/Packages\n",
            packages.len()
        );
        let folder = format!("{SUITE}/main/binary-{ARCH}");
        self.files.insert(format!("{folder}/by-hash/SHA256/{hash}"), packages.clone().into());
        self.files.insert(format!("{folder}/Packages"), packages.into());
        self.files.insert(format!("{SUITE}/InRelease"), release.into());
    }

    /// Where the current Packages lies under its hash.
    pub fn packages_by_hash(&self) -> String {
        let packages = &self.files[&format!("{SUITE}/main/binary-{ARCH}/Packages")];
        format!("{SUITE}/main/binary-{ARCH}/by-hash/SHA256/{}", Sha256::of(packages))
    }

    /// Where the current Packages lies under its name.
    pub fn packages_by_name() -> String {
        format!("{SUITE}/main/binary-{ARCH}/Packages")
    }
}

/// An architecture that no machine has, so that only what clients ask for is fetched.
const ARCH: &str = "pdp11";

/// Where a file of the pool lies at the mirror.
pub fn pool(name: &str) -> String {
    format!("/debian/pool/{name}")
}

/// Content that does not repeat and differs by seed.
pub fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}
