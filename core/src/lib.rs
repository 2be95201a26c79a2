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
pub mod map;
pub mod rng;
pub mod time;
