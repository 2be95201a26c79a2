//! The logic of apt's world, without I/O: no sockets, no files, no clock.

pub mod hash;

pub use hash::Sha256;
pub use httpdate::HttpDate;
