//! The decoder.

use super::token::{self, Parsed};
use arrayvec::ArrayVec;
use core::fmt;

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
/// let mut keys = decoder.begin_dictionary()?;
/// assert_eq!(decoder.next_key(&mut keys)?, Some(&b"a"[..]));
/// assert_eq!(decoder.integer()?, 7);
/// assert_eq!(decoder.next_key(&mut keys)?, Some(&b"b"[..]));
/// decoder.begin_list()?;
/// while decoder.next_item()? {
///     assert_eq!(decoder.bytes()?, b"spam");
/// }
/// assert_eq!(decoder.next_key(&mut keys)?, None);
/// decoder.finish()?;
/// # Ok::<(), khashmir::bencode::DecodeError>(())
/// ```
// Nothing that is not inlined gets a reference to one, and it has no array: so it lives in registers while
// a message is read. What is rare takes a copy.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
    /// Bytes of the whole input.
    len: usize,
    /// What is left of them.
    bounds: Bounds,
    /// Lists and dictionaries that have begun and not ended.
    open: u8,
}

/// How far the keys of a dictionary have been read: each must be greater than the one before.
#[derive(Clone, Debug)]
pub struct Keys<'a>(Option<&'a [u8]>);

impl<'a> Decoder<'a> {
    const MAX_DEPTH: u8 = 16;

    /// A cursor at the start of `input`. Depths over 16 are taken as 16.
    #[inline(always)]
    pub fn new(input: &'a [u8], bounds: Bounds) -> Decoder<'a> {
        let bounds = Bounds { depth: bounds.depth.min(Self::MAX_DEPTH), ..bounds };
        Decoder { rest: input, len: input.len(), bounds, open: 0 }
    }

    /// How many bytes have been read.
    #[inline(always)]
    pub fn offset(&self) -> usize {
        self.len - self.rest.len()
    }

    /// The type of the next value, without reading it.
    #[inline(always)]
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
    #[inline(always)]
    pub fn integer(&mut self) -> Result<i64, DecodeError> {
        self.token(Kind::Integer, token::integer)
    }

    /// Reads a byte string.
    #[inline(always)]
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        self.token(Kind::Bytes, token::byte_string)
    }

