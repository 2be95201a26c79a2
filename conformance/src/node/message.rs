//! Queries as they are, or as they should not be, and answers.

use crate::check::{Outcome, Unmet};
use crate::tree::Tree;
use std::net::{Ipv4Addr, SocketAddr};

/// A point in the space of ids and keys.
pub type Id = [u8; 20];

/// Bytes of a compact IPv4 contact.
pub const CONTACT_LEN: usize = 26;

/// A random point; never all zeros.
pub fn random_id() -> Id {
    let mut id = [0; 20];
    id.fill_with(|| fastrand::u8(1..));
    id
}

/// The XOR of two points, which compares as a number.
pub fn distance(a: &Id, b: &Id) -> Id {
    std::array::from_fn(|at| a[at] ^ b[at])
}

/// A contact as it stands in `nodes`.
pub fn compact(id: &Id, addr: &SocketAddr) -> Vec<u8> {
    [&id[..], &compact_address(addr)].concat()
}

/// An address as it stands in `ip`.
pub fn compact_address(addr: &SocketAddr) -> Vec<u8> {
    let port = addr.port().to_be_bytes();
    match addr {
        SocketAddr::V4(addr) => [&addr.ip().octets()[..], &port].concat(),
        SocketAddr::V6(addr) => [&addr.ip().octets()[..], &port].concat(),
    }
}

/// A query under construction.
#[derive(Clone, Debug)]
pub struct Query {
    message: Tree,
    /// Whether its `id` is still to become that of whoever sends it.
    pub(super) takes_id: bool,
}

impl Query {
    /// One of `method` with these arguments beside `id`.
    pub fn new<const N: usize>(method: &str, arguments: [(&str, Tree); N]) -> Query {
        let mut a = Tree::dictionary(arguments);
        a.insert("id", random_id().into());
        let items =
            [("a", a), ("q", method.as_bytes().into()), ("t", random_id().into()), ("y", b"q".into())];
        Query { message: Tree::dictionary(items), takes_id: true }
    }

    pub fn ping() -> Query {
        Query::new("ping", [])
    }

    pub fn join() -> Query {
        Query::new("join", [])
    }

    pub fn find_node(target: &Id) -> Query {
        Query::new("find_node", [("target", (*target).into())])
    }

    pub fn find_value(key: &Id) -> Query {
        Query::new("find_value", [("key", (*key).into())])
    }

    pub fn get_value(key: &Id, num: i64) -> Query {
        Query::new("get_value", [("key", (*key).into()), ("num", num.into())])
    }

    pub fn store_value(key: &Id, value: &[u8], token: &[u8]) -> Query {
        let arguments = [("key", (*key).into()), ("token", token.into()), ("value", value.into())];
        Query::new("store_value", arguments)
    }

    /// With this argument.
    pub fn argument(mut self, key: &str, value: impl Into<Tree>) -> Query {
        self.takes_id &= key != "id";
        self.change("a", |arguments| arguments.insert(key, value.into()))
    }

    /// Without this argument.
    pub fn without(mut self, key: &str) -> Query {
        self.takes_id &= key != "id";
        self.change("a", |arguments| drop(arguments.take(key)))
    }

    /// With this key beside `t`, `y`, `q` and `a`, or with another value for one of these.
    pub fn beside(mut self, key: &str, value: impl Into<Tree>) -> Query {
        self.message.insert(key, value.into());
        self
    }

    /// Without this key beside the others.
    pub fn lacking(mut self, key: &str) -> Query {
        self.message.take(key);
        self
    }

    /// Its datagram.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.message.to_bytes()
    }

    /// Its datagram with `to` in the one place where `from` stands.
    ///
    /// Panics if there is no such place: it is the kit's mistake then.
    pub fn with(&self, from: &[u8], to: &[u8]) -> Vec<u8> {
        let bytes = self.to_bytes();
        let at = bytes.windows(from.len()).position(|window| window == from);
        let at = at.unwrap_or_else(|| panic!("{} in {}", from.escape_ascii(), bytes.escape_ascii()));
        [&bytes[..at], to, &bytes[at + from.len()..]].concat()
    }

    pub(super) fn transaction_id(&self) -> Option<&Tree> {
        self.message.get("t")
    }

    fn change(mut self, key: &str, change: impl FnOnce(&mut Tree)) -> Query {
        if let Some(value) = self.message.get_mut(key) {
            change(value);
        }
        self
    }
}

