//! The decoder.

use core::fmt;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, take};
use nom::character::complete::{digit1, one_of};
use nom::combinator::{opt, recognize, verify};
use nom::sequence::{delimited, terminated};

/// How much structure an input may have before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Lists and dictionaries within one another.
    pub depth: u8,
    /// Integers, byte strings, keys, lists and dictionaries in all.
    pub tokens: u32,
}

impl Bounds {
    /// Of a datagram: depth 16, 512 tokens (protocol, section 7).
    pub const DATAGRAM: Bounds = Bounds { depth: 16, tokens: 512 };
}

/// Why an input is not canonical bencode, or not what was expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// What is wrong.
    pub fault: Fault,
    /// Where, in bytes from the start of the input.
    pub offset: usize,
}

/// What is wrong with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Not a value: cut short, a length past the end, a leading zero, `i-0e`, a sign or a
    /// space in a number, or a type that bencode does not have.
    Malformed,
    /// Bytes follow the value.
    TrailingBytes,
    /// Keys of a dictionary are unsorted or occur twice.
    KeyOrder,
    /// Deeper than [`Bounds::depth`].
    TooDeep,
    /// More than [`Bounds::tokens`].
    TooManyTokens,
    /// A value of another type or length stands where the message has a known one,
    /// or one that must be there is missing.
    Unexpected,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            Fault::Malformed => "malformed bencode",
            Fault::TrailingBytes => "bytes after the value",
            Fault::KeyOrder => "dictionary keys unsorted or repeated",
            Fault::TooDeep => "nested too deep",
            Fault::TooManyTokens => "too many tokens",
            Fault::Unexpected => "a value of an unexpected type or length, or none",
        };
        write!(f, "{what} at byte {}", self.offset)
    }
}

impl core::error::Error for DecodeError {}

/// The type of the next value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `i42e`
    Integer,
    /// `4:spam`
    Bytes,
    /// `l…e`
    List,
    /// `d…e`
    Dictionary,
}

/// A cursor over one bencoded input.
///
/// ```
/// use khashmir::bencode::{Bounds, Decoder};
///
/// let mut decoder = Decoder::new(b"d1:ai7e1:bl4:spamee", Bounds::DATAGRAM);
/// decoder.begin_dictionary()?;
/// assert_eq!(decoder.next_key()?, Some(&b"a"[..]));
/// assert_eq!(decoder.integer()?, 7);
/// assert_eq!(decoder.next_key()?, Some(&b"b"[..]));
/// decoder.begin_list()?;
/// while decoder.next_item()? {
///     assert_eq!(decoder.bytes()?, b"spam");
/// }
/// assert_eq!(decoder.next_key()?, None);
/// decoder.finish()?;
/// # Ok::<(), khashmir::bencode::DecodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    input: &'a [u8],
    rest: &'a [u8],
    bounds: Bounds,
    /// The latest key of each open dictionary, `None` for lists and before the first key.
    open: arrayvec::ArrayVec<Option<&'a [u8]>, { Decoder::MAX_DEPTH }>,
}

type Parsed<'a, T> = nom::IResult<&'a [u8], T, ()>;

impl<'a> Decoder<'a> {
    const MAX_DEPTH: usize = 16;

    /// A cursor at the start of `input`. Depths over 16 are taken as 16.
    pub fn new(input: &'a [u8], bounds: Bounds) -> Decoder<'a> {
        Decoder { input, rest: input, bounds, open: arrayvec::ArrayVec::new() }
    }

    /// How many bytes have been read.
    pub fn offset(&self) -> usize {
        self.input.len() - self.rest.len()
    }

    /// The type of the next value, without reading it.
    pub fn kind(&self) -> Result<Kind, DecodeError> {
        match self.rest.first() {
            Some(b'i') => Ok(Kind::Integer),
            Some(b'0'..=b'9') => Ok(Kind::Bytes),
            Some(b'l') => Ok(Kind::List),
            Some(b'd') => Ok(Kind::Dictionary),
            _ => Err(self.error(Fault::Malformed)),
        }
    }

    /// Reads an integer; one beyond 64 bits becomes the nearest that fits.
    pub fn integer(&mut self) -> Result<i64, DecodeError> {
        self.expect(Kind::Integer)?;
        let digits = self.token(integer)?;
        let (negative, digits) = match digits {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        Ok(digits.iter().fold(0, |n: i64, digit| {
            let digit = i64::from(digit - b'0');
            n.saturating_mul(10).saturating_add(if negative { -digit } else { digit })
        }))
    }

    /// Reads a byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        self.expect(Kind::Bytes)?;
        self.token(byte_string)
    }

    /// Reads a byte string of exactly `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let start = self.offset();
        let bytes = self.bytes()?;
        bytes.try_into().map_err(|_| DecodeError { fault: Fault::Unexpected, offset: start })
    }

