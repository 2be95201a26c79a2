//! One spelling for each path, so that it can be compared, stored and looked up.
//!
//! The canonical spelling is ASCII: what RFC 3986 allows raw in a path (`pchar`,
//! section 3.3) is raw, everything else is `%` and two upper-case hex digits.
//! So `%2b` and `+`, `%7e` and `~` become one. An escaped `/` stays escaped: it is
//! not a separator. Segments that are only `.` vanish (apt asks for `/./InRelease`
//! of a flat archive); `..` is refused, because no archive needs it.

use std::fmt;

/// Why a path has no canonical spelling. Offsets are in bytes from the path's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// A control character, raw or escaped, at this offset.
    Control(usize),
    /// A `%` without two hex digits behind it, at this offset.
    Escape(usize),
    /// A `..` segment.
    Parent,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control(at) => write!(f, "control character at byte {at} of the path"),
            Self::Escape(at) => {
                write!(f, "\"%\" without two hex digits at byte {at} of the path")
            }
            Self::Parent => write!(f, "\"..\" in the path"),
        }
    }
}

impl std::error::Error for PathError {}

/// The canonical spelling of a percent-encoded path, as in a URL.
///
/// Idempotent. At most three times as long as `path`.
///
/// # Errors
/// See [`PathError`].
pub fn canonical(path: &[u8]) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len() + 8);
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        let (byte, escaped, len) = match byte {
            b'%' => {
                let digits = path.get(at + 1..at + 3).unwrap_or_default();
                (unescape(digits).ok_or(PathError::Escape(at))?, true, 3)
            }
            raw => (raw, false, 1),
        };
        if byte.is_ascii_control() {
            return Err(PathError::Control(at));
        }
        if byte == b'/' && !escaped {
            out.push('/');
        } else {
            push(&mut out, byte);
        }
        at += len;
    }
    without_dots(out)
}

/// The canonical spelling of a path that an index gives as it is, not percent-encoded,
/// relative to the archive's root or the suite's directory.
///
/// `None` if it is empty, absolute, or has a control character or a `..` segment.
pub fn from_index(path: &[u8]) -> Option<String> {
    if path.first() == Some(&b'/') || path.iter().any(u8::is_ascii_control) {
        return None;
    }
    let mut out = String::with_capacity(path.len() + 8);
    for &byte in path {
        match byte {
            b'/' => out.push('/'),
            other => push(&mut out, other),
        }
    }
    without_dots(out).ok().filter(|path| !path.is_empty())
}

/// A canonical path as apt spells it on the wire: `+` and `~` escaped, hex digits in
/// lower case. Some mirrors take a raw `+` for a space, and caches behind us then see
/// the same URL from us as from apt.
pub fn as_apt_sends(canonical: &str) -> String {
    let mut out = String::with_capacity(canonical.len() + 8);
    let mut digits = 0u8;
    for c in canonical.chars() {
        match c {
            '+' => out.push_str("%2b"),
            '~' => out.push_str("%7e"),
            c if digits > 0 => out.push(c.to_ascii_lowercase()),
            c => out.push(c),
        }
        digits = if c == '%' { 2 } else { digits.saturating_sub(1) };
    }
    out
}

fn unescape(digits: &[u8]) -> Option<u8> {
    let mut byte = [0];
    hex::decode_to_slice(digits, &mut byte).ok()?;
    Some(byte[0])
}

/// Appends one decoded byte of a segment.
fn push(out: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    // RFC 3986, section 3.3: pchar = unreserved / sub-delims / ":" / "@".
    if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
        out.push(char::from(byte));
    } else {
        out.push('%');
        out.push(char::from(HEX[usize::from(byte >> 4)]));
        out.push(char::from(HEX[usize::from(byte & 15)]));
    }
}

/// RFC 3986, section 5.2.4, without the part that climbs.
fn without_dots(path: String) -> Result<String, PathError> {
    if path.split('/').any(|segment| segment == "..") {
        return Err(PathError::Parent);
    }
    if !path.split('/').any(|segment| segment == ".") {
        return Ok(path);
    }
    let mut kept: Vec<&str> = path.split('/').filter(|segment| *segment != ".").collect();
    // "/a/." names the directory, as "/a/" does.
    if path.ends_with("/.") {
        kept.push("");
    }
    Ok(kept.join("/"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use khashmir_testing::quickcheck;

    fn path(text: &str) -> String {
        canonical(text.as_bytes()).unwrap()
    }

    #[test]
    fn spellings_of_one_path_become_one() {
        let want = "/pool/g/g++_1:2~rc1_all.deb";
        assert_eq!(path("/pool/g/g%2b%2B_1%3a2%7erc1_all.deb"), want);
        assert_eq!(path("/pool/%67/g++_1:2~rc1_all.deb"), want);
        assert_eq!(path("/./pool/./g/g++_1:2~rc1_all.deb"), want);
        assert_eq!(from_index(&want.as_bytes()[1..]).unwrap(), want[1..]);
        assert_eq!(from_index(b"./pool/x y%").unwrap(), "pool/x%20y%25");
    }

    #[test]
    fn different_paths_stay_different() {
        assert_eq!(path("/a%2fb"), "/a%2Fb");
        assert_eq!(path("/a%3fb"), "/a%3Fb");
        assert_eq!(path("/a%252b"), "/a%252b");
        assert_eq!(path("/a//b/"), "/a//b/");
        assert_eq!(path("/a/."), "/a/");
        assert_eq!(path("/..a/b.."), "/..a/b..");
        assert_eq!(path("/\u{e9}"), "/%C3%A9");
    }

    #[test]
    fn what_has_no_canonical_spelling_is_refused() {
        let error = |text: &str| canonical(text.as_bytes()).unwrap_err();
        assert_eq!(error("/a/../b"), PathError::Parent);
        assert_eq!(error("/a/%2e%2E"), PathError::Parent);
        assert_eq!(error("/a%0a"), PathError::Control(2));
        assert_eq!(error("/a\x7f"), PathError::Control(2));
        assert_eq!(error("/a%2"), PathError::Escape(2));
        assert_eq!(error("/a%zz"), PathError::Escape(2));
        for refused in ["", "/a", "a/../b", "..", "a\nb", "."] {
            assert_eq!(from_index(refused.as_bytes()), None, "{refused:?}");
        }
    }

    #[test]
    fn the_mirror_is_asked_in_apts_spelling() {
        let sent = as_apt_sends("/g++_1~2%C3%A9A%2FB.deb");
        assert_eq!(sent, "/g%2b%2b_1%7e2%c3%a9A%2fB.deb");
    }

    quickcheck! {
        fn canonical_is_idempotent_and_clean(bytes: Vec<u8>) -> bool {
            let Ok(once) = canonical(&bytes) else { return true };
            once.bytes().all(|b| b.is_ascii_graphic() && b != b'?' && b != b'#')
                && canonical(once.as_bytes()).as_ref() == Ok(&once)
                && canonical(as_apt_sends(&once).as_bytes()) == Ok(once)
        }

        fn an_indexs_spelling_and_apts_request_for_it_agree(bytes: Vec<u8>) -> bool {
            let Some(ours) = from_index(&bytes) else { return true };
            let sent: String = bytes.iter().map(|&b| match b {
                b'/' => "/".to_owned(),
                b => format!("%{b:02x}"),
            }).collect();
            canonical(sent.as_bytes()) == Ok(ours)
        }
    }
}
