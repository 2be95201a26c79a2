//! The checks for nodes: ours passes them, on every driver; a node that is broken a little fails
//! them; they cite what the page says.

#![allow(clippy::unwrap_used)]

mod bite;
mod citations;
mod command;
mod dialect_2008;
mod drivers;
mod mutated;
mod trial;
