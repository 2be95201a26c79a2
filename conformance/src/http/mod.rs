//! HTTP/1.1 as the checks need it: a client that sends what it is told and reads strictly.

mod client;
pub(crate) mod judge;

pub use client::{Answer, Broken, Client, Framing};

use std::ops::Range;

/// The bytes and the whole length that a `Content-Range: bytes 2-4/10` names.
#[must_use]
pub fn content_range(value: &str) -> Option<(Range<usize>, usize)> {
    let (range, whole) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first..last.checked_add(1)?, whole.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::content_range;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 2-4/10"), Some((2..5, 10)));
        for bad in ["bytes */10", "bytes 4-2/10", "bytes 2-4/*", "2-4/10", "bytes 2/10", ""] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
