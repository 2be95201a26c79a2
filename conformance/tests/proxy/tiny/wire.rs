//! Bytes to heads and back.

use std::io::{self, Read as _};
use std::net::TcpStream;

/// A connection with what arrived and is not read yet.
pub struct Wire {
    pub stream: TcpStream,
    pub arrived: Vec<u8>,
}

/// The first line and the fields, names in lower case.
#[derive(Clone, Debug)]
pub struct Head {
    pub first: String,
    pub fields: Vec<(String, String)>,
}

impl Head {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        self.first.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
    }
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, arrived: Vec::new() }
    }

    /// Whether something came.
    pub fn more(&mut self) -> io::Result<bool> {
        let mut block = [0; 65_536];
        let len = self.stream.read(&mut block)?;
        self.arrived.extend_from_slice(&block[..len]);
        Ok(len > 0)
    }

    /// A head of at most `limit` bytes; `None` at the end of the connection.
    pub fn head(&mut self, limit: usize) -> io::Result<Option<Vec<u8>>> {
        let mut seen = 0;
        loop {
            // What was looked through is not looked through again, but for an end that was cut in two.
            let from = seen.min(self.arrived.len().saturating_sub(3));
            if let Some(at) = find(&self.arrived[from..], b"\r\n\r\n") {
                return Ok(Some(self.arrived.drain(..from + at + 4).collect()));
            }
            seen = self.arrived.len().saturating_sub(3);
            if self.arrived.len() > limit {
                return Err(io::Error::other("a head too long"));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    pub fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = find(&self.arrived, b"\r\n") {
                let line: Vec<u8> = self.arrived.drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            if !self.more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Some of what comes next, at most `limit` bytes.
    pub fn some(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        if self.arrived.is_empty() && !self.more()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = self.arrived.len().min(limit);
        Ok(self.arrived.drain(..len).collect())
    }
}

/// `strict`: a space before a colon is an error, as is a line without a colon.
pub fn parse(head: &[u8], strict: bool) -> Option<Head> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let first = lines.next()?.to_owned();
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if strict && name.trim() != name {
            return None;
        }
        fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some(Head { first, fields })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// A path without escapes.
pub fn unescaped(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned()
}

/// A path as apt sends it.
pub fn escaped(path: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b':' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02x}"),
    };
    path.bytes().map(escape).collect()
}
