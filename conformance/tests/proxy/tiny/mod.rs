//! A tiny apt proxy in threads that passes every check, or has one fault.
//!
//! It asks the mirror for whole files on a connection each. What an index listed is fetched once
//! for all who want it and kept; everything else is passed on as it comes. Nothing is bounded: it
//! lives as long as a test.

mod answer;
mod fetch;
mod wire;

use std::collections::HashMap;
use std::io::Read as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sha2::Digest as _;

use fetch::Fetch;
use wire::{Head, Wire, parse, unescaped};

const MAX_HEAD: usize = 16_384;

pub struct Shared {
    /// The one fault; none if empty.
    pub fault: &'static str,
    pub address: SocketAddr,
    /// How often a client is given a byte to wait on.
    pub drip: Duration,
    /// What indexes say of a file, by its unescaped URL.
    index: Mutex<HashMap<String, Expected>>,
    /// Right files by their hash, and those on their way.
    kept: Mutex<HashMap<String, Arc<Fetch>>>,
    /// What only a fault keeps: by URL.
    by_url: Mutex<HashMap<String, Arc<Fetch>>>,
    pooled: Mutex<HashMap<String, Wire>>,
    connections: AtomicUsize,
    busy: Mutex<HashMap<String, usize>>,
    turn: Mutex<()>,
}

/// What a file has to be.
#[derive(Clone, Debug)]
pub struct Expected {
    pub sha256: String,
    pub size: Option<usize>,
}

#[derive(Clone, Debug)]
pub struct Url {
    pub host: String,
    /// As it was spelt.
    pub path: String,
}

pub struct Request {
    head: Head,
    method: String,
    is_1_0: bool,
    close: bool,
    url: String,
}

pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(sha2::Sha256::digest(bytes))
}

/// Starts one.
pub fn start(fault: &'static str, drip: Duration) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::new(Shared {
        fault,
        address,
        drip,
        index: Mutex::default(),
        kept: Mutex::default(),
        by_url: Mutex::default(),
        pooled: Mutex::default(),
        connections: AtomicUsize::new(0),
        busy: Mutex::default(),
        turn: Mutex::default(),
    });
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            let before = shared.connections.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || shared.serve(stream, before));
        }
    });
    address
}

