//! Who may ask, and for what.

use super::client::Client;
use super::mirror::{Act, Mirror};
use super::proxy::Proxy;

fn serving() -> Mirror {
    Mirror::start(|_| Act::Serve(b"secret".to_vec()))
}

#[test]
fn mirrors_inside_our_own_network_must_be_named() {
    let mirror = serving();
    let proxy = Proxy::configured("[proxy]\nlisten = \"127.0.0.1:0\"");
    let mut client = proxy.connect();
    let port = mirror.address.port();
    let hash = "0".repeat(64);
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        for path in ["/x", "/dists/sid/InRelease", &format!("/dists/sid/by-hash/SHA256/{hash}")] {
            let answer = client.get(&format!("http://{host}:{port}{path}"), &[]);
            assert_eq!(answer.status, 403, "{host}{path}");
            let text = String::from_utf8(answer.body).unwrap();
            assert!(text.contains("allowed_upstreams"), "{text}");
        }
    }
    assert!(mirror.asked("/x").is_empty());
}

#[test]
fn only_listed_clients_are_served() {
    let mirror = serving();
    let proxy = Proxy::configured(&format!(
        "[proxy]\nlisten = \"127.0.0.1:0\"\nallowed_clients = [\"10.0.0.0/8\"]\n\
         allowed_upstreams = [\"{}\"]",
        mirror.address
    ));
    let mut client = proxy.connect();
    let answer = client.get(&mirror.url("/x"), &[]);
    assert_eq!(answer.status, 403);
    assert!(String::from_utf8(answer.body).unwrap().contains("allowed_clients"));
    assert!(client.is_at_end());
    assert!(mirror.asked("/x").is_empty());
}

#[test]
fn a_flood_of_strangers_takes_no_clients_place() {
    let mirror = serving();
    let proxy = Proxy::configured(&format!(
        "[proxy]\nlisten = \"127.0.0.1:0\"\nallowed_clients = [\"127.0.0.2/32\"]\n\
         max_connections = 1\nallowed_upstreams = [\"{}\"]",
        mirror.address
    ));
    // Each takes its time to go. One after the other they would take longer than a client waits.
    let strangers: Vec<Client> = (0..60).map(|_| proxy.connect()).collect();
    let mut client = Client::connect_from([127, 0, 0, 2].into(), proxy.address());
    assert_eq!(client.get(&mirror.url("/x"), &[]).ok(), b"secret");
    drop(strangers);
}

#[test]
fn what_is_no_request_for_a_file_is_refused() {
    let mirror = serving();
    let proxy = Proxy::start(&mirror);
    let url = mirror.url("/x");
    for (request, status) in [
        ("CONNECT m.example:443 HTTP/1.1\r\nHost: m.example:443\r\n\r\n".to_owned(), 403),
        (format!("POST {url} HTTP/1.1\r\nHost: m\r\n\r\n"), 405),
        (format!("GET {url} HTTP/1.1\r\nHost: m\r\nContent-Length: 5\r\n\r\nhello"), 413),
        (format!("GET {url} HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 413),
        (format!("GET http://HTTPS///{}/ HTTP/1.1\r\nHost: m\r\n\r\n", proxy.address()), 400),
        (format!("GET {} HTTP/1.1\r\nHost: m\r\n\r\n", mirror.url("/a/../x")), 400),
        ("GET / HTTP/1.1\r\nHost: m\r\n\r\n".to_owned(), 400),
        (format!("GET http://{}/ HTTP/1.1\r\nHost: m\r\n\r\n", proxy.address()), 400),
        ("GET /x HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("nonsense\r\n\r\n".to_owned(), 400),
        (format!("GET {url}{} HTTP/1.1\r\nHost: m\r\n\r\n", "x".repeat(20_000)), 431),
    ] {
        let mut client = proxy.connect();
        client.send(&request);
        let answer = client.read().unwrap();
        assert_eq!(answer.status, status, "{request}");
        assert!(!answer.body.is_empty(), "a text says why: {request}");
    }
    assert!(mirror.asked("/x").is_empty());
}

#[test]
fn a_bad_request_does_not_spoil_the_answers_before_it() {
    let mirror = serving();
    let proxy = Proxy::start(&mirror);
    let mut client = proxy.connect();
    client.ask(&mirror.url("/1"), &[]);
    client.ask(&mirror.url("/2"), &[]);
    client.send("nonsense\r\n\r\n");
    assert_eq!(client.read().unwrap().ok(), b"secret");
    assert_eq!(client.read().unwrap().ok(), b"secret");
    assert_eq!(client.read().unwrap().status, 400);
    assert!(client.is_at_end());
}

#[test]
fn a_silent_client_is_let_go() {
    let mirror = serving();
    let proxy = Proxy::configured(&format!(
        "[proxy]\nlisten = \"127.0.0.1:0\"\nidle_timeout_seconds = 1\n\
         allowed_upstreams = [\"{}\"]",
        mirror.address
    ));
    let mut client = proxy.connect();
    assert_eq!(client.get(&mirror.url("/x"), &[]).ok(), b"secret");
    assert!(client.is_at_end());
    let mut client = proxy.connect();
    client.send("GET /half-a-head");
    assert!(client.is_at_end());
}