    /// Enters a dictionary: [`next_key`](Self::next_key) until it gives `None`.
    pub fn begin_dictionary(&mut self) -> Result<(), DecodeError> {
        self.expect(Kind::Dictionary)?;
        self.begin(b"d")
    }

    /// Enters a list: [`next_item`](Self::next_item) until it gives `false`.
    pub fn begin_list(&mut self) -> Result<(), DecodeError> {
        self.expect(Kind::List)?;
        self.begin(b"l")
    }

    /// Reads the next key of the dictionary, or its end.
    pub fn next_key(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        if self.end()? {
            return Ok(None);
        }
        let before = self.offset();
        let key = self.token(byte_string)?;
        match self.open.last_mut() {
            Some(Some(previous)) if *previous >= key => {
                Err(DecodeError { fault: Fault::KeyOrder, offset: before })
            }
            Some(latest) => {
                *latest = Some(key);
                Ok(Some(key))
            }
            None => Err(DecodeError { fault: Fault::Unexpected, offset: before }),
        }
    }

    /// Whether another item of the list follows; reads the list's end if not.
    pub fn next_item(&mut self) -> Result<bool, DecodeError> {
        Ok(!self.end()?)
    }

    /// Reads any one value, checks it whole, and returns its bytes.
    pub fn skip(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = self.rest;
        let depth = self.open.len();
        // One bit a level: dictionaries have keys to check, lists have not.
        let mut dictionaries = 0u32;
        loop {
            match self.kind()? {
                Kind::Integer => drop(self.token(integer)?),
                Kind::Bytes => drop(self.token(byte_string)?),
                Kind::List => {
                    self.begin(b"l")?;
                    dictionaries &= !(1 << self.open.len());
                }
                Kind::Dictionary => {
                    self.begin(b"d")?;
                    dictionaries |= 1 << self.open.len();
                }
            }
            loop {
                if self.open.len() == depth {
                    return Ok(&start[..start.len() - self.rest.len()]);
                }
                let more = if dictionaries & (1 << self.open.len()) != 0 {
                    self.next_key()?.is_some()
                } else {
                    self.next_item()?
                };
                if more {
                    break;
                }
            }
        }
    }

    /// Checks that nothing follows.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.rest {
            [] => Ok(()),
            _ => Err(self.error(Fault::TrailingBytes)),
        }
    }

    fn begin(&mut self, open: &'static [u8]) -> Result<(), DecodeError> {
        if self.open.len() >= usize::from(self.bounds.depth).min(Self::MAX_DEPTH) {
            return Err(self.error(Fault::TooDeep));
        }
        self.token(move |input| tag(open).parse(input))?;
        self.open.push(None);
        Ok(())
    }

    fn end(&mut self) -> Result<bool, DecodeError> {
        match (self.rest, self.open.is_empty()) {
            ([b'e', rest @ ..], false) => {
                self.rest = rest;
                self.open.pop();
                Ok(true)
            }
            ([], _) => Err(self.error(Fault::Malformed)),
            _ => Ok(false),
        }
    }

    fn expect(&self, kind: Kind) -> Result<(), DecodeError> {
        if self.kind()? == kind { Ok(()) } else { Err(self.error(Fault::Unexpected)) }
    }

    fn token<T>(&mut self, parser: impl Fn(&'a [u8]) -> Parsed<'a, T>) -> Result<T, DecodeError> {
        let Some(tokens) = self.bounds.tokens.checked_sub(1) else {
            return Err(self.error(Fault::TooManyTokens));
        };
        let (rest, token) = parser(self.rest).map_err(|_| self.error(Fault::Malformed))?;
        self.bounds.tokens = tokens;
        self.rest = rest;
        Ok(token)
    }

    fn error(&self, fault: Fault) -> DecodeError {
        DecodeError { fault, offset: self.offset() }
    }
}

/// The byte strings of a list that [`Decoder::skip`] has read.
///
/// It ends at the first item that is no byte string, or at the list's end:
/// [`is_complete`](Self::is_complete) tells which.
#[derive(Clone, Debug)]
pub struct ByteStrings<'a>(&'a [u8]);

