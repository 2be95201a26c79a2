//! Tunnels: what goes through them is between the two ends.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::client::{Client, PATIENCE};
use super::mirror::{Act, Mirror};
use super::proxy::Proxy;

/// An end that somebody else has, and what it says and hears.
struct Far {
    listener: TcpListener,
}

impl Far {
    fn new() -> Self {
        Self { listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap() }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    fn accept(&self) -> TcpStream {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// A daemon that opens tunnels to this machine at the port of `far`.
fn opening(far: &Far, more: &str) -> Proxy {
    let port = far.address().port();
    Proxy::configured(&format!(
        "[proxy]\nlisten = \"127.0.0.1:0\"\nallowed_upstreams = [\"127.0.0.1\"]\n\
         tunnel_ports = [{port}]\n{more}"
    ))
}

fn connect(to: SocketAddr) -> String {
    format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")
}

/// Opens a tunnel; both its ends.
#[track_caller]
fn tunnel(proxy: &Proxy, far: &Far) -> (TcpStream, TcpStream) {
    let mut client = proxy.connect();
    client.send(&connect(far.address()));
    let (status, headers) = client.read_head().unwrap();
    assert_eq!((status, headers), (200, vec![]), "a tunnel has no headers about content");
    (client.into_stream(), far.accept())
}

#[track_caller]
fn says(mut from: &TcpStream, mut to: &TcpStream, bytes: &[u8]) {
    from.write_all(bytes).unwrap();
    let mut heard = vec![0; bytes.len()];
    to.read_exact(&mut heard).unwrap();
    assert!(heard == bytes);
}

/// What is left to hear until the other side says no more.
fn rest(mut stream: &TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    rest
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn both_sides_speak_and_may_end_one_after_the_other() {
    let far = Far::new();
    let proxy = opening(&far, "");
    let much = super::archive::content(30, 3_000_000);
    for client_ends_first in [true, false] {
        let (client, other) = tunnel(&proxy, &far);
        says(&client, &other, b"hello");
        says(&other, &client, b"hello yourself");
        let (first, last) = if client_ends_first { (&client, &other) } else { (&other, &client) };
        first.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(last), b"", "the end is passed on");
        // Long after, in the other direction.
        let speak = thread::spawn({
            let (mut last, much) = (last.try_clone().unwrap(), much.clone());
            move || {
                last.write_all(&much).unwrap();
                last.shutdown(Shutdown::Write).unwrap();
            }
        });
        assert!(rest(first) == much);
        speak.join().unwrap();
    }
    let stats = &proxy.daemon.context().stats.apt;
    eventually("its tunnels end", || stats.tunnels.value() == 0);
    assert_eq!(stats.bytes_tunnelled.value(), 2 * (much.len() as u64 + 19));
}

#[test]
fn what_comes_too_early_comes_first() {
    let far = Far::new();
    let proxy = opening(&far, "");
    let mut client = proxy.connect();
    client.send(&format!("{}early", connect(far.address())));
    let mut other = far.accept();
    let mut heard = [0; 5];
    other.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"early");
    assert_eq!(client.read_head().unwrap().0, 200);
    says(&client.into_stream(), &other, b", then late");
}

#[test]
fn only_to_hosts_and_ports_that_are_named() {
    let far = Far::new();
    let port = far.address().port();
    let proxy = opening(&far, "");
    for (target, status, reason) in [
        (format!("127.0.0.2:{port}"), 403, "allowed_upstreams"),
        (format!("localhost:{port}"), 403, "allowed_upstreams"),
        ("127.0.0.1:443".to_owned(), 403, "tunnel_ports"),
        ("127.0.0.1".to_owned(), 400, "port"),
        (format!("http://127.0.0.1:{port}/"), 400, "port"),
    ] {
        let mut client = proxy.connect();
        client.send(&format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"));
        let answer = client.read().unwrap();
        assert_eq!(answer.status, status, "{target}");
        assert!(answer.reason.contains(reason), "{answer:?}");
        assert!(client.is_at_end());
    }
    let mut client = proxy.connect();
    client.send(&format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"));
    assert_eq!(client.read().unwrap().status, 413);
    far.listener.set_nonblocking(true).unwrap();
    assert!(far.listener.accept().is_err(), "nobody was connected");
}

#[test]
fn what_apt_names_needs_no_other_name() {
    let far = Far::new();
    let port = far.address().port();
    let proxy = Proxy::with_sources(
        &format!("[proxy]\nlisten = \"127.0.0.1:0\"\ntunnel_ports = [{port}]"),
        &format!("deb https://127.0.0.1:{port}/debian sid main\n"),
    );
    let (client, other) = tunnel(&proxy, &far);
    says(&client, &other, b"hello");
}

#[test]
fn where_a_named_mirror_has_its_changelogs() {
    let far = Far::new();
    let port = far.address().port();
    let release = format!("Suite: sid\nChangelogs: https://localhost:{port}/@CHANGEPATH@\nSHA256:\n");
    let mirror = Mirror::start(move |_| Act::Serve(release.clone().into()));
    // By its address the mirror is named, and localhost may be asked, but not by its name.
    let proxy = Proxy::configured(&format!(
        "[proxy]\nlisten = \"127.0.0.1:0\"\nallowed_upstreams = [\"127.0.0.0/8\", \"::1/128\"]\n\
         tunnel_ports = [{port}]"
    ));
    let ask = || {
        let mut client = proxy.connect();
        client.send(&format!("CONNECT localhost:{port} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        (client.read_head().unwrap().0, client)
    };
    assert_eq!(ask().0, 403);
    proxy.connect().get(&mirror.url("/debian/dists/sid/InRelease"), &[]).ok();
    let (status, client) = ask();
    assert_eq!(status, 200);
    says(&client.into_stream(), &far.accept(), b"hello");
}

#[test]
fn a_far_end_that_is_not_there_is_told_of() {
    let far = Far::new();
    let (address, proxy) = (far.address(), opening(&far, ""));
    drop(far);
    let mut client = proxy.connect();
    client.send(&connect(address));
    let answer = client.read().unwrap();
    assert_eq!(answer.status, 404);
    assert!(answer.reason.contains("refused"), "{answer:?}");
}

#[test]
fn there_are_so_many_at_a_time() {
    let far = Far::new();
    let proxy = opening(&far, "max_tunnels = 2");
    let first = tunnel(&proxy, &far);
    let _second = tunnel(&proxy, &far);
    let mut client = proxy.connect();
    client.send(&connect(far.address()));
    let answer = client.read().unwrap();
    assert_eq!(answer.status, 403);
    assert!(answer.reason.contains("max_tunnels"), "{answer:?}");
    drop(first);
    eventually("a place becomes free", || {
        let mut client = proxy.connect();
        client.send(&connect(far.address()));
        client.read_head().unwrap().0 == 200
    });
}

#[test]
fn one_in_which_nothing_is_said_is_closed() {
    let far = Far::new();
    let proxy = opening(&far, "idle_timeout_seconds = 1");
    let (client, other) = tunnel(&proxy, &far);
    let began = Instant::now();
    // One direction is enough to keep it.
    while began.elapsed() < Duration::from_secs(2) {
        says(&other, &client, b".");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(rest(&client), b"");
    assert_eq!(rest(&other), b"");
    // Half an end does not keep the other half for ever.
    let (client, other) = tunnel(&proxy, &far);
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&other), b"");
    assert_eq!(rest(&client), b"");
}

#[test]
fn answers_before_it_come_first() {
    let far = Far::new();
    let proxy = opening(&far, "");
    let mut client = Client::connect(proxy.address());
    client.send(&format!("GET / HTTP/1.1\r\nHost: h\r\n\r\n{}", connect(far.address())));
    assert_eq!(client.read().unwrap().status, 400);
    assert_eq!(client.read_head().unwrap().0, 200);
    says(&client.into_stream(), &far.accept(), b"hello");
}
