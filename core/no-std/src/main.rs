//! The engine without the standard library.
//!
//! This has a panic handler and an allocator of its own, so that it does not build once anything in
//! the engine, or in what it depends on, brings the standard library in. It exits with 0.
//!
//! ```sh
//! cargo run --package khashmir-no-std --profile no-std
//! ```
//!
//! Without unwinding only: in other profiles, which check the whole workspace, it is a program that
//! says so.
#![cfg_attr(panic = "abort", no_std, no_main)]

#[cfg(panic = "abort")]
mod bare;

#[cfg(not(panic = "abort"))]
fn main() -> Result<(), &'static str> {
    Err("this shows nothing: build it with --profile no-std")
}
