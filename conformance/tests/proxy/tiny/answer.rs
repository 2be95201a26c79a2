//! One answer.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

use super::fetch::{Fetch, Progress};
use super::{Request, Shared};

const LONG: Duration = Duration::from_secs(100);
/// What is kept back of a body that is not all here, for the client to wait on.
const RESERVE: usize = 64;
/// The date of what an index listed.
const KNOWN: &str = "Sat, 01 Jan 2000 00:00:00 GMT";

impl Shared {
    /// Whether the connection may go on.
    pub(super) fn answer(&self, stream: &TcpStream, request: &Request, fetch: &Fetch) -> io::Result<bool> {
        let _turn = self.is("one-writer").then(|| self.turn.lock().unwrap());
        if self.is("drops-last") && request.close {
            return Ok(false);
        }
        let mut out = Out { stream, head_only: request.method == "HEAD" && !self.is("body-to-head") };
        let began = |progress: &Progress| match (progress.status, progress.done) {
            (Some(_), _) | (_, Some(_)) => Some(progress.clone_head()),
            _ => None,
        };
        let mut promised = None;
        let settled = loop {
            if let Some(settled) = fetch.wait(self.drip, began) {
                break settled;
            }
            let size = fetch.expected.as_ref().and_then(|expected| expected.size);
            match (promised, size) {
                _ if self.is("never-drips") => {}
                (None, Some(size)) => {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nLast-Modified: {KNOWN}\r\nX-Wait: "
                    );
                    out.stream.write_all(head.as_bytes())?;
                    promised = Some(size);
                }
                (None, None) => {}
                (Some(_), _) => out.stream.write_all(b".")?,
            }
        };
        if settled.status.is_none() {
            return Ok(false);
        }
        if self.is("whole-first") {
            fetch.wait(LONG, |progress| progress.done);
        }
        if promised.is_some() {
            if settled.status != Some(200) || settled.len != promised {
                return Ok(false);
            }
            out.stream.write_all(b"\r\n\r\n")?;
            return self.flow(&mut out, fetch, 0..promised.unwrap_or(0), request);
        }
        self.settled(&mut out, request, fetch, settled)
    }

    fn settled(
        &self,
        out: &mut Out,
        request: &Request,
        fetch: &Fetch,
        settled: Progress,
    ) -> io::Result<bool> {
        let status = match settled.status.unwrap_or(502) {
            404 | 403 | 410 if self.is("errors-are-200") => 200,
            status => status,
        };
        let mut fields = settled.fields.clone();
        let date = match (&fetch.expected, self.fault) {
            (_, "no-date") => None,
            (Some(_), "another-date-each-time") => Some(httpdate::fmt_http_date(
                std::time::SystemTime::UNIX_EPOCH
                    + Duration::from_secs(u64::from(self.count("dates", 1) as u32)),
            )),
            (Some(_), _) => Some(KNOWN.to_owned()),
            (None, _) => {
                fields.iter().find(|(name, _)| name == "last-modified").map(|(_, date)| date.clone())
            }
        };
        fields.retain(|(name, _)| name != "last-modified");
        fields.extend(date.clone().map(|date| ("last-modified".to_owned(), date)));
        if status != 200 {
            return self.small(out, status, &fields, fetch);
        }
        let unchanged = date.is_some() && request.head.field("if-modified-since") == date.as_deref();
        let to_all = self.is("304-to-all")
            && request.url.ends_with("/InRelease")
            && self.count(&format!("304 {}", request.url), 1) > 1;
        if unchanged && !self.is("never-304") || to_all {
            let text = if self.is("body-in-304") { "unchanged" } else { "" };
            out.head(304, &fields, &[])?;
            out.stream.write_all(text.as_bytes())?;
            return Ok(true);
        }
        let Some(len) = settled.len else { return self.of_unknown_length(out, request, fetch, &fields) };
        self.of_length(out, request, fetch, &fields, len)
    }

    fn of_length(
        &self,
        out: &mut Out,
        request: &Request,
        fetch: &Fetch,
        fields: &[(String, String)],
        len: usize,
    ) -> io::Result<bool> {
        let applies = request.head.field("if-range").is_none_or(|version| {
            self.is("ignores-if-range")
                || fields.iter().any(|(name, value)| {
                    ["etag", "last-modified"].contains(&name.as_str())
                        && value == version
                        && !version.starts_with("W/")
                })
        });
        let range = request.head.field("range").filter(|_| applies && !self.is("no-ranges"));
        match range.and_then(|range| self.range(range, len)) {
            Some(range) if range.is_empty() => {
                let told = format!("Content-Range: bytes */{len}");
                let lines = if self.is("empty-416") { vec![] } else { vec![told] };
                out.head(416, &[], &[lines, vec!["Content-Length: 0".into()]].concat())?;
                Ok(true)
            }
            Some(range) => {
                let told = format!("Content-Range: bytes {}-{}/{len}", range.start, range.end - 1);
                out.head(206, fields, &[told, format!("Content-Length: {}", range.len())])?;
                let range = match self.is("range-off-by-one") && range.end < len {
                    true => range.start + 1..range.end + 1,
                    false if self.is("range-off-by-one") && range.start > 0 => range.start - 1..range.end - 1,
                    false => range,
                };
                let going_on = self.flow(out, fetch, range.clone(), request)?;
                if self.is("keeps-parts") {
                    let bytes = fetch.progress.lock().unwrap().bytes.clone();
                    self.keep_part(&request.url, bytes[range].to_vec());
                }
                Ok(going_on)
            }
            None if self.is("always-chunked") => self.of_unknown_length(out, request, fetch, fields),
            None => {
                let told = if self.is("short-lengths") { len % (1 << 24) } else { len };
                let lines = vec![format!("Content-Length: {told}")];
                out.head(200, fields, if len == 0 && self.is("empty-has-no-length") { &[] } else { &lines })?;
                self.flow(out, fetch, 0..told, request)
            }
        }
    }

    /// Sends bytes as they are there.
    fn flow(&self, out: &mut Out, fetch: &Fetch, range: Range<usize>, request: &Request) -> io::Result<bool> {
        let mut at = range.start;
        while at < range.end {
            let some = |progress: &Progress| {
                let here = progress.bytes.len().min(range.end);
                let whole = progress.done == Some(true);
                let to = if whole { here } else { here.saturating_sub(RESERVE) };
                (to > at || progress.done.is_some()).then(|| progress.part(at, to))
            };
            let bytes = match fetch.wait(self.drip, some) {
                Some(bytes) => bytes,
                None if self.is("never-drips") => continue,
                None => fetch.change(|progress| progress.part(at, (at + 1).min(progress.bytes.len()))),
            };
            if bytes.is_empty() && fetch.progress.lock().unwrap().done.is_some() {
                return Ok(false);
            }
            at += bytes.len();
            let mut bytes = bytes;
            if self.is("wrong-byte") && at >= range.end && range.len() > 100 {
                bytes.iter_mut().last().into_iter().for_each(|byte| *byte ^= 1);
            }
            let sent = out.body(&bytes);
            if sent.is_err() && self.is("keeps-parts") {
                let taken = fetch.progress.lock().unwrap().part(0, at - bytes.len());
                self.keep_part(&request.url, taken);
            }
            sent?;
        }
        Ok(true)
    }

    fn of_unknown_length(
        &self,
        out: &mut Out,
        request: &Request,
        fetch: &Fetch,
        fields: &[(String, String)],
    ) -> io::Result<bool> {
        let chunked = !request.is_1_0 || self.is("chunks-to-1.0");
        let lines = if chunked { vec!["Transfer-Encoding: chunked".to_owned()] } else { Vec::new() };
        out.head(200, fields, &lines)?;
        let mut at = 0;
        loop {
            let (bytes, done) = fetch
                .wait(LONG, |progress| {
                    let more = progress.bytes.len() > at || progress.done.is_some();
                    more.then(|| (progress.part(at, progress.bytes.len()), progress.done))
                })
                .unwrap_or((Vec::new(), Some(false)));
            at += bytes.len();
            if chunked && !bytes.is_empty() {
                out.body(&[format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat())?;
            } else {
                out.body(&bytes)?;
            }
            match done {
                Some(false) if !self.is("last-chunk-always") => return Ok(false),
                Some(_) if bytes.is_empty() => break,
                _ => {}
            }
        }
        if chunked && !self.is("no-last-chunk") {
            out.body(b"0\r\n\r\n")?;
        }
        Ok(chunked)
    }

    /// What is no file.
    fn small(
        &self,
        out: &mut Out,
        status: u16,
        fields: &[(String, String)],
        fetch: &Fetch,
    ) -> io::Result<bool> {
        if fetch.wait(LONG, |progress| progress.done) == Some(false) && !self.is("keeps-errors") {
            return Ok(false);
        }
        let bytes = fetch.progress.lock().unwrap().bytes.clone();
        let len = bytes.len() - usize::from(self.is("long-404") && status == 404);
        let lines =
            if [102, 304].contains(&status) { vec![] } else { vec![format!("Content-Length: {len}")] };
        out.head(status, fields, &lines)?;
        out.body(&bytes)?;
        Ok(true)
    }

    /// A single range; empty if none of its bytes exist.
    fn range(&self, text: &str, len: usize) -> Option<Range<usize>> {
        let text = if self.is("any-unit") { text.split_once('=')?.1 } else { text.strip_prefix("bytes=")? };
        let text = if self.is("first-of-several") { text.split(',').next()? } else { text };
        let (first, last) = text.split_once('-')?;
        Some(match (first, last) {
            ("", last) if self.is("suffix-from-the-start") => 0..last.parse().ok()?,
            ("", last) => len.saturating_sub(last.parse().ok()?)..len,
            (first, "") => first.parse().ok()?..len,
            (first, last) => {
                let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
                if self.is("no-clipping") && last >= len {
                    return Some(0..0);
                }
                first..len.min(last + 1)
            }
        })
    }
}

impl Progress {
    fn part(&self, from: usize, to: usize) -> Vec<u8> {
        self.bytes.get(from..to.max(from)).unwrap_or_default().to_vec()
    }

    /// Without the bytes.
    fn clone_head(&self) -> Self {
        Self { bytes: Vec::new(), fields: self.fields.clone(), ..*self }
    }
}

struct Out<'a> {
    stream: &'a TcpStream,
    head_only: bool,
}

impl Out<'_> {
    fn head(&mut self, status: u16, fields: &[(String, String)], lines: &[String]) -> io::Result<()> {
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        self.stream.write_all(format!("HTTP/1.1 {status} So\r\n{fields}{lines}\r\n").as_bytes())
    }

    fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.head_only { Ok(()) } else { self.stream.write_all(bytes) }
    }
}
