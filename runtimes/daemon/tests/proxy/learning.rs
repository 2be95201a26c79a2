//! Which files become content-addressed, and by whose word.

use sha2::Digest as _;

use super::archive::{Archive, SUITE, content, pool};
use super::mirror::{Act, Mirror};
use super::proxy::Proxy;

#[test]
fn a_package_is_known_right_after_its_index() {
    let package = content(1, 10_000);
    let archive = Archive::of(&[("p.deb", &package)]);
    let mirror = Mirror::of(&archive, |_| None);
    let proxy = Proxy::start(&mirror);
    let mut client = proxy.connect();
    // All at once, as in a pipeline: the package waits for the index to be learnt.
    client.get(&mirror.url(&format!("{SUITE}/InRelease")), &[]).ok();
    client.get(&mirror.url(&Archive::packages_by_name()), &[]).ok();
    assert_eq!(client.get(&mirror.url(&pool("p.deb")), &[]).ok(), package);
    assert_eq!(client.get(&mirror.url(&pool("p.deb")), &[]).ok(), package);
    assert_eq!(mirror.asked(&pool("p.deb")).len(), 1);
}

#[test]
fn indexes_come_from_the_cache_by_name_and_by_hash() {
    let archive = Archive::of(&[("p.deb", b"p")]);
    let mirror = Mirror::of(&archive, |_| None);
    let proxy = Proxy::start(&mirror);
    proxy.learn(&mirror, &archive);
    let mut client = proxy.connect();
    let packages = &archive.files[&Archive::packages_by_name()];
    for path in [Archive::packages_by_name(), archive.packages_by_hash()] {
        assert_eq!(&client.get(&mirror.url(&path), &[]).ok(), packages);
    }
    assert_eq!(mirror.asked(&Archive::packages_by_name()).len(), 0);
    assert_eq!(mirror.asked(&archive.packages_by_hash()).len(), 1);
}

#[test]
fn an_index_asked_for_by_its_sha512_is_the_one_that_is_there() {
    let mut archive = Archive::of(&[("p.deb", b"p")]);
    let by_name = Archive::packages_by_name();
    let packages = archive.files[&by_name].clone();
    let sha512: String = sha2::Sha512::digest(&packages).iter().map(|byte| format!("{byte:02x}")).collect();
    let listed = by_name.strip_prefix(&format!("{SUITE}/")).unwrap();
    let list = format!("SHA512:\n {sha512} {} {listed}\n", packages.len());
    archive.files.get_mut(&format!("{SUITE}/InRelease")).unwrap().extend(list.into_bytes());
    let by_sha512 = by_name.replace("Packages", &format!("by-hash/SHA512/{sha512}"));
    archive.files.insert(by_sha512.clone(), packages.clone());

    let mirror = Mirror::of(&archive, |_| None);
    let proxy = Proxy::start(&mirror);
    let mut client = proxy.connect();
    client.get(&mirror.url(&format!("{SUITE}/InRelease")), &[]).ok();
    for path in [&by_sha512, &by_sha512, &archive.packages_by_hash(), &by_name] {
        assert_eq!(client.get(&mirror.url(path), &[]).ok(), packages, "{path}");
    }
    let asked = [&by_sha512, &archive.packages_by_hash(), &by_name].map(|path| mirror.asked(path).len());
    assert_eq!(asked, [1, 0, 0]);
}

#[test]
fn a_hash_in_the_url_needs_no_index() {
    let archive = Archive::of(&[("p.deb", b"p")]);
    let mirror = Mirror::of(&archive, |_| None);
    let proxy = Proxy::start(&mirror);
    let mut client = proxy.connect();
    for _ in 0..2 {
        let answer = client.get(&mirror.url(&archive.packages_by_hash()), &[]);
        assert_eq!(&answer.ok(), &archive.files[&archive.packages_by_hash()]);
    }
    assert_eq!(mirror.asked(&archive.packages_by_hash()).len(), 1);
}

