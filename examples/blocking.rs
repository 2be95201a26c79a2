//! A node on a plain blocking loop: one socket, one clock, no runtime.
//!
//!     cargo run -p khashmir-examples --example blocking
//!     cargo run -p khashmir-examples --example blocking -- 192.0.2.7:9978
//!     cargo run -p khashmir-examples --example blocking -- --record node.khashmir
//!
//! The first starts a second node to talk to, the next joins the network of the node named. Either
//! puts a value, gets all values under its key, and prints them. The last also keeps all that happens
//! to the node in a file, for the example `replay`.

use bytes::BytesMut;
use khashmir::node::Reply;
use khashmir::{Command, Config, Event, Id};
use khashmir_driver::{Clock, Sockets, canonical, is_unreachable, seed};
use khashmir_recording::Recorder;
use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = pico_args::Arguments::from_env();
    let recording: Option<String> = arguments.opt_value_from_str("--record")?;
    let contact = match arguments.opt_free_from_str::<String>()? {
        Some(text) => {
            let hint =
                |error| format!("{text:?}: {error}; name a node as 192.0.2.7:9978 or [2001:db8::7]:9978");
            text.parse().map_err(hint)?
        }
        None => {
            let mut other = Blocking::bind((Ipv4Addr::LOCALHOST, 0).into(), Box::new(io::sink()))?;
            let addr = other.socket.local_addr()?;
            thread::spawn(move || other.run_until(|_| false));
            addr
        }
    };
    let any_port = match contact {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let writer: Writer = match recording {
        Some(path) => Box::new(File::create(&path).map_err(|error| format!("{path}: {error}"))?),
        None => Box::new(io::sink()),
    };
    let mut ours = Blocking::bind(any_port, writer)?;
    println!("node {} at {}", ours.node.id(), ours.socket.local_addr()?);

    ours.run(Command::Join { bootstrap: vec![contact] }, |event| {
        if let Event::JoinFinished { contacts, .. } = event {
            println!("joined, contacts: {contacts}");
        }
    })?;
    let key = Id(*b"examples are greeted");
    let value = format!("hello from {}", ours.node.id()).into();
    ours.run(Command::Put { key, value }, |event| {
        if let Event::PutFinished { copies, .. } = event {
            println!("put, copies: {copies}");
        }
    })?;
    ours.run(Command::Get { key, wanted: usize::MAX }, |event| match event {
        Event::ValueFound { value, .. } => println!("found: {}", value.escape_ascii()),
        Event::GetFinished { values, .. } => println!("got, values: {values}"),
        _ => {}
    })?;
    ours.node.finish()?;
    Ok(())
}

type Writer = Box<dyn Write + Send>;

/// A node and what it is lent: a socket and a clock.
struct Blocking {
    /// A [`khashmir::Node`] has the same face, but for `finish`.
    node: Recorder<Writer>,
    clock: Clock,
    socket: UdpSocket,
    payload: BytesMut,
    received: Vec<u8>,
}

impl Blocking {
    fn bind(addr: SocketAddr, recording: Writer) -> Result<Blocking, Box<dyn Error>> {
        let sockets = Sockets::bind(&[addr])?;
        let config = Config {
            address_families: sockets.address_families(),
            // So that nodes on one machine find each other.
            local_networks: vec!["127.0.0.0/8".parse()?, "::1/128".parse()?],
            ..Config::default()
        };
        let (ipv4, ipv6) = sockets.into_parts();
        let socket = ipv4.or(ipv6).ok_or("no socket")?;
        let clock = Clock::start();
        let node = Recorder::new(config, seed()?, clock.now(), recording)?;
        Ok(Blocking { node, clock, socket, payload: BytesMut::new(), received: vec![0; 65_535] })
    }

    /// Starts an operation and runs until it is over; `see` is shown all that happens.
    fn run(&mut self, command: Command, mut see: impl FnMut(&Event)) -> Result<(), Box<dyn Error>> {
        let Reply::Started(op) = self.node.execute(self.clock.now(), &command)? else {
            return Ok(());
        };
        self.run_until(|event| {
            see(event);
            event.finished() == Some(op)
        })?;
        Ok(())
    }

    /// Runs until an event `ends` it.
    fn run_until(&mut self, mut ends: impl FnMut(&Event) -> bool) -> io::Result<()> {
        loop {
            self.transmit()?;
            while let Some(event) = self.node.poll_event() {
                if ends(&event) {
                    return Ok(());
                }
            }
            let wait = self.node.poll_timeout().map(|deadline| self.clock.until(deadline));
            // A socket takes no timeout of zero.
            self.socket.set_read_timeout(wait.map(|wait| wait.max(Duration::from_millis(1))))?;
            match self.socket.recv_from(&mut self.received) {
                Ok((len, from)) => {
                    self.node.handle_datagram(self.clock.now(), canonical(from), &self.received[..len]);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    self.node.handle_timeout(self.clock.now());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn transmit(&mut self) -> io::Result<()> {
        self.payload.clear();
        while let Some(to) = self.node.poll_transmit(&mut self.payload) {
            match self.socket.send_to(&self.payload, to) {
                Err(error) if is_unreachable(&error) => self.node.handle_unreachable(self.clock.now(), to),
                result => drop(result?),
            }
            self.payload.clear();
        }
        Ok(())
    }
}
