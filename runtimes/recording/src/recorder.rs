//! The recorder: a node whose inputs are written down.

use crate::body::{Earlier, Input, Start, write_end};
use crate::frame::FrameWriter;
use crate::outputs::Watch;
use bytes::{Bytes, BytesMut};
use khashmir::config::ConfigError;
use khashmir::node::{CommandError, Reply};
use khashmir::{Command, Config, Event, Instant, Node};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

/// A node that writes down what happens to it.
///
/// It has the face of a [`Node`]: `handle_*`, [`execute`](Self::execute) and `poll_*`, and whatever
/// only looks, through [`Deref`].
///
/// Each input is handed to the writer before it is handled, in one `write_all` together with the
/// digests of what came of the input before. So a crash loses what the writer itself holds back, which
/// is nothing if that is a [`File`](std::fs::File) (though the system's own crash is another matter),
/// and what the last input came to is not checked in the replay.
///
/// The first error of the writer ends the recording, not the node: see
/// [`write_error`](Self::write_error).
#[derive(Debug)]
pub struct Recorder<W> {
    node: Node,
    watch: Watch,
    /// The time of the latest input.
    at: Instant,
    log: Log<W>,
}

impl<W: Write> Recorder<W> {
    /// A new node as [`Node::new`] makes it, recorded to `writer`.
    pub fn new(config: Config, seed: [u8; 32], now: Instant, writer: W) -> Result<Recorder<W>, ConfigError> {
        Recorder::start(&Start { config, seed, now, earlier: None }, writer)
    }

    /// An earlier node as [`Node::restore`] brings it back, recorded to `writer`.
    pub fn restore(
        config: Config,
        snapshot: &[u8],
        downtime: Duration,
        seed: [u8; 32],
        now: Instant,
        writer: W,
    ) -> Result<Recorder<W>, ConfigError> {
        let earlier = Earlier { snapshot: Bytes::copy_from_slice(snapshot), downtime };
        Recorder::start(&Start { config, seed, now, earlier: Some(earlier) }, writer)
    }

    fn start(start: &Start, writer: W) -> Result<Recorder<W>, ConfigError> {
        let node = start.node()?;
        let mut log = Log::start(writer);
        log.write(|body| start.write(body));
        log.send();
        Ok(Recorder { watch: Watch::after(&node, None), node, at: start.now, log })
    }

    /// [`Node::handle_datagram`].
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        self.give(now, &Input::Datagram { from, datagram: Bytes::copy_from_slice(datagram) });
    }

    /// [`Node::handle_unreachable`].
    pub fn handle_unreachable(&mut self, now: Instant, to: SocketAddr) {
        self.give(now, &Input::Unreachable { to });
    }

    /// [`Node::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.give(now, &Input::Timeout);
    }

    /// [`Node::execute`].
    pub fn execute(&mut self, now: Instant, command: &Command) -> Result<Reply, CommandError> {
        self.record(now, &Input::Command(command.clone()));
        let reply = self.node.execute(now, command);
        self.watch = Watch::after(&self.node, Some(reply));
        reply
    }

    /// [`Node::poll_transmit`].
    #[must_use = "the datagram is in no queue any more"]
    pub fn poll_transmit(&mut self, out: &mut BytesMut) -> Option<SocketAddr> {
        let before = out.len();
        let to = self.node.poll_transmit(out)?;
        self.watch.datagram(&to, &out[before..]);
        Some(to)
    }

    /// [`Node::poll_event`].
    #[must_use = "the event is in no queue any more"]
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.node.poll_event()?;
        self.watch.event(&event);
        Some(event)
    }

    /// What went wrong in writing, if anything: since then nothing has been recorded.
    pub fn write_error(&self) -> Option<&io::Error> {
        self.log.error.as_ref()
    }

    /// Ends the recording, and gives the writer back, flushed. Fails with
    /// [`write_error`](Self::write_error), if there was one before or is one now.
    pub fn finish(mut self) -> io::Result<W> {
        self.record_outputs();
        self.log.write(write_end);
        self.log.send();
        match self.log.error {
            Some(error) => Err(error),
            None => self.log.writer.flush().map(|()| self.log.writer),
        }
    }

    fn give(&mut self, now: Instant, input: &Input) {
        self.record(now, input);
        let answer = input.give(&mut self.node, now);
        self.watch = Watch::after(&self.node, answer);
    }

    /// Writes an input, after what came of the one before.
    fn record(&mut self, now: Instant, input: &Input) {
        self.record_outputs();
        let after = now.as_micros().wrapping_sub(self.at.as_micros());
        self.at = now;
        self.log.write(|body| input.write(after, body));
        self.log.send();
    }

    fn record_outputs(&mut self) {
        let outputs = self.watch.outputs(&self.node);
        self.log.write(|body| outputs.write(body));
    }
}

impl<W> Deref for Recorder<W> {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

/// Frames on their way to the writer.
#[derive(Debug)]
struct Log<W> {
    writer: W,
    frames: FrameWriter,
    body: BytesMut,
    unsent: BytesMut,
    /// After one, a later frame would follow a hole.
    error: Option<io::Error>,
}

impl<W: Write> Log<W> {
    fn start(writer: W) -> Log<W> {
        let mut unsent = BytesMut::new();
        let frames = FrameWriter::start(&mut unsent);
        Log { writer, frames, body: BytesMut::new(), unsent, error: None }
    }

    fn write(&mut self, write: impl FnOnce(&mut BytesMut)) {
        if self.error.is_none() {
            self.body.clear();
            write(&mut self.body);
            self.error = self.frames.frame(&self.body, &mut self.unsent).err();
        }
    }

    fn send(&mut self) {
        if self.error.is_none() {
            self.error = self.writer.write_all(&self.unsent).err();
        }
        self.unsent.clear();
    }
}
