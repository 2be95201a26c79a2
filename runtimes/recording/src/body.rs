//! What the frames say.

use crate::travel::{Travel, end, item, read, read_address, unexpected, write_address};
use bytes::{Bytes, BytesMut};
use khashmir::bencode::{Bounds, DecodeError, Decoder, Encoder};
use khashmir::config::ConfigError;
use khashmir::node::{CommandError, Reply};
use khashmir::{Command, Config, Id, Instant, Node, OpId};
use std::net::SocketAddr;
use std::time::Duration;

/// What a recorded node was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// How it behaves.
    pub config: Config,
    /// All its randomness.
    pub seed: [u8; 32],
    /// When it was made.
    pub now: Instant,
    /// What it was before, if anything: it was restored.
    pub earlier: Option<Earlier>,
}

/// What a node was restored from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// [`Node::snapshot`].
    pub snapshot: Bytes,
    /// How long it was down.
    pub downtime: Duration,
}

impl Start {
    /// The node.
    pub fn node(&self) -> Result<Node, ConfigError> {
        let config = self.config.clone();
        match &self.earlier {
            Some(Earlier { snapshot, downtime }) => {
                Node::restore(config, snapshot, *downtime, self.seed, self.now)
            }
            None => Node::new(config, self.seed, self.now),
        }
    }

    pub(crate) fn write(&self, out: &mut BytesMut) {
        Encoder::new(out).begin_dictionary().bytes(b"config");
        self.config.write(out);
        if let Some(Earlier { downtime, .. }) = &self.earlier {
            Encoder::new(out).bytes(b"downtime");
            downtime.write(out);
        }
        Encoder::new(out).bytes(b"now");
        self.now.as_micros().write(out);
        let mut encoder = Encoder::new(out);
        encoder.bytes(b"seed").bytes(&self.seed);
        if let Some(Earlier { snapshot, .. }) = &self.earlier {
            encoder.bytes(b"snapshot").bytes(snapshot);
        }
        encoder.end();
    }

    pub(crate) fn read(body: &[u8]) -> Result<Start, DecodeError> {
        let mut decoder = decoder(body);
        let (mut config, mut downtime, mut now, mut seed, mut snapshot) = (None, None, None, None, None);
        let mut keys = decoder.begin_dictionary()?;
        while let Some(name) = decoder.next_key(&mut keys)? {
            match name {
                b"config" => config = Some(read(&mut decoder)?),
                b"downtime" => downtime = Some(read(&mut decoder)?),
                b"now" => now = Some(Instant::from_micros(read(&mut decoder)?)),
                b"seed" => seed = Some(decoder.array()?),
                b"snapshot" => snapshot = Some(Bytes::copy_from_slice(decoder.bytes()?)),
                _ => return Err(unexpected(&decoder)),
            }
        }
        decoder.finish()?;
        let earlier = match (snapshot, downtime) {
            (Some(snapshot), Some(downtime)) => Some(Earlier { snapshot, downtime }),
            (None, None) => None,
            _ => return Err(unexpected(&decoder)),
        };
        let (Some(config), Some(seed), Some(now)) = (config, seed, now) else {
            return Err(unexpected(&decoder));
        };
        Ok(Start { config, seed, now, earlier })
    }
}

/// One thing that happened to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// It was made, or restored.
    Start,
    /// [`Node::handle_timeout`].
    Timeout,
    /// [`Node::handle_datagram`].
    Datagram {
        /// Where it came from.
        from: SocketAddr,
        /// The payload.
        datagram: Bytes,
    },
    /// [`Node::handle_unreachable`].
    Unreachable {
        /// Where nothing arrives.
        to: SocketAddr,
    },
    /// [`Node::execute`].
    Command(Command),
}

/// What a node says to a command at once; `None` to other inputs.
pub type Answer = Option<Result<Reply, CommandError>>;

impl Input {
    /// Lets it happen.
    pub(crate) fn give(&self, node: &mut Node, now: Instant) -> Answer {
        match self {
            Input::Start => {}
            Input::Timeout => node.handle_timeout(now),
            Input::Datagram { from, datagram } => node.handle_datagram(now, *from, datagram),
            Input::Unreachable { to } => node.handle_unreachable(now, *to),
            Input::Command(command) => return Some(node.execute(now, command)),
        }
        None
    }

    /// `after`: microseconds since the input before, as two's complement, since clocks may go back.
    pub(crate) fn write(&self, after: u64, out: &mut BytesMut) {
        let (mut word, mut rest) = ("", BytesMut::new());
        match self {
            Input::Start => {}
            Input::Timeout => word = "timeout",
            Input::Datagram { from, datagram } => {
                word = "datagram";
                write_address(from, &mut rest);
                Encoder::new(&mut rest).bytes(datagram);
            }
            Input::Unreachable { to } => {
                word = "unreachable";
                write_address(to, &mut rest);
            }
            Input::Command(command) => word = write_command(command, &mut rest),
        }
        Encoder::new(out).begin_list().bytes(word.as_bytes());
        after.write(out);
        Encoder::new(out).raw(&rest).end();
    }

    fn read(word: &[u8], decoder: &mut Decoder<'_>) -> Result<Input, DecodeError> {
        Ok(match word {
            b"timeout" => Input::Timeout,
            b"datagram" => Input::Datagram { from: next_address(decoder)?, datagram: next_bytes(decoder)? },
            b"unreachable" => Input::Unreachable { to: next_address(decoder)? },
            _ => Input::Command(read_command(word, decoder)?),
        })
    }
}

