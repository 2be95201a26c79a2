//! Runs a [`khashmir::Node`] on [tokio]: sockets, a clock, a task, and a handle to it.
//!
//! ```no_run
//! use khashmir_tokio::{Dht, Sockets};
//! use khashmir::{Config, Id};
//! use futures_util::StreamExt as _;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
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
//! One task owns the node. It lives on the runtime in which it was started until
//! [`shutdown`](Handle::shutdown), until the last [`Dht`] is dropped, or as long as that runtime. Its
//! handle works on any.

mod runtime;

pub use khashmir_driver::{Error, Handle, Setup, Sockets, Values};

use khashmir_driver::{Driver, run};
use runtime::{Socket, Timer};
use std::io;
use std::ops::Deref;

/// A node that runs on tokio: [`Handle`] has what can be asked of it.
#[derive(Clone, Debug)]
pub struct Dht(Handle);

impl Dht {
    /// Starts a node on `sockets`: of a [`Config`](khashmir::Config) a new one, which knows nobody, of a
    /// [`Setup`] also one that was before, or one that is recorded. The families of the sockets are
    /// those of its configuration, whatever that says.
    ///
    /// Fails if the node cannot be made so ([`ConfigError`](khashmir::config::ConfigError) inside), if
    /// the system has no randomness or cannot watch the sockets, or outside of a runtime. Panics if the
    /// runtime has no I/O or no time.
    pub fn start(sockets: Sockets, setup: impl Into<Setup>) -> io::Result<Dht> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let (handle, driver) = Driver::start(sockets, setup, Socket::watch)?;
        runtime.spawn(run(driver, Timer::never()));
        Ok(Dht(handle))
    }
}

impl Deref for Dht {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.0
    }
}
