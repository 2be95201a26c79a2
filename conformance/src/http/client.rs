//! One connection, as apt would hold it.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The longest head that is read, in bytes.
const MAX_HEAD: usize = 256 * 1024;
/// The longest body that is read, in bytes: checks use less.
const MAX_BODY: usize = 256 * 1024 * 1024;
/// What is read at a time.
const BLOCK: usize = 64 * 1024;

/// A connection to what is checked.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// Bytes that arrived and are not read yet.
    arrived: Vec<u8>,
    patience: Duration,
    /// The longest wait for a byte since the last answer began.
    silence: Duration,
}

/// How the end of a body was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By the status: there is none.
    None,
    /// By `Content-Length`.
    Length,
    /// By the last chunk.
    Chunked,
    /// By the end of the connection, which a cut looks like as well.
    Close,
}

/// An answer, read to its end.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in their order.
    pub headers: Vec<(String, String)>,
    /// The content, chunks put together.
    pub body: Vec<u8>,
    /// How its end was told.
    pub framing: Framing,
    /// The longest time in which no byte of it came.
    pub silence: Duration,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The connection ended before the answer did; apt resumes.
    Cut(String),
    /// Nothing came for as long as apt waits.
    Silent(Duration),
    /// It is no HTTP/1.1.
    Malformed(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(after) => write!(f, "the connection was cut {after}"),
            Self::Silent(time) => write!(f, "nothing came for {} s", time.as_secs()),
            Self::Malformed(what) => write!(f, "malformed: {what}"),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} bytes, {:?}", self.status, self.body.len(), self.headers)
    }
}

