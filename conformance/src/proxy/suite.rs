//! A small archive in memory: packages, the index that lists them, the release that lists that.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Where the release lies, below the archive.
pub const RELEASE: &str = "dists/sid/InRelease";
/// Where the index lies under its name. No machine has the architecture, so that a proxy asks for
/// it only when its client does.
pub const PACKAGES: &str = "dists/sid/main/binary-pdp11/Packages";

/// An archive. Nothing in it is signed: that is apt's to check, not a proxy's.
#[derive(Clone, Debug)]
pub struct Suite {
    /// `InRelease`.
    pub release: Vec<u8>,
    /// `Packages`.
    pub packages: Vec<u8>,
}

impl Suite {
    /// One that lists these files of the pool; `date` distinguishes its generations.
    pub fn of(debs: &[(&str, &[u8])], date: &str) -> Self {
        let mut packages = String::new();
        for (path, content) in debs {
            let name = path.rsplit('/').next().and_then(|file| file.split('_').next()).unwrap_or_default();
            // Writing to a string does not fail.
            let _ = write!(
                packages,
                "Package: {name}\nVersion: 1.0\nArchitecture: pdp11\nFilename: {path}\nSize: {}\nSHA256: {}\n\n",
                content.len(),
                sha256(content)
            );
        }
        let listed = PACKAGES.strip_prefix("dists/sid/").unwrap_or_default();
        let release = format!(
            "Origin: Conformance\nSuite: sid\nCodename: sid\nDate: {}\nAcquire-By-Hash: yes\n\
             Architectures: pdp11\nComponents: main\nSHA256:\n {} {} {listed}\n",
            date.replace("GMT", "UTC"),
            sha256(packages.as_bytes()),
            packages.len(),
        );
        Self { release: release.into(), packages: packages.into() }
    }

    /// Where its index lies under its hash.
    pub fn packages_by_hash(&self) -> String {
        PACKAGES.replace("Packages", &format!("by-hash/SHA256/{}", sha256(&self.packages)))
    }
}

/// SHA-256 in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Content that does not repeat; the same for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0; len];
    for block in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Its lowest bits are its worst.
        let next = (state.wrapping_mul(0x2545_f491_4f6c_dd1d)).to_be_bytes();
        block.copy_from_slice(next.get(..block.len()).unwrap_or_default());
    }
    bytes
}
