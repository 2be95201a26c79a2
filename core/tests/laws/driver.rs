//! Drives one node through a script, and again through the very same inputs.

use crate::peer::{Manner, Peer};
use crate::script::Step;
use bytes::{Bytes, BytesMut};
use core::time::Duration;
use khashmir::config::AddressFamilies;
use khashmir::krpc::{Body, Call, Message};
use khashmir::node::{CommandError, Reply};
use khashmir::{Command, Config, Event, Id, Instant, Node, OpId};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// An input, with all that was chosen in it.
#[derive(Clone, Debug)]
pub enum Input {
    Timeout,
    Datagram(SocketAddr, Vec<u8>),
    Unreachable(SocketAddr),
    Command(Command),
}

/// All that a node let out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    pub sent: Vec<(SocketAddr, Bytes)>,
    pub events: Vec<Event>,
    pub commands: Vec<Result<OpId, CommandError>>,
    /// After each input.
    pub timeouts: Vec<Option<Instant>>,
}

/// A node with its inputs and outputs so far.
#[derive(Debug)]
pub struct Driver {
    pub node: Node,
    pub now: Instant,
    pub inputs: Vec<(Instant, Input)>,
    pub output: Output,
    /// When each of `output.events` and `output.commands` came.
    pub event_times: Vec<Instant>,
    pub command_times: Vec<Instant>,
    /// Whether outputs are polled after each input.
    pub polls: bool,
    /// The latest datagrams that went either way.
    recent: VecDeque<Vec<u8>>,
    unanswered: VecDeque<(SocketAddr, Bytes)>,
    /// The driver's clock: may be behind `now`.
    clock: Instant,
}

const SEED: [u8; 32] = [42; 32];
const REMEMBERED: usize = 64;

pub fn config() -> Config {
    Config { address_families: AddressFamilies::Both, ..Config::default() }
}

/// Gives a node an input. Returns the operation that it starts, or why it does not.
pub fn give(node: &mut Node, now: Instant, input: &Input) -> Option<Result<OpId, CommandError>> {
    match input {
        Input::Timeout => node.handle_timeout(now),
        Input::Datagram(from, datagram) => node.handle_datagram(now, *from, datagram),
        Input::Unreachable(to) => node.handle_unreachable(now, *to),
        Input::Command(command) => {
            return match node.execute(now, command) {
                Ok(Reply::Started(op)) => Some(Ok(op)),
                Ok(Reply::Done(_)) => None,
                Err(error) => Some(Err(error)),
            };
        }
    }
    None
}

/// Gives a new node recorded inputs, polling all after each.
pub fn replay(config: Config, inputs: &[(Instant, Input)]) -> Output {
    let mut driver = Driver::new(config);
    inputs.iter().for_each(|(now, input)| driver.give(*now, input.clone()));
    driver.output
}

impl Driver {
    pub fn new(config: Config) -> Driver {
        Driver {
            node: Node::new(config, SEED, Instant::ORIGIN).unwrap(),
            now: Instant::ORIGIN,
            inputs: Vec::new(),
            output: Output::default(),
            event_times: Vec::new(),
            command_times: Vec::new(),
            polls: true,
            recent: VecDeque::new(),
            unanswered: VecDeque::new(),
            clock: Instant::ORIGIN,
        }
    }

    /// A node that has been through `script`.
    pub fn after(config: Config, script: &[Step]) -> Driver {
        let mut driver = Driver::new(config);
        script.iter().for_each(|step| driver.step(step));
        driver
    }

    pub fn give(&mut self, at: Instant, input: Input) {
        self.now = self.now.max(at);
        if let Some(result) = give(&mut self.node, at, &input) {
            self.output.commands.push(result);
            self.command_times.push(self.now);
        }
        if let Input::Datagram(_, datagram) = &input {
            remember(&mut self.recent, datagram.clone());
        }
        self.inputs.push((at, input));
        if self.polls {
            self.poll();
        }
        self.output.timeouts.push(self.node.poll_timeout());
    }

    /// Polls everything.
    pub fn poll(&mut self) {
        let mut datagram = BytesMut::new();
        while let Some(to) = self.node.poll_transmit(&mut datagram) {
            let payload = datagram.split().freeze();
            if matches!(Message::decode(&payload), Ok(Message { body: Body::Query(_), .. })) {
                remember(&mut self.unanswered, (to, payload.clone()));
            }
            remember(&mut self.recent, payload.to_vec());
            self.output.sent.push((to, payload));
        }
        while let Some(event) = self.node.poll_event() {
            self.output.events.push(event);
            self.event_times.push(self.now);
        }
    }

    /// Lets time pass until `until`, waking the node whenever it asks for that.
    pub fn wait_until(&mut self, until: Instant) {
        while let Some(at) = self.node.poll_timeout().filter(|at| *at <= until) {
            self.give(at, Input::Timeout);
        }
        self.clock = self.clock.max(until);
        self.give(until, Input::Timeout);
    }

