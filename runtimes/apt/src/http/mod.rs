//! Heads of HTTP/1.1 messages and what they mean: the part of a server that needs no
//! socket (RFC 9110 and RFC 9112).
//!
//! ```
//! use khashmir_apt::http::{Outcome, RequestHead, ResponseHead, Validators};
//!
//! let arrived = b"GET /m/a.deb HTTP/1.1\r\nHost: h\r\nRange: bytes=7-\r\n\r\n";
//! let (head, len) = RequestHead::parse(arrived)?.expect("the head is whole");
//! assert_eq!(len, arrived.len());
//!
//! let file = Validators::default();
//! let mut out = Vec::new();
//! match head.outcome(&file, 10) {
//!     Outcome::Partial(range) => ResponseHead::new(&mut out, 206)
//!         .content_range(&range, 10)
//!         .content_length(range.end - range.start)
//!         .finish(),
//!     _ => unreachable!("bytes 7 to 9 exist"),
//! }
//! assert_eq!(
//!     out,
//!     b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 7-9/10\r\nContent-Length: 3\r\n\r\n"
//! );
//! # Ok::<(), khashmir_apt::http::HeadError>(())
//! ```

mod conditional;
mod range;
mod request;
mod response;

pub use conditional::{IfRange, Outcome, Validators};
pub use range::{ByteRange, Resolved};
pub use request::{HeadError, MAX_HEAD, MAX_HEADERS, Method, RequestHead, Version};
pub use response::{ResponseHead, reason_phrase};
