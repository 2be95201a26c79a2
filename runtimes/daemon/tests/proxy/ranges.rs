//! Parts, conditions and heads of files that are known by their hash.

use khashmir_apt::Sha256;

use super::archive::{Archive, SUITE, content, pool};
use super::mirror::Mirror;
use super::proxy::{Proxy, wait};

fn setup() -> (Vec<u8>, Mirror, Proxy) {
    let content = content(7, 100_000);
    let archive = Archive::of(&[("p.deb", &content)]);
    let mirror = Mirror::of(&archive, |_| None);
    let proxy = Proxy::start(&mirror);
    proxy.learn(&mirror, &archive);
    (content, mirror, proxy)
}

#[test]
fn an_interrupted_download_resumes_whether_cached_or_not() {
    let (content, mirror, proxy) = setup();
    let url = mirror.url(&pool("p.deb"));
    let date = Sha256::of(&content).last_modified().to_string();
    let mut client = proxy.connect();
    for round in ["fetched", "cached"] {
        let resume = format!("If-Range: {date}");
        let answer = client.get(&url, &["Range: bytes=60000-", &resume]);
        assert_eq!(answer.status, 206, "{round}");
        assert_eq!(answer.header("content-range"), Some("bytes 60000-99999/100000"), "{round}");
        assert_eq!(answer.header("last-modified"), Some(date.as_str()), "{round}");
        assert!(answer.body == content[60_000..], "{round}");
    }
    let asked = mirror.asked(&pool("p.deb"));
    assert_eq!(asked.len(), 1, "the whole file is fetched once");
    assert_eq!(asked[0].header("range"), None);
}

#[test]
fn another_version_is_not_resumed() {
    let (content, mirror, proxy) = setup();
    let url = mirror.url(&pool("p.deb"));
    let stale = "If-Range: Sun, 06 Nov 1994 08:49:37 GMT";
    for _ in 0..2 {
        assert!(proxy.connect().get(&url, &["Range: bytes=60000-", stale]).ok() == content);
    }
}

#[test]
fn ranges_of_each_kind() {
    let (content, mirror, proxy) = setup();
    let url = mirror.url(&pool("p.deb"));
    let mut client = proxy.connect();
    for (range, want) in [
        ("bytes=0-0", 0..1),
        ("bytes=5-9", 5..10),
        ("bytes=99999-", 99_999..100_000),
        ("bytes=-100", 99_900..100_000),
        ("bytes=99000-200000", 99_000..100_000),
    ] {
        let answer = client.get(&url, &[&format!("Range: {range}")]);
        assert_eq!(answer.status, 206, "{range}");
        assert!(answer.body == content[want], "{range}");
    }
    let answer = client.get(&url, &["Range: bytes=100000-"]);
    assert_eq!((answer.status, answer.header("content-range")), (416, Some("bytes */100000")));
    assert!(client.get(&url, &["Range: bytes=0-1,5-6"]).ok() == content);
}

#[test]
fn who_has_the_file_is_told_so() {
    let (content, mirror, proxy) = setup();
    let url = mirror.url(&pool("p.deb"));
    let mut client = proxy.connect();
    let date = Sha256::of(&content).last_modified();
    for _ in 0..2 {
        let answer = client.get(&url, &[&format!("If-Modified-Since: {date}")]);
        assert_eq!((answer.status, answer.body.len()), (304, 0));
        let since = "If-Modified-Since: Wed, 01 Jan 2025 00:00:00 GMT";
        assert!(client.get(&url, &[since]).ok() == content);
    }
}

#[test]
fn a_head_is_answered_without_the_body() {
    let (content, mirror, proxy) = setup();
    let url = mirror.url(&pool("p.deb"));
    let mut client = proxy.connect();
    let head = format!("HEAD {url} HTTP/1.1\r\nHost: m\r\n\r\n");
    for round in ["at the mirror", "cached"] {
        client.send(&head);
        let (status, headers) = client.read_head().unwrap();
        assert_eq!(status, 200, "{round}");
        assert!(headers.contains(&("content-length".into(), "100000".into())), "{round}");
        let date = Sha256::of(&content).last_modified().to_string();
        assert!(headers.contains(&("last-modified".into(), date)), "{round}");
        assert!(client.get(&url, &[]).ok() == content, "{round}");
    }
    let methods: Vec<_> = mirror.asked(&pool("p.deb")).into_iter().map(|a| a.method).collect();
    assert_eq!(methods, ["HEAD", "GET"]);
}

