//! What the path of an index in a Release says about it.

use super::Compression;
use crate::release::ReleaseFile;

/// An index that a Release lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index<'a> {
    /// Which it is.
    pub name: IndexName<'a>,
    /// How this variant is packed.
    pub compression: Compression,
    /// Path, size and hash of this variant.
    pub file: &'a ReleaseFile,
}

/// An index apart from how it is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexName<'a> {
    /// Such as `main`, `updates/main` or `main/debian-installer`; empty in a flat archive.
    /// Of patches, the folder that has them.
    pub component: &'a str,
    /// Whose files it lists.
    pub kind: IndexKind<'a>,
}

/// Whose files an index lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndexKind<'a> {
    /// Binary packages.
    Packages {
        /// Such as `amd64` or `all`; empty in a flat archive, which does not separate them.
        architecture: &'a str,
    },
    /// Source packages.
    Sources,
    /// Patches from one version of an index to the next: `Packages.diff/Index`.
    Patches,
}

impl<'a> IndexName<'a> {
    /// Reads a path relative to the suite's directory, such as
    /// `main/binary-amd64/Packages.xz`. `None` if it is no index that teaches hashes, or
    /// packed in a way that is not read here.
    #[must_use]
    pub fn parse(path: &'a str) -> Option<(Self, Compression)> {
        let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
        let (stem, compression) = Compression::split(file)?;
        let (component, last) = directory.rsplit_once('/').unwrap_or(("", directory));
        let (component, kind) = match (stem, last) {
            ("Packages", "") => ("", IndexKind::Packages { architecture: "" }),
            ("Packages", last) => {
                let architecture = last.strip_prefix("binary-").filter(|a| !a.is_empty())?;
                (component, IndexKind::Packages { architecture })
            }
            ("Sources", "") => ("", IndexKind::Sources),
            ("Sources", "source") => (component, IndexKind::Sources),
            ("Index", last) if last.ends_with(".diff") && compression == Compression::Plain => {
                (directory, IndexKind::Patches)
            }
            _ => return None,
        };
        Some((Self { component, kind }, compression))
    }

    /// Whether it lists the packages of this architecture and no other.
    pub(crate) fn is_packages_of(&self, architecture: &str) -> bool {
        self.kind == IndexKind::Packages { architecture }
    }

    /// Whether an installed machine of this architecture uses the index: not if it is
    /// the installer's, or lists sources and they are not wanted.
    #[must_use]
    pub fn is_for(&self, architecture: &str, sources: bool) -> bool {
        let installer = self.component.split('/').any(|part| part == "debian-installer");
        let used = match self.kind {
            IndexKind::Packages { architecture: of } => of == architecture || of == "all" || of.is_empty(),
            IndexKind::Sources => sources,
            IndexKind::Patches => false,
        };
        used && !installer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_indexes_are_understood() {
        let packages =
            |component, architecture| IndexName { component, kind: IndexKind::Packages { architecture } };
        let patches = |component| IndexName { component, kind: IndexKind::Patches };
        let sources = |component| IndexName { component, kind: IndexKind::Sources };
        for (path, want) in [
            ("main/binary-amd64/Packages", (packages("main", "amd64"), Compression::Plain)),
            ("a/b/binary-all/Packages.xz", (packages("a/b", "all"), Compression::Xz)),
            ("main/source/Sources.gz", (sources("main"), Compression::Gzip)),
            ("Packages.gz", (packages("", ""), Compression::Gzip)),
            ("Sources", (sources(""), Compression::Plain)),
            (
                "main/i18n/Translation-en.diff/Index",
                (patches("main/i18n/Translation-en.diff"), Compression::Plain),
            ),
            ("Packages.diff/Index", (patches("Packages.diff"), Compression::Plain)),
        ] {
            assert_eq!(IndexName::parse(path), Some(want), "{path}");
        }
        for path in [
            "",
            "main/binary-amd64/Packages.bz2",
            "main/binary-amd64/Release",
            "main/Contents-amd64.gz",
            "main/binary-/Packages",
            "main/source/Packages",
            "main/binary-amd64/Sources",
            "main/i18n/Translation-en.xz",
            "main/binary-amd64/Packages.diff/Index.gz",
            "main/binary-amd64/Packages.diff/T-1-F-0.gz",
            "main/binary-amd64/Index",
        ] {
            assert_eq!(IndexName::parse(path), None, "{path}");
        }
    }
}
