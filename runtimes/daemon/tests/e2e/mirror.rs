//! A mirror, or a peer's server, that remembers every request and misbehaves on demand.
//!
//! It serves files over HTTP/1.1 as ordinary mirrors do: keep-alive, pipelining, single
//! ranges, validators. Each connection has a thread that reads requests ahead and one
//! that answers them in order.

mod answer;
mod faults;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

pub use faults::{Fault, Gate};

use answer::{Answer, Content};
use faults::Faults;

/// How long a story waits for something to be seen at the mirror.
const PATIENCE: Duration = Duration::from_secs(30);

/// One request as the mirror saw it, and what became of it.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Percent-decoded; that of a hash as it came.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Requests not yet answered in full when this one arrived, itself included.
    pub outstanding: usize,
    /// The status sent; none while there was none.
    pub status: Option<u16>,
    /// Bytes of body sent.
    pub sent: u64,
    /// Whether the mirror is done with it, well or badly.
    pub finished: bool,
}

impl Request {
    /// A header's value by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A running mirror; dropped, it stops.
#[derive(Debug)]
pub struct Mirror {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    content: Content,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    log: Vec<Request>,
    faults: Faults,
    connections: Vec<TcpStream>,
    stopped: bool,
}

impl Mirror {
    /// Serves the files below `root` on a free loopback port.
    pub fn serve(root: PathBuf) -> Mirror {
        Self::start("127.0.0.1", Content::Below(root))
    }

    /// A peer's server at a loopback address, which serves these files under these paths.
    pub fn peer(ip: &str, files: HashMap<String, Arc<[u8]>>) -> Mirror {
        Self::start(ip, Content::Files(files))
    }

    fn start(ip: &str, content: Content) -> Mirror {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared { address, content, state: Mutex::default(), changed: Condvar::new() };
        let shared = Arc::new(shared);
        let mirror = Mirror { shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut state = shared.lock();
                if state.stopped {
                    return; // and the port refuses from here on
                }
                state.connections.push(stream.try_clone().unwrap());
                drop(state);
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.converse(stream));
            }
        });
        mirror
    }

    /// Its loopback address and port.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// From now on every connection is refused, and those that exist are cut.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Does `fault` to the next `times` requests whose path contains `part`.
    pub fn fault(&self, part: &str, times: usize, fault: Fault) {
        self.fault_after(0, part, times, fault);
    }

    /// The same, but the next `skip` such requests are spared.
    pub fn fault_after(&self, skip: usize, part: &str, times: usize, fault: Fault) {
        self.shared.lock().faults.add(part, skip, times, fault);
    }

    /// Holds back the answer to every request whose path contains `part`, from the
    /// one after the next `skip` on, until the gate is opened.
    pub fn withhold(&self, part: &str, skip: usize) -> Gate {
        let gate = Gate::default();
        self.fault_after(skip, part, usize::MAX, Fault::Withhold(gate.clone()));
        gate
    }

    /// Good behaviour again; gates open.
    pub fn forgive(&self) {
        self.shared.lock().faults.clear();
    }

    /// The requests so far whose path contains `part`, in order of arrival.
    pub fn requests(&self, part: &str) -> Vec<Request> {
        select(&self.shared.lock().log, part)
    }

    /// Bytes of body sent so far for paths that contain `part`.
    pub fn sent(&self, part: &str) -> u64 {
        self.requests(part).iter().map(|request| request.sent).sum()
    }

    /// Waits until the requests whose path contains `part` are as `wanted`.
    pub fn wait(&self, part: &str, what: &str, wanted: impl Fn(&[Request]) -> bool) -> Vec<Request> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        loop {
            let seen = select(&state.log, part);
            if wanted(&seen) {
                return seen;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the mirror has not seen {what}, but {seen:#?}");
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.stop();
        }
    }
}

