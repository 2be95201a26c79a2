//! Stories of downloads, each in a world of its own: see [`world`].
#![allow(clippy::unwrap_used)]

mod hedge;
mod honest;
mod laws;
mod lies;
mod mirror;
mod world;
