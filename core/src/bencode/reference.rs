//! A decoder as simple as can be, for tests to compare with, and trees to compare.

use super::Fault;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Any value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Integer(i64),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    Dictionary(BTreeMap<Vec<u8>, Tree>),
}

impl Tree {
    /// The value that `input` is, within the bounds of a datagram; else what is wrong, and where.
    pub(crate) fn decode(input: &[u8]) -> Result<Tree, (Fault, usize)> {
        let mut reader = Reader { input, at: 0, tokens: 512 };
        let tree = reader.value(0)?;
        if reader.at == input.len() { Ok(tree) } else { Err((Fault::TrailingBytes, reader.at)) }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Tree::Integer(n) => out.extend(alloc::format!("i{n}e").bytes()),
            Tree::Bytes(bytes) => {
                out.extend(alloc::format!("{}:", bytes.len()).bytes());
                out.extend(bytes);
            }
            Tree::List(items) => {
                out.push(b'l');
                items.iter().for_each(|item| item.encode(out));
                out.push(b'e');
            }
            Tree::Dictionary(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    Tree::Bytes(key.clone()).encode(out);
                    value.encode(out);
                }
                out.push(b'e');
            }
        }
    }
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    tokens: u32,
}

impl Reader<'_> {
    fn value(&mut self, depth: u32) -> Result<Tree, (Fault, usize)> {
        match self.peek() {
            Some(b'i') => {
                self.token()?;
                let start = self.at;
                let text = self.until(start + 1, b'e').ok_or((Fault::Malformed, start))?;
                self.at += text.len() + 2;
                let digits = text.strip_prefix(b"-").unwrap_or(&text);
                if !is_number(digits) || text == b"-0" {
                    return Err((Fault::Malformed, start));
                }
                let nearest = if digits.len() < text.len() { i64::MIN } else { i64::MAX };
                let text = core::str::from_utf8(&text).map_err(|_| (Fault::Malformed, start))?;
                Ok(Tree::Integer(text.parse().unwrap_or(nearest)))
            }
            Some(b'0'..=b'9') => Ok(Tree::Bytes(self.bytes()?)),
            Some(b'l') => {
                self.begin(depth)?;
                let mut items = Vec::new();
                while !self.end()? {
                    items.push(self.value(depth + 1)?);
                }
                Ok(Tree::List(items))
            }
            Some(b'd') => {
                self.begin(depth)?;
                let mut entries = BTreeMap::new();
                while !self.end()? {
                    let start = self.at;
                    if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                        return Err((Fault::Malformed, start));
                    }
                    let key = self.bytes()?;
                    if entries.last_key_value().is_some_and(|(latest, _)| *latest >= key) {
                        return Err((Fault::KeyOrder, start));
                    }
                    entries.insert(key, self.value(depth + 1)?);
                }
                Ok(Tree::Dictionary(entries))
            }
            _ => Err((Fault::Malformed, self.at)),
        }
    }

    fn bytes(&mut self) -> Result<Vec<u8>, (Fault, usize)> {
        self.token()?;
        let malformed = (Fault::Malformed, self.at);
        let digits = self.until(self.at, b':').filter(|digits| is_number(digits)).ok_or(malformed)?;
        let len = core::str::from_utf8(&digits).ok().and_then(|digits| digits.parse::<usize>().ok());
        let start = self.at + digits.len() + 1;
        let end = len.and_then(|len| start.checked_add(len)).ok_or(malformed)?;
        let bytes = self.input.get(start..end).ok_or(malformed)?;
        self.at = end;
        Ok(bytes.to_vec())
    }

    fn begin(&mut self, depth: u32) -> Result<(), (Fault, usize)> {
        if depth == 16 {
            return Err((Fault::TooDeep, self.at));
        }
        self.token()?;
        self.at += 1;
        Ok(())
    }

    fn end(&mut self) -> Result<bool, (Fault, usize)> {
        match self.peek() {
            None => Err((Fault::Malformed, self.at)),
            Some(b'e') => {
                self.at += 1;
                Ok(true)
            }
            Some(_) => Ok(false),
        }
    }

    fn token(&mut self) -> Result<(), (Fault, usize)> {
        self.tokens = self.tokens.checked_sub(1).ok_or((Fault::TooManyTokens, self.at))?;
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    /// The bytes from `start` to the next `end`.
    fn until(&self, start: usize, end: u8) -> Option<Vec<u8>> {
        let len = self.input[start..].iter().position(|byte| *byte == end)?;
        Some(self.input[start..start + len].to_vec())
    }
}

fn is_number(digits: &[u8]) -> bool {
    digits == b"0"
        || digits.iter().all(u8::is_ascii_digit) && digits.first().is_some_and(|first| *first != b'0')
}

/// Changes a few bytes of `input`: each mutation says where, how, and to what.
pub(crate) fn mutate(input: &mut Vec<u8>, mutations: &[(u16, u8, u8)]) {
    for &(at, how, byte) in mutations {
        let at = usize::from(at) % (input.len() + 1);
        // Bytes that bencode is made of, and any.
        let byte = if how & 4 == 0 { b"ilde:0123459-ab"[usize::from(byte) % 15] } else { byte };
        match how % 4 {
            0 => input.insert(at, byte),
            1 if at < input.len() => drop(input.remove(at)),
            2 => input.truncate(at),
            _ if at < input.len() => input[at] = byte,
            _ => {}
        }
    }
}
