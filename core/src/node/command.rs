//! What a caller asks of a node, as methods and as data.

use super::event::OpId;
#[cfg(doc)]
use super::event::{Ending, Event};
use super::operation::{Find, Get, Join, Kind, MAX_PUT_VALUE_LEN, Ping, Put};
use super::{MAX_BOOTSTRAP, Node};
use crate::id::Id;
use crate::time::Instant;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::net::SocketAddr;

/// A command as data, so that it prints, compares and travels: [`Node::execute`] carries it out. Each
/// stands for the method of the same name. Whoever carries commands must know them all, so a new one is
/// a breaking change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// [`Node::join`].
    Join {
        /// Where to begin.
        bootstrap: Vec<SocketAddr>,
    },
    /// [`Node::ping`].
    Ping {
        /// Whom.
        addr: SocketAddr,
    },
    /// [`Node::find_node`].
    FindNode {
        /// The point that contacts are to be close to.
        target: Id,
    },
    /// [`Node::get`].
    Get {
        /// What values are looked up under.
        key: Id,
        /// How many distinct values are enough.
        wanted: usize,
    },
    /// [`Node::put`].
    Put {
        /// What the value is stored under.
        key: Id,
        /// Opaque bytes.
        value: Bytes,
    },
    /// [`Node::publish`].
    Publish {
        /// What the value is stored under.
        key: Id,
        /// Opaque bytes.
        value: Bytes,
    },
    /// [`Node::unpublish`].
    Unpublish {
        /// What the value is published under.
        key: Id,
        /// The value.
        value: Bytes,
    },
    /// [`Node::cancel`].
    Cancel {
        /// The operation.
        op: OpId,
    },
}

/// What a node says to a command that it has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An operation has begun. Its final event will tell what it came to.
    Started(OpId),
    /// It is done. Whether there was anything to do: a value to unpublish, an operation to cancel.
    Done(bool),
}

impl Node {
    /// Carries out a command, as the method does that it stands for.
    pub fn execute(&mut self, now: Instant, command: &Command) -> Result<Reply, CommandError> {
        let started = match command {
            Command::Join { bootstrap } => self.join(now, bootstrap),
            Command::Ping { addr } => self.ping(now, *addr),
            Command::FindNode { target } => self.find_node(now, *target),
            Command::Get { key, wanted } => self.get(now, *key, *wanted),
            Command::Put { key, value } => self.put(now, *key, value),
            Command::Publish { key, value } => self.publish(now, *key, value),
            Command::Unpublish { key, value } => return Ok(Reply::Done(self.unpublish(now, *key, value))),
            Command::Cancel { op } => return Ok(Reply::Done(self.cancel(now, *op))),
        };
        started.map(Reply::Started)
    }

    /// Enters the network through `bootstrap` contacts, the first 64 of them. As many are remembered,
    /// in all: a join that found nobody is tried again through those. With none at all, the node waits
    /// for others.
    ///
    /// Ends in [`Event::JoinFinished`].
    pub fn join(&mut self, now: Instant, bootstrap: &[SocketAddr]) -> Result<OpId, CommandError> {
        self.command(now)?;
        for addr in bootstrap {
            self.check_address(addr)?;
        }
        self.maintenance.remember(bootstrap);
        Ok(self.start(Kind::Join(Join::through(bootstrap.iter().copied().take(MAX_BOOTSTRAP))), false))
    }

    /// Asks whoever is at `addr` whether it is there. Ends in [`Event::PingFinished`].
    pub fn ping(&mut self, now: Instant, addr: SocketAddr) -> Result<OpId, CommandError> {
        self.command(now)?;
        self.check_address(&addr)?;
        Ok(self.start(Kind::Ping(Ping::new(addr)), false))
    }

    /// Looks up who is closest to `target`. Ends in [`Event::FindNodeFinished`].
    pub fn find_node(&mut self, now: Instant, target: Id) -> Result<OpId, CommandError> {
        self.command(now)?;
        let find = Find::start(&mut self.parts, target);
        Ok(self.start(Kind::Find(find), false))
    }

    /// Looks up the values under `key`: an [`Event::ValueFound`] for each, as it arrives. Ends in
    /// [`Event::GetFinished`] when enough of those who hold values have answered, or `wanted`
    /// distinct values are there (1,536 at most; with 0 it only searches).
    pub fn get(&mut self, now: Instant, key: Id, wanted: usize) -> Result<OpId, CommandError> {
        self.command(now)?;
        let get = Get::start(&mut self.parts, key, wanted);
        Ok(self.start(Kind::Get(get), false))
    }

