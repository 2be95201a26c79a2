//! What the drivers of a [`khashmir::Node`] share that is neither protocol nor bound to a runtime.
//!
//! A driver lends a node what it lacks: [`Sockets`], a [`Clock`] and a [`seed`]. It hands each
//! datagram on with the [`canonical`] form of the address that it came from.
//!
//! A driver that runs beside its callers gives them a [`Handle`], whose methods are futures and
//! streams for any executor, and keeps the other end, [`Callers`], in its loop.

mod address;
mod callers;
mod clock;
mod error;
mod handle;
mod operation;
mod seed;
mod sockets;
mod waiters;

pub use address::canonical;
pub use callers::Callers;
pub use clock::Clock;
pub use error::Error;
pub use handle::Handle;
pub use operation::Values;
pub use seed::seed;
pub use sockets::{Sockets, is_unreachable};
