//! `khashmir share` and `khashmir get`: files go from machine to machine without apt.

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use khashmir::claim::encode_path;
use khashmir_apt::Sha256;

use super::archive::content;
use super::client::Client;
use super::home::{Home, names_in, wait};

const PIECE: usize = 524_288;

fn hash(content: &[u8]) -> String {
    Sha256::of(content).to_string()
}

/// A machine that shares files, and another that has joined it.
fn pair(files: &[(&str, &[u8])]) -> (Home, Home) {
    let giver = Home::start("127.0.0.1", None, &[]);
    let taker = Home::start("127.0.0.2", None, &[&giver]);
    giver.wait_joined(1);
    taker.wait_joined(1);
    for (name, content) in files {
        giver.write(name, content);
        assert_eq!(giver.type_in(&["share", name]).out, format!("{}  {name}\n", hash(content)));
    }
    giver.wait_announced(announcements(files));
    (giver, taker)
}

/// How many files are announced when these are shared.
fn announcements(files: &[(&str, &[u8])]) -> u64 {
    files.len() as u64
}

fn list(home: &Home) -> serde_json::Value {
    home.type_in(&["share", "--list", "--json"]).json()
}

#[test]
fn files_of_every_tier_go_from_machine_to_machine() {
    let (tiny, three, many) = (content(1, 1), content(2, 2 * PIECE + 1), content(3, 66 * PIECE + 5));
    let files: [(&str, &[u8]); 3] = [("tiny", &tiny), ("three pieces", &three), ("many", &many)];
    let (giver, taker) = pair(&files);
    for (_, content) in files {
        let sha256 = hash(content);
        let got = taker.type_in(&["get", &sha256]);
        assert_eq!((got.code, got.out.as_str()), (0, ""), "{}", got.err);
        assert!(got.err.contains(&format!("{} of them from peers", content.len())), "{}", got.err);
        assert!(fs::read(taker.path(&sha256)).unwrap() == content);
    }
    // Elsewhere, by the rights of any new file, and to a pipe.
    let target = taker.path("here.bin");
    assert_eq!(taker.type_in(&["get", &hash(&three), "-o", target.to_str().unwrap()]).code, 0);
    assert!(fs::read(&target).unwrap() == three);
    assert_ne!(fs::metadata(&target).unwrap().permissions().mode() & 0o400, 0);
    assert_eq!(taker.type_in(&["get", &hash(b"no such"), "-o", "-"]).out, "");
    let piped = taker.begin(&["get", &hash(&three), "-o", "-"]).wait_with_output().unwrap();
    assert!(piped.status.success(), "{}", String::from_utf8_lossy(&piped.stderr));
    assert!(piped.stdout == three);
    // The giver has it, too; nothing of what was got is offered by the taker.
    let own = giver.begin(&["get", &hash(&tiny), "-o", "-"]).wait_with_output().unwrap();
    assert!(own.status.success(), "{}", String::from_utf8_lossy(&own.stderr));
    assert!(own.stdout == tiny);
    assert_eq!(taker.status()["dht"]["publications"], 0);
    let names = names_in(&taker.path(""));
    assert!(names.iter().all(|name| !name.starts_with('.')), "nothing lies about: {names:?}");
}

