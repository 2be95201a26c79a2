//! One answer on its way out.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use khashmir_apt::http::ResponseHead;
use smol::future::FutureExt as _;

use super::Growing;
use super::answer::{Answer, Content, Message};
use super::head::{self, Framing};
use super::socket::Socket;
use crate::Context;
use crate::fetch::{Fetch, State};
use crate::upstream::Body;

/// The header whose value drips while content may not flow yet (protocol, section 7).
const PADDING: &[u8] = b"X-Khashmir-Wait: ";
/// Bytes of a growing file that are kept back, to be fed singly when its growth stalls:
/// apt gives up after 30 s of silence, but one byte is no silence.
const RESERVE: u64 = 64;

/// A range of a file that goes out with its head, if the system has it in memory, in bytes.
const SMALL: u64 = 64 * 1024;

/// Writes answers to one client.
pub(super) struct Writer<'a> {
    pub(super) socket: &'a Socket,
    pub(super) context: &'a Arc<Context>,
    /// How often a client is given a byte to wait on.
    pub(super) drip: Duration,
}

impl Writer<'_> {
    /// Writes head and content.
    ///
    /// # Errors
    /// The connection must be cut: what was promised cannot be sent.
    pub(super) async fn write_message(
        &self,
        message: Message,
        head_only: bool,
        framing: Framing,
        keep_alive: bool,
    ) -> io::Result<()> {
        let head = head::whole(&message, framing, keep_alive);
        match message.content {
            // One packet for what is small.
            Content::Bytes(bytes) if !head_only => {
                self.socket.write_all(&[&head, bytes.as_ref()].concat()).await
            }
            content => {
                let mut out = head;
                let is_done = !head_only && self.append_small(&content, &mut out);
                self.socket.write_all(&out).await?;
                if head_only || is_done { Ok(()) } else { self.write_content(content, framing).await }
            }
        }
    }

    /// Writes an answer whose file is on its way, and keeps the client content meanwhile.
    ///
    /// # Errors
    /// As [`write_message`](Self::write_message).
    pub(super) async fn write_growing(&self, growing: Growing, keep_alive: bool) -> io::Result<()> {
        growing.fetch.want();
        self.write_later(|| growing.promise(), growing.settled(), keep_alive).await
    }

    /// Writes an answer when it is settled, and until then, piece by piece, the head that is promised.
    ///
    /// # Errors
    /// As [`write_message`](Self::write_message).
    pub(super) async fn write_later(
        &self,
        promise: impl Fn() -> Option<Message>,
        settled: impl Future<Output = Answer>,
        keep_alive: bool,
    ) -> io::Result<()> {
        let mut promised: Option<Message> = None;
        let mut settled = std::pin::pin!(settled);
        let answer = loop {
            let next = async { Some((&mut settled).await) }.or(self.pause()).await;
            match (next, &promised) {
                (Some(answer), _) => break answer,
                (None, Some(_)) => self.socket.write_all(b".").await?,
                (None, None) => {
                    if let Some(message) = promise() {
                        let mut lines = head::lines(&message, Framing::Length, keep_alive);
                        lines.extend_from_slice(PADDING);
                        self.socket.write_all(&lines).await?;
                        promised = Some(message);
                    }
                }
            }
        };
        let message = match answer {
            Answer::Message(message) => message,
            Answer::Cut(reason) => return Err(io::Error::other(reason)),
            Answer::Growing(_) | Answer::Later(_) | Answer::Tunnel(_) => {
                return Err(io::Error::other("an answer did not settle"));
            }
        };
        let Some(promised) = promised else {
            // Only HTTP/1.1 keeps what has no length, and all this has one.
            let framing = match message.content {
                Content::None => Framing::Empty,
                _ => Framing::Length,
            };
            return self.write_message(message, false, framing, keep_alive).await;
        };
        if !is_kept(&promised, &message) {
            let reason = format!("status {} where content was promised", message.status);
            return Err(io::Error::other(reason));
        }
        let mut end = b"\r\n".to_vec();
        ResponseHead::resume(&mut end).finish();
        self.socket.write_all(&end).await?;
        self.write_content(message.content, Framing::Length).await
    }

    /// Appends content to its head, if it is small and there at once: one packet, and no thread that
    /// may block. Returns whether it did.
    fn append_small(&self, content: &Content, out: &mut Vec<u8>) -> bool {
        let small = |range: &Range<u64>| range.end - range.start <= SMALL;
        match content {
            Content::Cached(_, file, range) if small(range) && read_now(file, range, out) => {
                self.context.stats.apt.bytes_from_cache.add(range.end - range.start);
                true
            }
            Content::Fetched(fetch, range)
                if small(range)
                    && fetch.progress().servable >= range.end
                    && read_now(fetch.file(), range, out) =>
            {
                self.count_fetched(fetch, range);
                true
            }
            _ => false,
        }
    }

    fn count_fetched(&self, fetch: &Fetch, sent: &Range<u64>) {
        let from_mirror = fetch.bytes_from_mirror(sent);
        self.context.stats.apt.bytes_from_mirror.add(from_mirror);
        self.context.stats.apt.bytes_from_peers.add(sent.end - sent.start - from_mirror);
    }

    async fn pause<T>(&self) -> Option<T> {
        smol::Timer::after(self.drip).await;
        None
    }

    async fn write_content(&self, content: Content, framing: Framing) -> io::Result<()> {
        match content {
            Content::None | Content::Omitted(_) => Ok(()),
            Content::Bytes(bytes) => self.socket.write_all(&bytes).await,
            Content::Cached(sha256, file, range) => {
                let len = range.end - range.start;
                if let Err(error) = self.socket.send_file(&file, range).await {
                    if is_the_files(&error) {
                        // Or the client, which asks again, would meet it again.
                        let (context, why) = (Arc::clone(self.context), error.to_string());
                        smol::unblock(move || context.cache.is_lost(&sha256, &why)).await;
                    }
                    return Err(error);
                }
                self.context.stats.apt.bytes_from_cache.add(len);
                Ok(())
            }
            Content::Fetched(fetch, range) => self.write_fetched(&fetch, range).await,
            Content::Stream(body, len) => self.write_stream(body, len, framing).await,
        }
    }

    /// Follows a file as it grows.
    async fn write_fetched(&self, fetch: &Arc<Fetch>, range: Range<u64>) -> io::Result<()> {
        let mut at = range.start;
        while at < range.end {
            let grown = fetch.wait_until(|progress| {
                progress.state.is_final()
                    || progress.servable >= range.end
                    || progress.servable > at + RESERVE
            });
            let grown = async { Some(grown.await) }.or(self.pause()).await;
            let (progress, reserve) = match grown {
                Some(progress) => (progress, RESERVE),
                // A stall: one byte, if there is one.
                None => {
                    let progress = fetch.progress();
                    let reserve = progress.servable.saturating_sub(at + 1);
                    (progress, reserve)
                }
            };
            let whole = progress.state.is_final() || progress.servable >= range.end;
            let reserve = if whole { 0 } else { reserve };
            let to = progress.servable.saturating_sub(reserve).min(range.end);
            if to > at {
                self.socket.send_file(fetch.file(), at..to).await?;
                self.count_fetched(fetch, &(at..to));
                at = to;
            } else if let State::Failed(fault) = progress.state {
                return Err(io::Error::other(fault.to_string()));
            } else if progress.state.is_final() {
                return Err(io::Error::other("the file ended before what was promised of it"));
            }
        }
        Ok(())
    }

    async fn write_stream(&self, mut body: Body, len: Option<u64>, framing: Framing) -> io::Result<()> {
        let mut left = len.unwrap_or(u64::MAX);
        while let Some(bytes) = body.chunk().await.map_err(io::Error::other)? {
            self.context.stats.downloads.bytes_from_mirror.add(bytes.len() as u64);
            left = left
                .checked_sub(bytes.len() as u64)
                .ok_or_else(|| io::Error::other("the mirror sent more than it had said"))?;
            if framing == Framing::Chunked {
                let size = format!("{:x}\r\n", bytes.len());
                self.socket.write_all(&[size.as_bytes(), &bytes, b"\r\n"].concat()).await?;
            } else {
                self.socket.write_all(&bytes).await?;
            }
            self.context.stats.apt.bytes_from_mirror.add(bytes.len() as u64);
        }
        if len.is_some() && left > 0 {
            return Err(io::Error::other("the mirror sent less than it had said"));
        }
        if framing == Framing::Chunked {
            self.socket.write_all(b"0\r\n\r\n").await?;
        }
        Ok(())
    }
}

