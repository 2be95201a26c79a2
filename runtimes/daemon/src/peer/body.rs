//! The bodies of answers to peers.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use smol::stream::{self, StreamExt as _};

use super::Server;
use super::connection::Activity;

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
    let chunks = stream::try_unfold(range, move |rest| {
        let (server, activity, file) = (Arc::clone(&server), Arc::clone(&activity), Arc::clone(&file));
        async move {
            if rest.is_empty() {
                return Ok(None);
            }
            let len = server.upload_limit.chunk(CHUNK).min(rest.end - rest.start);
            activity.is_held_up();
            server.upload_limit.book(len).await;
            let bytes = smol::unblock(move || {
                let mut bytes = vec![0; len as usize];
                file.read_exact_at(&mut bytes, rest.start)?;
                io::Result::Ok(bytes)
            })
            .await?;
            activity.happened();
            server.context.stats.uploads.bytes.add(len);
            Ok(Some((Frame::data(Bytes::from(bytes)), rest.start + len..rest.end)))
        }
    });
    StreamBody::new(chunks.boxed())
}
