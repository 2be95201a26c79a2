//! What a node says to commands that it can't take.

use super::operation::MAX_PUT_VALUE_LEN;
use core::fmt;
use core::net::SocketAddr;

/// Why a command was not taken. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// [`Limits::operations`](crate::config::Limits::operations) are running, or are over and not
    /// yet polled.
    TooManyOperations,
    /// [`Limits::publications`](crate::config::Limits::publications) are published.
    TooManyPublications,
    /// The value is empty or longer than [`MAX_PUT_VALUE_LEN`].
    ValueLength(usize),
    /// The address is of a family that is off, not public and in no local network, multicast, or
    /// has port 0.
    AddressNotAllowed(SocketAddr),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandError::TooManyOperations => f.write_str("too many operations are running"),
            CommandError::TooManyPublications => f.write_str("too many values are published"),
            CommandError::ValueLength(len) => {
                write!(f, "a value has 1 to {MAX_PUT_VALUE_LEN} bytes, this one {len}")
            }
            CommandError::AddressNotAllowed(addr) => write!(
                f,
                "{addr} is not allowed: name its network among the local ones if it is private, \
                 and see that its address family is on"
            ),
        }
    }
}

impl core::error::Error for CommandError {}

/// Whether a value can be put.
pub(super) fn check_value(value: &[u8]) -> Result<(), CommandError> {
    match value.len() {
        1..=MAX_PUT_VALUE_LEN => Ok(()),
        len => Err(CommandError::ValueLength(len)),
    }
}
