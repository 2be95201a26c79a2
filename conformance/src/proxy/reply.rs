//! What the mirror does about one request.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use super::mirror::{Asked, Gate};

/// A date long past, so that a cache that guesses how long a file is fresh guesses long.
pub const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
/// A later one.
pub const NEW: &str = "Tue, 05 Nov 2024 08:49:37 GMT";

/// One thing that it does.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends bytes that are no content.
    Head(Vec<u8>),
    /// Sends content; none is sent to a HEAD.
    Body(Vec<u8>),
    /// Waits.
    Pause(Duration),
    /// Waits for the check.
    Hold(Gate),
    /// Ends the connection.
    Close,
}

/// All of it, in order. Without a [`Step::Close`] the connection goes on.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub steps: Vec<Step>,
}

impl Reply {
    /// A head with a date, and these lines.
    pub fn head(status: u16, lines: &[String]) -> Self {
        let date = httpdate::fmt_http_date(SystemTime::now());
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        Self::default().raw(&format!("HTTP/1.1 {status} {}\r\nDate: {date}\r\n{lines}\r\n", reason(status)))
    }

    /// A status with a text of its own, as mirrors have it for errors.
    pub fn status(status: u16) -> Self {
        Self::status_with(status, &[])
    }

    /// The same with more header lines.
    pub fn status_with(status: u16, lines: &[&str]) -> Self {
        let text = format!("the mirror says {status}\n");
        let mut all: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        all.push(format!("Content-Length: {}", text.len()));
        Self::head(status, &all).body(text.as_bytes())
    }

    /// To another place.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status_with(status, &[&format!("Location: {location}")])
    }

    pub fn raw(mut self, text: &str) -> Self {
        self.steps.push(Step::Head(text.as_bytes().to_vec()));
        self
    }

    pub fn body(mut self, bytes: &[u8]) -> Self {
        self.steps.push(Step::Body(bytes.to_vec()));
        self
    }

    pub fn pause(mut self, time: Duration) -> Self {
        self.steps.push(Step::Pause(time));
        self
    }

    pub fn hold(mut self, gate: &Gate) -> Self {
        self.steps.push(Step::Hold(gate.clone()));
        self
    }

    pub fn close(mut self) -> Self {
        self.steps.push(Step::Close);
        self
    }

    /// This, and then that.
    pub fn then(mut self, next: Self) -> Self {
        self.steps.extend(next.steps);
        self
    }

    /// The same, begun later.
    pub fn after(mut self, step: Step) -> Self {
        self.steps.insert(0, step);
        self
    }

    /// The same up to so many bytes of content; then the end of the connection.
    pub fn cut_after(self, len: usize) -> Self {
        let mut left = len;
        let mut steps = Vec::new();
        for step in self.steps {
            match step {
                Step::Body(mut bytes) => {
                    bytes.truncate(left);
                    left -= bytes.len();
                    steps.push(Step::Body(bytes));
                    if left == 0 {
                        break;
                    }
                }
                step => steps.push(step),
            }
        }
        Self { steps }.close()
    }

    /// The same with a step after so many bytes of content.
    pub fn with_step_at(self, at: usize, step: &Step) -> Self {
        let mut before = 0;
        let mut steps = Vec::new();
        for part in self.steps {
            match part {
                Step::Body(bytes) if before <= at && at < before + bytes.len() => {
                    let (first, second) = bytes.split_at(at - before);
                    before += bytes.len();
                    steps.extend([Step::Body(first.to_vec()), step.clone(), Step::Body(second.to_vec())]);
                }
                part => steps.push(part),
            }
        }
        Self { steps }
    }
}

/// A file as an ordinary mirror has it: with validators, ranges and conditions.
#[derive(Clone, Debug)]
pub struct Doc {
    pub content: Vec<u8>,
    pub modified: Option<&'static str>,
    pub etag: Option<String>,
    /// More header lines.
    pub lines: Vec<String>,
}

impl Doc {
    pub fn new(content: impl Into<Vec<u8>>) -> Self {
        Self { content: content.into(), modified: Some(OLD), etag: None, lines: Vec::new() }
    }

    pub fn modified(self, date: &'static str) -> Self {
        Self { modified: Some(date), ..self }
    }

    pub fn tagged(self, etag: &str) -> Self {
        Self { etag: Some(etag.to_owned()), ..self }
    }

    pub fn without_validators(self) -> Self {
        Self { modified: None, etag: None, ..self }
    }

    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// The answer that the request deserves.
    pub fn answer(&self, asked: &Asked) -> Reply {
        if self.is_known_to(asked) {
            return Reply::head(304, &self.validators());
        }
        let len = self.content.len();
        match asked.header("range").filter(|_| self.range_applies(asked)).and_then(|range| parse(range, len))
        {
            Some(range) if range.is_empty() => {
                Reply::status_with(416, &[&format!("Content-Range: bytes */{len}")])
            }
            Some(range) => self.part(range),
            None => self.whole(),
        }
    }

    /// All of it, whatever was asked.
    pub fn whole(&self) -> Reply {
        let mut lines = self.validators();
        lines.push(format!("Content-Length: {}", self.content.len()));
        lines.push("Accept-Ranges: bytes".to_owned());
        Reply::head(200, &lines).body(&self.content)
    }

    /// A part of it.
    pub fn part(&self, range: Range<usize>) -> Reply {
        let mut lines = self.validators();
        lines.push(format!("Content-Length: {}", range.len()));
        lines.push(format!("Content-Range: bytes {}-{}/{}", range.start, range.end - 1, self.content.len()));
        Reply::head(206, &lines).body(self.content.get(range).unwrap_or_default())
    }

    /// All of it in chunks of `size`, without a length.
    pub fn chunked(&self, size: usize) -> Reply {
        let mut lines = self.validators();
        lines.push("Transfer-Encoding: chunked".to_owned());
        let mut reply = Reply::head(200, &lines);
        for chunk in self.content.chunks(size) {
            reply = reply.raw(&format!("{:x}\r\n", chunk.len())).body(chunk).raw("\r\n");
        }
        reply.raw("0\r\n\r\n")
    }

    /// The header lines that tell its version, and its own.
    pub fn validators(&self) -> Vec<String> {
        let mut lines = self.lines.clone();
        lines.extend(self.modified.map(|date| format!("Last-Modified: {date}")));
        lines.extend(self.etag.as_ref().map(|tag| format!("ETag: {tag}")));
        lines
    }

    fn is_known_to(&self, asked: &Asked) -> bool {
        match (asked.header("if-none-match"), asked.header("if-modified-since")) {
            (Some(tags), _) => self.etag.as_ref().is_some_and(|tag| tags.contains(tag.as_str())),
            (None, Some(date)) => self.modified == Some(date),
            (None, None) => false,
        }
    }

    fn range_applies(&self, asked: &Asked) -> bool {
        asked
            .header("if-range")
            .is_none_or(|version| self.modified == Some(version) || self.etag.as_deref() == Some(version))
    }
}

/// A single range; empty if none of its bytes exist, `None` if it is to be ignored.
fn parse(range: &str, len: usize) -> Option<Range<usize>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    Some(match (first, last) {
        ("", last) => len.saturating_sub(last.parse().ok()?)..len,
        (first, "") => first.parse().ok()?..len,
        (first, last) => {
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last).then_some(first..len.min(last.saturating_add(1)))?
        }
    })
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        404 => "Not Found",
        416 => "Range Not Satisfiable",
        300..400 => "Elsewhere",
        _ => "So it is",
    }
}
