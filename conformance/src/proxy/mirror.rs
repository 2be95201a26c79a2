//! The mirror that the proxy asks: every answer is what a check says, byte by byte.
//!
//! Two ports serve the same, so that one can send to the other. Each connection has a thread;
//! there are never more than [`MAX_CONNECTIONS`].

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::reply::{Reply, Step};

/// Connections at a time; further ones are closed.
const MAX_CONNECTIONS: usize = 512;
/// A connection on which nothing moves for so long is closed; no gate is waited for longer.
const IDLE: Duration = Duration::from_secs(90);
/// The longest head that is read, in bytes.
const MAX_HEAD: u64 = 256 * 1024;
/// Requests that are remembered for one path.
const MAX_LOGGED: usize = 10_000;

/// What the mirror was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `GET`, mostly.
    pub method: String,
    /// As it was spelt.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// How many requests for this path came before.
    pub nth: usize,
    /// At which of the two ports.
    pub port: u16,
    /// Bytes of body sent for it so far.
    pub sent: usize,
}

impl Asked {
    /// The first header of this name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

type Script = dyn Fn(&Asked) -> Reply + Send + Sync;

/// A running mirror; dropped, it takes no more connections.
#[derive(Debug)]
pub struct Mirror {
    /// The first of its ports.
    pub address: SocketAddr,
    /// The other.
    pub elsewhere: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// By path, unescaped.
    scripts: Mutex<HashMap<String, Arc<Script>>>,
    log: Mutex<HashMap<String, Vec<Asked>>>,
    changed: Condvar,
    connections: AtomicUsize,
    stopped: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Mirror {
    /// Listens at this address, and at the next port; at any two free ones for port 0.
    ///
    /// # Errors
    /// When the address cannot be listened at.
    pub fn listen(address: SocketAddr) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let first = TcpListener::bind(address)?;
        let next = if address.port() == 0 { 0 } else { address.port().saturating_add(1) };
        let second = TcpListener::bind((address.ip(), next))?;
        let mirror = Self {
            address: first.local_addr()?,
            elsewhere: second.local_addr()?,
            shared: Arc::clone(&shared),
        };
        for listener in [first, second] {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.accept(&listener));
        }
        Ok(mirror)
    }

    /// What is done about requests for a path, from now on.
    pub fn script(&self, path: &str, script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        lock(&self.shared.scripts).insert(path.to_owned(), Arc::new(script));
    }

    /// All requests for a path so far.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        lock(&self.shared.log).get(path).cloned().unwrap_or_default()
    }

    /// Waits until the requests are as wanted; whether they were before the time was over.
    pub fn wait(&self, time: Duration, wanted: impl Fn(&dyn Fn(&str) -> usize) -> bool) -> bool {
        let deadline = Instant::now() + time;
        let mut log = lock(&self.shared.log);
        loop {
            if wanted(&|path| log.get(path).map_or(0, Vec::len)) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(log, left);
            log = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for address in [self.address, self.elsewhere] {
            // Wakes the thread that accepts.
            let _ = TcpStream::connect_timeout(&address, Duration::from_secs(1));
        }
    }
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming().flatten() {
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            if self.connections.fetch_add(1, Ordering::SeqCst) < MAX_CONNECTIONS {
                let shared = Arc::clone(&self);
                thread::spawn(move || {
                    // A proxy that goes away is none of the mirror's business.
                    let _ = shared.serve(&stream);
                    let _ = stream.shutdown(Shutdown::Both);
                    shared.connections.fetch_sub(1, Ordering::SeqCst);
                });
            } else {
                self.connections.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(IDLE))?;
        stream.set_write_timeout(Some(IDLE))?;
        let port = stream.local_addr()?.port();
        let mut reader = BufReader::new(stream);
        while let Some(mut asked) = read_request(&mut reader, port)? {
            let path = unescaped(asked.target.split('?').next().unwrap_or_default());
            let index = {
                let mut log = lock(&self.log);
                let entries = log.entry(path.clone()).or_default();
                if entries.len() >= MAX_LOGGED {
                    return Ok(());
                }
                asked.nth = entries.len();
                entries.push(asked.clone());
                asked.nth
            };
            self.changed.notify_all();
            let script = lock(&self.scripts).get(&path).map(Arc::clone);
            let reply = script.map_or_else(|| Reply::status(404), |script| script(&asked));
            if !self.perform(stream, &asked, (&path, index), reply)? {
                break;
            }
        }
        Ok(())
    }

    /// Returns whether the connection goes on.
    fn perform(
        &self,
        mut stream: &TcpStream,
        asked: &Asked,
        (path, index): (&str, usize),
        reply: Reply,
    ) -> io::Result<bool> {
        for step in reply.steps {
            match step {
                Step::Head(bytes) => stream.write_all(&bytes)?,
                Step::Body(_) if asked.method == "HEAD" => {}
                Step::Body(bytes) => {
                    for block in bytes.chunks(64 * 1024) {
                        stream.write_all(block)?;
                        if let Some(entry) = lock(&self.log).get_mut(path).and_then(|e| e.get_mut(index)) {
                            entry.sent += block.len();
                        }
                    }
                }
                Step::Pause(time) => thread::sleep(time.min(IDLE)),
                Step::Hold(gate) => gate.pass(IDLE),
                Step::Close => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// `None` at the end of the connection. A body is read away, however it is framed.
fn read_request(reader: &mut BufReader<&TcpStream>, port: u16) -> io::Result<Option<Asked>> {
    let mut lines = Vec::new();
    let mut head = reader.take(MAX_HEAD);
    loop {
        let mut line = Vec::new();
        if head.read_until(b'\n', &mut line)? == 0 || !line.ends_with(b"\n") {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        match line.is_empty() {
            true if lines.is_empty() => {}
            true => break,
            false => lines.push(line),
        }
    }
    let mut words = lines.first().map_or("", String::as_str).split(' ').map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let headers = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let asked = Asked { method, target, headers, nth: 0, port, sent: 0 };
    let reader = head.into_inner();
    let skip = |reader: &mut BufReader<&TcpStream>, len| io::copy(&mut reader.take(len), &mut io::sink());
    if asked.header("transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Ok(size) = u64::from_str_radix(line.trim(), 16) else { return Ok(None) };
            skip(reader, size + 2)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(len) = asked.header("content-length") {
        let Ok(len) = len.parse() else { return Ok(None) };
        skip(reader, len)?;
    }
    Ok(Some(asked))
}

/// A path without escapes; what is no escape stays.
pub fn unescaped(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned()
}

/// Something that answers wait for until a check lets them go.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets all go, now and later.
    pub fn open(&self) {
        *lock(&self.0.0) = true;
        self.0.1.notify_all();
    }

    fn pass(&self, limit: Duration) {
        let closed = lock(&self.0.0);
        drop(self.0.1.wait_timeout_while(closed, limit, |open| !*open));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An address where nothing listens: connections to it are refused.
pub fn refusing(ip: IpAddr) -> io::Result<SocketAddr> {
    TcpListener::bind((ip, 0))?.local_addr()
}
