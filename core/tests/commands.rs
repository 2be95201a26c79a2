//! Commands as data do what the methods do.

#![allow(clippy::unwrap_used)]

mod common;

use bytes::{Bytes, BytesMut};
use common::*;
use khashmir::node::{CommandError, Reply};
use khashmir::{Command, Event, Id, Instant, Node, OpId};
use std::net::SocketAddr;

const KEY: Id = Id([7; 20]);
const VALUE: &[u8] = b"a \"value\"\n";

/// All that a node lets out.
#[derive(Debug, PartialEq)]
struct Output {
    replies: Vec<Result<Reply, CommandError>>,
    sent: Vec<(SocketAddr, Bytes)>,
    events: Vec<Event>,
    timeout: Option<Instant>,
    snapshot: Bytes,
}

/// What comes of giving a node commands in one way or the other.
fn run(give: impl Fn(&mut Node, Instant) -> Vec<Result<Reply, CommandError>>) -> Output {
    let mut node = Node::new(config(), [1; 32], Instant::ORIGIN).unwrap();
    let replies = give(&mut node, Instant::ORIGIN);
    let mut datagram = BytesMut::new();
    let sent: Vec<_> =
        std::iter::from_fn(|| Some((node.poll_transmit(&mut datagram)?, datagram.split().freeze())))
            .collect();
    let events: Vec<Event> = std::iter::from_fn(|| node.poll_event()).collect();
    assert!(sent.len() > 2 && events.len() > 2, "something happened");
    Output { replies, sent, events, timeout: node.poll_timeout(), snapshot: node.snapshot() }
}

/// One of each kind, and some that are refused or have nothing to do.
fn commands() -> Vec<Command> {
    let value = || VALUE.into();
    vec![
        Command::Join { bootstrap: vec![addr(1), addr(2)] },
        Command::Join { bootstrap: vec!["203.0.113.1:1".parse().unwrap()] },
        Command::Ping { addr: addr(3) },
        Command::FindNode { target: KEY },
        Command::Put { key: KEY, value: value() },
        Command::Put { key: KEY, value: "".into() },
        Command::Get { key: KEY, wanted: 3 },
        Command::Publish { key: KEY, value: value() },
        Command::Unpublish { key: KEY, value: value() },
        Command::Unpublish { key: KEY, value: value() },
        Command::Cancel { op: OpId::from_number(1) },
        Command::Cancel { op: OpId::from_number(99) },
    ]
}

#[test]
fn each_does_what_its_method_does() {
    let as_data = run(|node, now| commands().iter().map(|command| node.execute(now, command)).collect());
    let as_methods = run(|node, now| {
        let elsewhere = "203.0.113.1:1".parse().unwrap();
        vec![
            node.join(now, &[addr(1), addr(2)]).map(Reply::Started),
            node.join(now, &[elsewhere]).map(Reply::Started),
            node.ping(now, addr(3)).map(Reply::Started),
            node.find_node(now, KEY).map(Reply::Started),
            node.put(now, KEY, VALUE).map(Reply::Started),
            node.put(now, KEY, b"").map(Reply::Started),
            node.get(now, KEY, 3).map(Reply::Started),
            node.publish(now, KEY, VALUE).map(Reply::Started),
            Ok(Reply::Done(node.unpublish(now, KEY, VALUE))),
            Ok(Reply::Done(node.unpublish(now, KEY, VALUE))),
            Ok(Reply::Done(node.cancel(now, OpId::from_number(1)))),
            Ok(Reply::Done(node.cancel(now, OpId::from_number(99)))),
        ]
    });
    assert_eq!(as_data, as_methods);
}

#[test]
fn they_print_on_one_line() {
    let key = "07".repeat(20);
    let printed: Vec<String> = commands().iter().map(Command::to_string).collect();
    assert_eq!(printed[0], "join 10.1.0.1:9978 10.2.0.1:9978");
    assert_eq!(printed[4], format!(r#"put {key} a \"value\"\n"#));
    assert_eq!(printed[6], format!("get {key}, 3 wanted"));
    assert_eq!(printed[11], "cancel operation 99");
    assert!(printed.iter().all(|line| !line.contains('\n')));
}

#[test]
fn operations_keep_their_number_on_the_way() {
    let mut node = Node::new(config(), [1; 32], Instant::ORIGIN).unwrap();
    let op = node.ping(Instant::ORIGIN, addr(1)).unwrap();
    let sent_and_back = OpId::from_number(op.number());
    assert_eq!(sent_and_back, op);
    assert!(node.cancel(Instant::ORIGIN, sent_and_back));
}
