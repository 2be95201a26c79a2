//! `Range` of one part (RFC 9110, section 14).

use std::ops::Range;

/// A range as a client asks for it, before the file's length is known.
///
/// Requests for several ranges are not represented: a server may ignore them
/// (section 14.2), and apt sends none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `bytes=N-`: all from this offset on.
    From(u64),
    /// `bytes=N-M`: from the first offset to the second, which is included and not less.
    FromTo(u64, u64),
    /// `bytes=-N`: this many bytes from the end.
    Last(u64),
}

/// What a range means for a file of known length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// Nothing to select from: the empty file. It is answered as if whole.
    Whole,
    /// These bytes: not empty, within the file.
    Partial(Range<u64>),
    /// None of the bytes exist: status 416.
    Unsatisfiable,
}

impl ByteRange {
    /// Reads the value of a `Range` field. `None`, which means the whole file
    /// (section 14.2), for another unit, several ranges, or what is malformed.
    ///
    /// Numbers too big for 64 bits count as the greatest that fits.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
        let (unit, set) = value.split_once('=')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = set.trim_matches([' ', '\t']).split_once('-')?;
        match (first, last) {
            ("", n) => Some(Self::Last(number(n)?)),
            (n, "") => Some(Self::From(number(n)?)),
            (n, m) => {
                let (n, m) = (number(n)?, number(m)?);
                (n <= m).then_some(Self::FromTo(n, m))
            }
        }
    }

    /// The bytes that this selects from a file of `len` bytes (section 14.1.2).
    #[must_use]
    pub fn resolve(self, len: u64) -> Resolved {
        let selected = match self {
            Self::From(n) => n..len,
            Self::FromTo(n, m) => n..len.min(m.saturating_add(1)),
            Self::Last(n) if n > 0 && len == 0 => return Resolved::Whole,
            Self::Last(n) => len.saturating_sub(n)..len,
        };
        match selected.is_empty() {
            true => Resolved::Unsatisfiable,
            false => Resolved::Partial(selected),
        }
    }
}

fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use khashmir_testing::quickcheck;

    #[test]
    fn single_ranges_are_read() {
        for (value, want) in [
            ("bytes=0-", ByteRange::From(0)),
            ("Bytes= 7-9 ", ByteRange::FromTo(7, 9)),
            ("bytes=-5", ByteRange::Last(5)),
            ("bytes=99999999999999999999-", ByteRange::From(u64::MAX)),
        ] {
            assert_eq!(ByteRange::parse(value.as_bytes()), Some(want), "{value}");
        }
    }

    #[test]
    fn what_is_not_one_good_range_asks_for_the_whole_file() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=9-7",
            "bytes=0-1,3-4",
            "bytes=+1-",
            "bytes=1-x",
            "bytes=1--",
            "lines=1-",
            "bytes 1-",
            "bytes=1 -2",
        ] {
            assert_eq!(ByteRange::parse(value.as_bytes()), None, "{value}");
        }
        assert_eq!(ByteRange::parse(b"bytes=\xff-"), None);
    }

    #[test]
    fn ranges_select_bytes() {
        use ByteRange::{From, FromTo, Last};
        use Resolved::{Partial, Unsatisfiable, Whole};
        for (range, len, want) in [
            (From(0), 10, Partial(0..10)),
            (From(9), 10, Partial(9..10)),
            (From(10), 10, Unsatisfiable),
            (FromTo(2, 2), 10, Partial(2..3)),
            (FromTo(2, u64::MAX), 10, Partial(2..10)),
            (FromTo(10, 11), 10, Unsatisfiable),
            (Last(3), 10, Partial(7..10)),
            (Last(30), 10, Partial(0..10)),
            (Last(0), 10, Unsatisfiable),
            (From(0), 0, Unsatisfiable),
            (Last(1), 0, Whole),
        ] {
            assert_eq!(range.resolve(len), want, "{range:?} of {len}");
        }
    }

    quickcheck! {
        fn nothing_beyond_the_file_is_selected(kind: u8, n: u64, m: u64, len: u64) -> bool {
            // Small numbers meet each other more often.
            let (n, m, len) = if kind > 127 { (n % 9, m % 9, len % 9) } else { (n, m, len) };
            let range = match kind % 3 {
                0 => ByteRange::From(n),
                1 => ByteRange::FromTo(n.min(m), n.max(m)),
                _ => ByteRange::Last(n),
            };
            match range.resolve(len) {
                Resolved::Partial(selected) => selected.start < selected.end && selected.end <= len,
                Resolved::Whole => len == 0,
                Resolved::Unsatisfiable => match range {
                    ByteRange::From(n) | ByteRange::FromTo(n, _) => n >= len,
                    ByteRange::Last(n) => n == 0,
                },
            }
        }

        fn any_value_is_read_without_panic(bytes: Vec<u8>) -> bool {
            let _ = ByteRange::parse(&bytes);
            let _ = ByteRange::parse(&[b"bytes=", bytes.as_slice()].concat());
            true
        }
    }
}
