//! The path under which a peer's HTTP server has a file, or piece hashes.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// What the path of content by hash begins with.
pub const PATH_PREFIX: &str = "/~/";

/// The path of what has this hash: a file by all bytes of its own, piece hashes by
/// their SHA-1.
///
/// Escaped as a form of HTML is: a space is `+`, and all but letters, digits, `-`, `.`
/// and `_` is a percent sign with two hexadecimal digits.
pub fn encode_path(hash: &[u8]) -> String {
    let mut path = String::with_capacity(PATH_PREFIX.len() + 3 * hash.len());
    path.push_str(PATH_PREFIX);
    for &byte in hash {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' => path.push(char::from(byte)),
            b' ' => path.push('+'),
            _ => path.extend(['%', hex_digit(byte >> 4), hex_digit(byte & 15)]),
        }
    }
    path
}

/// The hash that a path names, whatever way its bytes are escaped.
///
/// As many bytes as `path` has after its prefix at most; whether they are a hash of
/// anything is for the caller to find out.
pub fn decode_path(path: &[u8]) -> Result<Vec<u8>, PathError> {
    let escaped = path.strip_prefix(PATH_PREFIX.as_bytes()).ok_or(PathError::Prefix)?;
    let mut hash = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let [byte, after @ ..] = rest {
        (rest, _) = match (byte, after) {
            (b'%', [high, low, after @ ..]) => match (hex_value(*high), hex_value(*low)) {
                (Some(high), Some(low)) => (after, hash.push(high << 4 | low)),
                _ => return Err(PathError::Escape { offset: path.len() - rest.len() }),
            },
            (b'%', _) => return Err(PathError::Escape { offset: path.len() - rest.len() }),
            (b'+', after) => (after, hash.push(b' ')),
            (&literal, after) => (after, hash.push(literal)),
        };
    }
    if hash.is_empty() { Err(PathError::Empty) } else { Ok(hash) }
}

/// Why a path names no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It does not begin with [`PATH_PREFIX`].
    Prefix,
    /// Nothing follows the prefix.
    Empty,
    /// A percent sign without two hexadecimal digits after it.
    Escape {
        /// Where, in bytes from the start of the path.
        offset: usize,
    },
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathError::Prefix => write!(f, "the path does not begin with {PATH_PREFIX}"),
            PathError::Empty => write!(f, "no hash follows {PATH_PREFIX} in the path"),
            PathError::Escape { offset } => {
                write!(
                    f,
                    "the percent sign at byte {offset} of the path is not followed by two hexadecimal digits"
                )
            }
        }
    }
}

impl core::error::Error for PathError {}

fn hex_digit(nibble: u8) -> char {
    char::from(match nibble {
        0..=9 => b'0' + nibble,
        _ => b'A' + (nibble - 10),
    })
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}
