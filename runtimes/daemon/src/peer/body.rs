//! The bodies of answers to peers.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use khashmir::claim::PIECE_LEN;
use smol::stream::{self, StreamExt as _};

use super::Server;
use super::connection::Activity;
use crate::shares::SharedFile;

/// A body as hyper takes it.
pub(super) type Body = StreamBody<stream::Boxed<io::Result<Frame<Bytes>>>>;

/// What is read of a file, and handed on, at a time.
const CHUNK: u64 = 64 * 1024;

/// A body that is here.
pub(super) fn whole(bytes: Bytes) -> Body {
    StreamBody::new(stream::once(Ok(Frame::data(bytes))).boxed())
}

/// No body.
pub(super) fn empty() -> Body {
    StreamBody::new(stream::empty().boxed())
}

/// A part of a file, read as the peer takes it and as the upload limit allows.
pub(super) fn of_file(server: Arc<Server>, activity: Arc<Activity>, file: File, range: Range<u64>) -> Body {
    let file = Arc::new(file);
    chunked(server, activity, range, move |range| {
        let file = Arc::clone(&file);
        async move {
            smol::unblock(move || {
                let mut bytes = vec![0; (range.end - range.start) as usize];
                file.read_exact_at(&mut bytes, range.start)?;
                Ok(bytes.into())
            })
            .await
        }
    })
}

/// The same of a file that a person shares, which may be changed at any time: each piece is hashed
/// before a byte of it goes. If it is wrong, the connection is cut.
pub(super) fn of_shared(
    server: Arc<Server>,
    activity: Arc<Activity>,
    file: SharedFile,
    range: Range<u64>,
) -> Body {
    let file = Arc::new(file);
    let shares = Arc::clone(&server.context.shares);
    // The piece that was read last, and its number.
    let last: Arc<Mutex<Option<(u64, Bytes)>>> = Arc::default();
    chunked(server, activity, range, move |range| {
        let (file, shares, last) = (Arc::clone(&file), Arc::clone(&shares), Arc::clone(&last));
        async move {
            smol::unblock(move || {
                let index = range.start / PIECE_LEN;
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                let piece = match last.take_if(|(number, _)| *number == index) {
                    Some((_, piece)) => piece,
                    None => file.read_piece(index).inspect_err(|error| {
                        if error.kind() == io::ErrorKind::InvalidData {
                            shares.doubt(&file.path);
                        }
                    })?,
                };
                *last = Some((index, piece.clone()));
                let start = (range.start - index * PIECE_LEN) as usize;
                // Up to the piece's end at most.
                let end = piece.len().min(start + (range.end - range.start) as usize);
                Ok(piece.slice(start..end))
            })
            .await
        }
    })
}

/// A body whose chunks `read` gives: the bytes of a range, at least one of them and from its
/// beginning on.
fn chunked<F: Future<Output = io::Result<Bytes>> + Send>(
    server: Arc<Server>,
    activity: Arc<Activity>,
    range: Range<u64>,
    read: impl Fn(Range<u64>) -> F + Send + Sync + 'static,
) -> Body {
    let read = Arc::new(read);
    let chunks = stream::try_unfold(range, move |rest| {
        let (server, activity, read) = (Arc::clone(&server), Arc::clone(&activity), Arc::clone(&read));
        async move {
            if rest.is_empty() {
                return Ok(None);
            }
            let len = server.upload_limit.chunk(CHUNK).min(rest.end - rest.start);
            activity.is_held_up();
            server.upload_limit.book(len).await;
            let bytes = read(rest.start..rest.start + len).await?;
            activity.happened();
            let len = bytes.len() as u64;
            server.context.stats.uploads.bytes.add(len);
            Ok(Some((Frame::data(bytes), rest.start + len..rest.end)))
        }
    });
    StreamBody::new(chunks.boxed())
}
