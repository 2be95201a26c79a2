//! `khashmir explain` tells where a file came from, and why.

use std::net::TcpListener;

use khashmir::claim::{Claim, PieceHashesRef, file_key};
use khashmir_apt::Sha256;

use super::archive::{Archive, SUITE, content, pool};
use super::home::{Home, wait};
use super::mirror::{Act, Mirror};

const PIECE: usize = 524_288;

fn explain(home: &Home, subject: &str) -> serde_json::Value {
    home.type_in(&["explain", "--json", subject]).json()
}

/// The only file that is explained, once a download of it has ended.
fn ended(home: &Home, subject: &str) -> serde_json::Value {
    wait("a download has ended", || !file(&explain(home, subject))["past"].as_array().unwrap().is_empty());
    file(&explain(home, subject)).clone()
}

/// The only file that is explained.
fn file(explanation: &serde_json::Value) -> &serde_json::Value {
    assert_eq!(explanation["files"].as_array().unwrap().len(), 1, "{explanation}");
    &explanation["files"][0]
}

#[test]
fn a_download_is_explained_by_url_name_hash_and_file_and_after_a_restart() {
    let package = content(1, 2 * PIECE + 3);
    let archive = Archive::of(&[("hello_1.0_all.deb", &package)]);
    let mirror = Mirror::of(&archive, |_| None);
    let giver = Home::start("127.0.0.1", Some(&mirror), &[]);
    let mut taker = Home::start("127.0.0.2", Some(&mirror), &[&giver]);
    giver.wait_joined(1);
    taker.wait_joined(1);
    giver.update(&mirror, &archive);
    giver.install(&mirror, "hello_1.0_all.deb");
    // The package, and the index.
    giver.wait_announced(2);
    taker.update(&mirror, &archive);
    assert!(taker.install(&mirror, "hello_1.0_all.deb") == package);
    // Kept, and offered in turn.
    taker.wait_announced(2);

    let (url, hash) = (mirror.url(&pool("hello_1.0_all.deb")), Sha256::of(&package).to_string());
    let copy = taker.write("a copy", &package);
    // The first machine knew nobody, or nobody had it: the mirror.
    let record = &ended(&giver, &url)["past"][0];
    assert_eq!(record["bytes_from_mirror"], package.len());
    assert_eq!(record["mirror"][0]["why"], "nobody_offers");
    // The second had it from the first.
    let subjects = [&*url, "hello_1.0_all.deb", &hash, copy.to_str().unwrap()];
    let check = |taker: &Home| {
        for subject in subjects {
            let explanation = explain(taker, subject);
            let file = file(&explanation);
            assert_eq!((&file["sha256"], &file["size"]), (&hash.as_str().into(), &package.len().into()));
            assert_eq!(file["keys"][0], file_key(&Sha256::of(&package).0).to_string());
            assert_eq!((&file["is_cached"], &file["is_for_peers"]), (&true.into(), &true.into()));
            let listed = file["listed"][0][0].as_str().unwrap();
            assert!(url.ends_with(listed), "{listed}");
            let record = &file["past"][0];
            assert_eq!(record["ending"], "complete");
            assert_eq!(
                (&record["bytes_from_peers"], &record["bytes_from_mirror"]),
                (&package.len().into(), &0.into())
            );
            assert_eq!(record["peers"][0]["address"], giver.peers().to_string());
            assert_eq!(record["peers"][0]["answers"], 3);
            assert_eq!(record["keys"][0]["key"], file["keys"][0]);
            assert!(record["mirror"].as_array().unwrap().is_empty());
        }
    };
    check(&taker);
    let text = taker.type_in(&["explain", &url]).ok();
    for part in [
        &*hash,
        "other machines may have it",
        "asked the hash table for who has it",
        &format!("asked peer {}", giver.peers()),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    taker.stop();
    taker.run_daemon();
    check(&taker);
}

#[test]
fn it_says_why_the_mirror_was_asked() {
    let (alone, offered) = (content(1, 1000), content(2, PIECE));
    let archive = Archive::of(&[("alone.deb", &alone), ("offered.deb", &offered)]);
    let mirror =
        Mirror::of(&archive, |asked| asked.path.ends_with("gone.deb").then(|| Act::Status(404, vec![])));
    let home = Home::start("127.0.0.1", Some(&mirror), &[]);
    home.update(&mirror, &archive);
    home.install(&mirror, "alone.deb");
    ended(&home, "alone.deb");
    let text = home.type_in(&["explain", "alone.deb"]).ok();
    assert!(
        text.contains("asked the mirror for") && text.contains("because no other node was known"),
        "{text}"
    );

    // Somebody claims to have the other, and is not there.
    let nobody = TcpListener::bind("127.0.0.9:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let other = Home::start("127.0.0.2", None, &[&home]);
    other.wait_joined(1);
    home.wait_joined(1);
    let claim =
        Claim { v4: Some(address.to_string().parse().unwrap()), v6: None, pieces: PieceHashesRef::None };
    let putting = async {
        let sockets = khashmir_smol::Sockets::bind(&["127.0.0.3:0".parse().unwrap()]).unwrap();
        let config = khashmir::Config {
            local_networks: vec!["127.0.0.0/8".parse().unwrap()],
            uncounted_networks: vec!["127.0.0.0/8".parse().unwrap()],
            ..khashmir::Config::default()
        };
        let dht = khashmir_smol::Dht::start(sockets, config).unwrap();
        dht.join(&[home.peers()]).await.unwrap();
        assert!(dht.put(file_key(&Sha256::of(&offered).0), &claim.encode()).await.unwrap() > 0);
        dht
    };
    // It stays, or lookups would wait for it.
    let _putter = smol::block_on(putting);
    assert!(home.install(&mirror, "offered.deb") == offered);
    let record = &ended(&home, "offered.deb")["past"][0];
    assert_eq!(record["peers"][0]["address"], address.to_string(), "{record}");
    assert!(record["peers"][0]["failed"].as_str().unwrap().contains("refused"), "{record}");
    assert_eq!(record["mirror"][0]["why"], "peers_failed");
    let text = home.type_in(&["explain", "offered.deb"]).ok();
    assert!(text.contains("because every peer that was asked had failed"), "{text}");

    // What never comes by hash.
    let release = home.type_in(&["explain", &mirror.url(&format!("{SUITE}/InRelease"))]).ok();
    assert!(release.contains("changes under its name"), "{release}");
    let unknown = home.type_in(&["explain", &mirror.url("/other/pool/x.deb")]).ok();
    assert!(unknown.contains("No index") && unknown.contains("apt update"), "{unknown}");
    let never = home.type_in(&["explain", "never.deb"]).ok();
    assert!(never.contains("is remembered"), "{never}");
    let missing = home.type_in(&["explain", "no/such.deb"]).fails();
    assert!(missing.contains("no/such.deb") && missing.contains("http://"), "{missing}");
}

#[test]
fn history_written_a_moment_ago_outlives_a_kill() {
    let package = content(1, 1000);
    let archive = Archive::of(&[("p.deb", &package)]);
    let mirror = Mirror::of(&archive, |_| None);
    let mut home = Home::start("127.0.0.1", Some(&mirror), &[]);
    home.update(&mirror, &archive);
    home.install(&mirror, "p.deb");
    // It is written within seconds, and then it is there whatever happens.
    let database = home.data().join("khashmir.db");
    wait("it is written", || {
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection
            .query_row("SELECT count(*) FROM history WHERE name = 'p.deb'", [], |row| row.get::<_, u64>(0))
            .unwrap()
            == 1
    });
    home.kill();
    home.run_daemon();
    assert_eq!(file(&explain(&home, "p.deb"))["past"][0]["ending"], "complete");
}
