//! Cached files that changed behind the daemon's back.

use std::fs;
use std::os::unix::fs::FileExt as _;

use khashmir_apt::Sha256;

use super::archive::{Archive, content, pool};
use super::mirror::Mirror;
use super::proxy::Proxy;

#[test]
fn an_altered_file_of_the_same_length_is_fetched_anew() {
    let package = content(1, 50_000);
    let archive = Archive::of(&[("p.deb", &package)]);
    let mirror = Mirror::of(&archive, |_| None);
    let proxy = Proxy::start(&mirror);
    proxy.learn(&mirror, &archive);
    let mut client = proxy.connect();
    let url = mirror.url(&pool("p.deb"));
    assert!(client.get(&url, &[]).ok() == package);
    proxy.wait_until_cached(&package);
    assert!(client.get(&url, &[]).ok() == package);
    assert_eq!(mirror.asked(&pool("p.deb")).len(), 1);

    let name = Sha256::of(&package).to_string();
    let path = proxy.data_dir().join("cache").join(&name[..2]).join(&name);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"not what it was", 20_000).unwrap();
    assert!(client.get(&url, &[]).ok() == package);
    assert_eq!(mirror.asked(&pool("p.deb")).len(), 2);
    proxy.wait_until_cached(&package);
    assert!(client.get(&url, &[]).ok() == package);
    assert_eq!(mirror.asked(&pool("p.deb")).len(), 2);
}