/// What came back for a query.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The query's datagram.
    pub query: Vec<u8>,
    /// The answer's.
    pub bytes: Vec<u8>,
    /// The same, read.
    pub message: Tree,
}

impl Answer {
    /// A failure that shows both datagrams.
    pub fn unmet(&self, expected: impl Into<String>, came: impl Into<String>) -> Unmet {
        Unmet::failed(expected, came).with("sent", &self.query[..]).with("received", &self.bytes[..])
    }

    /// Fails unless `holds`.
    pub fn expect(&self, holds: bool, expected: &str, came: impl FnOnce() -> String) -> Outcome {
        if holds { Ok(()) } else { Err(self.unmet(expected, came())) }
    }

    /// What stands under `r`, if it is a response.
    pub fn response(&self) -> Result<&Tree, Unmet> {
        let is_response = self.message.get("y").and_then(Tree::bytes) == Some(b"r");
        let response = self.message.get("r").filter(|r| is_response && matches!(r, Tree::Dictionary(_)));
        response.ok_or_else(|| self.unmet("a response", self.kind()))
    }

    /// What stands under `key` in a response.
    pub fn field(&self, key: &str) -> Result<&Tree, Unmet> {
        let response = self.response()?;
        response
            .get(key)
            .ok_or_else(|| self.unmet(format!("a response with {key}"), format!("none has {key}")))
    }

    /// A byte string in a response.
    pub fn bytes_of(&self, key: &str) -> Result<&[u8], Unmet> {
        let wrong = || self.unmet(format!("{key}: a byte string"), "another type");
        self.field(key)?.bytes().ok_or_else(wrong)
    }

    /// An integer in a response.
    pub fn integer_of(&self, key: &str) -> Result<i64, Unmet> {
        let wrong = || self.unmet(format!("{key}: an integer"), "another type");
        self.field(key)?.integer().ok_or_else(wrong)
    }

    /// A list of byte strings in a response.
    pub fn strings_of(&self, key: &str) -> Result<Vec<&[u8]>, Unmet> {
        let items = self.field(key)?.list().and_then(|items| items.iter().map(Tree::bytes).collect());
        items.ok_or_else(|| self.unmet(format!("{key}: a list of byte strings"), "another type"))
    }

    /// The contacts in `nodes`.
    pub fn contacts(&self) -> Result<Vec<(Id, SocketAddr)>, Unmet> {
        let nodes = self.strings_of("nodes")?;
        let read = |node: &[u8]| {
            let [id @ .., a, b, c, d, high, low] = <[u8; CONTACT_LEN]>::try_from(node).ok()?;
            let addr = (Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low]));
            Some((id, SocketAddr::from(addr)))
        };
        let contacts: Option<Vec<_>> = nodes.into_iter().map(read).collect();
        contacts.ok_or_else(|| self.unmet("strings of 26 bytes in nodes", "one of another length"))
    }

    /// The code and the text, if it is an error.
    pub fn error(&self) -> Option<(i64, &[u8])> {
        let is_error = self.message.get("y").and_then(Tree::bytes) == Some(b"e");
        match self.message.get("e").filter(|_| is_error)?.list()? {
            [Tree::Integer(code), Tree::Bytes(text)] => Some((*code, text)),
            _ => None,
        }
    }

    /// Fails unless it is an error of this code.
    pub fn refused(&self, code: i64) -> Outcome {
        let is = self.error().is_some_and(|(other, _)| other == code);
        self.expect(is, &format!("error {code}"), || self.kind())
    }

    /// What it is, in words.
    pub fn kind(&self) -> String {
        match (self.message.get("y").and_then(Tree::bytes), self.error()) {
            (_, Some((code, _))) => format!("error {code}"),
            (Some(b"r"), _) => "a response".to_owned(),
            (Some(b"e"), _) => "an error that is no list of a code and a text".to_owned(),
            _ => "neither a response nor an error".to_owned(),
        }
    }
}
