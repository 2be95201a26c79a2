//! Any bencode as a tree.
//!
//! Written apart from the engine: what judges it must not share its mistakes.

use std::collections::BTreeMap;
use std::fmt;

/// A bencoded value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tree {
    /// An integer; one beyond 64 bits is the nearest that fits.
    Integer(i64),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Tree>),
    /// A dictionary.
    Dictionary(BTreeMap<Vec<u8>, Tree>),
}

/// Why an input is not canonical bencode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub what: &'static str,
    /// Where, in bytes from the start.
    pub at: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for Malformed {}

impl Tree {
    /// Reads all of `input` as one value in its only encoding (protocol, section 1). Bounds on depth
    /// and tokens are not applied.
    pub fn read(input: &[u8]) -> Result<Tree, Malformed> {
        let mut reader = Reader { input, at: 0 };
        let tree = reader.value(0)?;
        if reader.at < input.len() {
            return Err(reader.malformed("bytes after the value"));
        }
        Ok(tree)
    }

    /// A dictionary.
    pub fn dictionary<const N: usize>(items: [(&str, Tree); N]) -> Tree {
        Tree::Dictionary(items.into_iter().map(|(key, value)| (key.as_bytes().to_vec(), value)).collect())
    }

    /// Appends its encoding.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Tree::Integer(n) => out.extend_from_slice(format!("i{n}e").as_bytes()),
            Tree::Bytes(bytes) => write_bytes(bytes, out),
            Tree::List(items) => {
                out.push(b'l');
                items.iter().for_each(|item| item.write(out));
                out.push(b'e');
            }
            Tree::Dictionary(items) => {
                out.push(b'd');
                for (key, value) in items {
                    write_bytes(key, out);
                    value.write(out);
                }
                out.push(b'e');
            }
        }
    }

    /// Its encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// What is under `key`, if this is a dictionary that has it.
    pub fn get(&self, key: &str) -> Option<&Tree> {
        match self {
            Tree::Dictionary(items) => items.get(key.as_bytes()),
            _ => None,
        }
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Tree> {
        match self {
            Tree::Dictionary(items) => items.get_mut(key.as_bytes()),
            _ => None,
        }
    }

    /// Puts `value` under `key`, if this is a dictionary.
    pub fn insert(&mut self, key: &str, value: Tree) {
        if let Tree::Dictionary(items) = self {
            items.insert(key.as_bytes().to_vec(), value);
        }
    }

    /// Takes what is under `key` away.
    pub fn take(&mut self, key: &str) -> Option<Tree> {
        match self {
            Tree::Dictionary(items) => items.remove(key.as_bytes()),
            _ => None,
        }
    }

    /// The items, if this is a list.
    pub fn list(&self) -> Option<&[Tree]> {
        match self {
            Tree::List(items) => Some(items),
            _ => None,
        }
    }

    /// The same, to change them.
    pub fn list_mut(&mut self) -> Option<&mut Vec<Tree>> {
        match self {
            Tree::List(items) => Some(items),
            _ => None,
        }
    }

    /// The bytes of a byte string.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Tree::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The value of an integer.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Tree::Integer(n) => Some(*n),
            _ => None,
        }
    }
}

