//! Who waits for which operation.

use khashmir::{Event, OpId};
use std::collections::HashMap;

/// One who started an operation and waits for its events.
pub trait Waiter {
    /// Hears an event of its operation; the final one is the last. Must not block.
    fn hear(&self, event: Event);

    /// Whether it has gone away, so that its operation can be cancelled.
    fn is_gone(&self) -> bool;
}

/// The waiters of the operations that run: as many at most as the node has slots for operations.
#[derive(Debug)]
pub struct Waiters<W> {
    by_op: HashMap<OpId, W>,
}

impl<W: Waiter> Waiters<W> {
    /// Nobody waits.
    pub fn new() -> Waiters<W> {
        Waiters { by_op: HashMap::new() }
    }

    /// `waiter` will hear the events of `op`.
    pub fn add(&mut self, op: OpId, waiter: W) {
        self.by_op.insert(op, waiter);
    }

    /// Hands an event to the one who waits for it. One that belongs to no operation comes back.
    pub fn hand_out(&mut self, event: Event) -> Option<Event> {
        if let Some(op) = event.finished() {
            if let Some(waiter) = self.by_op.remove(&op) {
                waiter.hear(event);
            }
            return None;
        }
        let Event::ValueFound { op, .. } = &event else {
            return Some(event);
        };
        if let Some(waiter) = self.by_op.get(op) {
            waiter.hear(event);
        }
        None
    }

    /// The operations whose waiters have gone away.
    pub fn abandoned(&self) -> Vec<OpId> {
        self.by_op.iter().filter(|(_, waiter)| waiter.is_gone()).map(|(op, _)| *op).collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.by_op.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.by_op.is_empty()
    }
}

impl<W: Waiter> Default for Waiters<W> {
    fn default() -> Waiters<W> {
        Waiters::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use khashmir::{Config, Id, Instant, Node};
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    #[derive(Clone, Default)]
    struct Listener {
        heard: Rc<RefCell<Vec<Event>>>,
        gone: Rc<Cell<bool>>,
    }

    impl Waiter for Listener {
        fn hear(&self, event: Event) {
            self.heard.borrow_mut().push(event);
        }

        fn is_gone(&self) -> bool {
            self.gone.get()
        }
    }

    /// A node that knows nobody serves its own values: a whole story without a network.
    #[test]
    fn each_hears_its_own_events_and_is_forgotten_after_the_last() {
        let now = Instant::ORIGIN;
        let mut node = Node::new(Config::default(), [1; 32], now).unwrap();
        let mut waiters = Waiters::new();
        let [putter, getter, pinger] = [(); 3].map(|()| Listener::default());
        let key = Id([7; 20]);
        waiters.add(node.put(now, key, b"value").unwrap(), putter.clone());
        waiters.add(node.get(now, key, 10).unwrap(), getter.clone());
        let ping = node.ping(now, "192.88.98.1:9".parse().unwrap()).unwrap();
        waiters.add(ping, pinger.clone());
        while let Some(event) = node.poll_event() {
            assert_eq!(waiters.hand_out(event), None);
        }
        assert!(matches!(putter.heard.borrow()[..], [Event::PutFinished { copies: 1, .. }]));
        let heard = getter.heard.borrow();
        let [Event::ValueFound { value, .. }, Event::GetFinished { values: 1, .. }] = &heard[..] else {
            panic!("{heard:?}");
        };
        assert_eq!(&value[..], b"value");
        assert_eq!(waiters.len(), 1, "only the ping runs");

        assert_eq!(waiters.abandoned(), []);
        pinger.gone.set(true);
        assert_eq!(waiters.abandoned(), [ping]);
        assert!(node.cancel(now, ping));
        while let Some(event) = node.poll_event() {
            assert_eq!(waiters.hand_out(event), None);
        }
        assert!(waiters.is_empty());
        assert_eq!(waiters.hand_out(Event::CheckpointPassed), Some(Event::CheckpointPassed));
    }
}
