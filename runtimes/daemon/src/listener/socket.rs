//! A client's socket: bounded waits, and content straight from files.

use std::fs::File;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use smol::Async;
use smol::future::FutureExt as _;
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A client that takes nothing for this long is gone. A person may well stop apt for a
/// minute and let it go on.
const STALL: Duration = Duration::from_secs(300);
/// The most bytes handed to the system at once, so that other files get their turn.
const MAX_SEND: u64 = 16 << 20;
/// How long a thread waits for a client that takes what is sent, before it is of use to others.
const PROMPT_MS: i64 = 20;
/// How long, and for how many bytes, a client is listened to after our last word, so
/// that the system does not tear that away from it.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

/// A connected socket, shared by reader and writer.
#[derive(Debug, Clone)]
pub(super) struct Socket(Arc<Async<TcpStream>>);

impl Socket {
    pub(super) fn new(stream: Async<TcpStream>) -> Self {
        // Every write is a whole answer or a drip that must not wait.
        let _ = stream.get_ref().set_nodelay(true);
        Self(Arc::new(stream))
    }

    pub(super) fn local_address(&self) -> io::Result<std::net::SocketAddr> {
        self.0.get_ref().local_addr()
    }

    /// Reads what is there into `buffer`; `TimedOut` after `limit`.
    pub(super) async fn read(&self, buffer: &mut [u8], limit: Duration) -> io::Result<usize> {
        let mut socket = &*self.0;
        within(limit, socket.read(buffer)).await
    }

    pub(super) async fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        let mut socket = &*self.0;
        let mut rest = bytes;
        while !rest.is_empty() {
            match within(STALL, socket.write(rest)).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => rest = rest.get(written..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    /// Sends a range of a file.
    pub(super) async fn send_file(&self, file: &Arc<File>, range: Range<u64>) -> io::Result<()> {
        let mut at = range.start;
        while at < range.end {
            let (socket, file) = (Arc::clone(&self.0), Arc::clone(file));
            let part = at..range.end.min(at.saturating_add(MAX_SEND));
            // On a thread that may block: the file may not be in memory.
            let sent = smol::unblock(move || send_promptly(socket.get_ref(), &file, part)).await;
            match sent {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(sent) => at += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    within(STALL, self.0.writable()).await?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells the other side that nothing follows; it may still speak.
    pub(super) fn say_no_more(&self) -> io::Result<()> {
        self.0.get_ref().shutdown(Shutdown::Write)
    }

    /// Says no more, and reads away for a moment what the client still sends.
    pub(super) async fn finish(&self) {
        if self.say_no_more().is_err() {
            return;
        }
        let drain = async {
            let mut buffer = [0; 4096];
            let mut left = LINGER_BYTES;
            while let Ok(read @ 1..) = self.read(&mut buffer, LINGER).await {
                left = left.saturating_sub(read);
                if left == 0 {
                    break;
                }
            }
        };
        let enough = async {
            smol::Timer::after(LINGER).await;
        };
        drain.or(enough).await;
    }
}

async fn within<T>(limit: Duration, operation: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = async {
        smol::Timer::after(limit).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    operation.or(late).await
}

/// Sends the beginning of a range, as much as the client takes without making us wait. Going
/// back and forth between threads would take longer than a client that is near.
fn send_promptly(socket: &TcpStream, file: &File, range: Range<u64>) -> io::Result<u64> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut at = range.start;
    while at < range.end {
        match send_some(socket, file, at..range.end) {
            Ok(0) => break,
            Ok(sent) => at += sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let writable = &mut [PollFd::new(socket, PollFlags::OUT)];
                let limit = Timespec { tv_sec: 0, tv_nsec: PROMPT_MS * 1_000_000 };
                if poll(writable, Some(&limit)) != Ok(1) {
                    // What was sent is told first.
                    return if at > range.start { Ok(at - range.start) } else { Err(error) };
                }
            }
            Err(error) if at > range.start && error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(at - range.start)
}

/// Sends the beginning of a range, as much as the socket takes without blocking.
fn send_some(socket: &TcpStream, file: &File, range: Range<u64>) -> io::Result<u64> {
    #[cfg(target_os = "linux")]
    {
        let mut offset = range.start;
        let count = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        match rustix::fs::sendfile(socket, file, Some(&mut offset), count) {
            Ok(sent) => return Ok(sent as u64),
            // Some file systems cannot.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    copy_some(socket, file, range)
}

/// As [`send_some`], through our own memory.
fn copy_some(mut socket: &TcpStream, file: &File, range: Range<u64>) -> io::Result<u64> {
    use std::io::Write as _;
    use std::os::unix::fs::FileExt as _;
    let mut buffer = [0; 64 * 1024];
    let count = usize::try_from(range.end - range.start).map_or(buffer.len(), |n| n.min(buffer.len()));
    let read = file.read_at(buffer.get_mut(..count).unwrap_or_default(), range.start)?;
    Ok(socket.write(buffer.get(..read).unwrap_or_default())? as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn a_file_goes_out_whole_either_way() {
        let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            TcpStream::connect(address).unwrap().read_to_end(&mut all).unwrap();
            all
        });
        let (stream, _) = listener.accept().unwrap();
        let end = content.len() as u64;
        let mut at = 3;
        while at < end / 2 {
            at += copy_some(&stream, &file, at..end / 2).unwrap();
        }
        let file = Arc::new(file);
        smol::block_on(async {
            let socket = Socket::new(Async::new(stream).unwrap());
            socket.send_file(&file, at..end).await.unwrap();
            socket.finish().await;
        });
        assert!(reader.join().unwrap() == content[3..]);
    }
}