impl From<&[u8]> for Tree {
    fn from(bytes: &[u8]) -> Tree {
        Tree::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Tree {
    fn from(bytes: [u8; N]) -> Tree {
        Tree::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Tree {
    fn from(bytes: &[u8; N]) -> Tree {
        Tree::Bytes(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Tree {
    fn from(bytes: Vec<u8>) -> Tree {
        Tree::Bytes(bytes)
    }
}

impl From<i64> for Tree {
    fn from(n: i64) -> Tree {
        Tree::Integer(n)
    }
}

impl From<Vec<Tree>> for Tree {
    fn from(items: Vec<Tree>) -> Tree {
        Tree::List(items)
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tree::Integer(n) => n.fmt(f),
            Tree::Bytes(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Tree::List(items) => f.debug_list().entries(items).finish(),
            Tree::Dictionary(items) => {
                let items = items.iter().map(|(key, value)| (key.escape_ascii().to_string(), value));
                f.debug_map().entries(items).finish()
            }
        }
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
}

/// Deeper than any datagram can be: two bytes a level.
const MAX_DEPTH: usize = 1024;

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Tree, Malformed> {
        if depth > MAX_DEPTH {
            return Err(self.malformed("nested too deep"));
        }
        match self.peek() {
            Some(b'i') => self.integer().map(Tree::Integer),
            Some(b'0'..=b'9') => Ok(Tree::Bytes(self.string()?.to_vec())),
            Some(b'l') => {
                self.at += 1;
                let mut items = Vec::new();
                while !self.end() {
                    items.push(self.value(depth + 1)?);
                }
                Ok(Tree::List(items))
            }
            Some(b'd') => {
                self.at += 1;
                let mut items = BTreeMap::new();
                while !self.end() {
                    let key = self.string()?.to_vec();
                    if items.last_key_value().is_some_and(|(last, _)| *last >= key) {
                        return Err(self.malformed("keys out of order, or twice"));
                    }
                    let value = self.value(depth + 1)?;
                    items.insert(key, value);
                }
                Ok(Tree::Dictionary(items))
            }
            Some(_) => Err(self.malformed("no type of bencode")),
            None => Err(self.malformed("cut short")),
        }
    }

    fn integer(&mut self) -> Result<i64, Malformed> {
        self.at += 1;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let digits = self.digits()?;
        if negative && digits == b"0" {
            return Err(self.malformed("zero with a sign"));
        }
        if self.peek() != Some(b'e') {
            return Err(self.malformed("an integer without its end"));
        }
        self.at += 1;
        Ok(digits.iter().fold(0, |n: i64, digit| {
            let digit = i64::from(digit - b'0');
            n.saturating_mul(10).saturating_add(if negative { -digit } else { digit })
        }))
    }

    fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let digits = self.digits()?;
        let len = digits
            .iter()
            .fold(0, |n: usize, digit| n.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
        if self.peek() != Some(b':') {
            return Err(self.malformed("no byte string"));
        }
        self.at += 1;
        let end = self.at.saturating_add(len);
        let bytes = self.input.get(self.at..end).ok_or_else(|| self.malformed("a length past the end"))?;
        self.at = end;
        Ok(bytes)
    }

    fn digits(&mut self) -> Result<&'a [u8], Malformed> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        match &rest[..count] {
            [] => Err(self.malformed("no digit")),
            [b'0', _, ..] => Err(self.malformed("leading zero")),
            digits => {
                self.at += count;
                Ok(digits)
            }
        }
    }

    fn end(&mut self) -> bool {
        let end = self.peek() == Some(b'e');
        self.at += usize::from(end);
        end
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { what, at: self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_writes_back() {
        for text in ["i0e", "i-1e", "i42e", "0:", "4:spam", "le", "de", "l4:spami42ee", "d1:ai1e1:bi2ee"] {
            let tree = Tree::read(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(tree.to_bytes(), text.as_bytes(), "{text}");
        }
    }

    #[test]
    fn what_the_page_calls_malformed_does_not_read() {
        let page = [
            "i01e",
            "i-01e",
            "01:a",
            "i-0e",
            "i+5e",
            "+1:a",
            "-1:a",
            "i 5e",
            "1 :a",
            "d1:bi1e1:ai2ee",
            "d1:ai1e1:ai2ee",
            "i1ei2e",
            "5:abc",
            "l",
            "d1:ae",
            "u1:a",
            "t2008-05-01e",
            "",
            "l4:i1eed-8:",
        ];
        for text in page {
            assert!(Tree::read(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn integers_beyond_64_bits_are_the_nearest_that_fit() {
        assert_eq!(Tree::read(b"i99999999999999999999e"), Ok(Tree::Integer(i64::MAX)));
        assert_eq!(Tree::read(b"i-99999999999999999999e"), Ok(Tree::Integer(i64::MIN)));
    }
}
