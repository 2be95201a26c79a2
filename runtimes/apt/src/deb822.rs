//! Lines of the format that Release, Packages, Sources and `.sources` files share:
//! stanzas of fields, `Name: value`, with indented lines that continue a value.

/// One line, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// Ends a stanza.
    Blank,
    /// Begins with `#`.
    Comment,
    /// A field's name, and its value without the blanks around.
    Field(&'a [u8], &'a [u8]),
    /// More of the field before, without the blanks around.
    Continuation(&'a [u8]),
    /// None of these.
    Malformed,
}

impl<'a> Line<'a> {
    pub(crate) fn parse(line: &'a [u8]) -> Self {
        match line.first() {
            None => Self::Blank,
            Some(b'#') => Self::Comment,
            Some(b' ' | b'\t' | b'\r') => match line.trim_ascii() {
                b"" => Self::Blank,
                text => Self::Continuation(text),
            },
            Some(_) => match memchr::memchr(b':', line) {
                Some(colon) if colon > 0 => Self::Field(&line[..colon], line[colon + 1..].trim_ascii()),
                _ => Self::Malformed,
            },
        }
    }
}

/// The words of a value: what stands between blanks.
pub(crate) fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// A whole number without sign.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        assert_eq!(Line::parse(b""), Line::Blank);
        assert_eq!(Line::parse(b" \t\r"), Line::Blank);
        assert_eq!(Line::parse(b"\r"), Line::Blank);
        assert_eq!(Line::parse(b"# a: b"), Line::Comment);
        assert_eq!(Line::parse(b"A:b:c \r"), Line::Field(b"A", b"b:c"));
        assert_eq!(Line::parse(b"A:"), Line::Field(b"A", b""));
        assert_eq!(Line::parse(b"\t#x "), Line::Continuation(b"#x"));
        assert_eq!(Line::parse(b"A"), Line::Malformed);
        assert_eq!(Line::parse(b": b"), Line::Malformed);
    }

    #[test]
    fn numbers_have_no_sign_and_fit() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for bad in [b"".as_slice(), b"+1", b"-1", b"1 ", b"18446744073709551616", b"\xff"] {
            assert_eq!(number(bad), None);
        }
    }
}