#[test]
fn an_altered_index_is_passed_on_and_teaches_nothing() {
    let package = content(1, 10_000);
    let archive = Archive::of(&[("p.deb", &package)]);
    let evil = content(2, 10_000);
    for by_name in [true, false] {
        let path = if by_name { Archive::packages_by_name() } else { archive.packages_by_hash() };
        let (good, bad) = (khashmir_apt::Sha256::of(&package), khashmir_apt::Sha256::of(&evil));
        let text = String::from_utf8(archive.files[&path].clone()).unwrap();
        let altered = text.replace(&good.to_string(), &bad.to_string()).into_bytes();
        let (wrong_path, wrong, served) = (path.clone(), altered.clone(), evil.clone());
        let mirror = Mirror::of(&archive, move |asked| {
            if asked.path == wrong_path {
                Some(Act::Serve(wrong.clone()))
            } else {
                (asked.path == pool("p.deb")).then(|| Act::Serve(served.clone()))
            }
        });
        let proxy = Proxy::start(&mirror);
        let mut client = proxy.connect();
        client.get(&mirror.url(&format!("{SUITE}/InRelease")), &[]).ok();
        assert_eq!(client.get(&mirror.url(&path), &[]).ok(), altered);
        // Unknown, so it passes each time.
        for _ in 0..2 {
            assert_eq!(client.get(&mirror.url(&pool("p.deb")), &[]).ok(), evil);
        }
        assert_eq!(mirror.asked(&pool("p.deb")).len(), 2);
        assert!(!proxy.is_cached(&altered) && !proxy.is_cached(&evil));
    }
}

#[test]
fn an_index_of_another_length_is_passed_on_as_well() {
    let archive = Archive::of(&[("p.deb", b"p")]);
    let path = Archive::packages_by_name();
    let longer = [archive.files[&path].as_slice(), b"\nPackage: q\n"].concat();
    let (wrong_path, wrong) = (path.clone(), longer.clone());
    let mirror =
        Mirror::of(&archive, move |asked| (asked.path == wrong_path).then(|| Act::Serve(wrong.clone())));
    let proxy = Proxy::start(&mirror);
    let mut client = proxy.connect();
    client.get(&mirror.url(&format!("{SUITE}/InRelease")), &[]).ok();
    assert_eq!(client.get(&mirror.url(&path), &[]).ok(), longer);
    assert!(!proxy.is_cached(&longer));
}

#[test]
fn a_file_of_the_generation_before_is_kept_under_its_own_hash() {
    let (old, new) = (content(1, 10_000), content(2, 10_000));
    let before = Archive::of(&[("p.deb", &old)]);
    let after = Archive::of(&[("p.deb", &new)]);
    // The mirror has the new indexes already, and the old package still.
    let files = before.files.clone();
    let mirror = Mirror::of(&after, move |asked| {
        let is_old = asked.path == pool("p.deb")
            || asked.nth == 0 && asked.path.ends_with("InRelease")
            || asked.path.contains("by-hash") && files.contains_key(&asked.path);
        is_old.then(|| Act::Serve(files[&asked.path].clone()))
    });
    let proxy = Proxy::start(&mirror);
    proxy.learn(&mirror, &before);
    proxy.learn(&mirror, &after);
    let body = proxy.connect().get(&mirror.url(&pool("p.deb")), &[]).ok();
    assert_eq!(body, old);
    proxy.wait_until_cached(&old);
    assert!(!proxy.is_cached(&new));
}

#[test]
fn indexes_that_clients_use_are_fetched_when_a_release_brings_new_ones() {
    let before = Archive::of(&[("p.deb", b"old")]);
    let after = Archive::of(&[("p.deb", b"old"), ("q.deb", b"new")]);
    let files = before.files.clone();
    let mirror = Mirror::of(&after, move |asked| {
        let is_old = asked.nth == 0 && asked.path.ends_with("InRelease")
            || asked.path.contains("by-hash") && files.contains_key(&asked.path);
        is_old.then(|| Act::Serve(files[&asked.path].clone()))
    });
    let proxy = Proxy::start(&mirror);
    proxy.learn(&mirror, &before);
    let mut client = proxy.connect();
    client.get(&mirror.url(&format!("{SUITE}/InRelease")), &[]).ok();
    mirror.wait_for(&after.packages_by_hash(), 1);
    // Nobody asked for the new index, and yet its package is known.
    for _ in 0..2 {
        assert_eq!(client.get(&mirror.url(&pool("q.deb")), &[]).ok(), b"new");
    }
    assert_eq!(mirror.asked(&pool("q.deb")).len(), 1);
}
