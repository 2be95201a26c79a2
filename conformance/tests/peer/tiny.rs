//! A tiny peer that passes every check, or has one fault.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use sha1::Digest as _;

const PIECE: usize = 524_288;
const MAX_HEAD: usize = 16_384;

struct Peer {
    fault: &'static str,
    hash: Vec<u8>,
    content: Vec<u8>,
    /// Bencoded, and the hash that they go by.
    piece_hashes: (Vec<u8>, Vec<u8>),
    connections: AtomicUsize,
}

/// Starts one that has this file.
pub fn start(fault: &'static str, content: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let hashes: Vec<u8> = content.chunks(PIECE).flat_map(sha1::Sha1::digest).collect();
    let listed = if fault == "short-piece-hashes" { &hashes[20..] } else { &hashes };
    let bencoded = [format!("d1:t{}:", listed.len()).as_bytes(), listed, b"e"].concat();
    let peer = Arc::new(Peer {
        fault,
        hash: sha2::Sha256::digest(&content).to_vec(),
        content,
        piece_hashes: (bencoded, sha1::Sha1::digest(&hashes).to_vec()),
        connections: AtomicUsize::new(0),
    });
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let peer = Arc::clone(&peer);
            let before = peer.connections.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || {
                if !peer.is("few-connections") || before < 3 {
                    peer.serve(stream);
                }
                peer.connections.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    address
}

impl Peer {
    fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }

    fn serve(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut arrived: Vec<u8> = Vec::new();
        let (mut answers, mut seen) = (0, 0);
        loop {
            let from = usize::min(seen, arrived.len());
            let Some(at) = arrived[from..].windows(4).position(|end| end == b"\r\n\r\n").map(|at| from + at)
            else {
                if arrived.len() > MAX_HEAD && !self.is("no-head-limit") {
                    let _ = stream
                        .write_all(b"HTTP/1.1 431 So\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    return drain(stream);
                }
                seen = arrived.len().saturating_sub(3);
                let mut block = [0; 65_536];
                match stream.read(&mut block) {
                    Ok(len) if len > 0 => arrived.extend_from_slice(&block[..len]),
                    _ => return,
                }
                if self.is("one-packet-heads") && !arrived.ends_with(b"\r\n\r\n") {
                    return;
                }
                continue;
            };
            let head: Vec<u8> = arrived.drain(..at + 4).collect();
            seen = 0;
            let head = String::from_utf8_lossy(&head).into_owned();
            let mut words = head.split(' ');
            let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let field = |name: &str| {
                head.lines().find_map(|line| {
                    let (key, value) = line.split_once(':')?;
                    key.eq_ignore_ascii_case(name).then(|| value.trim())
                })
            };
            if let (Some(len), true) = (field("content-length"), self.is("prefers-length")) {
                arrived.drain(..len.parse::<usize>().unwrap());
            }
            let has_body =
                field("content-length").is_some_and(|len| len != "0") || field("transfer-encoding").is_some();
            let bodies_matter = !["ignores-bodies", "prefers-length"].contains(&self.fault);
            let close = field("connection") == Some("close") && !self.is("never-closes")
                || self.is("no-keep-alive")
                || has_body && bodies_matter;
            let host = field("host").unwrap_or_default();
            let answer = if self.is("knows-its-host") && host.ends_with(".example")
                || self.is("wants-a-port") && !host.contains(':')
            {
                small(400, "", b"who?")
            } else if has_body && bodies_matter {
                small(413, "", b"no bodies")
            } else {
                self.answer(method, target, field("range"), field("if-range"))
            };
            answers += 1;
            let answer = match answer.windows(4).position(|end| end == b"\r\n\r\n") {
                Some(end) if method == "HEAD" && !self.is("body-to-head") => answer[..end + 4].to_vec(),
                _ => answer,
            };
            if stream.write_all(&answer).is_err() || close || self.is("few-answers") && answers == 5 {
                return drain(stream);
            }
        }
    }

    fn answer(&self, method: &str, target: &str, range: Option<&str>, if_range: Option<&str>) -> Vec<u8> {
        if !["GET", "HEAD"].contains(&method) && !self.is("any-method") {
            return small(405, "Allow: GET, HEAD\r\n", b"no");
        }
        if let (Some(place), true) = (target.strip_prefix("http://"), self.is("open-proxy")) {
            let (host, path) = place.split_once('/').unwrap();
            let mut other = TcpStream::connect(host).unwrap();
            other.write_all(format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
            return small(200, "", b"passed on");
        }
        if self.is("opens-parents") && target.contains("..") || self.is("has-a-page") && target == "/" {
            return small(200, "", b"root:");
        }
        let not_found = || match self.fault {
            "404-is-200" => small(200, "", b"none"),
            "closes-on-404" => b"HTTP/1.1 404 So\r\n\r\n".to_vec(),
            _ => small(404, "", b"none"),
        };
        let Some(escaped) = target.strip_prefix("/~/") else { return not_found() };
        let well_formed = escaped
            .split('%')
            .skip(1)
            .all(|rest| rest.get(..2).is_some_and(|hex| u8::from_str_radix(hex, 16).is_ok()));
        if !well_formed {
            return if self.is("lax-escapes") { self.file(None) } else { not_found() };
        }
        let escaped = match self.fault {
            "plus-is-plus" => escaped.to_owned(),
            _ => escaped.replace('+', " "),
        };
        let name: Vec<u8> = percent_decode_str(&escaped).collect();
        let other_spelling = match self.fault {
            "upper-case-only" => {
                escaped.contains(|c: char| c.is_ascii_lowercase()) && escaped.matches('%').count() == 32
            }
            "no-needless-escapes" => {
                escaped.matches('%').count() == 32 && !escaped.contains(|c: char| c.is_ascii_lowercase())
            }
            "form-only" => {
                escaped.contains(['/', '!', '$', '&', '(', ')', '*', ',', ';', '=', ':', '@', '~', '\''])
            }
            _ => false,
        };
        let near = self.is("prefix-of-a-hash") && !name.is_empty() && self.hash.starts_with(&name);
        if name == self.piece_hashes.1 && self.content.len() > PIECE && !self.is("no-piece-hashes") {
            let media = if self.is("other-type") { "text/plain" } else { "application/x-bencoded" };
            return small(200, &format!("Content-Type: {media}\r\n"), &self.piece_hashes.0);
        }
        if name != self.hash && !near || other_spelling {
            return not_found();
        }
        let len = self.content.len();
        let unit = if self.is("any-unit") {
            range.and_then(|range| range.split('=').nth(1))
        } else {
            range.and_then(|range| range.strip_prefix("bytes="))
        };
        let applies = if_range.is_none() || self.is("ignores-if-range");
        let Some((first, last)) =
            unit.filter(|_| applies && !self.is("no-ranges")).and_then(|range| range.split_once('-'))
        else {
            return self.file(None);
        };
        let range = match (first, last) {
            ("", _) if self.is("no-suffix") => return self.file(None),
            (_, "") if self.is("no-open-range") => return self.file(None),
            ("", last) => len - last.parse::<usize>().unwrap()..len,
            (first, "") => first.parse().unwrap()..len,
            (first, last) => {
                let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                if self.is("no-clipping") && last >= len {
                    return small(416, &format!("Content-Range: bytes */{len}\r\n"), b"");
                }
                first..len.min(last + 1)
            }
        };
        if range.start >= len {
            let told = if self.is("empty-416") {
                String::new()
            } else {
                format!("Content-Range: bytes */{len}\r\n")
            };
            return small(416, &told, b"past");
        }
        self.file(Some(range))
    }

    fn file(&self, range: Option<Range<usize>>) -> Vec<u8> {
        let len = self.content.len();
        match range {
            None if self.is("no-length") => [
                b"HTTP/1.1 200 So\r\nTransfer-Encoding: chunked\r\n\r\n",
                format!("{len:x}\r\n").as_bytes(),
                &self.content,
                b"\r\n0\r\n\r\n",
            ]
            .concat(),
            None => small(200, "", &self.content),
            Some(range) => {
                let told = format!("Content-Range: bytes {}-{}/{len}\r\n", range.start, range.end - 1);
                let from = range.start + usize::from(self.is("off-by-one") && range.end < len);
                small(206, &told, &self.content[from..from + range.len()])
            }
        }
    }
}

fn small(status: u16, fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} So\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Reads what still comes, so that the end of an answer is not lost with it.
fn drain(mut stream: TcpStream) {
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
    let mut block = [0; 65_536];
    while stream.read(&mut block).is_ok_and(|len| len > 0) {}
}
