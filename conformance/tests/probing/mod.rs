//! A node in the state that the recording began with, and how answers are compared.

mod network;
mod tree;

pub use network::{Network, in_response};
pub use tree::Tree;
