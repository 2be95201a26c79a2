//! What the drivers of a [`khashmir::Node`] share that is neither protocol nor bound to a runtime.
//!
//! A loop of your own lends a node what it lacks: [`Sockets`], a [`Clock`] and a [`seed`]. It hands
//! each datagram on with the [`canonical`] form of the address that it came from.
//!
//! A driver that runs beside its callers gives them a [`Handle`], whose methods are futures and
//! streams for any executor. What it does is a [`Driver`]: receiving and sending in batches, timers,
//! and what callers ask, a bounded part of each in every [turn](Driver::turn). The runtime adds only
//! how to wait; with futures, [`run`] is the rest of it.

mod address;
mod callers;
mod clock;
mod driver;
mod engine;
mod error;
mod handle;
mod inbox;
mod operation;
mod outgoing;
#[cfg(target_os = "linux")]
mod recvmmsg;
mod run;
mod seed;
mod setup;
mod sockets;
mod waiters;

pub use address::canonical;
pub use callers::Callers;
pub use clock::Clock;
pub use driver::{Driver, Next, Socket};
pub use engine::{Engine, Writer};
pub use error::Error;
pub use handle::Handle;
pub use operation::Values;
pub use run::{AsyncSocket, Timer, run};
/// What a [`Socket`] lends.
pub use rustix::fd::{AsFd, BorrowedFd};
pub use seed::seed;
pub use setup::Setup;
pub use sockets::{Sockets, is_unreachable};