impl<'a> ByteStrings<'a> {
    /// At the start of `list`; of nothing if that is another value.
    pub fn new(list: &'a [u8]) -> ByteStrings<'a> {
        ByteStrings(list.strip_prefix(b"l").unwrap_or_default())
    }

    /// Whether all that is left is the list's end.
    pub fn is_complete(&self) -> bool {
        self.0 == b"e"
    }
}

impl<'a> Iterator for ByteStrings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (rest, item) = byte_string(self.0).ok()?;
        self.0 = rest;
        Some(item)
    }
}

/// Digits without a leading zero.
fn number(input: &[u8]) -> Parsed<'_, &[u8]> {
    verify(digit1, |digits: &[u8]| digits[0] != b'0' || digits.len() == 1).parse(input)
}

fn integer(input: &[u8]) -> Parsed<'_, &[u8]> {
    let negative = recognize((tag(&b"-"[..]), one_of("123456789"), opt(digit1)));
    delimited(tag(&b"i"[..]), alt((negative, number)), tag(&b"e"[..])).parse(input)
}

fn byte_string(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, digits) = terminated(number, tag(&b":"[..])).parse(input)?;
    // A length past the end is malformed, so one too long to count may be any such length.
    let len =
        digits.iter().fold(0usize, |n, digit| n.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
    take(len).parse(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use khashmir_testing::quickcheck;

    fn check(input: &[u8]) -> Result<(), Fault> {
        let mut decoder = Decoder::new(input, Bounds::DATAGRAM);
        decoder.skip().and_then(|_| decoder.finish()).map_err(|e| e.fault)
    }

    #[test]
    fn accepts_canonical_values() {
        for good in [
            "i0e",
            "i42e",
            "i-1e",
            "0:",
            "4:spam",
            "le",
            "de",
            "d1:ai1e2:aai2ee",
            "l0:i99999999999999999999999ee",
        ] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        use Fault::*;
        for (bad, fault) in [
            ("", Malformed),
            ("hello", Malformed),
            ("i01e", Malformed),
            ("i-0e", Malformed),
            ("i-01e", Malformed),
            ("i+5e", Malformed),
            ("i 5e", Malformed),
            ("i5", Malformed),
            ("ie", Malformed),
            ("i-e", Malformed),
            ("01:a", Malformed),
            ("1 :a", Malformed),
            ("-1:a", Malformed),
            ("+1:a", Malformed),
            ("2:a", Malformed),
            ("99999999999999999999999:a", Malformed),
            ("1", Malformed),
            ("1:", Malformed),
            ("l", Malformed),
            ("d1:a", Malformed),
            ("d1:ae", Malformed),
            ("di1ei2ee", Malformed),
            ("u1:a", Malformed),
            ("t2008e", Malformed),
            ("l4:i1eed-8:", Malformed),
            ("d1:bi1e1:ai2ee", KeyOrder),
            ("d1:ai1e1:ai2ee", KeyOrder),
            ("i1ei2e", TrailingBytes),
        ] {
            assert_eq!(check(bad.as_bytes()), Err(fault), "{bad}");
        }
    }

    #[test]
    fn bounds_hold() {
        let nested = |n: usize| [alloc::vec![b'l'; n], alloc::vec![b'e'; n]].concat();
        assert_eq!(check(&nested(16)), Ok(()));
        assert_eq!(check(&nested(17)), Err(Fault::TooDeep));
        let wide = |n: usize| [b"l".to_vec(), b"0:".repeat(n), b"e".to_vec()].concat();
        assert_eq!(check(&wide(511)), Ok(()));
        assert_eq!(check(&wide(512)), Err(Fault::TooManyTokens));
    }

    #[test]
    fn integers_beyond_64_bits_saturate() {
        let read = |input: &[u8]| Decoder::new(input, Bounds::DATAGRAM).integer();
        assert_eq!(read(b"i9223372036854775808e"), Ok(i64::MAX));
        assert_eq!(read(b"i-99999999999999999999e"), Ok(i64::MIN));
        assert_eq!(read(b"i-9223372036854775808e"), Ok(i64::MIN));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_errors_lie_within_them() {
        fn law(picks: Vec<u8>) -> bool {
            // Bytes that bencode is made of, so that nesting and lengths are reached.
            let input: Vec<u8> = picks.iter().map(|p| b"ilde:0123459-ab"[usize::from(*p) % 15]).collect();
            let mut decoder = Decoder::new(&input, Bounds::DATAGRAM);
            match decoder.skip() {
                Ok(value) => value == &input[..value.len()] && decoder.offset() == value.len(),
                Err(error) => error.offset <= input.len(),
            }
        }
        quickcheck().tests(20_000).quickcheck(law as fn(Vec<u8>) -> bool);
    }
}
