//! All inputs of one node in a file, and a replay that gives its outputs again, bit for bit.
//!
//! A [`Recorder`] is a node that writes down each input before it handles it. A [`Replay`] makes the
//! same node again, gives it the same inputs, and checks what it lets out against digests in the
//! recording:
//!
//! ```
//! use khashmir::{Command, Config, Id, Instant};
//! use khashmir_recording::{Recorder, Replay, Verdict};
//!
//! let mut node = Recorder::new(Config::default(), [7; 32], Instant::ORIGIN, Vec::new())?;
//! let key = Id(*b"twenty bytes of hash");
//! node.execute(Instant::from_micros(5), &Command::Put { key, value: "a value".into() })?;
//! assert!(node.poll_event().is_some(), "it keeps the value itself");
//! let recording = node.finish()?;
//!
//! for step in Replay::open(&recording[..])? {
//!     let step = step?;
//!     println!("{} µs: {:?}: {:?}", step.at.as_micros(), step.input, step.events);
//!     assert_eq!(step.verdict, Verdict::Same);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **A recording holds secrets**: the node's seed, from which its tokens come, and all that it was
//! told and asked.
//!
//! # The format, version 1
//!
//! The first line, 21 bytes: `khashmir recording 1` and a line feed. The digit is the version. Then
//! frames:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | length of the body, big-endian, at most 2^30 |
//! | length | the body: one bencoded value, canonical as in the protocol's section 1, depth 8 at most |
//! | 8 | the check: the first 8 bytes of SHA-1 of (the check before, then the body); before the first frame stand the first 8 bytes of SHA-1 of the first line |
//!
//! The first body is a dictionary, the start:
//!
//! | key | what |
//! |---|---|
//! | `config` | [`Config`](khashmir::Config), all of it: a dictionary by the names of its fields, and so the structs in it. A field that is missing has its default; one that is not known is refused. |
//! | `downtime` | how long the node was down, a duration; only with `snapshot` |
//! | `now` | when it was made, in µs |
//! | `seed` | 32 bytes |
//! | `snapshot` | what it was restored from; none for a new node |
//!
//! All others are lists that begin with a word. There are inputs; after each, and after the start, the
//! outputs, unless the recorder was killed before the next input; and last the end.
//!
//! | list | what |
//! |---|---|
//! | `["timeout", after]` | [`Node::handle_timeout`](khashmir::Node::handle_timeout) |
//! | `["datagram", after, from, payload]` | [`Node::handle_datagram`](khashmir::Node::handle_datagram) |
//! | `["unreachable", after, to]` | [`Node::handle_unreachable`](khashmir::Node::handle_unreachable) |
//! | `["join", after, addr…]` `["ping", after, addr]` `["find node", after, target]` `["get", after, key, wanted]` `["put", after, key, value]` `["publish", after, key, value]` `["unpublish", after, key, value]` `["cancel", after, op]` | the [`Command`](khashmir::Command) of that name |
//! | `["outputs", answer, [n, left, digest], [n, left, digest], timeout]` | what was said to a command; how many datagrams were polled before the next input, how many were left in the node, and SHA-1 of those polled, each as an address and a byte string; the same of events; `[]` or `[when]`, the next timeout in µs |
//! | `["end"]` | nothing follows |
//!
//! `after` is the time since the input before (since `now` for the first), in µs. Numbers are the 64
//! bits of two's complement, so that a clock that goes back is a negative `after`, and the largest
//! number of all is −1. A number that is too large for a size of the machine becomes the largest. A
//! duration is `[seconds, nanoseconds]`, a switch 0 or 1. An address is 6 bytes, 18, or 26 (IPv6 with
//! flow label and scope), big-endian, the port after the IP.
//!
//! An answer is `[]` (no command), `["started", op]`, `["done", switch]`, or `[why, detail…]` for a
//! refusal. An event is a list of its name in words and its fields, a contact being two of them.

//!
//! # Blinded recordings
//!
//! What a node does depends on every bit that identifies somebody: which ids are closest, who shares a
//! network, what a token is made from. So a recording that hides this can't be replayed, and none
//! pretends to. A blinded one is text for people instead: the first line is
//! `khashmir recording, blinded, 1`, then come a heading with the configuration, and each step as
//! [`Teller`] tells it, the last line being `end` unless it was cut. It holds neither the seed nor the
//! snapshot.
//!
//! Addresses, ids, keys, values, tokens and transaction ids stand in it under pseudonyms, marked with
//! `~`: the same thing has the same one throughout, made with a secret that comes from the node's seed
//! and is kept nowhere. Ids that share their first *n* bits have pseudonyms that do, and so have
//! addresses, so that one still sees what is near to what and who is in one network. The port 9978
//! stays as it is. Whoever talked to the node meanwhile may recognise its own datagrams by when they
//! came, and then also those who share a prefix with it: it hides from readers, not from whom it met.

mod blind;
mod body;
mod config;
mod error;
mod form;
mod frame;
mod outputs;
mod recorder;
mod replay;
#[cfg(test)]
mod tests;
mod text;
mod travel;

pub use body::{Answer, Earlier, Input, Start};
pub use error::{Fault, ReadError};
pub use recorder::Recorder;
pub use replay::{Difference, Replay, Step, Verdict};
pub use text::Teller;