#[test]
fn what_cannot_be_got_leaves_everything_as_it_was() {
    let big = content(1, 3 * PIECE);
    let (giver, taker) = pair(&[("big", &big)]);
    let old = taker.write("old", b"what was here");
    let (sha256, old) = (hash(&big), old.to_str().unwrap().to_owned());
    let get = |arguments: &[&str]| taker.type_in(&[&["get", "-o", &old], arguments].concat()).fails();
    assert!(get(&[&sha256, "--max-size", "1 MB"]).contains("--max-size"));
    let nobody = get(&[&hash(b"nobody has this")]);
    assert!(nobody.contains("no machine offers"), "{nobody}");
    let wrong = taker.type_in(&["get", "abc"]);
    assert!(wrong.code == 2 && wrong.err.contains("64 hexadecimal digits"), "{wrong:?}");
    let elsewhere = taker.type_in(&["get", &sha256, "-o", "no/such/place"]).fails();
    assert!(elsewhere.contains("no/such/place") && elsewhere.contains("-o FILE"), "{elsewhere}");
    // The file was changed, though nobody has noticed yet; the offer stands.
    giver.write("big", &content(2, 3 * PIECE));
    let changed = get(&[&sha256]);
    assert!(changed.contains(&sha256), "{changed}");
    assert_eq!(fs::read(&old).unwrap(), b"what was here");
    assert_eq!(names_in(&taker.path("")), ["data", "data.log", "k.toml", "old"]);

    assert_eq!(taker.type_in(&["get", &sha256, "--max-size", "2 MB", "-o", &old]).code, 1);
    giver.write("big", &big);
    wait("it is offered again", || list(&giver)[0]["state"] == "unchanged");
    assert_eq!(taker.type_in(&["get", &sha256, "--max-size", "2 MB", "-o", &old]).code, 0);
    assert!(fs::read(&old).unwrap() == big);
    let again = taker.type_in(&["get", &sha256, "-o", &old]);
    assert!(again.err.contains("is there already"), "{again:?}");
}

#[test]
fn shares_outlive_a_kill_and_end_when_they_are_removed() {
    let (one, two) = (content(1, 300), content(2, 6 * PIECE));
    let (mut giver, mut taker) = pair(&[("one", &one), ("two", &two)]);
    giver.kill();
    taker.stop();
    giver.run_daemon();
    // Who joins it tells it its address.
    taker.run_daemon();
    taker.wait_joined(1);
    giver.wait_announced(2);
    assert_eq!(taker.type_in(&["get", &hash(&two)]).code, 0);

    symlink(giver.path("one"), giver.path("link")).unwrap();
    assert_eq!(giver.type_in(&["share", "--remove", "link"]).ok(), "");
    giver.wait_announced(1);
    fs::remove_file(giver.path("two")).unwrap();
    let text = giver.type_in(&["share", "--list"]).ok();
    assert!(text.contains(&hash(&two)) && text.contains("is gone"), "{text}");
    assert_eq!(giver.type_in(&["share", "--remove", "two"]).ok(), "");
    assert_eq!(giver.type_in(&["share", "--list"]).ok(), "nothing is shared\n");
    giver.wait_announced(0);
    assert!(giver.type_in(&["share", "--remove", "two"]).fails().contains("--list"));
    // Who still has the claim gets nothing.
    assert_eq!(taker.type_in(&["get", &hash(&one)]).code, 1);
    giver.kill();
    giver.run_daemon();
    assert_eq!(giver.type_in(&["share", "--list"]).ok(), "nothing is shared\n");
}

#[test]
fn a_changed_file_is_withdrawn_and_never_given_as_what_it_was() {
    let big = content(1, 2 * PIECE + 9);
    let (giver, taker) = pair(&[("big", &big)]);
    let mut client = Client::connect(giver.peers());
    let path = encode_path(&Sha256::of(&big).0);
    let ask = |client: &mut Client| client.get(&path, &[]);
    assert!(ask(&mut client).ok() == big);
    let mut changed = big.clone();
    *changed.last_mut().unwrap() ^= 1;
    giver.write("big", &changed);
    assert_eq!(ask(&mut client).status, 404);
    wait("it is noticed", || list(&giver)[0]["state"] == "changed");
    giver.wait_announced(0);
    assert!(giver.type_in(&["share", "--list"]).ok().contains("it was changed"));
    assert_eq!(taker.type_in(&["get", &hash(&big)]).code, 1);
    // As it is now, under the hash that it has now.
    assert!(giver.type_in(&["share", "big"]).out.starts_with(&hash(&changed)));
    giver.wait_announced(1);
    assert_eq!(taker.type_in(&["get", &hash(&changed)]).code, 0);
    assert_eq!(list(&giver).as_array().unwrap().len(), 1);
}

