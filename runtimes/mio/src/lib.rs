//! Runs a [`khashmir::Node`] on [mio]: on a thread of its own, or in your loop.
//!
//! On a thread of its own, its handle gives futures, which any executor can wait for:
//!
//! ```no_run
//! use khashmir_mio::{Dht, Sockets};
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
//! The thread ends after [`shutdown`](Handle::shutdown), or when the last [`Dht`] is dropped.
//!
//! In your loop it is a [`Driver`]: register it, tell it of events, give it a turn after them, and
//! wait no longer than it says. What a handle asks comes through a waker of yours.
//!
//! ```no_run
//! use khashmir::Config;
//! use khashmir_mio::{Driver, Loop, Sockets};
//! use mio::{Events, Poll, Token, Waker};
//! use std::sync::Arc;
//!
//! # fn main() -> std::io::Result<()> {
//! let mut poll = Poll::new()?;
//! let mut events = Events::with_capacity(64);
//! let waker = Arc::new(Waker::new(poll.registry(), Token(0))?);
//! let sockets = Sockets::bind(&[([0, 0, 0, 0], 9978).into()])?;
//! let within = Loop { registry: poll.registry(), tokens: [Token(1), Token(2)], waker };
//! let (dht, mut driver) = Driver::start(sockets, Config::default(), within)?;
//! # drop(dht);
//! while driver.turn()? {
//!     poll.poll(&mut events, driver.timeout())?;
//!     for event in &events {
//!         driver.handle_event(event);
//!         // And what else you wait for.
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod driver;
mod socket;

pub use driver::{Driver, Loop};
pub use khashmir_driver::{Error, Handle, Setup, Sockets, Values};

use mio::{Events, Poll, Token, Waker};
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::thread;

const WAKER: Token = Token(0);
const SOCKETS: [Token; 2] = [Token(1), Token(2)];

/// A node that runs on a thread of its own: [`Handle`] has what can be asked of it.
#[derive(Clone, Debug)]
pub struct Dht(Handle);

impl Dht {
    /// Starts a node on `sockets`: of a [`Config`](khashmir::Config) a new one, which knows nobody, of a
    /// [`Setup`] also one that was before, or one that is recorded. The families of the sockets are
    /// those of its configuration, whatever that says.
    ///
    /// Fails if the node cannot be made so ([`ConfigError`](khashmir::config::ConfigError) inside), or
    /// the system has no randomness, no thread, or cannot watch the sockets. Should it refuse that
    /// later, the node stops.
    pub fn start(sockets: Sockets, setup: impl Into<Setup>) -> io::Result<Dht> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let within = Loop { registry: poll.registry(), tokens: SOCKETS, waker };
        let (handle, driver) = Driver::start(sockets, setup, within)?;
        thread::Builder::new().name("khashmir".to_owned()).spawn(move || run(poll, driver))?;
        Ok(Dht(handle))
    }
}

impl Deref for Dht {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.0
    }
}

fn run(mut poll: Poll, mut driver: Driver) -> io::Result<()> {
    // The waker and the sockets.
    let mut events = Events::with_capacity(1 + SOCKETS.len());
    while driver.turn()? {
        match poll.poll(&mut events, driver.timeout()) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Ok(()) | Err(_) => events.iter().for_each(|event| driver.handle_event(event)),
        }
    }
    Ok(())
}
