//! What a call says if it could not do what it was asked.

use khashmir::node::CommandError;
use std::ffi::{CStr, c_char};

/// `khashmir_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Error {
    /// A pointer is null or not aligned.
    Pointer = -1,
    /// An argument is not one of those that there are.
    Argument = -2,
    /// [`CommandError::TooManyOperations`].
    TooManyOperations = -3,
    /// [`CommandError::TooManyPublications`].
    TooManyPublications = -4,
    /// [`CommandError::ValueLength`].
    ValueLength = -5,
    /// [`CommandError::AddressNotAllowed`].
    AddressNotAllowed = -6,
    /// A buffer is too small.
    Buffer = -7,
    /// A panic.
    Bug = -8,
}

impl Error {
    /// All of them.
    pub const ALL: [Error; 8] = [
        Error::Pointer,
        Error::Argument,
        Error::TooManyOperations,
        Error::TooManyPublications,
        Error::ValueLength,
        Error::AddressNotAllowed,
        Error::Buffer,
        Error::Bug,
    ];

    fn text(self) -> &'static CStr {
        match self {
            Error::Pointer => c"a pointer is null or not aligned",
            Error::Argument => c"an argument is out of its range",
            Error::TooManyOperations => c"too many operations are running",
            Error::TooManyPublications => c"too many values are published",
            Error::ValueLength => c"a value is empty or too long",
            Error::AddressNotAllowed => c"an address is not allowed",
            Error::Buffer => c"a buffer is too small",
            Error::Bug => c"a bug in khashmir",
        }
    }
}

impl From<CommandError> for Error {
    fn from(error: CommandError) -> Error {
        match error {
            CommandError::TooManyOperations => Error::TooManyOperations,
            CommandError::TooManyPublications => Error::TooManyPublications,
            CommandError::ValueLength(_) => Error::ValueLength,
            CommandError::AddressNotAllowed(_) => Error::AddressNotAllowed,
            _ => Error::Argument,
        }
    }
}

/// What went wrong, in words.
#[unsafe(no_mangle)]
pub extern "C" fn khashmir_error_text(error: i32) -> *const c_char {
    let known = Error::ALL.into_iter().find(|known| *known as i32 == error);
    known.map_or(c"no error", Error::text).as_ptr()
}
