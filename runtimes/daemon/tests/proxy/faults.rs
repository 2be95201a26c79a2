//! What a mirror does wrong, and what of it apt sees: nothing, or a cut.

use super::archive::{Archive, content, pool};
use super::client::Client;
use super::mirror::{Act, Asked, Mirror};
use super::proxy::Proxy;

const LEN: usize = 300_000;

struct Setup {
    content: Vec<u8>,
    mirror: Mirror,
    proxy: Proxy,
}

impl Setup {
    /// A known package for which the mirror does as told.
    fn new(act: impl Fn(&Asked, &[u8]) -> Option<Act> + Send + Sync + 'static) -> Self {
        Self::with(Proxy::start, act)
    }

    fn with(
        start: impl Fn(&Mirror) -> Proxy,
        act: impl Fn(&Asked, &[u8]) -> Option<Act> + Send + Sync + 'static,
    ) -> Self {
        let content = content(9, LEN);
        let archive = Archive::of(&[("p.deb", &content)]);
        let package = content.clone();
        let mirror =
            Mirror::of(
                &archive,
                move |asked| {
                    if asked.path == pool("p.deb") { act(asked, &package) } else { None }
                },
            );
        let proxy = start(&mirror);
        proxy.learn(&mirror, &archive);
        Self { content, mirror, proxy }
    }

    fn ask(&self) -> Client {
        let mut client = self.proxy.connect();
        client.ask(&self.mirror.url(&pool("p.deb")), &[]);
        client
    }

    fn requests(&self) -> Vec<Asked> {
        self.mirror.asked(&pool("p.deb"))
    }

    #[track_caller]
    fn arrives_whole(&self) {
        assert!(self.ask().read().unwrap().ok() == self.content);
    }

    /// The connection ends before an answer does, and nothing is kept.
    #[track_caller]
    fn is_cut(&self) {
        assert_eq!(self.ask().read(), None);
        assert!(!self.proxy.is_cached(&self.content));
    }
}

#[test]
fn a_download_cut_by_the_mirror_goes_on_where_it_stopped() {
    let setup =
        Setup::new(|asked, content| (asked.nth < 2).then(|| Act::CutAfter(100_000, content.to_vec())));
    setup.arrives_whole();
    let ranges: Vec<_> =
        setup.requests().iter().map(|asked| asked.header("range").map(str::to_owned)).collect();
    let resumed = |range: &Option<String>| range.as_deref().is_some_and(|r| r.starts_with("bytes="));
    assert_eq!(ranges.len(), 3);
    assert!(ranges[0].is_none() && resumed(&ranges[1]) && resumed(&ranges[2]), "{ranges:?}");
}

#[test]
fn a_mirror_that_ignores_ranges_is_resumed_all_the_same() {
    let setup = Setup::new(|asked, content| {
        Some(match asked.nth {
            0 => Act::CutAfter(100_000, content.to_vec()),
            _ => Act::Headers(content.to_vec(), vec![]),
        })
    });
    setup.arrives_whole();
    assert_eq!(setup.requests().len(), 2);
}

#[test]
fn transient_statuses_are_not_seen() {
    for status in [503, 500, 502, 429, 408] {
        let setup = Setup::new(move |asked, _| {
            (asked.nth < 2).then(|| Act::Status(status, vec!["Retry-After: 0".into()]))
        });
        setup.arrives_whole();
        assert_eq!(setup.requests().len(), 3, "{status}");
    }
}

#[test]
fn a_mirror_that_stays_down_is_cut_and_never_said() {
    let setup = Setup::new(|_, _| Some(Act::Status(503, vec![])));
    setup.is_cut();
    assert_eq!(setup.requests().len(), 4, "once, and three retries");
}

#[test]
fn a_mirror_that_is_gone_is_cut() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let proxy =
        Proxy::configured(&format!("[proxy]\nlisten = \"127.0.0.1:0\"\nallowed_upstreams = [\"{gone}\"]"));
    for path in ["/debian/dists/sid/InRelease", "/debian/pool/p.deb"] {
        let mut client = proxy.connect();
        client.ask(&format!("http://{gone}{path}"), &[]);
        assert_eq!(client.read(), None, "{path}");
    }
}

#[test]
fn a_404_passes_with_its_text() {
    let setup = Setup::new(|_, _| Some(Act::Status(404, vec!["X-Why: gone".into()])));
    let mut client = setup.ask();
    let answer = client.read().unwrap();
    assert_eq!((answer.status, answer.header("x-why")), (404, Some("gone")));
    assert_eq!(answer.body, b"so it is");
    assert_eq!(setup.requests().len(), 1);
    // Nothing of ours went wrong.
    let downloads = &setup.proxy.daemon.context().stats.downloads;
    assert_eq!((downloads.rejected.value(), downloads.failed.value()), (1, 0));
    // The connection goes on.
    assert_eq!(client.get(&setup.mirror.url("/none"), &[]).status, 404);
}

