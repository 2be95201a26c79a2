//! The tokens of bencode, as parsers that read each byte once.

use nom::bytes::complete::{tag, take};
use nom::combinator::{opt, value};
use nom::{IResult, Parser};

pub(super) type Parsed<'a, T> = IResult<&'a [u8], T, ()>;

const MALFORMED: nom::Err<()> = nom::Err::Error(());

#[inline(always)]
pub(super) fn list(input: &[u8]) -> Parsed<'_, ()> {
    value((), tag(&b"l"[..])).parse(input)
}

#[inline(always)]
pub(super) fn dictionary(input: &[u8]) -> Parsed<'_, ()> {
    value((), tag(&b"d"[..])).parse(input)
}

#[inline(always)]
pub(super) fn byte_string(input: &[u8]) -> Parsed<'_, &[u8]> {
    // A length past the end is malformed, so one too long to count may be any such length.
    let (rest, len) = number(input, b':')?;
    take(usize::try_from(len).unwrap_or(usize::MAX)).parse(rest)
}

/// One beyond 64 bits becomes the nearest that fits.
#[inline(always)]
pub(super) fn integer(input: &[u8]) -> Parsed<'_, i64> {
    let (input, _) = tag(&b"i"[..]).parse(input)?;
    let (input, minus) = opt(tag(&b"-"[..])).parse(input)?;
    let (rest, n) = number(input, b'e')?;
    match minus {
        None => Ok((rest, i64::try_from(n).unwrap_or(i64::MAX))),
        Some(_) if n == 0 => Err(MALFORMED),
        Some(_) => Ok((rest, 0i64.checked_sub_unsigned(n).unwrap_or(i64::MIN))),
    }
}

/// Digits without a leading zero, and what ends them. What does not fit becomes the greatest.
#[inline(always)]
fn number(input: &[u8], end: u8) -> Parsed<'_, u64> {
    let (mut rest, mut n) = match input {
        [digit @ b'0'..=b'9', rest @ ..] => (rest, u64::from(digit - b'0')),
        _ => return Err(MALFORMED),
    };
    loop {
        match rest {
            [byte, rest @ ..] if *byte == end => return Ok((rest, n)),
            [digit @ b'0'..=b'9', more @ ..] if n != 0 => {
                n = n.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
                rest = more;
            }
            _ => return Err(MALFORMED),
        }
    }
}
