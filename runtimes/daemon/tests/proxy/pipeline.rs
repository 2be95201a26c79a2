//! apt sends ten requests ahead; all are worked on at once and answered in order.

use super::archive::{Archive, content, pool};
use super::mirror::{Act, Mirror};
use super::proxy::Proxy;

const NAMES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

fn ten_packages() -> Archive {
    let contents: Vec<Vec<u8>> = (0..10).map(|n| content(n, 30_000 + n as usize)).collect();
    let packages: Vec<(&str, &[u8])> = NAMES.into_iter().zip(contents.iter().map(Vec::as_slice)).collect();
    Archive::of(&packages)
}

#[test]
fn ten_are_outstanding_while_the_first_is_withheld() {
    let archive = ten_packages();
    let first = archive.files[&pool("0")].clone();
    let mirror = Mirror::of(&archive, move |asked| {
        (asked.path == pool("0")).then(|| Act::Hold(Box::new(Act::Serve(first.clone()))))
    });
    let proxy = Proxy::start(&mirror);
    proxy.learn(&mirror, &archive);
    let mut client = proxy.connect();
    for name in NAMES {
        client.ask(&mirror.url(&pool(name)), &[]);
    }
    mirror.wait_for("/debian/pool/", 10);
    mirror.open_gate();
    for name in NAMES {
        assert_eq!(client.read().unwrap().ok(), archive.files[&pool(name)], "answer {name}");
    }
}

#[test]
fn unknown_files_are_asked_for_at_once_too() {
    let archive = ten_packages();
    let files = archive.files.clone();
    let mirror = Mirror::of(&archive, move |asked| {
        let content = files.get(&asked.path)?.clone();
        Some(Act::Hold(Box::new(Act::Serve(content))))
    });
    let proxy = Proxy::start(&mirror);
    let mut client = proxy.connect();
    for name in NAMES {
        client.ask(&mirror.url(&pool(name)), &[]);
    }
    mirror.wait_for("/debian/pool/", 10);
    mirror.open_gate();
    for name in NAMES {
        assert_eq!(client.read().unwrap().ok(), archive.files[&pool(name)], "answer {name}");
    }
}

#[test]
fn requests_come_in_any_pieces() {
    let archive = ten_packages();
    let mirror = Mirror::of(&archive, |_| None);
    let proxy = Proxy::start(&mirror);
    let mut client = proxy.connect();
    let all: String = NAMES
        .iter()
        .map(|name| format!("GET {} HTTP/1.1\r\nHost: m\r\n\r\n", mirror.url(&pool(name))))
        .collect();
    let mut rest = all.as_str();
    let mut size = 1;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        client.send(piece);
        rest = after;
        size = size % 97 + 13;
    }
    for name in NAMES {
        assert_eq!(client.read().unwrap().ok(), archive.files[&pool(name)], "answer {name}");
    }
}

#[test]
fn a_late_head_drips_so_that_apt_waits() {
    let archive = ten_packages();
    let late = archive.files[&pool("3")].clone();
    let mirror = Mirror::of(&archive, move |asked| {
        (asked.path == pool("3")).then(|| Act::Hold(Box::new(Act::Serve(late.clone()))))
    });
    let proxy = Proxy::start(&mirror);
    proxy.learn(&mirror, &archive);
    let mut client = proxy.connect();
    client.ask(&mirror.url(&pool("3")), &[]);
    assert_eq!(client.line().unwrap(), "HTTP/1.1 200 OK");
    let mut length = None;
    // The start of the padding's line comes after all others, and a drip or two.
    let padding = "X-Khashmir-Wait: ";
    let start = loop {
        let start = String::from_utf8(client.bytes(2).unwrap()).unwrap();
        if start == padding[..2] {
            break start;
        }
        let line = format!("{start}{}", client.line().unwrap());
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = Some(value.parse::<usize>().unwrap());
        }
    };
    let rest = client.bytes(padding.len()).unwrap();
    assert_eq!(format!("{start}{}", String::from_utf8(rest).unwrap()), format!("{padding}.."));
    mirror.open_gate();
    assert!(client.line().unwrap().bytes().all(|byte| byte == b'.'));
    assert_eq!(client.line().unwrap(), "");
    let content = &archive.files[&pool("3")];
    assert_eq!(length, Some(content.len()));
    assert_eq!(&client.bytes(content.len()).unwrap(), content);
    assert_eq!(client.get(&mirror.url(&pool("4")), &[]).ok(), archive.files[&pool("4")]);
}

#[test]
fn a_promise_that_cannot_be_kept_is_cut() {
    let archive = ten_packages();
    let mirror = Mirror::of(&archive, |asked| {
        (asked.path == pool("3")).then(|| Act::Hold(Box::new(Act::Status(404, vec![]))))
    });
    let proxy = Proxy::start(&mirror);
    proxy.learn(&mirror, &archive);
    let mut client = proxy.connect();
    client.ask(&mirror.url(&pool("3")), &[]);
    assert_eq!(client.line().unwrap(), "HTTP/1.1 200 OK");
    mirror.open_gate();
    while let Some(line) = client.line() {
        assert!(!line.is_empty(), "the head ended and a body would follow");
    }
    // apt comes again, and now hears it at once.
    assert_eq!(proxy.connect().get(&mirror.url(&pool("3")), &[]).status, 404);
}

#[test]
fn a_stalled_body_drips_so_that_apt_waits() {
    let archive = ten_packages();
    let late = archive.files[&pool("3")].clone();
    let mirror = Mirror::of(&archive, move |asked| {
        (asked.path == pool("3")).then(|| Act::Stall(10_000, late.clone()))
    });
    let proxy = Proxy::start(&mirror);
    proxy.learn(&mirror, &archive);
    let mut client = proxy.connect();
    client.ask(&mirror.url(&pool("3")), &[]);
    assert_eq!(client.read_head().unwrap().0, 200);
    let content = &archive.files[&pool("3")];
    // Some of the end is kept back and comes byte by byte.
    let mut body = client.bytes(9_938).unwrap();
    mirror.open_gate();
    body.extend(client.bytes(content.len() - body.len()).unwrap());
    assert_eq!(&body, content);
}