impl Shared {
    pub fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }

    fn serve(self: Arc<Self>, stream: TcpStream, before: usize) {
        if !self.is("few-connections") || before < 6 {
            stream.set_nodelay(true).unwrap();
            let (sender, receiver) = channel();
            let (writer, shared) = (stream.try_clone().unwrap(), Arc::clone(&self));
            let writing = thread::spawn(move || {
                shared.write_all_answers(&writer, &receiver);
                let _ = writer.shutdown(Shutdown::Both);
                drain(&writer);
            });
            self.read_requests(Wire::new(stream), &sender);
            drop(sender);
            let _ = writing.join();
        }
        self.connections.fetch_sub(1, Ordering::SeqCst);
    }

    /// Reads ahead, and has each file fetched at once.
    fn read_requests(self: &Arc<Self>, mut wire: Wire, answers: &Sender<(Request, Arc<Fetch>)>) {
        let limit = if self.is("no-head-limit") { usize::MAX } else { MAX_HEAD };
        loop {
            if self.is("one-packet-heads") && wire.arrived.is_empty() {
                if !wire.more().unwrap_or(false) {
                    return;
                }
                if !wire.arrived.ends_with(b"\r\n\r\n") {
                    return;
                }
            }
            let head = match wire.head(limit) {
                Ok(Some(head)) => head,
                Ok(None) => return,
                Err(_) => {
                    self.refuse(answers, None, 431);
                    return;
                }
            };
            let Some(head) = parse(&head, !self.is("trims-names")) else {
                self.refuse(answers, None, 400);
                return;
            };
            let mut words = head.first.split(' ');
            let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let (method, target) = (method.to_owned(), target.to_owned());
            let close = head.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            let has_body =
                head.field("content-length").is_some() || head.field("transfer-encoding").is_some();
            let is_1_0 = head.first.ends_with("1.0");
            let request = Request { method, is_1_0, close: close || is_1_0, url: String::new(), head };
            if self.is("silent-connect") && request.method == "CONNECT" {
                thread::sleep(Duration::from_secs(8));
                return;
            }
            if !["GET", "HEAD"].contains(&request.method.as_str()) {
                return self.refuse(answers, Some(request), 405);
            }
            if self.is("prefers-length")
                && let Some(len) = request.head.field("content-length").and_then(|len| len.parse().ok())
            {
                while wire.arrived.len() < len && wire.more().unwrap_or(false) {}
                wire.arrived.drain(..len);
            }
            let takes_bodies = ["ignores-bodies", "prefers-length"].contains(&self.fault);
            if has_body && !takes_bodies && !self.is("trims-names") {
                return self.refuse(answers, Some(request), 413);
            }
            let (request, fetch) = match self.url(&target) {
                Ok(url) => self.obtain(request, url),
                Err(200) => (request, Fetch::complete(200, b"root: hello".to_vec())),
                Err(status) => (request, Fetch::complete(status, b"refused".to_vec())),
            };
            if self.is("one-by-one") {
                fetch.wait(Duration::from_secs(20), |progress| progress.done);
            }
            let close = request.close;
            if answers.send((request, fetch)).is_err() || close {
                return;
            }
        }
    }

    fn refuse(&self, answers: &Sender<(Request, Arc<Fetch>)>, request: Option<Request>, status: u16) {
        let head = Head { first: String::new(), fields: Vec::new() };
        let nobody = Request { head, method: "GET".into(), is_1_0: false, close: true, url: String::new() };
        let request = Request { close: true, ..request.unwrap_or(nobody) };
        let _ = answers.send((request, Fetch::complete(status, b"refused".to_vec())));
    }

    /// What a target means, or the status that refuses it.
    fn url(&self, target: &str) -> Result<Url, u16> {
        let rest = target.strip_prefix("http://").or(target.strip_prefix('/')).ok_or(400_u16)?;
        let (host, path) = rest.split_once('/').ok_or(400_u16)?;
        if host == self.address.to_string() {
            return Err(if self.is("greets") { 200 } else { 400 });
        }
        if unescaped(path).split('/').any(|step| step == "..") {
            return Err(if self.is("opens-parents") { 200 } else { 400 });
        }
        if !host.contains(':') {
            return Err(400);
        }
        Ok(Url { host: host.to_owned(), path: format!("/{path}") })
    }

    /// The file, or its beginning.
    fn obtain(self: &Arc<Self>, mut request: Request, mut url: Url) -> (Request, Arc<Fetch>) {
        if self.is("spelling-matters") {
            request.url = format!("{}{}", url.host, url.path);
        } else {
            request.url = format!("{}{}", url.host, unescaped(&url.path));
        }
        let key = request.url.clone();
        if self.is("busy-is-refused") && self.count(&key, 1) > 1 {
            return (request, Fetch::complete(403, b"busy".to_vec()));
        }
        if self.is("decoded-line-ends") {
            url.path = unescaped(&url.path);
        }
        if self.is("index-by-name")
            && let Some((folder, _)) = url.path.split_once("/by-hash/")
        {
            url.path = format!("{folder}/Packages.xz");
        }
        if let Some(fetch) = self.by_url.lock().unwrap().get(&key) {
            return (request, Arc::clone(fetch));
        }
        if self.is("trusts-the-mirror")
            && let Some(range) = request.head.field("range")
        {
            let fetch = self.blindly(&url, range);
            return (request, fetch);
        }
        let by_hash = key.split_once("/by-hash/SHA256/").map(|(_, hash)| hash.to_owned());
        let listed = self.index.lock().unwrap().get(&key).cloned();
        if by_hash.is_some() && listed.is_none() && self.is("only-newest") {
            return (request, Fetch::complete(404, b"not the newest".to_vec()));
        }
        let expected = match by_hash {
            Some(sha256) => Some(Expected { size: listed.and_then(|listed| listed.size), sha256 }),
            None => listed,
        };
        let shared = expected.clone().filter(|_| !self.is("never-keeps"));
        if let Some(expected) = &shared {
            let mut kept = self.kept.lock().unwrap();
            if let Some(fetch) = kept.get(&expected.sha256) {
                return (request, Arc::clone(fetch));
            }
            let fetch = Fetch::of(Some(expected.clone()));
            kept.insert(expected.sha256.clone(), Arc::clone(&fetch));
            drop(kept);
            self.spawn(&fetch, url, request.head.clone(), key);
            return (request, fetch);
        }
        let fetch = Fetch::of(expected);
        self.spawn(&fetch, url, request.head.clone(), key);
        (request, fetch)
    }

    fn spawn(self: &Arc<Self>, fetch: &Arc<Fetch>, url: Url, client: Head, key: String) {
        let (shared, fetch) = (Arc::clone(self), Arc::clone(fetch));
        thread::spawn(move || {
            let well = shared.run(&fetch, &url, &client);
            let right = well && (shared.is_right(&fetch) || shared.is("keeps-unverified"));
            let status = fetch.progress.lock().unwrap().status;
            if well && right && status == Some(200) && key.contains("/dists/") {
                shared.learn(&key, &fetch.progress.lock().unwrap().bytes);
            }
            // What went wrong is nobody else's.
            if !(right && status == Some(200))
                && let Some(expected) = &fetch.expected
            {
                shared.kept.lock().unwrap().remove(&expected.sha256);
            }
            let document = key.contains("/dists/") && status == Some(200) && shared.is("keeps-documents");
            let error = shared.is("keeps-errors") && status != Some(200);
            if document || error {
                shared.by_url.lock().unwrap().insert(key.clone(), Arc::clone(&fetch));
            }
            if shared.is("keeps-parts") && !well {
                let bytes = fetch.progress.lock().unwrap().bytes.clone();
                shared.keep_part(&key, bytes);
            }
            fetch.change(|progress| progress.done = Some(well));
        });
    }

    /// As if it were the whole.
    fn keep_part(&self, key: &str, bytes: Vec<u8>) {
        self.by_url.lock().unwrap().insert(key.to_owned(), Fetch::complete(200, bytes));
    }

    /// Passes a range on and takes what comes for what was asked.
    fn blindly(&self, url: &Url, range: &str) -> Arc<Fetch> {
        let mut stream = TcpStream::connect(&url.host).unwrap();
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nRange: {range}\r\nConnection: close\r\n\r\n",
            url.path, url.host
        );
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        let at = all.windows(4).position(|end| end == b"\r\n\r\n").map_or(all.len(), |at| at + 4);
        let body = all.split_off(at);
        let fetch = Fetch::complete(206, body.clone());
        let first: usize = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0);
        let told = format!("bytes {first}-{}/100000", first + body.len().max(1) - 1);
        fetch.change(|progress| progress.fields.push(("content-range".into(), told)));
        fetch
    }

    /// What a file of a suite says of others.
    fn learn(&self, key: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let mut index = self.index.lock().unwrap();
        let add = |index: &mut HashMap<String, Expected>, url: String, sha256: &str, size: &str| {
            let expected = Expected { sha256: sha256.to_owned(), size: size.parse().ok() };
            match self.is("first-index") {
                true => drop(index.entry(url).or_insert(expected)),
                false => drop(index.insert(url, expected)),
            }
        };
        if let Some(suite) = key.strip_suffix("/InRelease") {
            if self.is("only-newest") {
                index.retain(|url, _| !(url.starts_with(suite) && url.contains("/by-hash/")));
            }
            let list = text.split("\nSHA256:\n").nth(1).unwrap_or_default();
            for line in list.lines().take_while(|line| line.starts_with(' ')) {
                let mut words = line.split_whitespace();
                if let (Some(sha256), Some(size), Some(path)) = (words.next(), words.next(), words.next()) {
                    add(&mut index, format!("{suite}/{path}"), sha256, size);
                    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                    add(&mut index, format!("{suite}/{folder}/by-hash/SHA256/{sha256}"), sha256, size);
                }
            }
        } else if let Some((root, _)) = key.split_once("/dists/") {
            for paragraph in text.split("\n\n") {
                let field = |name: &str| {
                    paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                };
                if let (Some(path), Some(size), Some(sha256)) =
                    (field("Filename"), field("Size"), field("SHA256"))
                {
                    add(&mut index, format!("{root}/{path}"), sha256, size);
                }
            }
        }
    }

    fn write_all_answers(&self, stream: &TcpStream, answers: &Receiver<(Request, Arc<Fetch>)>) {
        let mut sent = 0;
        while let Ok(first) = answers.recv() {
            let mut these = vec![first];
            if self.is("swapped") && sent > 0 {
                thread::sleep(Duration::from_millis(20));
                these.extend(answers.try_recv());
                these.reverse();
            }
            for (request, fetch) in these {
                let close = request.close || self.is("close-after-5") && sent >= 4;
                let written = self.answer(stream, &request, &fetch);
                self.count(&request.url, -1);
                sent += 1;
                match written {
                    Ok(true) if close && !self.is("never-closes") => return,
                    Ok(true) => {}
                    _ => return,
                }
            }
        }
        if self.is("never-closes") {
            thread::sleep(Duration::from_secs(20));
        }
    }

    /// How many want this at a time.
    fn count(&self, url: &str, change: isize) -> usize {
        let mut busy = self.busy.lock().unwrap();
        let count = busy.entry(url.to_owned()).or_default();
        *count = count.saturating_add_signed(change);
        *count
    }
}

/// Reads what still comes, so that the end of an answer is not lost with it.
fn drain(mut stream: &TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
    let mut block = [0; 65_536];
    while stream.read(&mut block).is_ok_and(|len| len > 0) {}
}
