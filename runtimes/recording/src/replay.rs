//! The replay: what was recorded happens again, step by step.

use crate::body::{Answer, Frame, Input, Outputs, Start};
use crate::error::{Fault, ReadError};
use crate::frame::FrameReader;
use crate::outputs::Watch;
use bytes::{Bytes, BytesMut};
use khashmir::{Event, Instant, Node};
use std::fmt;
use std::io::Read;
use std::net::SocketAddr;

/// A recorded node that lives again, as far as it is asked for the next [`Step`].
///
/// An iterator over the steps. What is wrong with the recording comes after all steps before the
/// place, as the last item.
#[derive(Debug)]
pub struct Replay<R> {
    frames: FrameReader<R>,
    start: Start,
    node: Node,
    at: Instant,
    steps: u64,
    /// What comes next, if that is known already.
    next: Option<Result<Frame, ReadError>>,
    is_over: bool,
}

/// One input, and what came of it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Counted from 0, which is the start.
    pub number: u64,
    /// The time that the node was told.
    pub at: Instant,
    /// What happened.
    pub input: Input,
    /// What the node said to it, if it is a command.
    pub answer: Answer,
    /// The datagrams that were polled before the next input, and where they go.
    pub sent: Vec<(SocketAddr, Bytes)>,
    /// The events that were.
    pub events: Vec<Event>,
    /// [`Node::poll_timeout`] after the input.
    pub timeout: Option<Instant>,
    /// Whether it is what was recorded.
    pub verdict: Verdict,
}

/// Whether a step came to what was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Bit for bit.
    Same,
    /// No; what differs first.
    Differs(Difference),
    /// The recording ends before it says what the step came to.
    Unchecked,
}

/// In what a step differs from what was recorded: in number, order or any byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// What the node said to a command.
    Answer,
    /// The datagrams that it sent, or those that it kept in its queue.
    Datagrams,
    /// The events that it told, or those that it kept in its queue.
    Events,
    /// When it wants to be woken.
    Timeout,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Difference::Answer => "the answer to the command",
            Difference::Datagrams => "the datagrams",
            Difference::Events => "the events",
            Difference::Timeout => "the next timeout",
        })
    }
}

impl<R: Read> Replay<R> {
    /// A replay from the start of a recording. It reads in small pieces: a file is best buffered.
    pub fn open(reader: R) -> Result<Replay<R>, ReadError> {
        let mut frames = FrameReader::open(reader)?;
        let offset = frames.offset();
        let (at, body) = frames.next()?.ok_or(ReadError { fault: Fault::CutShort, offset })?;
        let start = Start::read(&body)
            .map_err(|error| ReadError { fault: Fault::Unknown, offset: at + error.offset as u64 })?;
        let node = start.node().map_err(|error| ReadError { fault: Fault::Start(error), offset })?;
        Ok(Replay { frames, at: start.now, start, node, steps: 0, next: None, is_over: false })
    }

    /// What the node was made from.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// The node as it is after the latest step.
    pub fn node(&self) -> &Node {
        &self.node
    }

    fn frame(&mut self) -> Result<Frame, ReadError> {
        if let Some(next) = self.next.take() {
            return next;
        }
        let offset = self.frames.offset();
        let (at, body) = self.frames.next()?.ok_or(ReadError { fault: Fault::CutShort, offset })?;
        Frame::read(&body)
            .map_err(|error| ReadError { fault: Fault::Unknown, offset: at + error.offset as u64 })
    }

    /// The next input; `None` at the end.
    fn input(&mut self) -> Result<Option<Input>, ReadError> {
        if self.steps == 0 {
            return Ok(Some(Input::Start));
        }
        let offset = self.frames.offset();
        match self.frame()? {
            Frame::Input(after, input) => {
                self.at = Instant::from_micros(self.at.as_micros().wrapping_add(after));
                Ok(Some(input))
            }
            Frame::Outputs(_) => Err(ReadError { fault: Fault::Unknown, offset }),
            Frame::End => {
                let offset = self.frames.offset();
                match self.frames.next() {
                    Ok(None) => Ok(None),
                    _ => Err(ReadError { fault: Fault::AfterTheEnd, offset }),
                }
            }
        }
    }

    fn step(&mut self, input: Input) -> Step {
        let answer = input.give(&mut self.node, self.at);
        let mut watch = Watch::after(&self.node, answer);
        let recorded = match self.frame() {
            Ok(Frame::Outputs(outputs)) => Some(outputs),
            other => {
                self.next = Some(other);
                None
            }
        };
        // As many as were polled then: what is left in its queues counts for the node.
        let polled = recorded.as_ref().map(|outputs| (outputs.datagrams.polled, outputs.events.polled));
        let (datagrams, events) = polled.unwrap_or((u64::MAX, u64::MAX));
        let timeout = self.node.poll_timeout();
        let sent = self.poll_datagrams(datagrams, &mut watch);
        let events = self.poll_events(events, &mut watch);
        let verdict = recorded.map(|outputs| verdict(&outputs, &watch.outputs(&self.node)));
        self.steps += 1;
        Step {
            number: self.steps - 1,
            at: self.at,
            input,
            answer,
            sent,
            events,
            timeout,
            verdict: verdict.unwrap_or(Verdict::Unchecked),
        }
    }

    fn poll_datagrams(&mut self, most: u64, watch: &mut Watch) -> Vec<(SocketAddr, Bytes)> {
        let mut payload = BytesMut::new();
        let mut sent = Vec::new();
        while (sent.len() as u64) < most
            && let Some(to) = self.node.poll_transmit(&mut payload)
        {
            watch.datagram(&to, &payload);
            sent.push((to, payload.split().freeze()));
        }
        sent
    }

    fn poll_events(&mut self, most: u64, watch: &mut Watch) -> Vec<Event> {
        let mut events = Vec::new();
        while (events.len() as u64) < most
            && let Some(event) = self.node.poll_event()
        {
            watch.event(&event);
            events.push(event);
        }
        events
    }
}

impl<R: Read> Iterator for Replay<R> {
    type Item = Result<Step, ReadError>;

    fn next(&mut self) -> Option<Result<Step, ReadError>> {
        if self.is_over {
            return None;
        }
        let input = self.input();
        self.is_over = !matches!(input, Ok(Some(_)));
        match input {
            Ok(input) => input.map(|input| Ok(self.step(input))),
            Err(error) => Some(Err(error)),
        }
    }
}

fn verdict(recorded: &Outputs, replayed: &Outputs) -> Verdict {
    let parts = [
        (Difference::Answer, recorded.answer == replayed.answer),
        (Difference::Datagrams, recorded.datagrams == replayed.datagrams),
        (Difference::Events, recorded.events == replayed.events),
        (Difference::Timeout, recorded.timeout == replayed.timeout),
    ];
    match parts.iter().find(|(_, is_same)| !is_same) {
        Some((difference, _)) => Verdict::Differs(*difference),
        None => Verdict::Same,
    }
}