/// Whether it is the file that failed, not the client's connection.
fn is_the_files(error: &io::Error) -> bool {
    let is_of_disk = error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    is_of_disk || error.kind() == io::ErrorKind::UnexpectedEof
}

/// Appends a range of a file to `out`, if that takes no time. If not, `out` is as it was.
fn read_now(file: &File, range: &Range<u64>, out: &mut Vec<u8>) -> bool {
    let (before, len) = (out.len(), (range.end - range.start) as usize);
    out.resize(before + len, 0);
    if read_cached(file, range.start, out.get_mut(before..).unwrap_or_default()) == Some(len) {
        return true;
    }
    out.truncate(before);
    false
}

/// Reads what the system has in memory; gives how many bytes that is.
#[cfg(target_os = "linux")]
fn read_cached(file: &File, offset: u64, into: &mut [u8]) -> Option<usize> {
    use rustix::io::{IoSliceMut, ReadWriteFlags, preadv2};
    preadv2(file, &mut [IoSliceMut::new(into)], offset, ReadWriteFlags::NOWAIT).ok()
}

/// Elsewhere nobody tells.
#[cfg(not(target_os = "linux"))]
fn read_cached(_: &File, _: u64, _: &mut [u8]) -> Option<usize> {
    None
}

/// Whether `settled` is what the head that was sent already says.
fn is_kept(promised: &Message, settled: &Message) -> bool {
    // Equal bytes of the file, too: those of a status other than 206 are all of them.
    promised.status == settled.status
        && promised.content.known_len().is_some()
        && promised.content.known_len() == settled.content.known_len()
        && promised.headers.get(http::header::CONTENT_RANGE)
            == settled.headers.get(http::header::CONTENT_RANGE)
}
