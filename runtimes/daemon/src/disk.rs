//! Names that a disk keeps, and telling a disk that fails from a person's mistake.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rustix::io::Errno;

use crate::database::DatabaseError;

/// Makes a directory with this mode, and those above it, so that they survive a power failure; one
/// that exists stays as it is.
pub(crate) fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    make_dir(above, mode)?;
    match DirBuilder::new().mode(mode).create(path) {
        // Another thread made it.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made?,
    }
    sync_dir(above)
}

/// Makes the names in a directory survive a power failure.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Whether the disk is at fault: it is full, fails, or can only be read. What a person got wrong, a
/// path or a permission, is not among it.
pub(crate) fn is_at_fault(error: &io::Error) -> bool {
    const FAULTS: [Errno; 5] = [Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::IO, Errno::STALE];
    if let Some(code) = error.raw_os_error() {
        return FAULTS.iter().any(|fault| fault.raw_os_error() == code);
    }
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<DatabaseError>()) {
        return error.is_disk();
    }
    // What names the file, too, keeps only the kind.
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::ReadOnlyFilesystem)
}

/// What a person can do about it.
pub(crate) fn advice(error: &str) -> &'static str {
    let is = |text: &str| error.to_ascii_lowercase().contains(text);
    if is("no space") || is("full") || is("quota") {
        "Make room on that disk"
    } else if is("read-only") || is("readonly") {
        "Make that file system writable again (it may have been made read-only because the disk fails: see \
         the system's log)"
    } else {
        "Check that disk (see the system's log)"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_not_blamed_for_a_persons_mistakes() {
        let is = |errno: Errno| is_at_fault(&errno.into());
        assert!(is(Errno::NOSPC) && is(Errno::ROFS) && is(Errno::IO));
        assert!(!is(Errno::ACCESS) && !is(Errno::NOTDIR) && !is(Errno::NOENT) && !is(Errno::MFILE));
    }

    #[test]
    fn the_advice_fits_the_error() {
        let advice = |errno: Errno| advice(&io::Error::from(errno).to_string());
        assert!(advice(Errno::NOSPC).contains("room") && advice(Errno::DQUOT).contains("room"));
        assert!(advice(Errno::ROFS).contains("writable"));
        assert!(advice(Errno::IO).contains("Check"));
        assert!(super::advice("database or disk is full").contains("room"));
    }
}
