//! The typed decoder against the tree of a simple one, on datagrams made of likely parts and on mutated
//! ones: it must drop, refuse and accept the same, and lose nothing of what it accepts.

use super::*;
use crate::bencode::reference::{Tree, mutate};
use crate::id::Id;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use bytes::BytesMut;
use khashmir_testing::quickcheck;

type Entries = BTreeMap<Vec<u8>, Tree>;

/// What is to become of a datagram.
#[derive(Debug, PartialEq)]
enum Verdict {
    Dropped,
    BadQuery(ErrorCode),
    BadResponse,
    /// Accepted; written again, it is this.
    Good(Vec<u8>),
}

fn of_message(datagram: &[u8]) -> Verdict {
    match Message::decode(datagram) {
        Err(error) => {
            assert!(error.offset <= datagram.len(), "{error}");
            Verdict::Dropped
        }
        Ok(Message { body: Body::Query(Err(code)), .. }) => Verdict::BadQuery(code),
        Ok(Message { body: Body::Response(Err(MalformedResponse)), .. }) => Verdict::BadResponse,
        Ok(message) => {
            let mut out = BytesMut::new();
            message.encode(&mut out);
            Verdict::Good(out.to_vec())
        }
    }
}

fn of_tree(datagram: &[u8]) -> Verdict {
    match Tree::decode(datagram) {
        Ok(Tree::Dictionary(message)) => judge(message).unwrap_or(Verdict::Dropped),
        _ => Verdict::Dropped,
    }
}

/// Protocol, section 2, told once more; `None` if the datagram is dropped.
fn judge(mut message: Entries) -> Option<Verdict> {
    // Each of these is known, whatever the message says it is.
    let fits = |key: &str, fits: fn(&Tree) -> bool| message.get(key.as_bytes()).is_none_or(fits);
    let is_error = |tree: &Tree| matches!(tree, Tree::List(items) if matches!(items[..], [Tree::Integer(_), Tree::Bytes(_)]));
    let is_dictionary = |tree: &Tree| matches!(tree, Tree::Dictionary(_));
    let is_bytes = |tree: &Tree| matches!(tree, Tree::Bytes(_));
    let all_fit = fits("a", is_dictionary)
        && fits("e", is_error)
        && fits("q", is_bytes)
        && fits("r", is_dictionary)
        && fits("y", is_bytes);
    if !all_fit || !is_id(message.get(&b"t"[..])?) {
        return None;
    }
    let Tree::Bytes(kind) = message.get(&b"y"[..])?.clone() else { return None };
    let kept: &[&[u8]] = match &kind[..] {
        b"q" => {
            let Tree::Dictionary(arguments) = message.get(&b"a"[..])? else { return None };
            let Tree::Bytes(method) = message.get(&b"q"[..])? else { return None };
            let method = core::str::from_utf8(method).unwrap_or_default();
            if let Err(code) = judge_arguments(method, arguments) {
                return Some(Verdict::BadQuery(code));
            }
            &[b"a", b"q", b"t", b"y"]
        }
        b"r" => {
            let Tree::Dictionary(fields) = message.get_mut(&b"r"[..])? else { return None };
            if !fields.contains_key(&b"id"[..]) || !fields.iter().all(|(key, value)| field_fits(key, value)) {
                return Some(Verdict::BadResponse);
            }
            fields.retain(|key, _| FIELDS.contains(&&key[..]));
            &[b"r", b"t", b"y"]
        }
        b"e" => {
            message.get(&b"e"[..])?;
            &[b"e", b"t", b"y"]
        }
        _ => return None,
    };
    message.retain(|key, _| kept.contains(&&key[..]));
    let mut out = Vec::new();
    Tree::Dictionary(message).encode(&mut out);
    Some(Verdict::Good(out))
}

fn judge_arguments(method: &str, arguments: &Entries) -> Result<(), ErrorCode> {
    let names: &[&str] = match method {
        "ping" | "join" => &["id"],
        "find_node" => &["id", "target"],
        "find_value" => &["id", "key"],
        "get_value" => &["id", "key", "num"],
        "store_value" => &["id", "key", "token", "value"],
        _ => return Err(ErrorCode::MethodUnknown),
    };
    let fits = |(name, value): (&Vec<u8>, &Tree)| match &name[..] {
        b"id" => is_id(value) && !is_zero(value),
        b"key" | b"target" => is_id(value),
        b"num" => matches!(value, Tree::Integer(0..)),
        _ => matches!(value, Tree::Bytes(_)),
    };
    let there = arguments.keys().map(|name| &name[..]).eq(names.iter().map(|name| name.as_bytes()));
    if there && arguments.iter().all(fits) { Ok(()) } else { Err(ErrorCode::MalformedRequest) }
}