    /// Reads a byte string of exactly `N` bytes.
    #[inline(always)]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let start = self.offset();
        let bytes = self.bytes()?;
        bytes.try_into().map_err(|_| DecodeError { fault: Fault::Unexpected, offset: start })
    }

    /// Enters a dictionary: [`next_key`](Self::next_key) until it gives `None`.
    #[inline(always)]
    pub fn begin_dictionary(&mut self) -> Result<Keys<'a>, DecodeError> {
        self.begin(Kind::Dictionary, token::dictionary)?;
        Ok(Keys(None))
    }

    /// Enters a list: [`next_item`](Self::next_item) until it gives `false`.
    #[inline(always)]
    pub fn begin_list(&mut self) -> Result<(), DecodeError> {
        self.begin(Kind::List, token::list)
    }

    /// Reads the next key of the dictionary whose keys these are, or its end.
    #[inline(always)]
    pub fn next_key(&mut self, keys: &mut Keys<'a>) -> Result<Option<&'a [u8]>, DecodeError> {
        if !self.next_item()? {
            return Ok(None);
        }
        let before = self.offset();
        let key = self.token(Kind::Bytes, token::byte_string).map_err(DecodeError::of_key)?;
        if keys.0.is_some_and(|latest| !ascend(latest, key)) {
            return Err(DecodeError { fault: Fault::KeyOrder, offset: before });
        }
        keys.0 = Some(key);
        Ok(Some(key))
    }

    /// Reads the next entry, if it is the one that begins with `known`, a key and the length of its value as
    /// written; `None` if it is any other, which is then still to be read.
    ///
    /// What most messages have is recognised so at once, instead of piece by piece.
    #[inline(always)]
    pub(crate) fn known_entry<const N: usize>(
        &mut self,
        keys: &mut Keys<'a>,
        key: &'static [u8],
        known: &'static [u8],
    ) -> Option<&'a [u8; N]> {
        let (value, rest) = self.rest.strip_prefix(known)?.split_first_chunk()?;
        if keys.0.is_some_and(|latest| !ascend(latest, key)) {
            return None;
        }
        self.bounds.tokens = self.bounds.tokens.checked_sub(2)?;
        self.rest = rest;
        keys.0 = Some(key);
        Some(value)
    }

    /// Whether another item of the list follows; reads the list's end if not.
    #[inline(always)]
    pub fn next_item(&mut self) -> Result<bool, DecodeError> {
        match self.rest {
            [b'e', rest @ ..] if self.open > 0 => {
                self.rest = rest;
                self.open -= 1;
                Ok(false)
            }
            [] => Err(self.error(Fault::Malformed)),
            _ => Ok(true),
        }
    }

    /// Reads a byte string; `None` if the value is of another type, which is then skipped.
    #[inline(always)]
    pub fn bytes_or_skip(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        self.token_or_skip(Kind::Bytes, token::byte_string)
    }

    /// Reads an integer; `None` if the value is of another type, which is then skipped.
    #[inline(always)]
    pub fn integer_or_skip(&mut self) -> Result<Option<i64>, DecodeError> {
        self.token_or_skip(Kind::Integer, token::integer)
    }

    /// Reads any one value, checks it whole, and returns its bytes.
    #[inline(always)]
    pub fn skip(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = self.rest;
        *self = self.clone().skipped()?;
        Ok(&start[..start.len() - self.rest.len()])
    }

    /// Checks that nothing follows.
    #[inline(always)]
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.rest {
            [] => Ok(()),
            _ => Err(self.error(Fault::TrailingBytes)),
        }
    }

    /// What has not been read.
    #[inline(always)]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// After the next value.
    #[cold]
    fn skipped(mut self) -> Result<Decoder<'a>, DecodeError> {
        // What is open within that value; lists have no keys.
        let mut open = ArrayVec::<Option<Keys<'a>>, { Decoder::MAX_DEPTH as usize }>::new();
        loop {
            match self.kind()? {
                Kind::Integer => drop(self.integer()?),
                Kind::Bytes => drop(self.bytes()?),
                Kind::List => {
                    self.begin_list()?;
                    open.push(None);
                }
                Kind::Dictionary => open.push(Some(self.begin_dictionary()?)),
            }
            loop {
                let more = match open.last_mut() {
                    None => return Ok(self),
                    Some(None) => self.next_item()?,
                    Some(Some(keys)) => self.next_key(keys)?.is_some(),
                };
                if more {
                    break;
                }
                open.pop();
            }
        }
    }

    #[inline(always)]
    fn begin(
        &mut self,
        kind: Kind,
        parser: impl FnOnce(&'a [u8]) -> Parsed<'a, ()>,
    ) -> Result<(), DecodeError> {
        if self.open >= self.bounds.depth {
            return Err(self.clone().refuse(kind));
        }
        self.token(kind, parser)?;
        self.open += 1;
        Ok(())
    }

    #[inline(always)]
    fn token<T>(
        &mut self,
        kind: Kind,
        parser: impl FnOnce(&'a [u8]) -> Parsed<'a, T>,
    ) -> Result<T, DecodeError> {
        self.try_token(parser).ok_or_else(|| self.clone().refuse(kind))
    }

    #[inline(always)]
    fn token_or_skip<T>(
        &mut self,
        kind: Kind,
        parser: impl FnOnce(&'a [u8]) -> Parsed<'a, T>,
    ) -> Result<Option<T>, DecodeError> {
        let value = self.try_token(parser);
        if value.is_none() {
            *self = self.clone().skipped_unless(kind)?;
        }
        Ok(value)
    }

    #[inline(always)]
    fn try_token<T>(&mut self, parser: impl FnOnce(&'a [u8]) -> Parsed<'a, T>) -> Option<T> {
        let (rest, value) = parser(self.rest).ok()?;
        self.bounds.tokens = self.bounds.tokens.checked_sub(1)?;
        self.rest = rest;
        Some(value)
    }

    /// After the next value, which is no `kind`; an error if it is a bad one.
    #[cold]
    fn skipped_unless(self, kind: Kind) -> Result<Decoder<'a>, DecodeError> {
        match self.clone().refuse(kind) {
            DecodeError { fault: Fault::Unexpected, .. } => self.skipped(),
            error => Err(error),
        }
    }

    /// Why there is no `kind` here.
    #[cold]
    #[inline(never)]
    fn refuse(self, kind: Kind) -> DecodeError {
        let begins = matches!(kind, Kind::List | Kind::Dictionary);
        match self.kind() {
            Err(malformed) => malformed,
            Ok(other) if other != kind => self.error(Fault::Unexpected),
            Ok(_) if begins && self.open >= self.bounds.depth => self.error(Fault::TooDeep),
            Ok(_) if self.bounds.tokens == 0 => self.error(Fault::TooManyTokens),
            Ok(_) => self.error(Fault::Malformed),
        }
    }

    #[inline(always)]
    fn error(&self, fault: Fault) -> DecodeError {
        DecodeError { fault, offset: self.offset() }
    }
}

impl DecodeError {
    /// Where a key must be, a value of another type is no value at all.
    #[cold]
    fn of_key(self) -> DecodeError {
        match self.fault {
            Fault::Unexpected => DecodeError { fault: Fault::Malformed, ..self },
            _ => self,
        }
    }
}

/// Whether one key may follow another. Most differ in the first byte.
#[inline(always)]
fn ascend(latest: &[u8], key: &[u8]) -> bool {
    match (latest, key) {
        ([a, ..], [b, ..]) if a != b => a < b,
        _ => latest < key,
    }
}

/// The items of a list of byte strings that a [`Decoder`] has read to its end.
#[derive(Clone, Debug)]
pub(crate) struct ByteStrings<'a>(&'a [u8]);

impl<'a> ByteStrings<'a> {
    /// Of what stands between the list's `l` and `e`.
    pub(crate) fn new(items: &'a [u8]) -> ByteStrings<'a> {
        ByteStrings(items)
    }
}

impl<'a> Iterator for ByteStrings<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (rest, item) = token::byte_string(self.0).ok()?;
        self.0 = rest;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bencode::reference::{Tree, mutate};
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

    /// As the reference decoder: the same value, written again as the same bytes, or the same fault at the
    /// same place.
    fn agrees(input: &[u8]) -> bool {
        let mut decoder = Decoder::new(input, Bounds::DATAGRAM);
        match (decoder.skip().and_then(|value| decoder.finish().map(|()| value)), Tree::decode(input)) {
            (Ok(value), Ok(tree)) => {
                let mut again = Vec::new();
                tree.encode(&mut again);
                // The reference decoder knows no integer beyond 64 bits.
                let saturated = || input.split(u8::is_ascii_alphabetic).any(|number| number.len() > 18);
                value == input && (again == input || saturated())
            }
            (Err(DecodeError { fault, offset }), Err(expected)) => {
                (fault, offset) == expected && offset <= input.len()
            }
            _ => false,
        }
    }

    #[test]
    fn it_agrees_with_a_simple_decoder_on_any_input() {
        fn law(picks: Vec<u8>, bytes: Vec<u8>) -> bool {
            // Bytes that bencode is made of, so that nesting and lengths are reached.
            let likely: Vec<u8> = picks.iter().map(|p| b"ilde:0123459-ab"[usize::from(*p) % 15]).collect();
            agrees(&likely) && agrees(&bytes)
        }
        quickcheck().tests(20_000).quickcheck(law as fn(Vec<u8>, Vec<u8>) -> bool);
    }

    #[test]
    fn it_agrees_with_a_simple_decoder_on_values_with_faults() {
        fn law(mutations: Vec<(u16, u8, u8)>, repeated: u8, most: u8) -> bool {
            let mut input = b"d0:le1:ai-70e2:aai0e1:bd2:idl12:twelve bytes3:abce3:key0:e1:cl".to_vec();
            input.extend(b"llllllllllllleeeeeeeeeeeee".iter().chain(b"0:1:x".repeat(repeated.into()).iter()));
            input.extend(b"ee");
            mutate(&mut input, &mutations[..mutations.len().min(usize::from(most % 4))]);
            agrees(&input)
        }
        quickcheck().tests(20_000).quickcheck(law as fn(Vec<(u16, u8, u8)>, u8, u8) -> bool);
    }

    #[test]
    fn what_is_of_another_type_is_skipped_only_if_asked_for() {
        let decoder = |input| Decoder::new(input, Bounds::DATAGRAM);
        assert_eq!(decoder(b"3:abc").bytes_or_skip(), Ok(Some(&b"abc"[..])));
        assert_eq!(decoder(b"li1ee").bytes_or_skip(), Ok(None));
        assert_eq!(decoder(b"i1e").integer_or_skip(), Ok(Some(1)));
        let fault = |result: Result<_, DecodeError>| result.map_err(|error| error.fault);
        assert_eq!(fault(decoder(b"i1e").bytes().map(|_| ())), Err(Fault::Unexpected));
        assert_eq!(fault(decoder(b"4:abc").bytes_or_skip().map(|_| ())), Err(Fault::Malformed));
        assert_eq!(fault(decoder(b"li1e").bytes_or_skip().map(|_| ())), Err(Fault::Malformed));
    }
}
