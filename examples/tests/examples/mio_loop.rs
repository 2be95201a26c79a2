//! The node and the service in one loop, each asked from outside.

use crate::lines;
use crate::running::Running;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

#[test]
fn one_loop_serves_both() {
    let mut other = Running::start("dht", &["--bind", "127.0.0.1:0", "serve"]);
    let via = other.line().split(' ').nth(3).unwrap().to_owned();
    let mut node = Running::start("mio_loop", &["--via", &via, "--every", "1"]);
    let line = node.line();
    let (node_addr, service) = line.strip_prefix("node at ").unwrap().split_once(", service at ").unwrap();
    assert_eq!(node.line(), "joined, contacts: 1");

    assert_eq!(lines("dht", &["--via", node_addr, "put", "greeting", "hello"]), ["stored, copies: 2"]);
    let ask = |questions: &str| {
        let mut stream = TcpStream::connect(service).unwrap();
        stream.write_all(questions.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        answers
    };
    let answers = ask("stats\nwhat\ncontacts\n");
    let answers: Vec<&str> = answers.lines().collect();
    assert!(answers[0].contains("values 1, datagrams"), "{answers:?}");
    assert_eq!(answers[1], r#"what is "what"? say stats, contacts or stop"#);
    assert!(answers[2..].iter().any(|contact| contact.ends_with(&via)), "{answers:?}");

    // The report of its own accord, some second later.
    while !node.line().contains("values 1, datagrams") {}
    ask("stop\n");
    assert!(node.ends_well());
}
