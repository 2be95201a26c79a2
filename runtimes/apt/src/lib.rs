//! The logic of apt's world, without I/O: no sockets, no files, no clock.

pub mod archive;
pub mod hash;
pub mod http;
pub mod path;
pub mod url;

pub use hash::Sha256;
pub use httpdate::HttpDate;
