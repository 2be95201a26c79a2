//! The logic of apt's world, without I/O: no sockets, no files, no clock.

pub mod archive;
mod deb822;
pub mod hash;
pub mod http;
pub mod index;
pub mod path;
pub mod release;
pub mod sources;
pub mod url;

pub use hash::Sha256;
pub use httpdate::HttpDate;
