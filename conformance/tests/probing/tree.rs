//! Any bencode as a tree, to compare messages by what they say.

use khashmir::bencode::{Bounds, Decoder, Kind};
use std::collections::BTreeMap;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tree {
    Integer(i64),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    Dictionary(BTreeMap<Vec<u8>, Tree>),
}

impl Tree {
    /// Panics if `datagram` is malformed.
    pub fn read(datagram: &[u8]) -> Tree {
        let mut decoder = Decoder::new(datagram, Bounds::DATAGRAM);
        let tree = Tree::next(&mut decoder);
        decoder.finish().unwrap();
        tree
    }

    fn next(decoder: &mut Decoder<'_>) -> Tree {
        match decoder.kind().unwrap() {
            Kind::Integer => Tree::Integer(decoder.integer().unwrap()),
            Kind::Bytes => Tree::Bytes(decoder.bytes().unwrap().to_vec()),
            Kind::List => {
                let mut items = Vec::new();
                decoder.begin_list().unwrap();
                while decoder.next_item().unwrap() {
                    items.push(Tree::next(decoder));
                }
                Tree::List(items)
            }
            Kind::Dictionary => {
                let mut items = BTreeMap::new();
                let mut keys = decoder.begin_dictionary().unwrap();
                while let Some(key) = decoder.next_key(&mut keys).unwrap() {
                    items.insert(key.to_vec(), Tree::next(decoder));
                }
                Tree::Dictionary(items)
            }
        }
    }

    /// What is under `key`, if this is a dictionary that has it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Tree> {
        match self {
            Tree::Dictionary(items) => items.get_mut(key.as_bytes()),
            _ => None,
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
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
