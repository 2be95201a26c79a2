//! One file on its way from the mirror.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::wire::{Head, Wire, parse};
use super::{Expected, Shared, Url, sha256};

/// Tries for one file.
const TRIES: u32 = 4;
const REDIRECTS: usize = 5;
const MAX_HEAD: usize = 65_536;

#[derive(Default)]
pub struct Fetch {
    pub progress: Mutex<Progress>,
    pub changed: Condvar,
    /// What the index says.
    pub expected: Option<Expected>,
}

#[derive(Clone, Default)]
pub struct Progress {
    pub status: Option<u16>,
    /// Those of the mirror's fields that are passed on.
    pub fields: Vec<(String, String)>,
    pub len: Option<usize>,
    pub bytes: Vec<u8>,
    /// Whether it ended, and well.
    pub done: Option<bool>,
}

impl Fetch {
    pub fn of(expected: Option<Expected>) -> Arc<Self> {
        Arc::new(Self { expected, ..Self::default() })
    }

    pub fn complete(status: u16, bytes: Vec<u8>) -> Arc<Self> {
        let fetch = Self::default();
        fetch.change(|progress| {
            *progress = Progress {
                status: Some(status),
                len: Some(bytes.len()),
                bytes,
                done: Some(true),
                fields: vec![],
            };
        });
        Arc::new(fetch)
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut Progress) -> T) -> T {
        let result = change(&mut self.progress.lock().unwrap());
        self.changed.notify_all();
        result
    }

    /// Waits until so, or for `time`; whether so.
    pub fn wait<T>(&self, time: Duration, mut wanted: impl FnMut(&Progress) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + time;
        let mut progress = self.progress.lock().unwrap();
        loop {
            if let Some(found) = wanted(&progress) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            progress = self.changed.wait_timeout(progress, left).unwrap().0;
        }
    }
}

/// What one try came to.
enum Try {
    Done,
    Elsewhere(String),
    Again(u16),
}

impl Shared {
    /// Whoever sees at the mirror that a file is asked for knows that its writer has the turn, or waits
    /// for it.
    fn wait_for_a_writer(&self) {
        let deadline = Instant::now() + Duration::from_secs(2);
        while self.turn.try_lock().is_ok() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Fetches to the end; the bytes are there as they come.
    pub fn run(&self, fetch: &Fetch, url: &Url, client: &Head) -> bool {
        if self.is("one-writer") {
            self.wait_for_a_writer();
        }
        let patient = !["no-retries", "says-502", "fills-up", "reuse-blindly"].contains(&self.fault);
        let tries = if patient { TRIES } else { 1 };
        let (mut place, mut hops, mut status) = (url.clone(), 0, 502);
        let hop_limit = if self.is("follows-forever") { 1_000 } else { REDIRECTS };
        let mut n = 0;
        while n < tries {
            match self.attempt(fetch, &place, client) {
                Ok(Try::Done) => return true,
                Ok(Try::Elsewhere(location)) if hops < hop_limit => {
                    hops += 1;
                    match self.resolved(&place, &location) {
                        Some(next) => place = next,
                        None => return self.give(fetch, 404, b"no such place"),
                    }
                    continue;
                }
                Ok(Try::Elsewhere(_)) => return self.give(fetch, 404, b"too many redirects"),
                Ok(Try::Again(said)) => status = said,
                Err(_) => status = 502,
            }
            n += 1;
            if n < tries {
                std::thread::sleep(Duration::from_millis(20 << n));
            }
        }
        let began = fetch.progress.lock().unwrap().status.is_some();
        if self.is("says-502") && !began {
            return self.give(fetch, status, b"the mirror fails");
        }
        if self.is("reuse-blindly") && !began {
            return self.give(fetch, 502, b"the mirror has gone");
        }
        if self.is("fills-up") && began {
            fetch.change(|progress| progress.bytes.resize(progress.len.unwrap_or(0), 0));
            return true;
        }
        false
    }

    /// An answer of our own.
    fn give(&self, fetch: &Fetch, status: u16, text: &[u8]) -> bool {
        fetch.change(|progress| {
            progress.status = Some(status);
            progress.len = Some(text.len());
            progress.bytes = text.to_vec();
        });
        true
    }

    fn resolved(&self, from: &Url, location: &str) -> Option<Url> {
        if self.is("absolute-only") && !location.starts_with("http://") {
            return None;
        }
        if let Some(rest) = location.strip_prefix("http://") {
            let (host, path) = rest.split_once('/')?;
            let host = if self.is("same-host-redirects") { &from.host } else { host };
            return Some(Url { host: host.to_owned(), path: format!("/{path}") });
        }
        if location.contains("://") {
            return None;
        }
        let path = if location.starts_with('/') {
            location.to_owned()
        } else {
            let mut steps: Vec<&str> = from.path.split('/').collect();
            steps.pop();
            for step in location.split('/') {
                match step {
                    ".." => drop(steps.pop()),
                    step => steps.push(step),
                }
            }
            steps.join("/")
        };
        Some(Url { host: from.host.clone(), path })
    }

    fn connect(&self, host: &str) -> io::Result<Wire> {
        if self.is("reuse-blindly")
            && let Some(wire) = self.pooled.lock().unwrap().remove(host)
        {
            return Ok(wire);
        }
        let stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Wire::new(stream))
    }

