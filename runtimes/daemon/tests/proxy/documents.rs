//! Release files change under their names: the mirror is asked each time.

use super::archive::SUITE;
use super::mirror::{Act, Asked, Mirror};
use super::proxy::Proxy;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn release(text: &str) -> Act {
    let lines = vec![format!("Last-Modified: {DATE}"), "ETag: \"one\"".into()];
    Act::Headers(format!("Suite: sid\nOrigin: {text}\n").into(), lines)
}

fn setup(act: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> (Mirror, Proxy, String) {
    let mirror = Mirror::start(act);
    let proxy = Proxy::start(&mirror);
    let url = mirror.url(&format!("{SUITE}/InRelease"));
    (mirror, proxy, url)
}

#[test]
fn it_is_revalidated_each_time_and_sent_from_here() {
    let (mirror, proxy, url) = setup(|asked| match asked.nth {
        0 => release("a"),
        _ => Act::Status(304, vec![]),
    });
    let mut client = proxy.connect();
    for round in 1..4 {
        let answer = client.get(&url, &[]);
        assert_eq!(answer.header("last-modified"), Some(DATE));
        assert_eq!(answer.ok(), b"Suite: sid\nOrigin: a\n");
        let asked = mirror.asked(&format!("{SUITE}/InRelease"));
        assert_eq!(asked.len(), round);
        let last = &asked[round - 1];
        if round > 1 {
            assert_eq!(last.header("if-modified-since"), Some(DATE));
            assert_eq!(last.header("if-none-match"), Some("\"one\""));
        }
    }
}

#[test]
fn a_client_that_has_it_is_told_so() {
    let (_mirror, proxy, url) = setup(|asked| match asked.nth {
        0 | 2 => release("a"),
        _ => Act::Status(304, vec![]),
    });
    let mut client = proxy.connect();
    for _ in 0..3 {
        let answer = client.get(&url, &[&format!("If-Modified-Since: {DATE}")]);
        assert_eq!((answer.status, answer.body.len()), (304, 0));
    }
    let other = "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT";
    assert_eq!(client.get(&url, &[other]).ok(), b"Suite: sid\nOrigin: a\n");
}

#[test]
fn a_new_one_replaces_the_old_one() {
    let (_mirror, proxy, url) = setup(|asked| release(if asked.nth == 0 { "a" } else { "b" }));
    let mut client = proxy.connect();
    assert_eq!(client.get(&url, &[]).ok(), b"Suite: sid\nOrigin: a\n");
    assert_eq!(client.get(&url, &[]).ok(), b"Suite: sid\nOrigin: b\n");
}

#[test]
fn faults_are_tried_again_and_a_404_passes() {
    let (mirror, proxy, url) = setup(|asked| match asked.nth {
        0 => Act::Status(503, vec![]),
        1 => Act::CutAfter(3, b"Suite: sid\n".to_vec()),
        2 => release("a"),
        _ => Act::Status(404, vec![]),
    });
    let mut client = proxy.connect();
    assert_eq!(client.get(&url, &[]).ok(), b"Suite: sid\nOrigin: a\n");
    assert_eq!(client.get(&url, &[]).status, 404);
    assert_eq!(mirror.asked(&format!("{SUITE}/InRelease")).len(), 4);
}

#[test]
fn detached_signatures_are_documents_too() {
    let (_mirror, proxy, url) =
        setup(|asked| Act::Headers(asked.path.clone().into(), vec![format!("Last-Modified: {DATE}")]));
    let mut client = proxy.connect();
    let url = url.replace("InRelease", "Release.gpg");
    assert_eq!(client.get(&url, &[]).ok(), format!("{SUITE}/Release.gpg").into_bytes());
    let answer = client.get(&url, &[&format!("If-Modified-Since: {DATE}")]);
    assert_eq!(answer.status, 304);
}