const FIELDS: [&[u8]; 9] =
    [b"id", b"ip", b"ip_addr", b"nodes", b"nodes6", b"num", b"port", b"token", b"values"];

fn field_fits(key: &[u8], value: &Tree) -> bool {
    let of_len = |lens: &[usize]| matches!(value, Tree::Bytes(bytes) if lens.contains(&bytes.len()));
    let list_of = |len: Option<usize>| {
        let item_fits = |item: &Tree| matches!(item, Tree::Bytes(b) if len.is_none_or(|len| b.len() == len));
        matches!(value, Tree::List(items) if items.iter().all(item_fits))
    };
    match key {
        b"id" => is_id(value) && !is_zero(value),
        b"ip" => of_len(&[6, 18]),
        b"nodes" => list_of(Some(26)),
        b"nodes6" => list_of(Some(38)),
        b"num" => matches!(value, Tree::Integer(_)),
        b"port" => matches!(value, Tree::Integer(0..=65_535)),
        b"ip_addr" | b"token" => matches!(value, Tree::Bytes(_)),
        b"values" => list_of(None),
        _ => true,
    }
}

fn is_id(value: &Tree) -> bool {
    matches!(value, Tree::Bytes(bytes) if bytes.len() == 20)
}

fn is_zero(value: &Tree) -> bool {
    *value == Tree::Bytes(vec![0; 20])
}

/// Makes datagrams of likely parts from a list of numbers.
struct Maker<'a>(core::slice::Iter<'a, u8>);

impl Maker<'_> {
    fn pick(&mut self, of: u8) -> u8 {
        self.0.next().map_or(0, |pick| pick % of)
    }

    fn value(&mut self) -> Tree {
        match self.pick(8) {
            0 => Tree::Integer(i64::from(self.pick(255)) - 3),
            1 => Tree::Integer(i64::from(self.pick(255)) << 11),
            2 => Tree::Bytes(vec![b'v'; usize::from(self.pick(40))]),
            3 => Tree::Dictionary(BTreeMap::from([(b"id".to_vec(), Tree::List(vec![]))])),
            _ => Tree::Bytes(vec![self.pick(2); 20]),
        }
    }

    fn list(&mut self, len: usize) -> Tree {
        let items = (0..self.pick(9)).map(|_| match self.pick(20) {
            0 => self.value(),
            filled => Tree::Bytes(vec![filled; len]),
        });
        Tree::List(items.collect())
    }

    fn entries(&mut self, keys: &[&str], value: fn(&mut Self, &str) -> Tree) -> Tree {
        let there = keys.iter().filter(|_| self.pick(3) > 0).copied().collect::<Vec<_>>();
        let right = self.pick(8) > 0;
        let entry = |key: &str| {
            let value = if right { value(self, key) } else { self.value() };
            (key.as_bytes().to_vec(), value)
        };
        Tree::Dictionary(there.into_iter().map(entry).collect())
    }

    fn argument(&mut self, name: &str) -> Tree {
        match name {
            "num" => Tree::Integer(i64::from(self.pick(90)) - 1),
            "token" | "value" => Tree::Bytes(vec![b'x'; usize::from(self.pick(200))]),
            _ => Tree::Bytes(vec![1; 20]),
        }
    }

    fn field(&mut self, key: &str) -> Tree {
        match key {
            "ip" => Tree::Bytes(vec![7; [6, 18][usize::from(self.pick(2))]]),
            "nodes" => self.list(26),
            "nodes6" => self.list(38),
            "num" | "port" => Tree::Integer(i64::from(self.pick(255)) << self.pick(9)),
            "values" => {
                let len = self.pick(120);
                self.list(len.into())
            }
            _ => self.argument(key),
        }
    }

    fn message(&mut self) -> Tree {
        let methods = Method::ALL.map(Method::name);
        let method = methods.get(usize::from(self.pick(8))).copied().unwrap_or(b"vote");
        let arguments: &[&str] = match self.pick(4) {
            0 => &["id"],
            1 => &["id", "target"],
            2 => &["id", "key", "num"],
            _ => &["id", "key", "num", "other", "target", "token", "value"],
        };
        let mut parts = Entries::new();
        let mut put = |key: &str, value| parts.insert(key.as_bytes().to_vec(), value);
        let kind = self.pick(4);
        if kind == 0 || self.pick(20) == 0 {
            put("a", self.entries(arguments, Self::argument));
            put("q", Tree::Bytes(method.to_vec()));
        }
        if kind == 1 || self.pick(20) == 0 {
            put("e", Tree::List(vec![Tree::Integer(200 + i64::from(self.pick(9))), self.value()]));
        }
        if kind > 1 || self.pick(20) == 0 {
            let fields = FIELDS.map(|field| core::str::from_utf8(field).unwrap());
            put("r", self.entries(&[&["extra"], &fields[..]].concat(), Self::field));
        }
        put("t", if self.pick(20) == 0 { self.value() } else { Tree::Bytes(vec![b't'; 20]) });
        put("y", Tree::Bytes(vec![b"qerrx"[usize::from(kind + self.pick(20) / 19)]]));
        if self.pick(4) == 0 {
            put(&self.pick(30).to_string(), self.value());
            put("zz", self.value());
        }
        Tree::Dictionary(parts)
    }
}

