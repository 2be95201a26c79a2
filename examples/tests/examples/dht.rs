//! The command line, against a node that it runs itself.

use crate::running::Running;
use crate::{complaint, lines};
use khashmir::{Config, Id};
use khashmir_smol::{Dht, Sockets};
use smol::unblock;

/// A node that nobody has met: those who have met it and are gone are missed for a while by all who
/// search.
fn serve() -> (Running, String, String) {
    let mut node = Running::start("dht", &["--bind", "127.0.0.1:0", "serve"]);
    let line = node.line();
    let [_, id, _, addr] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    (node, id.to_owned(), addr.to_owned())
}

/// printf greeting | sha1sum
const GREETING: &str = "a0f7e779f9247566c84036f07f7bdf4a40a869bd";

#[test]
fn what_one_puts_another_driver_holds_and_the_other_way_round() {
    let key = Id(std::array::from_fn(|at| u8::from_str_radix(&GREETING[2 * at..2 * at + 2], 16).unwrap()));
    smol::block_on(async {
        for written in ["greeting", GREETING] {
            let sockets = Sockets::bind(&[([127, 0, 0, 1], 0).into()]).unwrap();
            let local_networks = vec!["127.0.0.0/8".parse().unwrap()];
            let node = Dht::start(sockets, Config { local_networks, ..Config::default() }).unwrap();
            let via = node.local_addrs()[0].to_string();
            node.put(key, b"good\nday").await.unwrap();
            let got = unblock(move || lines("dht", &["--via", &via, "--wanted", "1", "get", written]));
            assert_eq!(got.await, [r"good\nday"]);
        }
    });
    let (_node, _, addr) = serve();
    assert_eq!(lines("dht", &["--via", &addr, "put", "greeting", "hello"]), ["stored, copies: 1"]);
}

#[test]
fn who_is_there_is_found_and_answers() {
    let (_node, id, addr) = serve();
    assert_eq!(lines("dht", &["--via", &addr, "find", "greeting"]), [format!("{id} {addr}")]);
    let [pong] = &lines("dht", &["ping", &addr])[..] else { panic!("one line") };
    assert!(pong.starts_with(&format!("{id} in ")) && pong.ends_with(" ms"), "{pong}");
}

#[test]
fn what_is_not_there_is_missed() {
    let (_node, _, addr) = serve();
    let missing = complaint("dht", &["--via", &addr, "get", "farewell"]);
    assert_eq!(missing, "dht: no value under farewell\n");
}

#[test]
fn mistakes_are_explained() {
    assert!(lines("dht", &["--help"]).concat().contains("put KEY VALUE"));
    for (arguments, explanation) in [
        (&["frob"][..], r#"no command: "frob"; see --help"#),
        (&["put", "key"], "no command"),
        (&["--vai", "127.0.0.1:1", "get", "key"], "--vai"),
        (&["--via", "here", "get", "key"], "'here'"),
        (&["get", "key"], "--via ADDR"),
        (&["ping", "there"], r#""there": invalid socket address"#),
        (&["ping", "10.0.0.1:1"], "name its network"),
    ] {
        let complaint = complaint("dht", arguments);
        assert!(complaint.contains(explanation), "{arguments:?}: {complaint}");
    }
}