fn select(log: &[Request], part: &str) -> Vec<Request> {
    log.iter().filter(|request| request.path.contains(part)).cloned().collect()
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn stop(&self) {
        let mut state = self.lock();
        if std::mem::replace(&mut state.stopped, true) {
            return;
        }
        for connection in state.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        state.faults.clear();
        drop(state);
        // Wakes the thread that accepts; once it is gone, the port is closed.
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_ok() {
            assert!(Instant::now() < deadline, "the mirror does not stop");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Changes one entry of the log, and wakes who waits for it.
    fn note(&self, index: usize, change: impl FnOnce(&mut Request)) {
        change(&mut self.lock().log[index]);
        self.changed.notify_all();
    }

    fn converse(self: Arc<Self>, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let (sender, receiver) = channel();
        let writer = {
            let (shared, stream) = (Arc::clone(&self), stream.try_clone().unwrap());
            thread::spawn(move || shared.answer_all(&stream, &receiver))
        };
        let _ = self.read_all(&stream, &sender);
        drop(sender);
        let _ = writer.join();
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn read_all(&self, mut stream: &TcpStream, turns: &Sender<(usize, Vec<Fault>)>) -> io::Result<()> {
        let (mut buffer, mut chunk) = (Vec::new(), [0; 16_384]);
        loop {
            while let Some((request, length)) = answer::parse(&buffer)? {
                buffer.drain(..length);
                let mut state = self.lock();
                let faults = state.faults.meet(&request.path);
                let waiting = state.log.iter().filter(|other| !other.finished).count();
                state.log.push(Request { outstanding: waiting + 1, ..request });
                let turn = (state.log.len() - 1, faults);
                drop(state);
                self.changed.notify_all();
                let _ = turns.send(turn);
            }
            match stream.read(&mut chunk)? {
                0 => return Ok(()),
                length => buffer.extend_from_slice(&chunk[..length]),
            }
        }
    }

    /// Answers in order; the first failure, wanted or not, ends the connection.
    fn answer_all(&self, stream: &TcpStream, turns: &Receiver<(usize, Vec<Fault>)>) {
        let mut open = true;
        for (index, faults) in turns {
            if open {
                let request = self.lock().log[index].clone();
                let answer = Answer::to(&request, &self.content, &faults);
                open = self.send(stream, index, &answer).is_ok();
                if !open {
                    let _ = stream.shutdown(Shutdown::Both);
                }
                if answer.vanish {
                    self.stop();
                }
            }
            self.note(index, |request| request.finished = true);
        }
    }

    fn send(&self, mut stream: &TcpStream, index: usize, answer: &Answer) -> io::Result<()> {
        if let Some(gate) = &answer.gate {
            gate.pass();
        }
        if answer.silent {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        stream.write_all(answer.head.as_bytes())?;
        self.note(index, |request| request.status = Some(answer.status));
        let began = Instant::now();
        let mut sent = 0;
        loop {
            let mut body = answer.body.as_slice();
            while !body.is_empty() {
                let mut len = body.len().min(32_768);
                if let Some(rate) = answer.bytes_per_second {
                    // Twenty times a second, as far as there are bytes for it.
                    len = len.min(usize::try_from(rate / 20).unwrap().max(1));
                }
                if let Some((after, gate)) = &answer.stall {
                    match usize::try_from(after.saturating_sub(sent)).unwrap() {
                        0 => gate.pass(),
                        left => len = len.min(left),
                    }
                }
                let (block, rest) = body.split_at(len);
                body = rest;
                match answer.endless {
                    true => stream.write_all(&chunk(block))?,
                    false => stream.write_all(block)?,
                }
                sent += block.len() as u64;
                self.note(index, |request| request.sent = sent);
                if let Some(rate) = answer.bytes_per_second {
                    let due = Duration::from_secs_f64(sent as f64 / rate as f64);
                    thread::sleep(due.saturating_sub(began.elapsed()));
                }
            }
            if !answer.endless {
                break;
            }
        }
        if answer.cut { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

/// One chunk of a body whose length is not told (RFC 9112, section 7.1).
fn chunk(block: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", block.len()).as_bytes(), block, b"\r\n"].concat()
}
