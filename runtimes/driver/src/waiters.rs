//! Who waits for which operation.

use async_channel::Sender;
use khashmir::node::CommandError;
use khashmir::{Event, OpId};
use std::collections::BTreeMap;

/// What a caller is told of an operation: first whether the node has taken it.
#[derive(Debug)]
pub(crate) enum Told {
    Taken,
    Refused(CommandError),
    Event(Event),
}

/// One who started an operation: a channel with room for all that will be told.
#[derive(Debug)]
pub(crate) struct Waiter(pub(crate) Sender<Told>);

impl Waiter {
    pub(crate) fn tell(&self, told: Told) {
        // Fails only if nobody listens.
        let _unheard = self.0.try_send(told);
    }

    /// Whether nobody listens any more, so that the operation can be cancelled.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}

/// The waiters of the operations that run: as many at most as the node has slots for operations.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    by_op: BTreeMap<OpId, Waiter>,
}

impl Waiters {
    /// `waiter` will hear the events of `op`.
    pub(crate) fn add(&mut self, op: OpId, waiter: Waiter) {
        self.by_op.insert(op, waiter);
    }

    /// Hands an event to the one who waits for it. One that belongs to no operation comes back.
    pub(crate) fn hand_out(&mut self, event: Event) -> Option<Event> {
        if let Some(op) = event.finished() {
            if let Some(waiter) = self.by_op.remove(&op) {
                waiter.tell(Told::Event(event));
            }
            return None;
        }
        let Event::ValueFound { op, .. } = &event else {
            return Some(event);
        };
        if let Some(waiter) = self.by_op.get(op) {
            waiter.tell(Told::Event(event));
        }
        None
    }

    /// The operations whose waiters have gone away.
    pub(crate) fn abandoned(&self) -> Vec<OpId> {
        self.by_op.iter().filter(|(_, waiter)| waiter.is_gone()).map(|(op, _)| *op).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_channel::unbounded;
    use khashmir::{Config, Id, Instant, Node};

    /// A node that knows nobody serves its own values: a whole story without a network.
    #[test]
    fn each_hears_its_own_events_and_is_forgotten_after_the_last() {
        let now = Instant::ORIGIN;
        let mut node = Node::new(Config::default(), [1; 32], now).unwrap();
        let mut waiters = Waiters::default();
        let [(putter, to_putter), (getter, to_getter), (pinger, to_pinger)] = [(); 3].map(|()| unbounded());
        let key = Id([7; 20]);
        waiters.add(node.put(now, key, b"value").unwrap(), Waiter(putter));
        waiters.add(node.get(now, key, 10).unwrap(), Waiter(getter));
        let ping = node.ping(now, "192.88.98.1:9".parse().unwrap()).unwrap();
        waiters.add(ping, Waiter(pinger));
        while let Some(event) = node.poll_event() {
            assert_eq!(waiters.hand_out(event), None);
        }
        assert!(matches!(to_putter.try_recv(), Ok(Told::Event(Event::PutFinished { copies: 1, .. }))));
        let Ok(Told::Event(Event::ValueFound { value, .. })) = to_getter.try_recv() else {
            panic!("no value");
        };
        assert_eq!(&value[..], b"value");
        assert!(matches!(to_getter.try_recv(), Ok(Told::Event(Event::GetFinished { values: 1, .. }))));
        assert_eq!(waiters.by_op.len(), 1, "only the ping runs");

        assert_eq!(waiters.abandoned(), []);
        drop(to_pinger);
        assert_eq!(waiters.abandoned(), [ping]);
        assert!(node.cancel(now, ping));
        while let Some(event) = node.poll_event() {
            assert_eq!(waiters.hand_out(event), None);
        }
        assert!(waiters.by_op.is_empty());
        assert_eq!(waiters.hand_out(Event::CheckpointPassed), Some(Event::CheckpointPassed));
    }
}
