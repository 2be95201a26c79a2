//! (front page: to be written)
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
pub mod node;
mod outside;
mod prefix;
pub mod rng;
mod routing;
mod store;
pub mod time;
mod timer;
mod token;
mod transaction;

pub use config::Config;
pub use id::{Contact, Id};
pub use node::{Event, Node, OpId};
pub use time::Instant;
