//! A mirror whose every answer is decided by the story.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::archive::Archive;

/// What the mirror was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// How many requests for this path came before.
    pub nth: usize,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// What the mirror does about it.
#[derive(Debug, Clone)]
pub enum Act {
    /// Serves these bytes, honouring Range.
    Serve(Vec<u8>),
    /// Serves them with these header lines, honouring nothing.
    Headers(Vec<u8>, Vec<String>),
    /// Serves them, honouring Range, but cuts after this many bytes of body.
    CutAfter(usize, Vec<u8>),
    /// Serves them with this `Content-Length`, and cuts.
    Lie(usize, Vec<u8>),
    /// Sends this many bytes of body, then waits for the gate.
    Stall(usize, Vec<u8>),
    /// Serves them chunked.
    Chunked(Vec<u8>),
    /// Answers with this status, these header lines and a short text.
    Status(u16, Vec<String>),
    /// Waits for the gate and then does this.
    Hold(Box<Act>),
}

type Script = dyn Fn(&Asked) -> Act + Send + Sync;

/// A running mirror. Its threads end with their connections.
#[derive(Clone)]
pub struct Mirror {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    script: Box<Script>,
    asked: Mutex<Vec<Asked>>,
    counts: Mutex<HashMap<String, usize>>,
    connections: AtomicUsize,
    gate: Mutex<bool>,
    changed: Condvar,
}

impl Mirror {
    /// A mirror that does what `script` says of each request.
    pub fn start(script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            script: Box::new(script),
            asked: Mutex::default(),
            counts: Mutex::default(),
            connections: AtomicUsize::new(0),
            gate: Mutex::default(),
            changed: Condvar::new(),
        });
        let serving = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&serving);
                state.connections.fetch_add(1, Ordering::Relaxed);
                // A client that goes away is none of the mirror's business.
                thread::spawn(move || state.serve(stream).ok());
            }
        });
        Self { address, state }
    }

    /// A mirror of an archive that does for some paths as `script` says.
    pub fn of(archive: &Archive, script: impl Fn(&Asked) -> Option<Act> + Send + Sync + 'static) -> Self {
        let files = archive.files.clone();
        Self::start(move |asked| {
            script(asked).unwrap_or_else(|| match files.get(&decoded(&asked.path)) {
                Some(content) => Act::Serve(content.clone()),
                None => Act::Status(404, vec![]),
            })
        })
    }

    /// The absolute URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All that was asked for this path, as it was spelt.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        let asked = self.state.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.path == path).cloned().collect()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Waits until so many requests have come for paths that begin so.
    #[track_caller]
    pub fn wait_for(&self, prefix: &str, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut asked = self.state.asked.lock().unwrap();
        loop {
            let now = asked.iter().filter(|asked| asked.path.starts_with(prefix)).count();
            if now >= count {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{now} of {count} requests for {prefix}: {asked:?}");
            asked = self.state.changed.wait_timeout(asked, left).unwrap().0;
        }
    }

    /// Lets go on what was held, and all that would be.
    pub fn open_gate(&self) {
        *self.state.gate.lock().unwrap() = true;
        self.state.changed.notify_all();
    }
}

/// The path without escapes, as a file system has it.
pub fn decoded(path: &str) -> String {
    path.replace("%2b", "+").replace("%7e", "~")
}

impl State {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some(asked) = self.read(&mut reader)? {
            let mut act = (self.script)(&asked);
            self.asked.lock().unwrap().push(asked.clone());
            self.changed.notify_all();
            while let Act::Hold(then) = act {
                self.wait_gate();
                act = *then;
            }
            if !self.act(&stream, &asked, act)? {
                break;
            }
        }
        Ok(())
    }

    fn read(&self, reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Asked>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut counts = self.counts.lock().unwrap();
        let count = counts.entry(path.clone()).or_default();
        let nth = *count;
        *count += 1;
        Ok(Some(Asked { method, path, headers, nth }))
    }

    /// Returns whether the connection goes on.
    fn act(&self, mut stream: &TcpStream, asked: &Asked, act: Act) -> std::io::Result<bool> {
        match act {
            Act::Serve(content) => {
                let (head, body) = ranged(asked, &content);
                stream.write_all(head.as_bytes())?;
                if asked.method != "HEAD" {
                    stream.write_all(body)?;
                }
            }
            Act::Headers(content, lines) => {
                let len = content.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n{}\r\n", all(&lines));
                stream.write_all(head.as_bytes())?;
                if asked.method != "HEAD" {
                    stream.write_all(&content)?;
                }
            }
            Act::CutAfter(count, content) => {
                let (head, body) = ranged(asked, &content);
                stream.write_all(head.as_bytes())?;
                stream.write_all(&body[..count.min(body.len())])?;
                stream.shutdown(std::net::Shutdown::Both)?;
                return Ok(false);
            }
            Act::Lie(len, content) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n");
                stream.write_all(head.as_bytes())?;
                stream.write_all(&content)?;
                stream.shutdown(std::net::Shutdown::Both)?;
                return Ok(false);
            }
            Act::Stall(count, content) => {
                let (head, body) = ranged(asked, &content);
                stream.write_all(head.as_bytes())?;
                stream.write_all(&body[..count])?;
                self.wait_gate();
                stream.write_all(&body[count..])?;
            }
            Act::Chunked(content) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                for chunk in content.chunks(1000) {
                    write!(stream, "{:x}\r\n", chunk.len())?;
                    stream.write_all(chunk)?;
                    stream.write_all(b"\r\n")?;
                }
                stream.write_all(b"0\r\n\r\n")?;
            }
            Act::Status(status, lines) => {
                let body = if status == 304 { "" } else { "so it is" };
                let len =
                    if status == 304 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
                let head = format!("HTTP/1.1 {status} So\r\n{len}{}\r\n", all(&lines));
                stream.write_all(head.as_bytes())?;
                stream.write_all(body.as_bytes())?;
            }
            Act::Hold(_) => unreachable!("waited for before"),
        }
        Ok(true)
    }

    fn wait_gate(&self) {
        let gate = self.gate.lock().unwrap();
        drop(self.changed.wait_while(gate, |open| !*open).unwrap());
    }
}

fn all(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

fn ranged<'a>(asked: &Asked, content: &'a [u8]) -> (String, &'a [u8]) {
    let range = asked.header("range").and_then(|range| {
        let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        let end = last.parse::<usize>().map_or(content.len(), |last| last + 1);
        Some(first.parse().ok()?..end.min(content.len()))
    });
    match range {
        None => (format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len()), content),
        Some(range) => {
            let head = format!(
                "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {}-{}/{}\r\n\r\n",
                range.len(),
                range.start,
                range.end - 1,
                content.len()
            );
            (head, &content[range])
        }
    }
}
