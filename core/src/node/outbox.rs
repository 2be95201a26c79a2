//! Datagrams that wait to be polled: a bounded queue that allocates nothing once it has grown.

use alloc::collections::VecDeque;
use bytes::{BufMut, BytesMut};
use core::net::SocketAddr;

/// Datagrams to send, oldest first.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Where each goes, and its length.
    heads: VecDeque<(SocketAddr, usize)>,
    /// One payload after the other: each is written where it waits.
    payloads: BytesMut,
    /// Bytes of `payloads` that have been popped.
    popped: usize,
    capacity: usize,
    /// How many there were at a time, and bytes of them, since the last look.
    most: (usize, usize),
}

impl Outbox {
    pub(super) fn new(capacity: usize) -> Outbox {
        Outbox { heads: VecDeque::new(), payloads: BytesMut::new(), popped: 0, capacity, most: (0, 0) }
    }

    /// Queues what `write` appends to the buffer, which holds others' bytes already, if there is room and it is at most `max_len` bytes.
    /// Returns the datagram's length, or `None` if it was dropped.
    pub(super) fn push(
        &mut self,
        to: SocketAddr,
        max_len: usize,
        write: impl FnOnce(&mut BytesMut),
    ) -> Option<usize> {
        if self.is_full() {
            return None;
        }
        self.reuse();
        let start = self.payloads.len();
        write(&mut self.payloads);
        let len = self.payloads.len() - start;
        if len == 0 || len > max_len {
            self.payloads.truncate(start);
            return None;
        }
        self.heads.push_back((to, len));
        let (datagrams, bytes) = self.most;
        self.most = (datagrams.max(self.heads.len()), bytes.max(self.payloads.len()));
        Some(len)
    }

    /// Appends the oldest datagram to `out` and returns where it goes.
    pub(super) fn pop(&mut self, out: &mut BytesMut) -> Option<SocketAddr> {
        let (to, len) = self.heads.pop_front()?;
        let end = self.popped + len;
        out.put_slice(&self.payloads[self.popped..end]);
        self.popped = end;
        Some(to)
    }

    /// Moves what waits to the front, once at least as much is gone: so, at most one byte is moved
    /// for each that was popped, and none where the queue empties between.
    fn reuse(&mut self) {
        let waiting = self.payloads.len() - self.popped;
        if self.popped >= waiting {
            self.payloads.copy_within(self.popped.., 0);
            self.payloads.truncate(waiting);
            self.popped = 0;
        }
    }

    /// Gives back room that has not been needed since this was last called.
    pub(super) fn trim(&mut self) {
        let (datagrams, bytes) = core::mem::take(&mut self.most);
        if self.heads.is_empty() {
            self.heads.shrink_to(datagrams);
            if self.payloads.capacity() > bytes * 2 {
                (self.payloads, self.popped) = (BytesMut::with_capacity(bytes), 0);
            }
        }
    }

    /// Whether more than half of the room is taken: what is least useful should wait.
    pub(super) fn is_busy(&self) -> bool {
        self.heads.len() > self.capacity / 2
    }

    pub(super) fn is_full(&self) -> bool {
        self.heads.len() >= self.capacity
    }

    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_never_empties_does_not_grow() {
        let to = SocketAddr::from(([10, 0, 0, 1], 1));
        let (mut outbox, mut out) = (Outbox::new(4), BytesMut::new());
        for round in 0..1000u16 {
            outbox.push(to, 100, |b| b.put_slice(&[round as u8; 100])).unwrap();
            if round >= 3 {
                out.clear();
                assert_eq!(outbox.pop(&mut out), Some(to));
                assert_eq!(out[..], [(round - 3) as u8; 100]);
            }
        }
        assert!(outbox.payloads.capacity() <= 2048, "{}", outbox.payloads.capacity());
    }

    #[test]
    fn room_for_a_burst_is_given_back_when_it_is_long_over() {
        let to = SocketAddr::from(([10, 0, 0, 1], 1));
        let (mut outbox, mut out) = (Outbox::new(1000), BytesMut::new());
        let mut burst = |outbox: &mut Outbox, count| {
            (0..count).for_each(|_| assert!(outbox.push(to, 100, |b| b.put_slice(&[1; 100])).is_some()));
            while outbox.pop(&mut out).is_some() {}
            outbox.payloads.capacity()
        };
        let large = burst(&mut outbox, 500);
        outbox.trim();
        assert_eq!(burst(&mut outbox, 4), large, "it was needed not long ago");
        outbox.trim();
        let small = burst(&mut outbox, 4);
        assert!(small < 1000, "{small} bytes");
        outbox.trim();
        assert_eq!(burst(&mut outbox, 4), small, "what is needed stays");
    }

    #[test]
    fn keeps_order_and_drops_what_does_not_fit() {
        let to = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let mut outbox = Outbox::new(2);
        let mut out = BytesMut::new();
        for round in 0..100u8 {
            assert_eq!(outbox.push(to(1), 4, |b| b.put_slice(&[round; 3])), Some(3));
            assert_eq!(outbox.push(to(2), 4, |b| b.put_slice(&[round; 5])), None, "too long");
            assert_eq!(outbox.push(to(3), 4, |b| b.put_slice(&[round; 4])), Some(4));
            assert_eq!(outbox.push(to(4), 4, |b| b.put_slice(b"x")), None, "full");
            out.clear();
            assert_eq!(outbox.pop(&mut out), Some(to(1)));
            assert_eq!(out[..], [round; 3]);
            assert_eq!(outbox.pop(&mut out), Some(to(3)));
            assert_eq!(out[3..], [round; 4]);
            assert_eq!(outbox.pop(&mut out), None);
        }
    }
}