    fn attempt(&self, fetch: &Fetch, url: &Url, client: &Head) -> io::Result<Try> {
        let mut wire = self.connect(&url.host)?;
        let (have, version) = {
            let progress = fetch.progress.lock().unwrap();
            let field =
                |name: &str| progress.fields.iter().find(|(key, _)| key == name).map(|(_, v)| v.clone());
            (progress.bytes.len(), field("etag").or(field("last-modified")))
        };
        let path = match self.fault {
            "decoded-line-ends" => url.path.clone(),
            "raw-escapes" => super::wire::escaped(&url.path),
            _ => super::wire::escaped(&super::wire::unescaped(&url.path)),
        };
        let host = match (self.is("client-host"), client.field("host")) {
            (true, Some(host)) => host,
            _ => &url.host,
        };
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n");
        if self.is("asks-for-gzip") {
            request += "Accept-Encoding: gzip\r\n";
        }
        if self.is("forwards-headers") {
            for (name, value) in client.fields.iter().filter(|(name, _)| name.starts_with("x-")) {
                request += &format!("{name}: {value}\r\n");
            }
        }
        if have > 0 {
            request += &format!("Range: bytes={have}-\r\n");
            request += &version.map(|version| format!("If-Range: {version}\r\n")).unwrap_or_default();
        }
        wire.stream.write_all(format!("{request}\r\n").as_bytes())?;
        let limit = if self.is("no-head-limit") { 64 << 20 } else { MAX_HEAD };
        let head = loop {
            if self.is("takes-anything") && wire.arrived.is_empty() {
                wire.more()?;
                if !wire.arrived.starts_with(b"HTTP/1.") {
                    let text = std::mem::take(&mut wire.arrived);
                    self.give(fetch, 200, &text);
                    return Ok(Try::Done);
                }
            }
            let head = wire.head(limit)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let head = parse(&head, true).ok_or(io::ErrorKind::InvalidData)?;
            match head.status() {
                Some(100..200) if self.is("passes-1xx") => {
                    self.give(fetch, 102, b"");
                    return Ok(Try::Done);
                }
                Some(100..200) => {}
                Some(_) => break head,
                None => return Err(io::ErrorKind::InvalidData.into()),
            }
        };
        let done = self.take(fetch, &mut wire, &head, have)?;
        if self.is("reuse-blindly") {
            self.pooled.lock().unwrap().insert(url.host.clone(), wire);
        }
        Ok(done)
    }

