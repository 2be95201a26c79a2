//! `kill -9` at any moment: what was said to be kept is there, and a file
//! never differs from its name.

#![allow(clippy::unwrap_used)]

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use khashmir_apt::Sha256;
use khashmir_daemon::cache::{Cache, Hasher};
use khashmir_daemon::database::Database;

const DIR: &str = "KHASHMIR_CRASH_DIR";
const ROUNDS: u64 = 12;
/// What the victim says before it is killed.
const LINES: usize = 12;
/// Small enough that files are evicted all the time.
const SIZE_LIMIT: u64 = 1 << 20;

fn open(dir: &Path) -> Cache {
    let database = Arc::new(Database::open(&dir.join("khashmir.db")).unwrap());
    Cache::open(dir, SIZE_LIMIT, database).unwrap()
}

/// The victim: commits files for ever, and says so when each is kept.
#[test]
#[ignore = "runs for ever; the other test starts and kills it"]
fn victim() {
    let dir = env::var_os(DIR).expect("started by the other test");
    let cache = open(Path::new(&dir));
    // A line in one write, so that it is said whole or not at all.
    let say = |verb: &str, sha256: Sha256| {
        std::io::stderr().write_all(format!("{verb} {sha256}\n").as_bytes()).unwrap();
    };
    let start = u64::from(std::process::id()) << 32;
    for nth in start.. {
        let content = nth.to_be_bytes().repeat(1 + (nth % 61) as usize * 400);
        let partial = cache.create_partial().unwrap();
        // In two halves, so that there is something to tear.
        let (head, tail) = content.split_at(content.len() / 2);
        partial.file().write_all_at(head, 0).unwrap();
        partial.file().write_all_at(tail, head.len() as u64).unwrap();
        let mut hasher = Hasher::default();
        hasher.update(&content);
        let verified = hasher.finish();
        let committed = cache.commit(partial, verified, true).unwrap();
        for gone in committed.evicted {
            say("evicted", gone);
        }
        say("kept", verified.sha256());
        let sha1 = [nth as u8; 20];
        assert!(cache.set_piece_hashes(&verified.sha256(), &sha1, &sha1).unwrap());
        say("announced", verified.sha256());
    }
}

#[test]
fn what_was_kept_is_there_and_right_after_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut kept: Vec<Sha256> = Vec::new();
    let mut announced: Vec<Sha256> = Vec::new();
    for round in 0..ROUNDS {
        let mut victim = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "victim", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stderr.take().unwrap()).lines();
        // It lives until it has done a few things, and a moment that differs.
        let mut said: Vec<_> = lines.by_ref().take(LINES).collect();
        std::thread::sleep(Duration::from_micros(1_300 * round));
        victim.kill().unwrap();
        victim.wait().unwrap();
        said.extend(lines);
        for line in said.into_iter().map_while(Result::ok) {
            let (verb, hash) = line.split_once(' ').unwrap();
            let sha256: Sha256 = hash.parse().unwrap();
            match verb {
                "kept" => kept.push(sha256),
                "evicted" => kept.retain(|kept| *kept != sha256),
                "announced" => announced.push(sha256),
                other => panic!("the victim said {other:?}"),
            }
        }

        let cache = open(dir.path());
        let on_disk = check_names(dir.path());
        assert_eq!(on_disk.iter().map(|(_, len)| len).sum::<u64>(), cache.total_bytes());
        assert!(cache.total_bytes() <= SIZE_LIMIT);
        for (sha256, len) in &on_disk {
            assert_eq!(cache.contains(sha256), Some(*len), "round {round}: a file without a row");
        }
        // At most the evictions of one commit, and of this opening, were not
        // said; they took the oldest.
        let missing = kept.iter().take_while(|sha256| cache.contains(sha256).is_none()).count();
        assert!(missing <= 16, "round {round}: {missing} files are gone");
        kept.drain(..missing);
        for sha256 in &kept {
            assert!(cache.open_file(sha256).is_some(), "round {round}: {sha256} is gone");
        }
        // Whatever is here is announced again, with what was announced of it.
        let again = cache.announceable(1 << 20).unwrap();
        // A file whose row was yet to be written is kept, but nobody knows what listed it.
        assert!(again.len() + round as usize + 1 >= on_disk.len(), "round {round}");
        for file in again.iter().filter(|file| announced.contains(&file.sha256)) {
            assert!(file.piece_hashes_sha1.is_some(), "round {round}: {} lost its piece hashes", file.sha256);
        }
    }
    assert!(announced.len() > ROUNDS as usize, "the victim did its work");
    assert!(announced.len() > kept.len(), "and files were evicted");
    println!("{} kept, {} announced", kept.len(), announced.len());
}

/// Every file has the hash that its name says.
fn check_names(dir: &Path) -> Vec<(Sha256, u64)> {
    let mut files = Vec::new();
    for folder in std::fs::read_dir(dir.join("cache")).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let file = file.unwrap();
            let content = std::fs::read(file.path()).unwrap();
            let sha256 = Sha256::of(&content);
            assert_eq!(file.file_name().to_str().unwrap(), sha256.to_string());
            files.push((sha256, content.len() as u64));
        }
    }
    assert_eq!(std::fs::read_dir(dir.join("partial")).unwrap().count(), 0, "litter");
    files
}
