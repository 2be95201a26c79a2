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
        self.digits(n.unsigned_abs());
        self.raw(b"e")
    }

    /// Writes a byte string; also a dictionary's key.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.digits(bytes.len() as u64);
        self.raw(b":").raw(bytes)
    }

    /// Writes what is bencode already.
    pub fn raw(&mut self, bencode: &[u8]) -> &mut Self {
        self.out.put_slice(bencode);
        self
    }

    fn digits(&mut self, mut n: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (n % 10) as u8;
            n /= 10;
            if n == 0 {
                break;
            }
        }
        self.out.put_slice(&digits[at..]);
    }
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
}
