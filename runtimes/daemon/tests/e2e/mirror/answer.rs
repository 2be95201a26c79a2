//! From a request, a file and the faults of the moment to the bytes of an answer.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use khashmir::claim::PATH_PREFIX;

use super::{Fault, Gate, Request};

/// What is served under which path.
#[derive(Debug)]
pub enum Content {
    /// The files below a directory.
    Below(PathBuf),
    /// These, by their paths as a request spells them.
    Files(HashMap<String, Arc<[u8]>>),
}

impl Content {
    fn find(&self, path: &str) -> Option<(Arc<[u8]>, SystemTime)> {
        match self {
            Content::Below(root) => {
                let file = root.join(path.trim_start_matches('/'));
                let data = file.metadata().ok().filter(|data| !path.contains("..") && data.is_file())?;
                Some((fs::read(&file).unwrap().into(), data.modified().unwrap()))
            }
            Content::Files(files) => Some((Arc::clone(files.get(path)?), UNIX_EPOCH)),
        }
    }
}

/// Everything the writer needs; nothing is looked up any more.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    pub gate: Option<Gate>,
    pub bytes_per_second: Option<u64>,
    /// After so many bytes of the body this gate has to be passed.
    pub stall: Option<(u64, Gate)>,
    /// The body is sent in chunks, again and again.
    pub endless: bool,
    /// The connection ends after the body.
    pub cut: bool,
    /// And with it the server.
    pub vanish: bool,
    /// The connection ends instead of an answer.
    pub silent: bool,
}

/// One request from the front of `bytes` and its length; none while it is incomplete.
pub fn parse(bytes: &[u8]) -> io::Result<Option<(Request, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(bytes).map_err(io::Error::other)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let target = head.path.unwrap_or_default();
    let headers = head
        .headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()));
    let path = match target.starts_with(PATH_PREFIX) {
        // Hashes are no text.
        true => target.to_owned(),
        false => percent_encoding::percent_decode_str(target).decode_utf8_lossy().into_owned(),
    };
    let request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        path,
        headers: headers.collect(),
        outstanding: 0,
        status: None,
        sent: 0,
        finished: false,
    };
    Ok(Some((request, length)))
}

impl Answer {
    pub fn to(request: &Request, content: &Content, faults: &[Fault]) -> Answer {
        let mut answer = Answer::default();
        let (mut promised_more, mut total_more) = (0, 0);
        let (mut forced, mut altered, mut replacement) = (None, false, None);
        let mut cut_after = None;
        let (mut whole, mut shift) = (false, 0);
        for fault in faults {
            match fault {
                Fault::Withhold(gate) => answer.gate = Some(gate.clone()),
                Fault::Rate(rate) => answer.bytes_per_second = Some(*rate),
                Fault::Cut(after) => cut_after = Some(*after),
                Fault::Stall(after, gate) => answer.stall = Some((*after, gate.clone())),
                Fault::Vanish(after) => {
                    cut_after = Some(*after);
                    answer.vanish = true;
                }
                Fault::Endless => answer.endless = true,
                Fault::OtherRange => shift = 1,
                Fault::Whole => whole = true,
                Fault::Silence => answer.silent = true,
                Fault::Alter => altered = true,
                Fault::Replace(bytes) => replacement = Some(Arc::clone(bytes)),
                Fault::Promise(more) => promised_more = *more,
                Fault::Total(more) => total_more = *more,
                Fault::Status(status) => forced = Some(*status),
            }
        }
        let (status, headers, mut body) = match (forced, content.find(&request.path)) {
            (Some(status), _) => (status, String::new(), Vec::new()),
            (None, None) => (404, String::new(), Vec::new()),
            (None, Some((found, modified))) => {
                let file = replacement.unwrap_or(found);
                let range = request.header("range").filter(|_| !whole);
                let (status, headers, mut body) = select(request, range, &file, shift, modified);
                let total = format!("/{}\r\n", file.len());
                let headers = headers.replace(&total, &format!("/{}\r\n", file.len() as u64 + total_more));
                let middle = body.len() / 2;
                if let Some(byte) = body.get_mut(middle).filter(|_| altered) {
                    *byte ^= 1;
                }
                (status, headers, body)
            }
        };
        let length = body.len() as u64 + promised_more;
        answer.status = status;
        answer.head = format!("HTTP/1.1 {status} {}\r\n{headers}", reason(status));
        if answer.endless {
            answer.head += "Transfer-Encoding: chunked\r\n";
        } else if status != 304 {
            answer.head += &format!("Content-Length: {length}\r\n");
        }
        answer.head += "\r\n";
        if request.method == "HEAD" {
            body.clear();
        }
        if let Some(after) = cut_after {
            body.truncate(usize::try_from(after).unwrap());
        }
        answer.cut = cut_after.is_some() || promised_more > 0;
        answer.body = body;
        answer
    }
}

/// Status, headers and body by the request's conditions and range (RFC 9110).
fn select(
    request: &Request,
    range: Option<&str>,
    whole: &[u8],
    shift: usize,
    modified: SystemTime,
) -> (u16, String, Vec<u8>) {
    let seconds = modified.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let modified = UNIX_EPOCH + Duration::from_secs(seconds);
    let (date, etag) = (httpdate::fmt_http_date(modified), format!("\"{seconds:x}-{:x}\"", whole.len()));
    let mut headers = format!("Last-Modified: {date}\r\nETag: {etag}\r\nAccept-Ranges: bytes\r\n");

    let unchanged = match (request.header("if-none-match"), request.header("if-modified-since")) {
        (Some(tags), _) => tags.split(',').any(|tag| tag.trim() == etag),
        (None, Some(since)) => httpdate::parse_http_date(since).is_ok_and(|since| since >= modified),
        (None, None) => false,
    };
    if unchanged {
        return (304, headers, Vec::new());
    }
    let current = request.header("if-range").is_none_or(|validator| validator == date || validator == etag);
    let wanted = range.filter(|_| current).and_then(|range| parse_range(range, whole.len()));
    match wanted {
        None => (200, headers, whole.to_vec()),
        Some(range) if range.is_empty() => {
            headers += &format!("Content-Range: bytes */{}\r\n", whole.len());
            (416, headers, Vec::new())
        }
        Some(range) => {
            // The last piece has no next byte; the one before will do as well.
            let range = match range.end + shift <= whole.len() {
                true => range.start + shift..range.end + shift,
                false => range.start - shift..range.end - shift,
            };
            headers += &format!("Content-Range: bytes {}-{}/{}\r\n", range.start, range.end - 1, whole.len());
            (206, headers, whole[range].to_vec())
        }
    }
}

/// A single range, empty if no byte of the file is in it; none if it is to be ignored.
fn parse_range(text: &str, length: usize) -> Option<Range<usize>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let suffix: usize = last.parse().ok()?;
        return Some(length.saturating_sub(suffix)..length);
    }
    let first: usize = first.parse().ok()?;
    let end =
        if last.is_empty() { length } else { last.parse::<usize>().ok()?.saturating_add(1).min(length) };
    Some(if first < end { first..end } else { 0..0 })
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        404 => "Not Found",
        416 => "Range Not Satisfiable",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
