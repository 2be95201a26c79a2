//! The SHA-256 that names a file.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use httpdate::HttpDate;
use sha2::Digest as _;

/// The SHA-256 of a whole file: what an index promises and what names the file
/// everywhere in the daemon.
///
/// Parses from exactly 64 hex digits of either case; prints as 64 lower-case ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

/// 1990-01-01T00:00:00Z, in seconds since the Unix epoch.
const FIRST_DATE_S: u64 = 631_152_000;
/// From 1990-01-01 to 2020-01-01, in seconds.
const DATE_SPAN_S: u64 = 946_684_800;

impl Sha256 {
    /// The hash of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The key under which the file is announced in the DHT: the first 20 bytes
    /// (protocol, section 6).
    #[must_use]
    pub fn dht_key(&self) -> [u8; 20] {
        let mut key = [0; 20];
        key.copy_from_slice(&self.0[..20]);
        key
    }

    /// A date made from the hash alone: a whole second in 1990 to 2019.
    ///
    /// Every daemon gives a file the same `Last-Modified`, so an `If-Range` that apt
    /// learnt from one is right at another. Two files that share a path over time have
    /// different dates (but for one chance in 946,684,800), so a stale partial file is
    /// not resumed with the bytes of its successor.
    #[must_use]
    pub fn last_modified(&self) -> HttpDate {
        // The last bytes: independent of the ones that a DHT key shows.
        let [.., a, b, c, d, e, f, g, h] = self.0;
        let offset_s = u64::from_be_bytes([a, b, c, d, e, f, g, h]) % DATE_SPAN_S;
        HttpDate::from(SystemTime::UNIX_EPOCH + Duration::from_secs(FIRST_DATE_S + offset_s))
    }

    /// As [`FromStr`], from bytes that need not be UTF-8.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, ParseSha256Error> {
        let mut hash = [0; 32];
        match hex::decode_to_slice(text, &mut hash) {
            Ok(()) => Ok(Self(hash)),
            Err(hex::FromHexError::InvalidHexCharacter { index, .. }) => Err(ParseSha256Error::NotHex(index)),
            Err(_) => Err(ParseSha256Error::Length(text.len())),
        }
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        f.pad(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

/// The text is not 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseSha256Error {
    /// Its length in bytes, where 64 are needed.
    Length(usize),
    /// The offset in bytes of the first character that is not a hex digit.
    NotHex(usize),
}

impl fmt::Display for ParseSha256Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(n) => write!(f, "a SHA-256 has 64 hex digits, this text {n} bytes"),
            Self::NotHex(at) => write!(f, "a SHA-256 has only hex digits, not so at byte {at}"),
        }
    }
}

impl std::error::Error for ParseSha256Error {}

impl FromStr for Sha256 {
    type Err = ParseSha256Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn hashes_parse_and_print() {
        assert_eq!(Sha256::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse(), Ok(Sha256::of(b"")));
        assert_eq!(EMPTY.to_uppercase().parse(), Ok(Sha256::of(b"")));
    }

    #[test]
    fn what_is_not_64_hex_digits_is_refused_with_its_place() {
        let parse = |s: &str| s.parse::<Sha256>().unwrap_err();
        assert_eq!(parse(""), ParseSha256Error::Length(0));
        assert_eq!(parse(&EMPTY[1..]), ParseSha256Error::Length(63));
        assert_eq!(parse(&format!("{EMPTY}00")), ParseSha256Error::Length(66));
        assert_eq!(parse(&EMPTY.replace('f', "g")), ParseSha256Error::NotHex(10));
    }

    #[test]
    fn the_dht_key_is_the_first_20_bytes() {
        assert_eq!(hex::encode(Sha256::of(b"").dht_key()), EMPTY[..40]);
    }

    #[test]
    fn the_date_is_fixed_by_the_hash() {
        // 0xa495991b7852b855 mod 946,684,800 seconds after 1990: worked out apart from
        // this code. A change would break If-Range between versions.
        let date = Sha256::of(b"").last_modified();
        assert_eq!(date.to_string(), "Thu, 12 Aug 2010 04:23:49 GMT");
        assert_eq!(Sha256([0; 32]).last_modified().to_string(), "Mon, 01 Jan 1990 00:00:00 GMT");
    }
}
