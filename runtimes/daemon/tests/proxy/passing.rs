//! What is not known passes through as it is.

use super::archive::content;
use super::mirror::{Act, Mirror};
use super::proxy::Proxy;

#[test]
fn status_headers_and_body_are_the_mirrors() {
    let body = content(4, 200_000);
    let served = body.clone();
    let mirror = Mirror::start(move |_| {
        let lines = ["ETag: \"e\"", "X-Some: thing", "Connection: x-hop", "X-Hop: no", "Keep-Alive: 5"];
        Act::Headers(served.clone(), lines.map(str::to_owned).to_vec())
    });
    let proxy = Proxy::start(&mirror);
    let mut client = proxy.connect();
    for _ in 0..2 {
        let answer = client.get(&mirror.url("/some/file?with=query"), &[]);
        assert_eq!(answer.header("etag"), Some("\"e\""));
        assert_eq!(answer.header("x-some"), Some("thing"));
        assert_eq!((answer.header("x-hop"), answer.header("keep-alive")), (None, None));
        assert!(answer.ok() == body);
    }
    assert_eq!(mirror.asked("/some/file?with=query").len(), 2);
}

#[test]
fn a_body_without_length_is_chunked_or_closed_on() {
    let body = content(5, 100_000);
    let served = body.clone();
    let mirror = Mirror::start(move |_| Act::Chunked(served.clone()));
    let proxy = Proxy::start(&mirror);
    let mut client = proxy.connect();
    for _ in 0..2 {
        let answer = client.get(&mirror.url("/f"), &[]);
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        assert!(answer.body == body);
    }
    let mut client = proxy.connect();
    let url = mirror.url("/f");
    client.send(&format!("GET {url} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    let answer = client.read().unwrap();
    assert_eq!(answer.header("transfer-encoding"), None);
    assert!(answer.body == body);
}

#[test]
fn ranges_and_conditions_are_the_mirrors_to_weigh() {
    let body = content(6, 1_000);
    let served = body.clone();
    let mirror = Mirror::start(move |asked| match asked.header("if-modified-since") {
        Some(_) => Act::Status(304, vec![]),
        None => Act::Serve(served.clone()),
    });
    let proxy = Proxy::start(&mirror);
    let mut client = proxy.connect();
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let answer = client.get(&mirror.url("/f"), &["Range: bytes=10-", &format!("If-Range: {date}")]);
    assert_eq!((answer.status, answer.header("content-range")), (206, Some("bytes 10-999/1000")));
    assert_eq!(answer.body, body[10..]);
    assert_eq!(mirror.asked("/f")[0].header("if-range"), Some(date));
    let answer = client.get(&mirror.url("/f"), &[&format!("If-Modified-Since: {date}")]);
    assert_eq!((answer.status, answer.body.len()), (304, 0));
}

#[test]
fn a_body_cut_by_the_mirror_is_cut() {
    let mirror = Mirror::start(|_| Act::CutAfter(500, content(7, 1_000)));
    let proxy = Proxy::start(&mirror);
    let mut client = proxy.connect();
    client.ask(&mirror.url("/f"), &[]);
    assert_eq!(client.read(), None);
}

#[test]
fn a_transient_status_is_tried_again_and_then_cut() {
    let mirror = Mirror::start(|asked| match asked.nth {
        0 if asked.path == "/good" => Act::Status(503, vec![]),
        _ if asked.path == "/good" => Act::Serve(b"good".to_vec()),
        _ => Act::Status(500, vec![]),
    });
    let proxy = Proxy::start(&mirror);
    assert_eq!(proxy.connect().get(&mirror.url("/good"), &[]).ok(), b"good");
    let mut client = proxy.connect();
    client.ask(&mirror.url("/bad"), &[]);
    assert_eq!(client.read(), None);
    assert_eq!(mirror.asked("/bad").len(), 4);
}

#[test]
fn what_apt_could_not_take_for_an_answer_is_tried_again_and_then_cut() {
    for status in [101, 600] {
        let mirror = Mirror::start(move |_| Act::Status(status, vec![]));
        let proxy = Proxy::start(&mirror);
        let mut client = proxy.connect();
        client.ask(&mirror.url("/f"), &[]);
        assert_eq!(client.read(), None, "{status}");
        assert_eq!(mirror.asked("/f").len(), 4, "{status}");
    }
}

#[test]
fn a_client_that_does_not_read_holds_up_no_other() {
    // More than the system holds for a client on its own.
    let long = vec![7; 32 << 20];
    let mirror = Mirror::start(move |asked| match asked.path.as_str() {
        "/long" => Act::Serve(long.clone()),
        _ => Act::Serve(b"short".to_vec()),
    });
    let proxy = Proxy::asking(&mirror, "connections_per_host = 1");
    let mut idle = proxy.connect();
    for _ in 0..3 {
        idle.ask(&mirror.url("/long"), &[]);
    }
    assert_eq!(idle.read_head().unwrap().0, 200);
    mirror.wait_for("/long", 3);
    for path in ["/short", "/debian/dists/sid/InRelease"] {
        assert_eq!(proxy.connect().get(&mirror.url(path), &[]).ok(), b"short");
    }
}
