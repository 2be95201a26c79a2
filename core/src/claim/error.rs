//! Why a value is no claim.

use crate::bencode::DecodeError;
use core::fmt;

/// Why a value is no claim. The fault is that of whoever stored it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError {
    /// Not bencode, or a known key with a value of the wrong type or length.
    Decode(DecodeError),
    /// No address under the key named, which every claim there must have.
    AddressMissing(&'static str),
    /// More than one of `t`, `h` and `l`.
    TwoTiers,
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClaimError::Decode(error) => write!(f, "no claim: {error}"),
            ClaimError::AddressMissing(key) => write!(f, "no claim: the address `{key}` is missing"),
            ClaimError::TwoTiers => f.write_str("no claim: more than one of `t`, `h` and `l`"),
        }
    }
}

impl core::error::Error for ClaimError {}