fn datagram(picks: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Maker(picks.iter()).message().encode(&mut out);
    out
}

#[test]
fn any_message_is_judged_as_its_tree() {
    fn law(picks: Vec<u8>, mutations: Vec<(u16, u8, u8)>) -> bool {
        let good = datagram(&picks);
        let mut bad = good.clone();
        mutate(&mut bad, &mutations[..mutations.len().min(2)]);
        [good, bad].iter().all(|datagram| of_message(datagram) == of_tree(datagram))
    }
    quickcheck().tests(20_000).quickcheck(law as fn(Vec<u8>, Vec<(u16, u8, u8)>) -> bool);
}

#[test]
fn every_verdict_is_reached() {
    let mut seen = [0; 4];
    for n in 0..20_000u32 {
        let picks: Vec<u8> =
            (0..64u32).map(|i| (n.wrapping_mul(2_654_435_761) >> (i % 25)) as u8 ^ i as u8).collect();
        seen[match of_message(&datagram(&picks)) {
            Verdict::Dropped => 0,
            Verdict::BadQuery(_) => 1,
            Verdict::BadResponse => 2,
            Verdict::Good(_) => 3,
        }] += 1;
    }
    assert!(seen.iter().all(|seen| *seen > 200), "{seen:?}");
}

#[test]
fn lists_are_the_same_sent_and_received() {
    let contacts: Vec<crate::id::Contact> =
        (1..=8).map(|n| crate::id::Contact { id: Id([n; 20]), addr: ([10, 0, 0, n], 9978).into() }).collect();
    let values: Vec<Vec<u8>> = [0, 1, 9, 10, 13, 13, 99, 100, 1299].map(|len| vec![b'v'; len]).to_vec();
    let values: Vec<&[u8]> = values.iter().map(|value| &value[..]).collect();
    let mut response = Response::new(Id([1; 20]));
    (response.nodes, response.values) = (Some(Contacts::new(&contacts)), Some(Values::new(&values)));
    let message = Message { transaction_id: TransactionId([2; 20]), body: Body::Response(Ok(response)) };
    let mut out = BytesMut::new();
    message.encode(&mut out);
    assert_eq!(Message::decode(&out), Ok(message));
}

#[test]
fn known_entries_keep_the_order_of_keys() {
    let id = "20:iiiiiiiiiiiiiiiiiiii";
    let query =
        |arguments: &str, rest: &str| alloc::format!("d1:ad{arguments}e1:q4:ping{rest}e").into_bytes();
    let t = alloc::format!("1:t{id}");
    let good = query(&alloc::format!("2:id{id}"), &alloc::format!("{t}1:y1:q"));
    assert!(matches!(of_message(&good), Verdict::Good(again) if again == good));
    for (arguments, rest) in [
        (alloc::format!("2:id{id}2:id{id}"), alloc::format!("{t}1:y1:q")),
        (alloc::format!("3:key{id}3:key{id}"), alloc::format!("{t}1:y1:q")),
        (alloc::format!("2:id{id}"), alloc::format!("{t}{t}1:y1:q")),
        (alloc::format!("2:id{id}"), alloc::format!("1:y1:q{t}")),
        (alloc::format!("2:id{id}"), alloc::format!("{t}1:y1:q1:y1:q")),
        (alloc::format!("2:id{id}"), alloc::format!("1:u0:{t}1:y1:q")),
        (alloc::format!("2:id{id}"), alloc::format!("{t}1:z0:1:y1:q")),
    ] {
        let datagram = query(&arguments, &rest);
        let fault = Message::decode(&datagram).map_err(|error| error.fault);
        assert_eq!(fault, Err(crate::bencode::Fault::KeyOrder), "{arguments} {rest}");
    }
}