    /// Takes an answer with its body.
    fn take(&self, fetch: &Fetch, wire: &mut Wire, head: &Head, have: usize) -> io::Result<Try> {
        let status = head.status().unwrap_or(0);
        let kept = self.is("passes-304");
        if [408, 429].contains(&status) || status >= 500 || status == 304 && !kept {
            return Ok(Try::Again(status));
        }
        let follows = match self.fault {
            "only-302" => [302].as_slice(),
            "no-redirects" | "passes-redirects" => &[],
            _ => &[301, 302, 303, 307, 308],
        };
        if (300..400).contains(&status) && status != 304 && !self.is("passes-redirects") {
            let location = head.field("location").unwrap_or_default().to_owned();
            if self.is("opens-files") && location.starts_with("file://") {
                self.give(fetch, 200, b"a file of this machine");
                return Ok(Try::Done);
            }
            if !follows.contains(&status) || !location.contains('/') || location.starts_with("file:") {
                self.give(fetch, 404, b"not followed");
                return Ok(Try::Done);
            }
            return Ok(Try::Elsewhere(location));
        }
        let skip = match (status, have) {
            (206, have) => {
                let told = head.field("content-range").and_then(|range| range.strip_prefix("bytes "));
                let start = told.and_then(|range| range.split('-').next()?.parse::<usize>().ok());
                if start != Some(have) {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                0
            }
            (_, have) => have,
        };
        let lengths: Vec<&str> = head
            .fields
            .iter()
            .filter(|(name, _)| name == "content-length")
            .map(|(_, v)| v.as_str())
            .collect();
        if lengths.windows(2).any(|two| two[0] != two[1]) && !self.is("first-length") {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let chunked = head.field("transfer-encoding").is_some();
        let chunked = chunked && (lengths.is_empty() || !self.is("length-over-chunks"));
        let len = match (lengths.first(), chunked, status) {
            (_, _, 304) => Some(0),
            (_, true, _) | (None, ..) => None,
            (Some(len), ..) => match len.parse::<usize>() {
                Ok(len) => Some(len),
                Err(_) if self.is("lenient-lengths") => None,
                Err(_) => return Err(io::ErrorKind::InvalidData.into()),
            },
        };
        if len.is_none() && !chunked && self.is("needs-a-length") {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let whole = len.map(|len| if status == 206 { len + have } else { len });
        if let (Some(expected), Some(len), 200 | 206) = (&fetch.expected, whole, status)
            && expected.size.is_some_and(|size| size != len)
            && !self.is("any-length")
        {
            return Ok(Try::Again(502));
        }
        fetch.change(|progress| {
            if progress.status.is_none() {
                progress.status = Some(status);
                progress.len = whole;
                progress.fields = self.passed(head);
            }
        });
        let mut body = Body { fetch, skip, wire, began: Instant::now(), limit: self.is("impatient") };
        match (chunked, len) {
            (true, _) => self.take_chunks(&mut body)?,
            (false, Some(len)) => body.take(len)?,
            (false, None) => body.take_all()?,
        }
        if self.is("unpacks") && head.field("content-encoding").is_some() {
            fetch.change(|progress| drop(progress.bytes.drain(..10)));
        }
        Ok(Try::Done)
    }

    fn passed(&self, head: &Head) -> Vec<(String, String)> {
        let known = ["content-type", "content-encoding", "last-modified", "etag"];
        let framing = ["content-length", "transfer-encoding", "connection"];
        let all = self.is("passes-all-headers");
        let passes = |name: &str| {
            known.contains(&name)
                || all && !framing.contains(&name)
                || name == "location" && self.is("passes-redirects")
        };
        head.fields.iter().filter(|(name, _)| passes(name)).cloned().collect()
    }

    fn take_chunks(&self, body: &mut Body) -> io::Result<()> {
        loop {
            let line = body.wire.line()?;
            let size = if self.is("strict-chunks") {
                line.as_str()
            } else {
                line.split(';').next().unwrap_or_default()
            };
            let size = match usize::from_str_radix(size.trim(), 16) {
                Ok(size) => size,
                Err(_) if self.is("wrapping-chunks") => u128::from_str_radix(size.trim(), 16)
                    .map_err(|_| io::ErrorKind::InvalidData)?
                    as u64 as usize,
                Err(_) if self.is("bad-chunk-ends") => return Ok(()),
                Err(_) => return Err(io::ErrorKind::InvalidData.into()),
            };
            if size == 0 {
                while !body.wire.line()?.is_empty() {}
                return Ok(());
            }
            body.take(size)?;
            if !body.wire.line()?.is_empty() {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }

    /// Whether the bytes are what the index says, or nobody knows.
    pub fn is_right(&self, fetch: &Fetch) -> bool {
        let progress = fetch.progress.lock().unwrap();
        fetch.expected.as_ref().is_none_or(|expected| sha256(&progress.bytes) == expected.sha256)
    }
}

struct Body<'a> {
    fetch: &'a Fetch,
    /// Bytes that are here already.
    skip: usize,
    wire: &'a mut Wire,
    began: Instant,
    limit: bool,
}

impl Body<'_> {
    fn take(&mut self, len: usize) -> io::Result<()> {
        let mut left = len;
        while left > 0 {
            let bytes = self.wire.some(left)?;
            left -= bytes.len();
            self.keep(&bytes)?;
        }
        Ok(())
    }

    fn take_all(&mut self) -> io::Result<()> {
        loop {
            match self.wire.some(usize::MAX) {
                Ok(bytes) => self.keep(&bytes)?,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.limit && self.began.elapsed() > Duration::from_millis(500) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        self.fetch.change(|progress| progress.bytes.extend_from_slice(&bytes[skipped..]));
        Ok(())
    }
}
