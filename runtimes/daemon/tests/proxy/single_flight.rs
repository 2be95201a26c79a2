//! Several clients that ask for one file cause one download.

use std::thread;
use std::time::{Duration, Instant};

use super::archive::{Archive, SUITE, content, pool};
use super::mirror::{Act, Mirror};
use super::proxy::Proxy;

const CLIENTS: usize = 8;

/// Has all clients ask while the mirror withholds; returns what they got.
fn all_ask(path: &'static str) -> (Vec<Vec<u8>>, Archive, Mirror) {
    let content = content(3, 2_000_000);
    let archive = Archive::of(&[("p.deb", &content)]);
    let files = archive.files.clone();
    let mirror = Mirror::of(&archive, move |asked| {
        let held = asked.path == path;
        held.then(|| Act::Hold(Box::new(Act::Serve(files[path].clone()))))
    });
    let proxy = Proxy::start(&mirror);
    if path.contains("/pool/") {
        proxy.learn(&mirror, &archive);
    }
    let asking: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = proxy.connect();
            client.ask(&mirror.url(path), &[]);
            thread::spawn(move || client.read().unwrap().ok())
        })
        .collect();
    mirror.wait_for(path, 1);
    let stats = &proxy.daemon.context().stats;
    let learning = if path.contains("/pool/") { 2 } else { 0 };
    let deadline = Instant::now() + Duration::from_secs(20);
    while stats.apt.requests.value() < CLIENTS as u64 + learning {
        assert!(Instant::now() < deadline, "all have asked");
        thread::sleep(Duration::from_millis(2));
    }
    mirror.open_gate();
    let got = asking.into_iter().map(|asking| asking.join().unwrap()).collect();
    (got, archive, mirror)
}

#[test]
fn of_a_package() {
    let path = "/debian/pool/p.deb";
    assert_eq!(path, pool("p.deb"));
    let (got, archive, mirror) = all_ask(path);
    assert!(got.iter().all(|got| got == &archive.files[path]));
    assert_eq!(mirror.asked(path).len(), 1);
}

#[test]
fn of_a_release_file() {
    let path = "/debian/dists/sid/InRelease";
    assert!(path.starts_with(SUITE));
    let (got, archive, mirror) = all_ask(path);
    assert!(got.iter().all(|got| got == &archive.files[path]));
    // One that came when the round was over starts another.
    assert!(mirror.asked(path).len() < CLIENTS, "{}", mirror.asked(path).len());
}
