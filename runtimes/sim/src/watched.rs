//! One node under watch: whatever it is given, the laws of the engine are checked after it.

use bytes::{Bytes, BytesMut};
use core::time::Duration;
use khashmir::config::{Config, ConfigError};
use khashmir::node::{CommandError, Reply};
use khashmir::{Command, Event, Instant, Node, OpId};
use khashmir_driver::{Callers, Engine, Handle};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::task::Context;

/// An operation from its start to its final event.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) started: Instant,
    /// [`Watched::missed`] at its start.
    missed: Duration,
    pub(crate) values: Vec<Bytes>,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its final event.
    pub event: Event,
    /// The values that it found, in the order in which they came.
    pub values: Vec<Bytes>,
    /// From the command to the final event.
    pub took: Duration,
}

/// What became of a node that did what its callers asked.
pub(crate) enum Served {
    GoesOn,
    /// They, or the loss of the last handle, stopped it.
    Stopped,
}

/// A node that is up.
#[derive(Debug)]
pub(crate) struct Watched {
    node: Engine,
    config: Config,
    running: BTreeMap<OpId, Running>,
    finished: BTreeMap<OpId, Outcome>,
    latest: Option<OpId>,
    outside_changes: u64,
    /// The latest time that it was told: clocks may be set back.
    now: Instant,
    /// Time that passed for its clock, and in which it could do nothing.
    missed: Duration,
    /// Whether the laws are checked after every input.
    pub(crate) is_checked: bool,
    /// Who holds a handle. What they started is not in `running`: they are told of it.
    callers: Option<Callers>,
}

impl Watched {
    pub(crate) fn new(config: &Config, seed: [u8; 32], now: Instant) -> Result<Watched, ConfigError> {
        Ok(Watched::watch(Node::new(config.clone(), seed, now)?, config, now))
    }

    pub(crate) fn restored(
        config: &Config,
        snapshot: &[u8],
        downtime: Duration,
        seed: [u8; 32],
        now: Instant,
    ) -> Result<Watched, ConfigError> {
        let node = Node::restore(config.clone(), snapshot, downtime, seed, now)?;
        Ok(Watched::watch(node, config, now))
    }

    fn watch(node: Node, config: &Config, now: Instant) -> Watched {
        let config = config.clone();
        let mut watched = Watched {
            node: node.into(),
            config,
            running: BTreeMap::new(),
            finished: BTreeMap::new(),
            latest: None,
            outside_changes: 0,
            now,
            missed: Duration::ZERO,
            is_checked: true,
            callers: None,
        };
        watched.check(now);
        watched
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) fn into_engine(self) -> Engine {
        self.node
    }

    /// Gives the node an input that starts no operation.
    pub(crate) fn give<T>(&mut self, now: Instant, input: impl FnOnce(&mut Engine) -> T) -> T {
        let result = input(&mut self.node);
        self.check(now);
        result
    }

    /// Gives the node a command.
    pub(crate) fn command(&mut self, now: Instant, command: &Command) -> Result<Reply, CommandError> {
        let reply = self.node.execute(now, command)?;
        if let Reply::Started(op) = reply {
            assert!(self.latest.is_none_or(|latest| latest < op), "law 3: {op:?} was used before");
            self.latest = Some(op);
            let (started, missed) = (self.now.max(now), self.missed);
            self.running.insert(op, Running { started, missed, values: Vec::new() });
        }
        self.check(now);
        Ok(reply)
    }

    /// A handle to the node, once.
    pub(crate) fn handle(&mut self, addrs: &[SocketAddr]) -> Option<Handle> {
        if self.callers.is_some() {
            return None;
        }
        let (handle, callers) = Callers::new(&self.node, addrs.to_vec());
        self.callers = Some(callers);
        Some(handle)
    }

    /// Does what those who hold a handle ask. `None`: nothing.
    pub(crate) fn serve(&mut self, now: Instant, cx: &mut Context<'_>) -> Option<Served> {
        let callers = self.callers.as_mut()?;
        if callers.poll_ready(cx).is_pending() {
            return None;
        }
        let goes_on = callers.serve(now, &mut self.node);
        self.check(now);
        Some(if goes_on { Served::GoesOn } else { Served::Stopped })
    }

    /// The next datagram to send.
    pub(crate) fn poll_transmit(&mut self) -> Option<(SocketAddr, Bytes)> {
        let mut datagram = BytesMut::new();
        let to = self.node.poll_transmit(&mut datagram)?;
        let limits = &self.config.limits;
        let max = if to.is_ipv4() { limits.datagram_ipv4 } else { limits.datagram_ipv6 };
        assert!(datagram.len() <= usize::from(max), "a datagram of {} bytes to {to}", datagram.len());
        assert!(self.config.allows(&to.ip()), "a datagram to {to}, which is not allowed");
        Some((to, datagram.freeze()))
    }

    /// Takes all events in.
    pub(crate) fn poll_events(&mut self) {
        while let Some(event) = self.node.poll_event() {
            let op = match &event {
                Event::ValueFound { op, .. } => Some(*op),
                event => event.finished(),
            };
            if let Some(callers) = &mut self.callers
                && op.is_none_or(|op| !self.running.contains_key(&op))
            {
                callers.hand_out(event.clone());
                if op.is_some() {
                    continue;
                }
            }
            if let Event::ValueFound { op, value } = event {
                let Some(running) = self.running.get_mut(&op) else {
                    panic!("law 3: a value for {op:?}, which is over or never was");
                };
                assert!(!running.values.contains(&value), "{op:?} found a value twice");
                running.values.push(value);
                continue;
            }
            let Some(op) = event.finished() else {
                self.outside_changes += u64::from(matches!(event, Event::OutsideAddressChanged { .. }));
                continue;
            };
            let Some(Running { started, values, .. }) = self.running.remove(&op) else {
                panic!("law 3: a final event for {op:?}, which is over or never was: {event:?}");
            };
            let took = self.now.saturating_duration_since(started);
            self.finished.insert(op, Outcome { event, values, took });
        }
        if self.is_checked {
            self.check_deadlines(self.now);
        }
    }

    /// How the operation ended, once.
    pub(crate) fn take_outcome(&mut self, op: OpId) -> Option<Outcome> {
        self.finished.remove(&op)
    }

    pub(crate) fn is_running(&self, op: OpId) -> bool {
        self.running.contains_key(&op)
    }

    pub(crate) fn outside_changes(&self) -> u64 {
        self.outside_changes
    }

    /// Its clock has jumped forwards, or its machine has slept.
    pub(crate) fn misses(&mut self, time: Duration) {
        self.missed += time;
    }

    /// Law 3: nothing runs for longer than the two phases that the configuration gives it.
    pub(crate) fn check_deadlines(&self, now: Instant) {
        let bound = self.config.limits.lookup_duration * 2;
        for (op, running) in &self.running {
            let since = now.max(self.now).saturating_duration_since(running.started);
            let missed = self.missed - running.missed;
            assert!(since <= bound + missed, "law 3: {op:?} has been running for {since:?}");
        }
    }

    fn check(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if !self.is_checked {
            return;
        }
        self.node.check_invariants();
        let wake = self.node.poll_timeout();
        assert!(wake.is_none_or(|at| at > now), "law 2: wants to wake at {wake:?}, at {now:?}");
    }
}
