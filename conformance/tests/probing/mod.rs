//! A node in the state that the recording began with, and how answers are compared.

mod network;

pub use khashmir_conformance::Tree;
pub use network::{Network, in_response};