#[test]
fn every_spelling_of_a_name_is_one_file() {
    let content = content(8, 5_000);
    let archive = Archive::of(&[("g++_1~2.deb", &content)]);
    let mirror = Mirror::of(&archive, |_| None);
    let proxy = Proxy::start(&mirror);
    proxy.learn(&mirror, &archive);
    let mut client = proxy.connect();
    for name in ["g%2b%2b_1%7e2.deb", "g++_1~2.deb", "g%2B+_1%7E2.deb", "%67++_1~2.deb"] {
        assert_eq!(client.get(&mirror.url(&pool(name)), &[]).ok(), content, "{name}");
    }
    // As apt itself would have asked.
    assert_eq!(mirror.asked(&pool("g%2b%2b_1%7e2.deb")).len(), 1);
}

#[test]
fn the_prefix_style_names_the_same_files() {
    let (content, mirror, proxy) = setup();
    let mut client = proxy.connect();
    assert!(client.get(&mirror.url(&pool("p.deb")), &[]).ok() == content);
    let path = format!("/{}{}", mirror.address, pool("p.deb"));
    assert!(client.get(&path, &[]).ok() == content);
    // Sources in the prefix style, and the proxy set as well.
    assert!(client.get(&format!("http://{}{path}", proxy.address()), &[]).ok() == content);
    assert_eq!(mirror.asked(&pool("p.deb")).len(), 1);
}

#[test]
fn an_empty_file_is_a_file() {
    let archive = Archive::of(&[("empty", b""), ("other", b"x")]);
    let mirror = Mirror::of(&archive, |_| None);
    let proxy = Proxy::start(&mirror);
    proxy.learn(&mirror, &archive);
    let mut client = proxy.connect();
    for _ in 0..2 {
        assert_eq!(client.get(&mirror.url(&pool("empty")), &[]).ok(), b"");
        assert_eq!(client.get(&mirror.url(&pool("other")), &[]).ok(), b"x");
    }
    // Its index has said all about it: nobody need be asked.
    assert!(mirror.asked(&pool("empty")).len() <= 1);
    assert_eq!(mirror.asked(&pool("other")).len(), 1);
}

#[test]
fn an_old_client_is_served_and_closed_on() {
    let (content, mirror, proxy) = setup();
    let url = mirror.url(&pool("p.deb"));
    let mut client = proxy.connect();
    client.send(&format!("GET {url} HTTP/1.0\r\n\r\n"));
    assert!(client.read().unwrap().ok() == content);
    assert!(client.is_at_end());
    let mut client = proxy.connect();
    assert!(client.get(&url, &["Connection: close"]).ok() == content);
    assert!(client.is_at_end());
}

#[test]
fn the_statistics_say_where_the_bytes_came_from() {
    let content = content(7, 100_000);
    let archive = Archive::of(&[("p.deb", &content)]);
    let mirror = Mirror::of(&archive, |_| None);
    let proxy = Proxy::start(&mirror);
    proxy.learn(&mirror, &archive);
    let mut client = proxy.connect();
    let url = mirror.url(&pool("p.deb"));
    assert!(client.get(&url, &[]).ok() == content);
    proxy.wait_until_cached(&content);
    let tail = client.get(&url, &["Range: bytes=-10"]);
    assert_eq!(tail.body.len(), 10);
    assert_eq!(client.get(&mirror.url("/none"), &[]).status, 404);
    // Bytes are counted once they are sent: the next answer, which has none, comes after that.
    let since = format!("If-Modified-Since: {}", tail.header("last-modified").unwrap());
    assert_eq!(client.get(&url, &[&since]).status, 304);
    let size = |path: &str| archive.files[path].len() as u64;
    let stats = &proxy.daemon.context().stats;
    assert_eq!(stats.apt.bytes_from_cache.value(), 10);
    let indexes = size(&format!("{SUITE}/InRelease")) + size(&archive.packages_by_hash());
    let not_found = 8;
    assert_eq!(stats.apt.bytes_from_mirror.value(), 100_000 + indexes + not_found);
    assert_eq!(stats.downloads.bytes_from_mirror.value(), 100_000 + indexes + not_found);
    // Counted once a file is in the cache and all that follows from it is done.
    wait("two downloads are counted", || stats.downloads.completed.value() >= 2);
    assert_eq!(stats.downloads.completed.value(), 2);
}
