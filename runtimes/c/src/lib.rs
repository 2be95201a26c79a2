//! The engine for programs in C.
//!
//! `include/khashmir.h` says what there is; this crate carries it out, as a static library
//! (`libkhashmir_c.a`) and as a shared one (`libkhashmir_c.so`). A test compares the two, down to
//! each offset and each argument.
//!
//! No panic leaves it: one, which would be a bug, ends the node it happened in
//! ([`Error::Bug`]), or the process where panics abort.
//!
//! Unsafe code is for pointers that come from C (`pointers.rs`) and for what the functions below hand
//! to it.
#![allow(unsafe_code)]

mod commands;
mod error;
mod event;
mod node;
mod pointers;
mod types;

pub use commands::*;
pub use error::*;
pub use event::*;
pub use node::*;
pub use types::*;
