//! The tokens of bencode, as parsers that read each byte once.
//!
//! What every datagram has many of is matched by hand: combinators are not inlined, and would take half of
//! the time.

use nom::combinator::opt;
use nom::sequence::{delimited, terminated};
use nom::{IResult, Parser};

pub(super) type Parsed<'a, T> = IResult<&'a [u8], T, ()>;

const MALFORMED: nom::Err<()> = nom::Err::Error(());

#[inline(always)]
pub(super) fn list(input: &[u8]) -> Parsed<'_, ()> {
    exactly(b'l', input)
}

#[inline(always)]
pub(super) fn dictionary(input: &[u8]) -> Parsed<'_, ()> {
    exactly(b'd', input)
}

#[inline(always)]
pub(super) fn byte_string(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, len) = length(input)?;
    let (bytes, rest) = rest.split_at_checked(len).ok_or(MALFORMED)?;
    Ok((rest, bytes))
}

/// One beyond 64 bits becomes the nearest that fits.
pub(super) fn integer(input: &[u8]) -> Parsed<'_, i64> {
    let (rest, (minus, n)) = delimited(byte(b'i'), (opt(byte(b'-')), number), byte(b'e')).parse(input)?;
    match minus {
        None => Ok((rest, i64::try_from(n).unwrap_or(i64::MAX))),
        Some(()) if n == 0 => Err(MALFORMED),
        Some(()) => Ok((rest, 0i64.checked_sub_unsigned(n).unwrap_or(i64::MIN))),
    }
}

/// A length and its colon. One too long to count becomes the greatest, which is past any input's end.
#[inline(always)]
fn length(input: &[u8]) -> Parsed<'_, usize> {
    // Nearly all lengths have a digit or two; that needs no loop.
    match input {
        [ones @ b'0'..=b'9', b':', rest @ ..] => Ok((rest, usize::from(ones - b'0'))),
        [tens @ b'1'..=b'9', ones @ b'0'..=b'9', b':', rest @ ..] => {
            Ok((rest, usize::from(tens - b'0') * 10 + usize::from(ones - b'0')))
        }
        _ => long_length(input),
    }
}

fn long_length(input: &[u8]) -> Parsed<'_, usize> {
    let (rest, len) = terminated(number, byte(b':')).parse(input)?;
    Ok((rest, usize::try_from(len).unwrap_or(usize::MAX)))
}

/// Digits without a leading zero. A number that does not fit becomes the greatest.
fn number(input: &[u8]) -> Parsed<'_, u64> {
    let (mut rest, mut n) = match input {
        [digit @ b'0'..=b'9', rest @ ..] => (rest, u64::from(digit - b'0')),
        _ => return Err(MALFORMED),
    };
    while let [digit @ b'0'..=b'9', more @ ..] = rest {
        if n == 0 {
            return Err(MALFORMED);
        }
        n = n.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
        rest = more;
    }
    Ok((rest, n))
}

fn byte(expected: u8) -> impl Fn(&[u8]) -> Parsed<'_, ()> {
    move |input| exactly(expected, input)
}

#[inline(always)]
fn exactly(expected: u8, input: &[u8]) -> Parsed<'_, ()> {
    match input {
        [first, rest @ ..] if *first == expected => Ok((rest, ())),
        _ => Err(MALFORMED),
    }
}
