//! Error codes.

use core::fmt;

/// Why a query was not answered with a response (protocol, section 2).
///
/// Every error counts as a failure of ours with a peer of 2008, so they are for what is
/// really wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorCode {
    /// 200
    Generic,
    /// 201: the responder failed.
    ServerError,
    /// 202: understood, never sent.
    MalformedPacket,
    /// 203
    MethodUnknown,
    /// 204: an argument is missing, unknown, or of the wrong type or length.
    MalformedRequest,
    /// 205: the token is not one that we gave, or too old.
    InvalidToken,
    /// 206: a single value does not fit a datagram.
    ResponseTooLong,
    /// A code that this library does not know.
    Other(i64),
}

impl ErrorCode {
    /// The number on the wire.
    pub const fn code(self) -> i64 {
        match self {
            ErrorCode::Generic => 200,
            ErrorCode::ServerError => 201,
            ErrorCode::MalformedPacket => 202,
            ErrorCode::MethodUnknown => 203,
            ErrorCode::MalformedRequest => 204,
            ErrorCode::InvalidToken => 205,
            ErrorCode::ResponseTooLong => 206,
            ErrorCode::Other(code) => code,
        }
    }

    /// The error that a number stands for.
    pub const fn from_code(code: i64) -> ErrorCode {
        match code {
            200 => ErrorCode::Generic,
            201 => ErrorCode::ServerError,
            202 => ErrorCode::MalformedPacket,
            203 => ErrorCode::MethodUnknown,
            204 => ErrorCode::MalformedRequest,
            205 => ErrorCode::InvalidToken,
            206 => ErrorCode::ResponseTooLong,
            code => ErrorCode::Other(code),
        }
    }

    /// The text that goes with it: short, so that an error never outgrows its query.
    pub const fn text(self) -> &'static str {
        match self {
            ErrorCode::Generic | ErrorCode::Other(_) => "error",
            ErrorCode::ServerError => "server error",
            ErrorCode::MalformedPacket => "malformed packet",
            ErrorCode::MethodUnknown => "method unknown",
            ErrorCode::MalformedRequest => "malformed request",
            ErrorCode::InvalidToken => "invalid token",
            ErrorCode::ResponseTooLong => "response too long",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text(), self.code())
    }
}

impl core::error::Error for ErrorCode {}
