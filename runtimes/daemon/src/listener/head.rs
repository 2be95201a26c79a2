//! Heads of answers as they go on the wire.

use std::time::SystemTime;

use khashmir_apt::HttpDate;
use khashmir_apt::http::{ResponseHead, Version};

use super::answer::{Content, Message};

/// How a body's end is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    Empty,
    /// By `Content-Length`.
    Length,
    /// By the last chunk (RFC 9112, section 7.1).
    Chunked,
    /// By the end of the connection: for HTTP/1.0.
    Close,
}

impl Framing {
    pub(super) fn of(content: &Content, version: Version) -> Self {
        match content {
            Content::None | Content::Omitted(_) => Self::Empty,
            content if content.known_len().is_some() => Self::Length,
            _ if version == Version::Http11 => Self::Chunked,
            _ => Self::Close,
        }
    }
}

/// The lines of a head, without the empty one that ends it.
pub(super) fn lines(message: &Message, framing: Framing, keep_alive: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let head = match &message.reason {
        Some(reason) => ResponseHead::with_reason(&mut out, message.status, reason),
        None => ResponseHead::new(&mut out, message.status),
    };
    let mut head = head.header("Date", HttpDate::from(SystemTime::now()));
    for (name, value) in &message.headers {
        // A mirror's own date is kept from its answer, ours stands already.
        if name != http::header::DATE {
            head = head.header_bytes(name.as_str(), value.as_bytes());
        }
    }
    if let Some(len) = message.content.known_len() {
        head = head.content_length(len);
    }
    if framing == Framing::Chunked {
        head = head.header("Transfer-Encoding", "chunked");
    }
    // HTTP/1.0 keeps a connection only if told so.
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let _unfinished = head.header("Connection", connection);
    out
}

/// As [`lines`], whole.
pub(super) fn whole(message: &Message, framing: Framing, keep_alive: bool) -> Vec<u8> {
    let mut out = lines(message, framing, keep_alive);
    ResponseHead::resume(&mut out).finish();
    out
}
