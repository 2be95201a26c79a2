//! Datagrams that wait to be polled: a bounded queue that allocates nothing once it has grown.

use alloc::collections::VecDeque;
use bytes::{BufMut, BytesMut};
use core::net::SocketAddr;

/// Datagrams to send, oldest first.
#[derive(Debug)]
pub(super) struct Outbox {
    heads: VecDeque<(SocketAddr, usize)>,
    payloads: VecDeque<u8>,
    scratch: BytesMut,
    capacity: usize,
}

impl Outbox {
    pub(super) fn new(capacity: usize) -> Outbox {
        Outbox { heads: VecDeque::new(), payloads: VecDeque::new(), scratch: BytesMut::new(), capacity }
    }

    /// Queues what `write` appends, if there is room and it is at most `max_len` bytes.
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
        self.scratch.clear();
        write(&mut self.scratch);
        let len = self.scratch.len();
        if len == 0 || len > max_len {
            return None;
        }
        self.payloads.extend(&self.scratch);
        self.heads.push_back((to, len));
        Some(len)
    }

    /// Appends the oldest datagram to `out` and returns where it goes.
    pub(super) fn pop(&mut self, out: &mut BytesMut) -> Option<SocketAddr> {
        let (to, len) = self.heads.pop_front()?;
        let (front, back) = self.payloads.as_slices();
        let from_front = len.min(front.len());
        out.put_slice(&front[..from_front]);
        out.put_slice(&back[..len - from_front]);
        self.payloads.drain(..len);
        Some(to)
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
