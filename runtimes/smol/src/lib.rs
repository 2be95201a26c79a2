//! Runs a [`khashmir::Node`] on [smol]: sockets, a clock, a task, and a handle to it.
//!
//! ```no_run
//! use khashmir_smol::{Dht, Sockets};
//! use khashmir::{Config, Id};
//! use smol::stream::StreamExt as _;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let sockets = Sockets::bind(&["0.0.0.0:9978".parse()?, "[::]:9978".parse()?])?;
//! let dht = Dht::start(sockets, Config::default())?;
//! dht.join(&["203.0.113.5:9978".parse()?]).await?;
//!
//! let key = Id(*b"twenty bytes of hash");
//! dht.put(key, b"a value").await?;
//! let mut values = dht.get(key, usize::MAX).await?;
//! while let Some(value) = values.next().await {
//!     println!("{value:?}");
//! }
//! dht.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! One task owns the node. It lives on smol's global executor until [`Dht::shutdown`], or until the
//! last [`Dht`] is dropped. Dropping a future or a stream cancels the operation that it waits for.

mod handle;
mod operation;
mod task;

pub use handle::Dht;
pub use khashmir_driver::{Error, Sockets};
pub use operation::Values;
