//! The answer of a mirror, or of a peer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap};
use http::{HeaderName, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use smol::future::FutureExt as _;

use super::pool::Lease;
use super::{Fault, fault};

/// The most of a body that is read only to reuse its connection, or kept because it
/// explains an error, in bytes.
const SMALL_BODY: usize = 64 * 1024;

/// A head, and a body to be read.
#[derive(Debug)]
pub struct Response {
    /// From 200 to 499, but neither 408 nor 429.
    pub status: StatusCode,
    /// All headers, hop-by-hop ones included.
    pub headers: HeaderMap,
    /// What follows.
    pub body: Body,
}

impl Response {
    pub(crate) fn new(response: http::Response<Incoming>, lease: Lease, idle_timeout: Duration) -> Self {
        let (head, incoming) = response.into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            body: Body { incoming, lease: Some(lease), idle_timeout },
        }
    }

    /// The length that the head gives the body, in bytes.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
    }

    /// `Content-Range` of a 206: the first byte's offset, and the whole length where
    /// it is told (RFC 9110, section 14.4).
    #[must_use]
    pub fn content_range(&self) -> Option<(u64, Option<u64>)> {
        let value = self.headers.get(CONTENT_RANGE)?.to_str().ok()?;
        let (range, whole) = value.trim().strip_prefix("bytes")?.trim().split_once('/')?;
        let (start, _) = range.split_once('-')?;
        Some((start.trim().parse().ok()?, whole.trim().parse().ok()))
    }

    /// The headers that concern the client: hop-by-hop ones and the framing removed
    /// (RFC 9110, section 7.6.1).
    #[must_use]
    pub fn end_to_end_headers(&self) -> HeaderMap {
        const HOP_BY_HOP: [&str; 9] = [
            "connection",
            "keep-alive",
            "proxy-connection",
            "proxy-authenticate",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "content-length",
        ];
        let named: Vec<HeaderName> = self
            .headers
            .get_all(http::header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        self.headers
            .iter()
            .filter(|(name, _)| !HOP_BY_HOP.contains(&name.as_str()) && !named.contains(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// The whole answer as one to pass on, its body cut to what explains it.
    pub async fn into_rejection(self) -> Rejection {
        let (status, headers) = (self.status, self.end_to_end_headers());
        // Without its text the status still says what apt needs.
        let body = self.body.read_to_end(SMALL_BODY).await.unwrap_or_default();
        Rejection { status, headers, body }
    }
}

/// An answer of the mirror that is not the file, and is apt's to judge: a 404, say.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// Below 500.
    pub status: StatusCode,
    /// Without hop-by-hop headers and framing.
    pub headers: HeaderMap,
    /// The text that came with it; empty if it was long.
    pub body: Bytes,
}

/// A body as it arrives; its connection is reused if it is read to the end.
#[derive(Debug)]
pub struct Body {
    incoming: Incoming,
    lease: Option<Lease>,
    idle_timeout: Duration,
}

impl Body {
    /// The next bytes, `None` at the end.
    ///
    /// # Errors
    /// A transient fault when the connection is cut or falls silent.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let limit = self.idle_timeout;
            let late = async {
                smol::Timer::after(limit).await;
                Err(Fault::transient(format!("silence for {} s in the middle of an answer", limit.as_secs())))
            };
            let frame = async { Ok(self.incoming.frame().await) }.or(late).await?;
            match frame {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Some(Err(error)) => return Err(Fault::transient(fault::text(&error))),
                None => {
                    if let Some(lease) = self.lease.take() {
                        lease.give_back();
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// The whole body, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk); and [`Fault::Refused`] when it is longer.
    pub async fn read_to_end(mut self, limit: usize) -> Result<Bytes, Fault> {
        let mut whole = BytesMut::new();
        while let Some(bytes) = self.chunk().await? {
            if whole.len() + bytes.len() > limit {
                return Err(Fault::Refused(format!("the answer is longer than {limit} bytes")));
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.freeze())
    }

    /// Reads away a short rest, so that the connection can be used again.
    pub async fn drain(self) {
        // A long or broken rest only costs the connection.
        let _ = self.read_to_end(SMALL_BODY).await;
    }
}