fn write_command(command: &Command, out: &mut BytesMut) -> &'static str {
    match command {
        Command::Join { bootstrap } => {
            bootstrap.iter().for_each(|addr| write_address(addr, out));
            "join"
        }
        Command::Ping { addr } => {
            write_address(addr, out);
            "ping"
        }
        Command::FindNode { target } => {
            target.0.write(out);
            "find node"
        }
        Command::Get { key, wanted } => {
            key.0.write(out);
            wanted.write(out);
            "get"
        }
        Command::Put { key, value } => write_item("put", key, value, out),
        Command::Publish { key, value } => write_item("publish", key, value, out),
        Command::Unpublish { key, value } => write_item("unpublish", key, value, out),
        Command::Cancel { op } => {
            op.number().write(out);
            "cancel"
        }
    }
}

fn write_item(word: &'static str, key: &Id, value: &Bytes, out: &mut BytesMut) -> &'static str {
    Encoder::new(out).bytes(&key.0).bytes(value);
    word
}

fn read_command(word: &[u8], decoder: &mut Decoder<'_>) -> Result<Command, DecodeError> {
    Ok(match word {
        b"join" => {
            // The list's end is read by who began it: looked for on a copy.
            let mut bootstrap = Vec::new();
            while decoder.clone().next_item()? {
                bootstrap.push(next_address(decoder)?);
            }
            Command::Join { bootstrap }
        }
        b"ping" => Command::Ping { addr: next_address(decoder)? },
        b"find node" => Command::FindNode { target: next_id(decoder)? },
        b"get" => Command::Get { key: next_id(decoder)?, wanted: next(decoder)? },
        b"put" => Command::Put { key: next_id(decoder)?, value: next_bytes(decoder)? },
        b"publish" => Command::Publish { key: next_id(decoder)?, value: next_bytes(decoder)? },
        b"unpublish" => Command::Unpublish { key: next_id(decoder)?, value: next_bytes(decoder)? },
        b"cancel" => Command::Cancel { op: OpId::from_number(next(decoder)?) },
        _ => return Err(unexpected(decoder)),
    })
}

/// What a node let out after one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outputs {
    /// What it said to a command, as bencode.
    pub(crate) answer: Vec<u8>,
    pub(crate) datagrams: Tally,
    pub(crate) events: Tally,
    /// [`Node::poll_timeout`] right after the input.
    pub(crate) timeout: Option<Instant>,
}

/// How many were polled, how many were left, and SHA-1 of those that were polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) polled: u64,
    pub(crate) left: u64,
    pub(crate) digest: [u8; 20],
}

impl Outputs {
    pub(crate) fn write(&self, out: &mut BytesMut) {
        let mut encoder = Encoder::new(out);
        encoder.begin_list().bytes(b"outputs").raw(&self.answer);
        self.datagrams.write(out);
        self.events.write(out);
        Encoder::new(out).begin_list();
        if let Some(at) = self.timeout {
            at.as_micros().write(out);
        }
        Encoder::new(out).end().end();
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Outputs, DecodeError> {
        item(decoder)?;
        let answer = decoder.skip()?.to_vec();
        let (datagrams, events) = (Tally::read(decoder)?, Tally::read(decoder)?);
        item(decoder)?;
        decoder.begin_list()?;
        let mut timeout = None;
        if decoder.next_item()? {
            timeout = Some(Instant::from_micros(read(decoder)?));
            end(decoder)?;
        }
        Ok(Outputs { answer, datagrams, events, timeout })
    }
}

impl Tally {
    fn write(&self, out: &mut BytesMut) {
        Encoder::new(out).begin_list();
        self.polled.write(out);
        self.left.write(out);
        self.digest.write(out);
        Encoder::new(out).end();
    }

    fn read(decoder: &mut Decoder<'_>) -> Result<Tally, DecodeError> {
        item(decoder)?;
        decoder.begin_list()?;
        let tally = Tally { polled: next(decoder)?, left: next(decoder)?, digest: next(decoder)? };
        end(decoder)?;
        Ok(tally)
    }
}

/// A frame after the first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Microseconds since the input before, and what happened.
    Input(u64, Input),
    Outputs(Outputs),
    End,
}

impl Frame {
    pub(crate) fn read(body: &[u8]) -> Result<Frame, DecodeError> {
        let mut decoder = decoder(body);
        decoder.begin_list()?;
        item(&mut decoder)?;
        let frame = match decoder.bytes()? {
            b"end" => Frame::End,
            b"outputs" => Frame::Outputs(Outputs::read(&mut decoder)?),
            word => Frame::Input(next(&mut decoder)?, Input::read(word, &mut decoder)?),
        };
        end(&mut decoder)?;
        decoder.finish()?;
        Ok(frame)
    }
}

pub(crate) fn write_end(out: &mut BytesMut) {
    Encoder::new(out).begin_list().bytes(b"end").end();
}

/// Structure is bounded by the length of the body alone.
fn decoder(body: &[u8]) -> Decoder<'_> {
    Decoder::new(body, Bounds { depth: 8, tokens: u32::MAX })
}

fn next<T: Travel + Default>(decoder: &mut Decoder<'_>) -> Result<T, DecodeError> {
    item(decoder)?;
    read(decoder)
}

fn next_id(decoder: &mut Decoder<'_>) -> Result<Id, DecodeError> {
    Ok(Id(next(decoder)?))
}

fn next_address(decoder: &mut Decoder<'_>) -> Result<SocketAddr, DecodeError> {
    item(decoder)?;
    read_address(decoder)
}

fn next_bytes(decoder: &mut Decoder<'_>) -> Result<Bytes, DecodeError> {
    item(decoder)?;
    Ok(Bytes::copy_from_slice(decoder.bytes()?))
}
