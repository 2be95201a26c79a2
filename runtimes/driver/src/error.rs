//! What can go wrong for the caller of a node that runs elsewhere.

use khashmir::node::{CommandError, PingError};
use std::fmt;

/// Why a running node did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The node did not take the command.
    Refused(CommandError),
    /// A ping came to nothing.
    Ping(PingError),
    /// The node was shut down, before or meanwhile.
    Stopped,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(error) => error.fmt(f),
            Error::Ping(error) => error.fmt(f),
            Error::Stopped => f.write_str("the node was shut down"),
        }
    }
}

impl std::error::Error for Error {}

impl From<CommandError> for Error {
    fn from(error: CommandError) -> Error {
        Error::Refused(error)
    }
}

impl From<PingError> for Error {
    fn from(error: PingError) -> Error {
        Error::Ping(error)
    }
}
