//! What the drivers of a [`khashmir::Node`] share that is neither protocol nor bound to a runtime.
//!
//! A driver lends a node what it lacks: [`Sockets`], a [`Clock`] and a [`seed`]. It hands each
//! datagram on with the [`canonical`] form of the address that it came from, and each event to the
//! one among its [`Waiters`] who waits for it. What can go wrong for those is an [`Error`].

mod address;
mod clock;
mod error;
mod seed;
mod sockets;
mod waiters;

pub use address::canonical;
pub use clock::Clock;
pub use error::Error;
pub use seed::seed;
pub use sockets::{Sockets, is_unreachable};
pub use waiters::{Waiter, Waiters};
