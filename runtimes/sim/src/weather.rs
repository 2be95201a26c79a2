//! What befalls nodes beside what their links do: cut cables, slow machines, clocks.

use crate::{Network, NodeIndex};
use core::time::Duration;
use khashmir::Instant;
use std::collections::BTreeSet;

/// What is wrong with one node, beside its NAT.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    /// Which part of the network it is in.
    group: u8,
    /// How many of a hundred datagrams to it it does not see, and how much later it sees the others.
    pub(crate) slowness: Option<Slowness>,
    /// How far its clock is ahead of ours, and how far behind.
    ahead: Duration,
    behind: Duration,
    /// Since when its machine sleeps.
    pub(crate) suspended: Option<Instant>,
}

/// An overloaded node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slowness {
    /// How many of a hundred datagrams to it it drops.
    pub drops_percent: u8,
    /// How much later it sees the others.
    pub delay: Duration,
}

/// From which part of a network nothing reaches which.
pub(crate) type Cuts = BTreeSet<(u8, u8)>;

impl Condition {
    /// What its clock shows when it is `now`.
    pub(crate) fn local(&self, now: Instant) -> Instant {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let ahead = now.as_micros().saturating_add(micros(self.ahead));
        Instant::from_micros(ahead.saturating_sub(micros(self.behind)))
    }

    /// When its clock shows `local`, not before `now`.
    pub(crate) fn global(&self, local: Instant, now: Instant) -> Instant {
        let until = local.saturating_duration_since(self.local(now));
        now + until
    }
}

impl Network {
    /// Puts a node into a part of the network; all are in part 0 at first.
    pub fn set_group(&mut self, node: NodeIndex, group: u8) {
        self.hosts[node.0].condition.group = group;
    }

    /// Nothing reaches part `to` from part `from` any more; the other way is as it was.
    pub fn cut(&mut self, from: u8, to: u8) {
        self.cuts.insert((from, to));
    }

    /// All parts of the network reach each other again.
    pub fn heal(&mut self) {
        self.cuts.clear();
    }

    /// Whether something sent by one reaches the other's part of the network.
    pub(crate) fn is_cut(&self, from: NodeIndex, to: NodeIndex) -> bool {
        let group = |node: NodeIndex| self.hosts[node.0].condition.group;
        self.cuts.contains(&(group(from), group(to)))
    }

    /// Makes a node slow, or as fast as others.
    pub fn set_slowness(&mut self, node: NodeIndex, slowness: Option<Slowness>) {
        self.hosts[node.0].condition.slowness = slowness;
    }

    /// A node's clock jumps forwards. It notices when it is woken next, which may be at once.
    pub fn jump_clock(&mut self, node: NodeIndex, ahead: Duration) {
        let host = &mut self.hosts[node.0];
        host.condition.ahead += ahead;
        host.up.iter_mut().for_each(|watched| watched.misses(ahead));
        self.reschedule(node);
    }

    /// A node's clock is set back, to its origin at most. No clock of a driver does that.
    pub fn set_clock_back(&mut self, node: NodeIndex, behind: Duration) {
        let shown = self.local(node).saturating_duration_since(Instant::ORIGIN);
        self.hosts[node.0].condition.behind += behind.min(shown);
        self.reschedule(node);
    }

    /// The machine of a node sleeps: what is sent to it is lost, and it does nothing, until
    /// [`resume`](Self::resume) or a restart. Give it no commands meanwhile.
    pub fn suspend(&mut self, node: NodeIndex) {
        self.hosts[node.0].condition.suspended.get_or_insert(self.now);
    }

    /// Whether the machine of a node sleeps.
    pub fn is_suspended(&self, node: NodeIndex) -> bool {
        self.hosts[node.0].condition.suspended.is_some()
    }

    /// The machine of a node wakes up; its clock has gone on meanwhile.
    pub fn resume(&mut self, node: NodeIndex) {
        let host = &mut self.hosts[node.0];
        if let Some(since) = host.condition.suspended.take() {
            let slept = self.now.saturating_duration_since(since);
            host.up.iter_mut().for_each(|watched| watched.misses(slept));
            self.reschedule(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_read_both_ways() {
        let secs = Duration::from_secs;
        let at = |secs| Instant::ORIGIN + Duration::from_secs(secs);
        let condition = Condition { ahead: secs(100), behind: secs(30), ..Condition::default() };
        assert_eq!(condition.local(at(10)), at(80));
        assert_eq!(condition.global(at(90), at(10)), at(20));
        assert_eq!(condition.global(at(79), at(10)), at(10), "what is over is due now");
    }
}
