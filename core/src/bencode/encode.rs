//! The encoder.

use bytes::{BufMut, BytesMut};

/// Writes bencode at the end of a buffer.
///
/// It writes what it is told in the order that it is told: whoever calls it keeps
/// keys sorted and closes what was opened.
#[derive(Debug)]
pub struct Encoder<'b> {
    out: &'b mut BytesMut,
}

impl<'b> Encoder<'b> {
    /// An encoder that appends to `out`.
    pub fn new(out: &'b mut BytesMut) -> Encoder<'b> {
        Encoder { out }
    }

    /// Makes room for `len` bytes more, so that the buffer does not grow piece by piece.
    pub fn reserve(&mut self, len: usize) -> &mut Self {
        self.out.reserve(len);
        self
    }

    /// Opens a dictionary.
    pub fn begin_dictionary(&mut self) -> &mut Self {
        self.raw(b"d")
    }

    /// Opens a list.
    pub fn begin_list(&mut self) -> &mut Self {
        self.raw(b"l")
    }

    /// Closes the latest dictionary or list.
    pub fn end(&mut self) -> &mut Self {
        self.raw(b"e")
    }

    /// Writes an integer.
    pub fn integer(&mut self, n: i64) -> &mut Self {
        self.raw(b"i");
        if n < 0 {
            self.raw(b"-");
        }
        self.digits(n.unsigned_abs()).raw(b"e")
    }

    /// Writes a byte string; also a dictionary's key.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        match short_prefix(bytes.len()) {
            Some(prefix) => self.raw(&prefix),
            None => self.digits(bytes.len() as u64).raw(b":"),
        }
        .raw(bytes)
    }

    /// Writes byte strings one after the other, as in a list: room is made once for all of them.
    pub fn byte_strings(&mut self, items: &[&[u8]]) -> &mut Self {
        let all: usize = items.iter().map(|item| item.len()).sum();
        // No length has more digits than their sum.
        let most = all + items.len() * (decimal_len(all as u64) + b":".len());
        let start = self.out.len();
        self.out.resize(start + most, 0);
        let mut room = &mut self.out[start..];
        // Values of one key are mostly of one length.
        let (mut latest, mut prefix) = (0, None);
        for item in items {
            if item.len() != latest {
                (latest, prefix) = (item.len(), short_prefix(item.len()));
            }
            room = match prefix {
                Some(prefix) => put_two(room, &prefix, item),
                None => put_long(room, item),
            };
        }
        let unused = room.len();
        self.out.truncate(start + most - unused);
        self
    }

    /// Writes what is bencode already.
    #[inline]
    pub fn raw(&mut self, bencode: &[u8]) -> &mut Self {
        self.out.put_slice(bencode);
        self
    }

    fn digits(&mut self, n: u64) -> &mut Self {
        let mut digits = [0; MOST_DIGITS];
        self.raw(decimal(n, &mut digits))
    }
}

const MOST_DIGITS: usize = decimal_len(u64::MAX);

/// The digits of `n`, at the end of `digits`.
fn decimal(mut n: u64, digits: &mut [u8; MOST_DIGITS]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return &digits[at..];
        }
    }
}

/// What stands before a byte string, if its length has two digits: most have.
#[inline(always)]
fn short_prefix(len: usize) -> Option<[u8; 3]> {
    (10..100).contains(&len).then(|| [b'0' + (len / 10) as u8, b'0' + (len % 10) as u8, b':'])
}

/// Puts `head` and `tail` at the start of `room`, and returns what is left of it.
#[inline(always)]
fn put_two<'r>(room: &'r mut [u8], head: &[u8], tail: &[u8]) -> &'r mut [u8] {
    let (to, room) = room.split_at_mut(head.len() + tail.len());
    let (to_head, to_tail) = to.split_at_mut(head.len());
    to_head.copy_from_slice(head);
    to_tail.copy_from_slice(tail);
    room
}

#[cold]
fn put_long<'r>(room: &'r mut [u8], item: &[u8]) -> &'r mut [u8] {
    let mut digits = [0; MOST_DIGITS];
    let room = put_two(room, decimal(item.len() as u64, &mut digits), b":");
    put_two(room, item, b"")
}

/// Bytes that a byte string of `len` bytes takes.
pub const fn bytes_len(len: usize) -> usize {
    decimal_len(len as u64) + 1 + len
}

/// Bytes that an integer takes.
pub const fn integer_len(n: i64) -> usize {
    2 + (n < 0) as usize + decimal_len(n.unsigned_abs())
}

const fn decimal_len(n: u64) -> usize {
    match n.checked_ilog10() {
        Some(log) => log as usize + 1,
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bencode::{Bounds, Decoder};
    use alloc::vec::Vec;
    use khashmir_testing::quickcheck;

    #[test]
    fn what_is_written_reads_back_and_has_the_length_foretold() {
        fn law(n: i64, bytes: Vec<u8>) -> bool {
            let mut out = BytesMut::new();
            Encoder::new(&mut out).integer(n).bytes(&bytes);
            let mut decoder = Decoder::new(&out, Bounds::DATAGRAM);
            decoder.integer() == Ok(n)
                && decoder.bytes() == Ok(&bytes[..])
                && decoder.finish().is_ok()
                && out.len() == integer_len(n) + bytes_len(bytes.len())
        }
        for n in [0, 1, -1, 9, 10, i64::MAX, i64::MIN] {
            assert!(law(n, b"abcdefghij".to_vec()), "{n}");
        }
        quickcheck().quickcheck(law as fn(i64, Vec<u8>) -> bool);
    }

    #[test]
    fn byte_strings_are_written_as_one_by_one() {
        fn law(lengths: Vec<u8>, long: u16) -> bool {
            // Lengths of one, two and three digits, often the same one after the other, and a long one.
            let lengths = lengths.iter().map(|len| usize::from(len / 8 * 8)).chain([long.into()]);
            let items: Vec<Vec<u8>> = lengths.map(|len| alloc::vec![b'x'; len]).collect();
            let items: Vec<&[u8]> = items.iter().map(|item| &item[..]).collect();
            let (mut together, mut single) = (BytesMut::from(&b"l"[..]), BytesMut::from(&b"l"[..]));
            Encoder::new(&mut together).byte_strings(&items).end();
            let mut encoder = Encoder::new(&mut single);
            for item in &items {
                encoder.bytes(item);
            }
            encoder.end();
            together == single
        }
        quickcheck().quickcheck(law as fn(Vec<u8>, u16) -> bool);
    }
}