#[test]
fn what_cannot_be_shared_is_named_and_the_rest_is_shared() {
    let home = Home::start("127.0.0.1", None, &[]);
    home.write("empty", b"");
    home.write("good", b"content");
    let ran = home.type_in(&["share", "none", "empty", "data", "good"]);
    assert_eq!((ran.code, ran.out), (1, format!("{}  good\n", hash(b"content"))));
    for complaint in
        ["none: No such file", "empty is empty", "data is no regular file", "has told this machine"]
    {
        assert!(ran.err.contains(complaint), "{complaint}: {}", ran.err);
    }
    let shared = list(&home);
    assert_eq!(shared.as_array().unwrap().len(), 1);
    assert_eq!((&shared[0]["state"], &shared[0]["is_announced"]), (&"unchanged".into(), &false.into()));
    let nothing = home.type_in(&["share"]);
    assert!(nothing.code == 2 && nothing.err.contains("<FILE>"), "{nothing:?}");
    let alone = home.type_in(&["get", &hash(b"elsewhere")]).fails();
    assert!(alone.contains("--bootstrap"), "{alone}");
}

#[test]
fn without_a_daemon_each_command_says_what_to_do() {
    let home = Home::at("127.0.0.1");
    home.write("f", b"content");
    for arguments in [&["status"][..], &["get", &hash(b"x")], &["share", "f"], &["share", "--list"]] {
        let error = home.type_in(arguments).fails();
        assert!(
            error.contains("no daemon answers") && error.contains("--data-dir"),
            "{arguments:?}: {error}"
        );
    }
    assert_eq!(names_in(&home.path("")), ["f"]);
}

#[test]
fn a_get_that_is_killed_leaves_no_half_file_and_is_taken_up_again() {
    let big = content(1, 40 * PIECE);
    let (_giver, taker) = pair(&[("big", &big)]);
    let sha256 = hash(&big);
    let mut killed = taker.begin(&["get", &sha256, "-o", "big"]);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!taker.path("big").exists() || fs::read(taker.path("big")).unwrap() == big);
    assert_eq!(taker.type_in(&["get", &sha256, "-o", "big"]).code, 0);
    assert!(fs::read(taker.path("big")).unwrap() == big);
}

#[test]
fn a_daemon_that_is_killed_while_it_gets_leaves_no_half_file_either() {
    let big = content(1, 8 * PIECE);
    let mut giver = Home::at("127.0.0.1");
    giver.give_slowly();
    giver.begin_daemon(None, &[]);
    let mut taker = Home::start("127.0.0.2", None, &[&giver]);
    giver.wait_joined(1);
    giver.write("big", &big);
    let sha256 = hash(&big);
    giver.type_in(&["share", "big"]);
    giver.wait_announced(1);
    let getting = taker.begin(&["get", &sha256, "-o", "big"]);
    taker.wait_status("some of it is there", |status| {
        status["fetching"][0]["bytes_from_peers"].as_u64().is_some_and(|bytes| bytes > 0)
    });
    let line = taker.type_in(&["status"]).ok();
    assert!(line.contains(&format!("  {}  ", &sha256[..16])) && line.contains("from 1 peer"), "{line}");
    taker.kill();
    let ended = getting.wait_with_output().unwrap();
    let complaint = String::from_utf8(ended.stderr).unwrap();
    assert!(!ended.status.success() && complaint.contains("start it again"), "{complaint}");
    assert_eq!(names_in(&taker.path("")), ["data", "data.log", "k.toml"]);
    taker.run_daemon();
    assert!(names_in(&taker.data().join("partial")).is_empty(), "nor does its cache have one");
    taker.wait_joined(1);
    assert_eq!(taker.type_in(&["get", &sha256, "-o", "big"]).code, 0);
    assert!(fs::read(taker.path("big")).unwrap() == big);
}

/// Whoever connects to peers' port and says nothing gets nothing, and holds nobody up.
#[test]
fn a_silent_peer_holds_nobody_up() {
    let (giver, taker) = pair(&[("f", b"content")]);
    let mut silent = TcpStream::connect(giver.peers()).unwrap();
    assert_eq!(taker.type_in(&["get", &hash(b"content"), "-o", "-"]).ok(), "content");
    silent.set_nonblocking(true).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
