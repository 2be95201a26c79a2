//! A node, recorded or not.

use bytes::BytesMut;
use khashmir::node::{CommandError, Reply};
use khashmir::{Command, Event, Instant, Node};
use khashmir_recording::Recorder;
use std::io::Write;
use std::net::SocketAddr;
use std::ops::Deref;

/// What a driver drives: a [`Node`], or one whose [`Recorder`] writes down what happens to it. It has
/// the face of both.
#[derive(Debug)]
pub enum Engine {
    /// Not recorded.
    Plain(Box<Node>),
    /// Recorded.
    Recorded(Box<Recorder<Writer>>),
}

/// Where a recording goes.
pub type Writer = Box<dyn Write + Send>;

macro_rules! either {
    ($self:ident, $node:ident => $call:expr) => {
        match $self {
            Engine::Plain($node) => $call,
            Engine::Recorded($node) => $call,
        }
    };
}

impl Engine {
    /// [`Node::handle_datagram`].
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        either!(self, node => node.handle_datagram(now, from, datagram));
    }

    /// [`Node::handle_unreachable`].
    pub fn handle_unreachable(&mut self, now: Instant, to: SocketAddr) {
        either!(self, node => node.handle_unreachable(now, to));
    }

    /// [`Node::handle_timeout`]. Before anything is due it changes nothing, and is not recorded.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self {
            Engine::Plain(node) => node.handle_timeout(now),
            Engine::Recorded(node) if node.poll_timeout().is_some_and(|due| due <= now) => {
                node.handle_timeout(now);
            }
            Engine::Recorded(_) => {}
        }
    }

    /// [`Node::execute`].
    pub fn execute(&mut self, now: Instant, command: &Command) -> Result<Reply, CommandError> {
        either!(self, node => node.execute(now, command))
    }

    /// [`Node::poll_transmit`].
    #[must_use = "the datagram is in no queue any more"]
    pub fn poll_transmit(&mut self, out: &mut BytesMut) -> Option<SocketAddr> {
        either!(self, node => node.poll_transmit(out))
    }

    /// [`Node::poll_event`].
    #[must_use = "the event is in no queue any more"]
    pub fn poll_event(&mut self) -> Option<Event> {
        either!(self, node => node.poll_event())
    }

    /// Ends a recording, if there is one.
    pub(crate) fn end(&mut self) {
        if let Engine::Recorded(recorder) = self {
            recorder.end();
        }
    }
}

impl From<Node> for Engine {
    fn from(node: Node) -> Engine {
        Engine::Plain(Box::new(node))
    }
}

impl Deref for Engine {
    type Target = Node;

    fn deref(&self) -> &Node {
        either!(self, node => node)
    }
}