#[test]
fn a_length_that_the_index_does_not_give_is_cut_and_not_kept() {
    Setup::new(|_, content| Some(Act::Serve(content[..LEN - 1].to_vec()))).is_cut();
    Setup::new(|_, content| Some(Act::Serve([content, b"x"].concat()))).is_cut();
    Setup::new(|_, content| Some(Act::Lie(LEN - 1, content.to_vec()))).is_cut();
    Setup::new(|_, content| Some(Act::Chunked(content[..LEN - 1].to_vec()))).is_cut();
}

#[test]
fn a_length_that_the_mirror_corrects_is_not_seen() {
    let setup =
        Setup::new(|asked, content| (asked.nth == 0).then(|| Act::Serve(content[..LEN - 1].to_vec())));
    setup.arrives_whole();
}

#[test]
fn wrong_bytes_of_the_right_length_are_passed_on_and_not_kept() {
    let setup = Setup::new(|_, content| {
        let mut altered = content.to_vec();
        altered[LEN / 2] ^= 1;
        Some(Act::Serve(altered))
    });
    for round in 1..3 {
        let body = setup.ask().read().unwrap().ok();
        assert!(body.len() == LEN && body != setup.content);
        assert_eq!(setup.requests().len(), round, "asked anew each time");
    }
    assert!(setup.proxy.daemon.context().stats.downloads.mismatched.value() >= 1);
}

#[test]
fn a_chunked_body_arrives_with_its_length() {
    let setup = Setup::new(|_, content| Some(Act::Chunked(content.to_vec())));
    setup.arrives_whole();
    setup.arrives_whole();
    assert_eq!(setup.requests().len(), 1);
}

#[test]
fn redirects_within_http_are_followed_some_way() {
    let setup = Setup::new(|_, _| Some(Act::Status(302, vec!["Location: /elsewhere".into()])));
    let answer = setup.ask().read().unwrap();
    assert_eq!(answer.status, 404, "the mirror has nothing there");
    let setup = Setup::new(|_, _| Some(Act::Status(302, vec!["Location: p.deb".into()])));
    setup.is_cut();
    assert_eq!(setup.requests().len(), 4 * 6, "six hops, three retries");
}

#[test]
fn a_redirect_to_an_address_of_our_own_network_is_refused() {
    let inside = Mirror::start(|_| Act::Serve(b"secret".to_vec()));
    let location = format!("Location: {}", inside.url("/x"));
    let setup = Setup::new(move |_, _| Some(Act::Status(302, vec![location.clone()])));
    let answer = setup.ask().read().unwrap();
    assert_eq!(answer.status, 403);
    assert!(inside.asked("/x").is_empty());
}

#[test]
fn a_file_is_finished_though_its_client_went_away() {
    let setup = Setup::new(|_, content| Some(Act::Stall(1_000, content.to_vec())));
    let mut client = setup.ask();
    assert_eq!(client.read_head().unwrap().0, 200);
    drop(client);
    setup.mirror.open_gate();
    setup.arrives_whole();
    assert_eq!(setup.requests().len(), 1);
}

#[test]
fn a_mirror_that_falls_silent_is_asked_again() {
    for silent_from in [0, 100_000] {
        let impatient = |mirror: &Mirror| Proxy::impatient(mirror, 1);
        let setup = Setup::with(impatient, move |asked, content| match (asked.nth, silent_from) {
            (0, 0) => Some(Act::Hold(Box::new(Act::Serve(content.to_vec())))),
            (0, from) => Some(Act::Stall(from, content.to_vec())),
            _ => None,
        });
        setup.arrives_whole();
        let requests = setup.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[1].header("range").is_some(), silent_from > 0);
    }
}

#[test]
fn a_file_that_cannot_be_kept_arrives_all_the_same() {
    let setup = Setup::new(|_, _| None);
    let partial = setup.proxy.data_dir().join("partial");
    std::fs::remove_dir_all(&partial).unwrap();
    for _ in 0..2 {
        setup.arrives_whole();
    }
    assert!(!setup.proxy.is_cached(&setup.content));
    std::fs::create_dir(&partial).unwrap();
    setup.arrives_whole();
    setup.proxy.wait_until_cached(&setup.content);
}