    pub fn step(&mut self, step: &Step) {
        match step {
            Step::Wait { millis, in_time: true } => self.wait_until(self.now + ms(*millis)),
            Step::Wait { millis, in_time: false } => self.clock = self.now + ms(*millis),
            Step::Jump { hours } => {
                self.clock = self.now + Duration::from_secs(3600) * u32::from(*hours);
                self.give(self.clock, Input::Timeout);
            }
            Step::Back { millis } => self.clock = self.clock.saturating_sub(ms((*millis).into())),
            Step::Query { peer, call, key } => self.query(Peer(*peer), *call, *key),
            Step::Answer { which, manner } => {
                if let Some(query) = choose(&self.unanswered, *which) {
                    self.answer(&query.clone(), Step::manner(*manner));
                }
            }
            Step::AnswerAll => {
                for query in core::mem::take(&mut self.unanswered) {
                    self.answer(&query, Manner::Right);
                }
            }
            Step::Mutated { which, peer, changes } => {
                if let Some(mut datagram) = choose(&self.recent, *which).cloned() {
                    let len = datagram.len();
                    for (at, byte) in changes.iter().filter(|_| len > 0) {
                        datagram[usize::from(*at) % len] = *byte;
                    }
                    self.give(self.clock, Input::Datagram(Peer(*peer).addr(), datagram));
                }
            }
            Step::Garbage { peer, datagram } => {
                self.give(self.clock, Input::Datagram(Peer(*peer).addr(), datagram.clone()));
            }
            Step::Unreachable { peer } => self.give(self.clock, Input::Unreachable(Peer(*peer).addr())),
            Step::Command { command, key, len } => {
                let command = self.command(*command, Id([*key; 20]), usize::from(*len));
                self.give(self.clock, Input::Command(command));
            }
        }
    }

    fn query(&mut self, peer: Peer, call: u8, key: u8) {
        let id = Id([key % 8; 20]);
        let value = vec![key; usize::from(key) + 1];
        // A token of ours, if this peer was given one.
        let token = self.output.sent.iter().rev().take(200).find_map(|(to, datagram)| {
            let Ok(Message { body: Body::Response(Ok(response)), .. }) = Message::decode(datagram) else {
                return None;
            };
            response.token.filter(|_| *to == peer.addr()).map(<[u8]>::to_vec)
        });
        let token = token.unwrap_or_else(|| vec![0; 8]);
        let call = match call % 8 {
            0 => Call::Ping,
            1 => Call::Join,
            2 | 3 => Call::FindNode { target: id },
            4 => Call::FindValue { key: id },
            5 => Call::GetValue { key: id, num: i64::from(key % 3) },
            _ => Call::StoreValue { key: id, value: &value, token: &token },
        };
        let datagram = peer.query(key, call);
        self.give(self.clock, Input::Datagram(peer.addr(), datagram));
    }

    fn answer(&mut self, (to, query): &(SocketAddr, Bytes), manner: Manner) {
        let Some(peer) = (0..=255).map(Peer).find(|peer| peer.addr() == *to) else {
            return;
        };
        let from = match manner {
            Manner::OtherAddress => Peer(peer.0.wrapping_add(4)).addr(),
            _ => *to,
        };
        if let Some(answer) = peer.answer(query, self.node.id(), manner) {
            self.give(self.clock, Input::Datagram(from, answer));
        }
    }

    fn command(&self, command: u8, key: Id, len: usize) -> Command {
        let [byte, ..] = key.0;
        let value = || vec![byte; len].into();
        match command % 9 {
            0 => Command::Join {
                bootstrap: (0..byte % 4).map(|n| Peer(byte.wrapping_add(n)).addr()).collect(),
            },
            1 => Command::FindNode { target: key },
            2 => Command::Get { key, wanted: usize::from(byte % 4) * 3 },
            3 => Command::Put { key, value: value() },
            4 | 5 => Command::Publish { key, value: value() },
            6 => Command::Ping { addr: Peer(byte).addr() },
            7 => Command::Unpublish { key, value: value() },
            _ => match choose_from_back(&self.output.commands, byte) {
                Some(Ok(op)) => Command::Cancel { op: *op },
                _ => Command::FindNode { target: key },
            },
        }
    }
}

fn ms(millis: u32) -> Duration {
    Duration::from_millis(millis.into())
}

fn remember<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() == REMEMBERED {
        queue.pop_front();
    }
    queue.push_back(item);
}

fn choose<T>(queue: &VecDeque<T>, which: u8) -> Option<&T> {
    queue.get(usize::from(which) % queue.len().max(1))
}

fn choose_from_back<T>(items: &[T], which: u8) -> Option<&T> {
    items.iter().rev().nth(usize::from(which) % 8)
}
