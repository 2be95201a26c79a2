//! The recorder: a node whose inputs are written down.

use crate::body::{Earlier, Input, Start};
use crate::form::Form;
use bytes::{Bytes, BytesMut};
use khashmir::config::ConfigError;
use khashmir::node::{CommandError, Reply};
use khashmir::{Command, Config, Event, Instant, Node};
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

/// A node that writes down what happens to it.
///
/// It has the face of a [`Node`]: `handle_*`, [`execute`](Self::execute) and `poll_*`, and whatever
/// only looks, through [`Deref`].
///
/// Each input is handed to the writer before it is handled, in one `write_all` together with what came
/// of the input before. So a crash loses what the writer itself holds back, which is nothing if that is
/// a [`File`](std::fs::File) (though the system's own crash is another matter), and what the last input
/// came to is not checked in the replay. A writer that refuses what is too long for the room that it
/// has left bounds a recording, which then ends at a whole step.
///
/// The first error of the writer ends the recording, not the node: see
/// [`write_error`](Self::write_error).
pub struct Recorder<W> {
    node: Node,
    /// The time of the latest input.
    at: Instant,
    form: Form,
    writer: W,
    unsent: BytesMut,
    /// After one, a later step would follow a hole.
    error: Option<io::Error>,
    is_over: bool,
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

    /// The node that is made from `start`, recorded to `writer`. Nothing is written if there is none.
    pub fn start(start: &Start, writer: W) -> Result<Recorder<W>, ConfigError> {
        Recorder::in_form(start, writer, Form::frames)
    }

    /// The same, in a [blinded recording](crate#blinded-recordings).
    pub fn start_blinded(start: &Start, writer: W) -> Result<Recorder<W>, ConfigError> {
        Recorder::in_form(start, writer, |start, node, out| Ok(Form::blinded(start, node, out)))
    }

    fn in_form(
        start: &Start,
        writer: W,
        form: impl FnOnce(&Start, &Node, &mut BytesMut) -> io::Result<Form>,
    ) -> Result<Recorder<W>, ConfigError> {
        let node = start.node()?;
        let mut unsent = BytesMut::new();
        let (form, error) = match form(start, &node, &mut unsent) {
            Ok(form) => (form, None),
            // Nothing is written after an error, so its form does not matter.
            Err(error) => (Form::blinded(start, &node, &mut BytesMut::new()), Some(error)),
        };
        let mut recorder = Recorder { node, at: start.now, form, writer, unsent, error, is_over: false };
        recorder.send();
        Ok(recorder)
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
        self.form.after(&self.node, Some(reply));
        reply
    }

    /// [`Node::poll_transmit`].
    #[must_use = "the datagram is in no queue any more"]
    pub fn poll_transmit(&mut self, out: &mut BytesMut) -> Option<SocketAddr> {
        let before = out.len();
        let to = self.node.poll_transmit(out)?;
        if self.is_recording() {
            self.form.datagram(&to, &out[before..]);
        }
        Some(to)
    }

    /// [`Node::poll_event`].
    #[must_use = "the event is in no queue any more"]
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.node.poll_event()?;
        if self.is_recording() {
            self.form.event(&event);
        }
        Some(event)
    }

    /// What went wrong in writing, if anything: since then nothing has been recorded.
    pub fn write_error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }

    /// Ends the recording, once: what follows is not recorded. The writer is flushed; what goes wrong
    /// is a [`write_error`](Self::write_error).
    pub fn end(&mut self) {
        self.write(|form, node, out| form.end(node, out));
        self.send();
        if self.is_recording() {
            self.error = self.writer.flush().err();
        }
        self.is_over = true;
    }

    /// [Ends](Self::end) the recording, and gives the writer back. Fails with
    /// [`write_error`](Self::write_error), if there was one before or is one now.
    pub fn finish(mut self) -> io::Result<W> {
        self.end();
        self.error.map_or(Ok(self.writer), Err)
    }

    fn is_recording(&self) -> bool {
        self.error.is_none() && !self.is_over
    }

    fn give(&mut self, now: Instant, input: &Input) {
        self.record(now, input);
        let answer = input.give(&mut self.node, now);
        self.form.after(&self.node, answer);
    }

    /// Writes an input, after what came of the one before.
    fn record(&mut self, now: Instant, input: &Input) {
        let times = (self.at, now);
        self.at = now;
        self.write(|form, node, out| form.input(node, times, input, out));
        self.send();
    }

    fn write(&mut self, write: impl FnOnce(&mut Form, &Node, &mut BytesMut) -> io::Result<()>) {
        if self.is_recording() {
            self.error = write(&mut self.form, &self.node, &mut self.unsent).err();
        }
    }

    fn send(&mut self) {
        if self.is_recording() {
            self.error = self.writer.write_all(&self.unsent).err();
        }
        self.unsent.clear();
    }
}

impl<W> Deref for Recorder<W> {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl<W> fmt::Debug for Recorder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("node", &self.node)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}