impl Answer {
    /// The first header of this name, which is given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Client {
    /// Connects; no byte is waited for longer than `patience`.
    ///
    /// # Errors
    /// Of the connection.
    pub fn connect(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self { stream, arrived: Vec::new(), patience, silence: Duration::ZERO })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// Of the connection; among them that the other end does not read.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends `GET target` with `Host` and these further lines.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn ask(&mut self, target: &str, host: &str, lines: &[&str]) -> io::Result<()> {
        self.send(get(target, host, lines))
    }

    /// Says that no more requests will come.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads one answer to a GET.
    ///
    /// # Errors
    /// When there is none that apt could take; an interim answer counts as an answer, as apt
    /// takes it for one.
    pub fn read(&mut self) -> Result<Answer, Broken> {
        self.read_answer(false)
    }

    /// Reads one answer to a HEAD.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_head_only(&mut self) -> Result<Answer, Broken> {
        self.read_answer(true)
    }

    /// Reads the status and headers of an answer, and leaves its body.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_head(&mut self) -> Result<(u16, Vec<(String, String)>), Broken> {
        self.silence = Duration::ZERO;
        let end = loop {
            if let Some(at) = find(&self.arrived, b"\r\n\r\n") {
                break at;
            }
            if self.arrived.len() > MAX_HEAD {
                return Err(Broken::Malformed(format!("a head of more than {MAX_HEAD} bytes")));
            }
            let so_far = self.arrived.len();
            self.more(|| format!("{so_far} bytes into a head"))?;
        };
        let head: Vec<u8> = self.arrived.drain(..end + 4).collect();
        parse_head(&head)
    }

    fn read_answer(&mut self, head_only: bool) -> Result<Answer, Broken> {
        let (status, headers) = self.read_head()?;
        let framing = match status {
            _ if head_only => Framing::None,
            100..=199 | 204 | 304 => Framing::None,
            _ => framing(&headers)?,
        };
        let body = match framing {
            Framing::None => Vec::new(),
            Framing::Length => {
                let text = value(&headers, "content-length").unwrap_or_default();
                let len = text.parse().map_err(|_| Broken::Malformed(format!("Content-Length: {text}")))?;
                self.take(len)?
            }
            Framing::Chunked => self.read_chunks()?,
            Framing::Close => self.read_to_end()?,
        };
        Ok(Answer { status, headers, body, framing, silence: self.silence })
    }

    /// Reads this many bytes.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn take(&mut self, len: usize) -> Result<Vec<u8>, Broken> {
        if len > MAX_BODY {
            return Err(Broken::Malformed(format!("a body of {len} bytes")));
        }
        while self.arrived.len() < len {
            let so_far = self.arrived.len();
            self.more(|| format!("after {so_far} of {len} bytes"))?;
        }
        Ok(self.arrived.drain(..len).collect())
    }

    fn read_chunks(&mut self) -> Result<Vec<u8>, Broken> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| Broken::Malformed(format!("a chunk's size is {line:?}")))?;
            if size == 0 {
                // Trailers, and the empty line.
                while !self.line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(size)?);
            if body.len() > MAX_BODY {
                return Err(Broken::Malformed("a body without end".to_owned()));
            }
            if !self.line()?.is_empty() {
                return Err(Broken::Malformed("no end of line after a chunk".to_owned()));
            }
        }
    }

    fn line(&mut self) -> Result<String, Broken> {
        loop {
            if let Some(at) = find(&self.arrived, b"\r\n") {
                let line: Vec<u8> = self.arrived.drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(line.get(..at).unwrap_or_default()).into_owned());
            }
            if self.arrived.len() > MAX_HEAD {
                return Err(Broken::Malformed("a line without end".to_owned()));
            }
            self.more(|| "between chunks".to_owned())?;
        }
    }

    /// Reads what comes until the other end closes.
    ///
    /// # Errors
    /// When it does not, or sends without end.
    pub fn read_to_end(&mut self) -> Result<Vec<u8>, Broken> {
        loop {
            match self.more(String::new) {
                Ok(()) if self.arrived.len() > MAX_BODY => {
                    return Err(Broken::Malformed("a body without end".to_owned()));
                }
                Ok(()) => {}
                Err(Broken::Cut(_)) => return Ok(std::mem::take(&mut self.arrived)),
                Err(other) => return Err(other),
            }
        }
    }

    /// Whether the other end closes, with nothing before, within `patience`.
    pub fn is_at_end(&mut self) -> bool {
        self.arrived.is_empty() && matches!(self.more(String::new), Err(Broken::Cut(_)))
    }

    /// Waits for some bytes.
    fn more(&mut self, place: impl FnOnce() -> String) -> Result<(), Broken> {
        let began = Instant::now();
        let mut block = [0; BLOCK];
        let read =
            self.stream.set_read_timeout(Some(self.patience)).and_then(|()| self.stream.read(&mut block));
        self.silence = self.silence.max(began.elapsed());
        match read {
            Ok(0) => Err(Broken::Cut(place())),
            Ok(len) => {
                self.arrived.extend_from_slice(block.get(..len).unwrap_or_default());
                Ok(())
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(Broken::Silent(self.patience))
            }
            Err(_) => Err(Broken::Cut(place())),
        }
    }
}

/// A GET request; `lines` are whole header lines without their ends.
pub(super) fn get(target: &str, host: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")
}

fn parse_head(head: &[u8]) -> Result<(u16, Vec<(String, String)>), Broken> {
    let malformed = |what: &str| Broken::Malformed(what.to_owned());
    let text = std::str::from_utf8(head).map_err(|_| malformed("a head that is not text"))?;
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .filter(|code| code.len() == 3)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| malformed(&format!("the first line is {first:?}")))?;
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| malformed(&format!("the line {line:?}")))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok((status, headers))
}

/// RFC 9112, section 6.3, for a client that must not be led to guess.
fn framing(headers: &[(String, String)]) -> Result<Framing, Broken> {
    let lengths: Vec<_> = headers.iter().filter(|(name, _)| name == "content-length").collect();
    let chunked = value(headers, "transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"));
    match (lengths.as_slice(), chunked) {
        ([], true) => Ok(Framing::Chunked),
        ([], false) => Ok(Framing::Close),
        ([_], false) => Ok(Framing::Length),
        (_, true) => Err(Broken::Malformed("both Content-Length and chunks".to_owned())),
        (_, false) => Err(Broken::Malformed("more than one Content-Length".to_owned())),
    }
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
