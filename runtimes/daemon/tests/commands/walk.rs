//! `khashmir walk` finds all nodes, also those that no stranger reaches.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::BytesMut;
use khashmir::Id;
use khashmir::krpc::{Body, Call, Message, Query, Response, TransactionId};
use khashmir_daemon::control::{self, Conversation, Request};

use super::home::{Home, wait};

/// A node behind a NAT: it hears only from those to whom it has sent something.
struct Natted {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Natted {
    /// It keeps joining these.
    fn start(ip: &str, id: u8, others: Vec<std::net::SocketAddr>) -> Self {
        let socket = UdpSocket::bind(format!("{ip}:0")).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut own = Id([id; 20]);
        own.0[16..].copy_from_slice(b"A043");
        let thread = thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !stopped.load(Ordering::Relaxed) {
                for other in &others {
                    let mut out = BytesMut::new();
                    Query { id: own, call: Call::Join }.encode(TransactionId([id; 20]), &mut out);
                    socket.send_to(&out, other).unwrap();
                }
                while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                    if !others.contains(&from) {
                        continue;
                    }
                    if let Ok(Message { transaction_id, body: Body::Query(Ok(_)) }) =
                        Message::decode(&buffer[..len])
                    {
                        let mut out = BytesMut::new();
                        Response::new(own).encode(transaction_id, &mut out);
                        socket.send_to(&out, from).unwrap();
                    }
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Natted {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn all_are_found_and_told_apart_with_and_without_a_daemon() {
    let first = Home::start("127.0.0.1", None, &[]);
    let others: Vec<Home> = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
        .into_iter()
        .map(|ip| Home::start(ip, None, &[&first]))
        .collect();
    let all: Vec<_> = std::iter::once(&first).chain(&others).map(Home::peers).collect();
    let _natted = Natted::start("127.0.0.5", 0x5a, all.clone());
    // All know each other, and the one behind the NAT.
    for home in std::iter::once(&first).chain(&others) {
        home.wait_joined(4);
    }

    // Two at once, since each waits nine seconds for the silent one.
    let bootstrap = all[1].to_string();
    let elsewhere = Home::at("127.0.0.6");
    let alone =
        elsewhere.begin(&["walk", "--bootstrap", &bootstrap, "--local-network", "127.0.0.0/8", "--nodes"]);
    let report = first.type_in(&["walk", "--json"]).json();
    assert_eq!((&report["reachable"], &report["behind_nats"]), (&4.into(), &1.into()), "{report}");
    assert_eq!(report["versions"]["A100"], serde_json::json!([4, 0]));
    assert_eq!(report["versions"]["A043"], serde_json::json!([0, 1]));
    let found: BTreeSet<&str> = report["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .take(4)
        .map(|node| node["address"].as_str().unwrap())
        .collect();
    assert_eq!(
        found,
        all.iter()
            .map(|address| address.to_string())
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str)
            .collect()
    );
    assert_eq!(report["nodes"][4]["reach"], "behind_nat");

    // Who walks joins nobody's table.
    assert_eq!(first.status()["dht"]["contacts"], 4);
    let text = String::from_utf8(alone.wait_with_output().unwrap().stdout).unwrap();
    for part in [
        "5 nodes in ",
        "reachable         4",
        "behind NATs       1",
        "version A043       0 reachable, 1 behind NATs",
        "behind a NAT\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(all.iter().all(|address| text.contains(&address.to_string())), "{text}");
}

#[test]
fn nowhere_to_walk_is_said_with_what_to_do() {
    let home = Home::at("127.0.0.1");
    let error = home.type_in(&["walk"]).fails();
    assert!(error.contains("no daemon answers") && error.contains("--bootstrap"), "{error}");
    let error = home.type_in(&["walk", "--bootstrap", "127.0.0.1:9"]).fails();
    assert!(error.contains("private") && error.contains("--local-network"), "{error}");
    assert_eq!(home.type_in(&["walk", "--rate", "0"]).code, 2);
    let home = Home::start("127.0.0.1", None, &[]);
    let error = home.type_in(&["walk"]).fails();
    assert!(error.contains("knows no other node"), "{error}");
}

#[test]
fn a_second_walk_waits_for_the_first_to_end() {
    let first = Home::start("127.0.0.1", None, &[]);
    let second = Home::start("127.0.0.2", None, &[&first]);
    first.wait_joined(1);
    second.wait_joined(1);
    // One that nobody will hear from again: the walk takes nine seconds.
    let gone = Home::start("127.0.0.3", None, &[&first]);
    first.wait_joined(2);
    drop(gone);
    let request = Request::Walk { per_second: 50, at_most_s: 60 };
    let mut walking = Conversation::begin(&first.data(), &request).unwrap();
    let message: control::Message = walking.listen().unwrap();
    assert!(matches!(message, control::Message::Progress(_)), "{message:?}");
    let second = first.type_in(&["walk"]).fails();
    assert!(second.contains("under way"), "{second}");
    // Who hangs up ends it.
    drop(walking);
    wait("the walk has ended", || first.type_in(&["walk", "--time", "1"]).code == 0);
}
