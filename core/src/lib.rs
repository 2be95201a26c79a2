//! A Kademlia node that does no I/O: the DHT of apt-p2p, rebuilt.
//!
//! A [`Node`] takes part in a distributed hash table that maps 160-bit keys to many small values.
//! It is a state machine. It owns no socket, reads no clock, starts no thread, draws its randomness
//! from a seed and keeps no global: **time, randomness and datagrams are arguments**. You link it
//! into an event loop of your own, or take one of the drivers (`khashmir-smol` and its siblings).
//!
//! # The loop
//!
//! After each input, poll until there is nothing left: datagrams to send, events, and the time at
//! which the node wants to be woken.
//!
//! ```
//! use bytes::BytesMut;
//! use core::net::SocketAddr;
//! use khashmir::{Config, Event, Id, Instant, Node};
//!
//! // Two nodes on a network that is a `Vec`. 10.0.0.0/8 is private, so it has to be named.
//! let mut config = Config::default();
//! config.local_networks = vec!["10.0.0.0/8".parse()?];
//! let addresses: [SocketAddr; 2] = ["10.0.0.1:9978".parse()?, "10.0.1.1:9978".parse()?];
//! let mut now = Instant::ORIGIN;
//! let mut nodes = [Node::new(config.clone(), [1; 32], now)?, Node::new(config, [2; 32], now)?];
//!
//! let key = Id(*b"twenty bytes of hash");
//! nodes[0].put(now, key, b"where to find it")?;
//! nodes[1].join(now, &addresses[..1])?;
//! let mut found = None;
//! let mut get = None;
//! while found.is_none() {
//!     for this in 0..2 {
//!         let mut datagram = BytesMut::new();
//!         while let Some(to) = nodes[this].poll_transmit(&mut datagram) {
//!             // A driver would send it. Here it arrives at once.
//!             if let Some(other) = addresses.iter().position(|address| *address == to) {
//!                 nodes[other].handle_datagram(now, addresses[this], &datagram);
//!             }
//!             datagram.clear();
//!         }
//!         while let Some(event) = nodes[this].poll_event() {
//!             match event {
//!                 Event::JoinFinished { contacts, .. } if contacts > 0 => {
//!                     get = Some(nodes[this].get(now, key, 1)?);
//!                 }
//!                 Event::ValueFound { op, value } if Some(op) == get => found = Some(value),
//!                 _ => {}
//!             }
//!         }
//!         // A driver would sleep until then, or until a datagram comes.
//!         if let Some(wake) = nodes[this].poll_timeout().filter(|wake| *wake <= now) {
//!             nodes[this].handle_timeout(wake);
//!         }
//!     }
//!     now = now + core::time::Duration::from_millis(1);
//! }
//! assert_eq!(found.as_deref(), Some(&b"where to find it"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Time
//!
//! An [`Instant`] counts microseconds from an origin that you choose. Every call that takes one first
//! does what was due by then, in order, so a late wake-up loses nothing. Time that goes backwards is
//! taken as no time at all; a jump forwards fires each periodic timer once.
//!
//! # What may go wrong
//!
//! Nothing panics on input. A datagram that is malformed is counted and dropped. A command that can't be
//! taken is refused with a [`CommandError`](node::CommandError) and has changed nothing. What a lookup
//! came to is no error but data in its final [`Event`]: every operation has exactly one, within a time
//! that [`Limits`](config::Limits) bounds. Every collection has a bound there too.
//!
//! # What is where
//!
//! [`node`] holds the node, its commands and events. [`config`] has every knob, with unit, default and
//! reason. [`claim`] says what is stored under a file's hash, and [`download`] plans how one file is
//! fetched from those who claim to have it. [`krpc`] and [`bencode`] are the wire format, for those who
//! want that alone.
//!
//! The same seed, configuration and inputs give the same outputs on every platform. A command is data
//! where it has to be kept or sent: [`Command`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bencode;
pub mod claim;
pub mod config;
pub mod download;
pub mod id;
pub mod krpc;
mod limit;
mod lookup;
mod map;
mod newcomers;
pub mod node;
mod outside;
mod prefix;
pub mod rng;
mod round_trip;
mod routing;
mod store;
pub mod time;
mod timer;
mod token;
mod transaction;

pub use config::Config;
pub use id::{Contact, Id};
pub use node::{Command, Event, Node, OpId};
pub use time::Instant;