    /// Stores `value`, of 1 to [`MAX_PUT_VALUE_LEN`] bytes, under `key`, once: it is forgotten after
    /// some hours. Ends in [`Event::PutFinished`].
    pub fn put(&mut self, now: Instant, key: Id, value: &[u8]) -> Result<OpId, CommandError> {
        self.command(now)?;
        check_value(value)?;
        let put = Put::start(&mut self.parts, key, Bytes::copy_from_slice(value));
        Ok(self.start(Kind::Put(put), false))
    }

    /// Stores `value`, of 1 to [`MAX_PUT_VALUE_LEN`] bytes, under `key` now, and again before others
    /// forget it, until [`unpublish`](Self::unpublish). Ends in [`Event::PutFinished`] after the first
    /// time; should nobody but us have stored it, or should that be cancelled, it is tried again after
    /// [`checkpoint_interval`](crate::config::Upkeep::checkpoint_interval).
    pub fn publish(&mut self, now: Instant, key: Id, value: &[u8]) -> Result<OpId, CommandError> {
        self.command(now)?;
        check_value(value)?;
        let item = (key, Bytes::copy_from_slice(value));
        let full = self.publications.len() >= self.parts.config.limits.publications;
        if full && !self.publications.contains(&item) {
            return Err(CommandError::TooManyPublications);
        }
        let due = self.parts.now + self.parts.config.upkeep.republish_after;
        self.publications.set_due(&mut self.parts, item.clone(), due);
        let put = Put::start(&mut self.parts, key, item.1);
        Ok(self.start(Kind::Put(put), false))
    }

    /// Stops publishing: the value is forgotten when it expires. Returns whether it was published.
    pub fn unpublish(&mut self, now: Instant, key: Id, value: &[u8]) -> bool {
        self.advance(now);
        self.publications.remove(&mut self.parts, &(key, Bytes::copy_from_slice(value)))
    }

    /// Ends an operation at once, with what it has. Returns whether it was running; if so, its
    /// final event says [`Ending::Cancelled`].
    pub fn cancel(&mut self, now: Instant, op: OpId) -> bool {
        self.advance(now);
        let over = self.operations.cancel(&mut self.parts, op);
        let running = over.is_some();
        self.operation_over(over);
        self.requests_changed();
        self.schedule_operations();
        running
    }

    fn command(&mut self, now: Instant) -> Result<(), CommandError> {
        self.advance(now);
        let taken = self.operations.len() + self.parts.events.finals();
        if taken >= self.parts.config.limits.operations {
            return Err(CommandError::TooManyOperations);
        }
        Ok(())
    }

    fn check_address(&self, addr: &SocketAddr) -> Result<(), CommandError> {
        if self.parts.allows(addr) { Ok(()) } else { Err(CommandError::AddressNotAllowed(*addr)) }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Join { bootstrap } => {
                f.write_str("join")?;
                bootstrap.iter().try_for_each(|addr| write!(f, " {addr}"))
            }
            Command::Ping { addr } => write!(f, "ping {addr}"),
            Command::FindNode { target } => write!(f, "find node {target}"),
            Command::Get { key, wanted } => write!(f, "get {key}, {wanted} wanted"),
            Command::Put { key, value } => write!(f, "put {key} {}", value.escape_ascii()),
            Command::Publish { key, value } => write!(f, "publish {key} {}", value.escape_ascii()),
            Command::Unpublish { key, value } => write!(f, "unpublish {key} {}", value.escape_ascii()),
            Command::Cancel { op } => write!(f, "cancel {op}"),
        }
    }
}

/// Why a command was not taken. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// [`Limits::operations`](crate::config::Limits::operations) are running, or are over and not
    /// yet polled.
    TooManyOperations,
    /// [`Limits::publications`](crate::config::Limits::publications) are published.
    TooManyPublications,
    /// The value is empty or longer than [`MAX_PUT_VALUE_LEN`].
    ValueLength(usize),
    /// The address is of a family that is off, not public and in no local network, multicast, or
    /// has port 0.
    AddressNotAllowed(SocketAddr),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandError::TooManyOperations => f.write_str("too many operations are running"),
            CommandError::TooManyPublications => f.write_str("too many values are published"),
            CommandError::ValueLength(len) => {
                write!(f, "a value has 1 to {MAX_PUT_VALUE_LEN} bytes, this one {len}")
            }
            CommandError::AddressNotAllowed(addr) => write!(
                f,
                "{addr} is not allowed: name its network among the local ones if it is private, \
                 and see that its address family is on"
            ),
        }
    }
}

impl core::error::Error for CommandError {}

/// Whether a value can be put.
pub(super) fn check_value(value: &[u8]) -> Result<(), CommandError> {
    match value.len() {
        1..=MAX_PUT_VALUE_LEN => Ok(()),
        len => Err(CommandError::ValueLength(len)),
    }
}
