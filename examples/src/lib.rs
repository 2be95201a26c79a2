//! How to drive the engine from a loop of your own, each short enough to read in one go.
//!
//! - `blocking`: a socket, a clock and a loop; no runtime.
