//! What a peer may ask for, and what it gets.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue, IF_RANGE,
    RANGE,
};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use khashmir::claim::{PieceHashes, decode_path};
use khashmir_apt::Sha256;
use khashmir_apt::http::{ByteRange, Resolved};

use super::Server;
use super::body::{self, Body};
use super::connection::Activity;
use crate::Context;
use crate::shares::SharedFile;

/// Something that peers may have.
#[derive(Debug)]
enum Content {
    /// A file, and its length in bytes.
    File(File, u64),
    /// A file that a person shares.
    Shared(SharedFile),
    /// Piece hashes, as `{t: …}`.
    PieceHashes(Bytes),
}

/// The answer to one request.
pub(super) async fn answer(
    server: &Arc<Server>,
    activity: &Arc<Activity>,
    request: &Request<Incoming>,
) -> Response<Body> {
    let uploads = &server.context.stats.uploads;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        uploads.refused.increment();
        let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here");
        set(&mut response, ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let Some(content) = find(&server.context, request).await else {
        uploads.refused.increment();
        return refusal(StatusCode::NOT_FOUND, "nothing here has that hash, or it is not for peers");
    };
    let mut response = match content {
        Content::PieceHashes(bytes) => {
            uploads.bytes.add(bytes.len() as u64);
            let len = bytes.len() as u64;
            let mut response = with_body(StatusCode::OK, len, body::whole(bytes));
            set(&mut response, CONTENT_TYPE, HeaderValue::from_static("application/x-bencoded"));
            response
        }
        Content::File(file, len) => of_file(request, len, |range| {
            body::of_file(Arc::clone(server), Arc::clone(activity), file, range)
        }),
        Content::Shared(file) => of_file(request, file.len, |range| {
            body::of_shared(Arc::clone(server), Arc::clone(activity), file, range)
        }),
    };
    match response.status() {
        StatusCode::RANGE_NOT_SATISFIABLE => uploads.refused.increment(),
        _ => uploads.requests.increment(),
    }
    if request.method() == Method::HEAD {
        *response.body_mut() = body::empty();
    }
    response
}

/// What is here under the hash that the path names, and may be given away: files that an index
/// listed or a person shares, and piece hashes of such.
async fn find(context: &Arc<Context>, request: &Request<Incoming>) -> Option<Content> {
    let hash = decode_path(request.uri().path_and_query()?.as_str().as_bytes()).ok()?;
    let context = Arc::clone(context);
    smol::unblock(move || match (<[u8; 32]>::try_from(&hash[..]), <[u8; 20]>::try_from(&hash[..])) {
        (Ok(sha256), _) => {
            let sha256 = Sha256(sha256);
            // Looked at first, so that asking for what is not for peers does not count as its use.
            if context.cache.is_from_index(&sha256)
                && let Some(cached) = context.cache.open_file(&sha256)
            {
                return Some(Content::File(cached.file, cached.verified.len()));
            }
            let shared = context.shares.open_file(&sha256);
            let shared = shared.inspect_err(|error| tracing::warn!(%error, "cannot look up what is shared"));
            Some(Content::Shared(shared.ok()??))
        }
        (_, Ok(sha1)) => {
            let cached = context.cache.piece_hashes_by_sha1(&sha1);
            let hashes = cached.and_then(|cached| match cached {
                Some(hashes) => {
                    let (pieces, _) = hashes.as_chunks::<20>();
                    Ok(Some(PieceHashes::new(pieces.to_vec())))
                }
                None => context.shares.piece_hashes_by_sha1(&sha1),
            });
            let hashes = hashes.inspect_err(|error| tracing::warn!(%error, "cannot read piece hashes"));
            Some(Content::PieceHashes(hashes.ok()??.encode().into()))
        }
        _ => None,
    })
    .await
}

fn of_file(
    request: &Request<Incoming>,
    len: u64,
    content: impl FnOnce(Range<u64>) -> Body,
) -> Response<Body> {
    let headers = request.headers();
    // Nothing here has a validator that an If-Range could match (RFC 9110, section 13.1.5).
    let asked = headers.get(RANGE).filter(|_| !headers.contains_key(IF_RANGE));
    let range = asked.and_then(|value| ByteRange::parse(value.as_bytes()));
    let body = |range: Range<u64>| {
        if range.is_empty() {
            return body::empty();
        }
        content(range)
    };
    let mut response = match range.map_or(Resolved::Whole, |range| range.resolve(len)) {
        Resolved::Whole => with_body(StatusCode::OK, len, body(0..len)),
        Resolved::Partial(part) => {
            let content_range = format!("bytes {}-{}/{len}", part.start, part.end - 1);
            let mut response = with_body(StatusCode::PARTIAL_CONTENT, part.end - part.start, body(part));
            set_text(&mut response, CONTENT_RANGE, &content_range);
            response
        }
        Resolved::Unsatisfiable => {
            let mut response = refusal(StatusCode::RANGE_NOT_SATISFIABLE, "the file ends before this range");
            set_text(&mut response, CONTENT_RANGE, &format!("bytes */{len}"));
            return response;
        }
    };
    set(&mut response, ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    set(&mut response, CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}

fn refusal(status: StatusCode, text: &'static str) -> Response<Body> {
    let bytes = Bytes::from_static(text.as_bytes());
    let mut response = with_body(status, bytes.len() as u64, body::whole(bytes));
    set(&mut response, CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn with_body(status: StatusCode, len: u64, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set(&mut response, CONTENT_LENGTH, HeaderValue::from(len));
    response
}

fn set(response: &mut Response<Body>, name: HeaderName, value: HeaderValue) {
    response.headers_mut().insert(name, value);
}

fn set_text(response: &mut Response<Body>, name: HeaderName, text: &str) {
    // Digits and punctuation only.
    if let Ok(value) = HeaderValue::from_str(text) {
        set(response, name, value);
    }
}
