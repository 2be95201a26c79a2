//! What is sent to a client, before it is put on the wire.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use khashmir_apt::Sha256;
use khashmir_apt::http::{Outcome, RequestHead, Validators};

use super::{Growing, Tunnel};
use crate::fetch::Fetch;
use crate::upstream::{Body, Fault, Rejection};

/// What one request comes to.
#[derive(Debug)]
pub enum Answer {
    /// Sent as it is.
    Message(Message),
    /// Sent as far as its file has come.
    Growing(Growing),
    /// Sent when it is settled.
    Later(Later),
    /// From here on both sides talk through us.
    Tunnel(Tunnel),
    /// Nothing that is right can be sent: the connection is cut, and apt tries again.
    Cut(String),
}

/// An answer that is on its way, and what may be said of it before it is settled.
pub struct Later {
    /// Its head, once that is known; what follows it need not be there.
    pub promise: Box<dyn Fn() -> Option<Message> + Send + Sync>,
    /// The answer itself.
    pub settled: Pin<Box<dyn Future<Output = Answer> + Send>>,
}

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Later").field("promise", &(self.promise)()).finish_non_exhaustive()
    }
}

/// An answer whose head is settled.
#[derive(Debug)]
pub struct Message {
    /// Never 1xx or 5xx.
    pub status: u16,
    /// What apt shows beside it, if not the usual words.
    pub reason: Option<String>,
    /// All fields but those about the connection and the length.
    pub headers: HeaderMap,
    /// What follows the head, unless only that was asked for.
    pub content: Content,
}

/// What follows a head.
#[derive(Debug)]
pub enum Content {
    /// Nothing, and no length either: 304 and the like.
    None,
    /// Nothing, because only the head was asked for; the length in bytes that it would
    /// have, where known.
    Omitted(Option<u64>),
    /// These bytes.
    Bytes(Bytes),
    /// Bytes of the file out of the cache that has this hash.
    Cached(Sha256, Arc<File>, Range<u64>),
    /// Bytes of a file that may be growing.
    Fetched(Arc<Fetch>, Range<u64>),
    /// A mirror's body as it comes, of this length in bytes where known.
    Stream(Body, Option<u64>),
}

impl Content {
    /// The length in bytes, where known.
    #[must_use]
    pub fn known_len(&self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Omitted(len) | Self::Stream(_, len) => *len,
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Cached(_, _, range) | Self::Fetched(_, range) => Some(range.end - range.start),
        }
    }
}

impl Message {
    /// A message without content.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, reason: None, headers: HeaderMap::new(), content: Content::None }
    }

    /// A short text for a person, who sees it whatever the client shows.
    #[must_use]
    pub fn text(status: u16, text: &str) -> Self {
        let mut message = Self::empty(status);
        message.reason = Some(text.to_owned());
        message.set(CONTENT_TYPE, "text/plain; charset=utf-8");
        message.content = Content::Bytes(format!("{text}\n").into());
        message
    }

    /// Sets a header field; a value that cannot stand in one leaves it out.
    pub fn set(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }

    /// The answer to `request` for a file of `len` bytes that `validators` describe;
    /// `content` gives the bytes of a range.
    pub fn of_file(
        request: &RequestHead,
        validators: &Validators,
        len: u64,
        content: impl FnOnce(Range<u64>) -> Content,
    ) -> Self {
        use http::header::{ACCEPT_RANGES, CONTENT_RANGE, ETAG, LAST_MODIFIED};
        let mut message = match request.outcome(validators, len) {
            Outcome::NotModified => Self::empty(304),
            Outcome::Whole => {
                let mut message = Self::empty(200);
                message.content = content(0..len);
                message
            }
            Outcome::Partial(range) => {
                let mut message = Self::empty(206);
                let last = range.end.saturating_sub(1);
                message.set(CONTENT_RANGE, &format!("bytes {}-{last}/{len}", range.start));
                message.content = content(range);
                message
            }
            Outcome::Unsatisfiable => {
                let mut message = Self::text(416, "the file has no such bytes");
                message.set(CONTENT_RANGE, &format!("bytes */{len}"));
                message
            }
        };
        message.set(ACCEPT_RANGES, "bytes");
        if let Some(date) = validators.last_modified {
            message.set(LAST_MODIFIED, &date.to_string());
        }
        if let Some(etag) = &validators.etag {
            message.set(ETAG, etag);
        }
        message
    }
}

impl From<&Rejection> for Message {
    fn from(rejection: &Rejection) -> Self {
        Self {
            status: rejection.status.as_u16(),
            reason: None,
            headers: rejection.headers.clone(),
            content: Content::Bytes(rejection.body.clone()),
        }
    }
}

impl From<&Fault> for Answer {
    /// What we may not do is said; everything else is cut.
    fn from(fault: &Fault) -> Self {
        match fault {
            Fault::Refused(reason) => Self::Message(Message::text(403, reason)),
            Fault::Transient { reason, .. } | Fault::Local(reason) => Self::Cut(reason.clone()),
        }
    }
}
