//! What a daemon is made to do while it is traced, and what has to hold when it is started again.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use khashmir::claim::{encode_path, file_key};
use khashmir_apt::Sha256;
use nix::sys::signal::{Signal, kill};
use rusqlite::{Connection, OpenFlags};

use super::apt::fetch;
use super::call::{Call, What};
use super::scene::{Deed, Other, Running, SHARED, Scene, await_status, greeting};
use super::tracer::{Observer, Traced, Verdict};

/// A story: what happened before, what happens, and which files may go meanwhile.
#[derive(Debug)]
pub struct Story {
    pub before: &'static [Deed],
    pub deeds: &'static [Deed],
    /// The files that clients ask for, before or meanwhile.
    pub files: &'static [&'static str],
    /// Those of them that make room for others.
    pub evicted: &'static [&'static str],
}

const UPDATE: [Deed; 2] = [Deed::Fetch("InRelease"), Deed::Fetch("Packages")];

/// A first start, a first index learnt, a first package fetched and announced.
pub const FIRST: Story = Story {
    before: &[],
    deeds: &[
        Deed::AwaitNeighbour,
        UPDATE[0],
        UPDATE[1],
        Deed::AwaitAnnounced(1),
        Deed::Fetch("a.deb"),
        Deed::AwaitAnnounced(2),
    ],
    files: &["InRelease", "Packages", "a.deb"],
    evicted: &[],
};

/// A package for which two files have to go.
pub const EVICTION: Story = Story {
    before: &[
        Deed::AwaitNeighbour,
        UPDATE[0],
        UPDATE[1],
        // One after the other, so that it is known which was used least recently.
        Deed::AwaitAnnounced(1),
        Deed::Fetch("a.deb"),
        Deed::AwaitAnnounced(2),
        Deed::Fetch("b.deb"),
        Deed::AwaitAnnounced(3),
    ],
    deeds: &[Deed::AwaitNeighbour, Deed::AwaitAnnounced(3), Deed::Fetch("c.deb"), Deed::AwaitAnnounced(2)],
    files: &["InRelease", "Packages", "a.deb", "b.deb", "c.deb"],
    evicted: &["Packages", "a.deb"],
};

/// A person shares a file.
pub const SHARE: Story = Story {
    before: &[UPDATE[0], UPDATE[1], Deed::AwaitCached(1)],
    deeds: &[Deed::AwaitNeighbour, Deed::AwaitAnnounced(1), Deed::Share, Deed::AwaitAnnounced(2)],
    files: &["InRelease", "Packages"],
    evicted: &[],
};

/// How a traced daemon ended.
#[derive(Debug)]
pub struct Ended {
    /// By a verdict.
    pub is_killed: bool,
    /// The files that other nodes had been told of.
    pub announced: BTreeSet<&'static str>,
    /// What it had to complain of.
    pub log: PathBuf,
}

impl Story {
    /// Runs a daemon traced, with `client` for whoever asks it, who is given the proxy's address, and
    /// ends it.
    pub fn run(
        &self,
        scene: &Scene,
        data: &Path,
        client: impl FnOnce(SocketAddr) + Send,
        observer: &mut impl Observer,
    ) -> Ended {
        let mut listener = Listener { story: self, scene, observer, announced: BTreeSet::new() };
        let other = Other::start();
        let log = data.with_extension("log");
        let (traced, stdout) = Traced::new(&scene.command(data, &other), File::create(&log).unwrap());
        let pid = traced.pid();
        let is_killed = std::thread::scope(|threads| {
            let client = threads.spawn(move || {
                let done = catch_unwind(AssertUnwindSafe(|| {
                    if let Some((proxy, _)) = greeting(stdout) {
                        client(proxy);
                    }
                }));
                // It may be gone.
                let _gone = kill(pid, Signal::SIGTERM);
                done
            });
            let is_killed = traced.run(data, &mut listener);
            if let Err(panic) = client.join().unwrap() {
                eprintln!("the daemon's log: {}", fs::read_to_string(&log).unwrap());
                resume_unwind(panic);
            }
            is_killed
        });
        Ended { is_killed, announced: listener.announced, log }
    }

    /// A file that somebody was told is shared, is.
    pub fn check_shared(&self, scene: &Scene, data: &Path) {
        let running = Running::start(scene, data);
        let given = fetch(running.peers, &encode_path(&Sha256::of(SHARED).0));
        assert!(given.as_deref() == Ok(SHARED), "{given:?}");
    }

    /// Starts the daemon again on what is left, and checks it.
    pub fn check(&self, scene: &Scene, data: &Path, announced: &BTreeSet<&'static str>) {
        let running = Running::start(scene, data);
        let cached = check_files(data);
        for name in announced.iter().filter(|name| !self.evicted.contains(name)) {
            assert!(cached.contains(&scene.sha256(name)), "{name} was announced, and is gone");
            let given = fetch(running.peers, &encode_path(&scene.sha256(name).0));
            assert!(given.as_deref() == Ok(scene.content(name)), "{name}, to a peer: {:?}", given.err());
        }
        // The same again: right, and out of the cache what is there; then what makes room for the rest.
        scene.perform(&UPDATE[0], running.proxy, data).unwrap();
        let is_cached = |name: &&str| cached.contains(&scene.sha256(name));
        let (kept, others): (Vec<&str>, Vec<&str>) = self.files.iter().copied().partition(is_cached);
        for name in &kept {
            let asked = scene.times_asked(name);
            scene.perform(&Deed::Fetch(name), running.proxy, data).unwrap();
            assert_eq!(scene.times_asked(name), asked, "{name} is fetched again");
        }
        for name in others.into_iter().filter(|name| *name != "InRelease") {
            scene.perform(&Deed::Fetch(name), running.proxy, data).unwrap();
        }
        // All that is in the cache is for peers, and they hear of it.
        await_status(data, |status| {
            let rows = rows(data);
            let offered = rows.iter().filter(|(_, from_index)| *from_index).count();
            status["downloads"]["in_progress"] == 0
                && offered == rows.len()
                && status["dht"]["publications"] == offered + count(data, "SELECT count(*) FROM shared_file")
        })
        .unwrap();
        let complaints = running.kill();
        assert_eq!(complaints, "", "the daemon complains");
    }
}

/// Hears which files are announced.
struct Listener<'a, O> {
    story: &'a Story,
    scene: &'a Scene,
    observer: &'a mut O,
    announced: BTreeSet<&'static str>,
}

impl<O: Observer> Observer for Listener<'_, O> {
    fn before(&mut self, call: &Call) -> Verdict {
        let What::Announce { datagrams } = &call.what else { return self.observer.before(call) };
        let is_named = |name: &&&'static str| {
            let key = file_key(&self.scene.sha256(name).0);
            datagrams.iter().any(|datagram| datagram.windows(20).any(|bytes| bytes == key.0))
        };
        let files: Vec<&'static str> = self.story.files.iter().filter(is_named).copied().collect();
        self.observer.announced(&files);
        self.announced.extend(files);
        Verdict::Pass
    }

    fn after(&mut self, call: &Call) {
        if !matches!(call.what, What::Announce { .. }) {
            self.observer.after(call);
        }
    }
}

/// What is in the cache; every file there is what its name says, and there is nothing else.
fn check_files(data: &Path) -> BTreeSet<Sha256> {
    let names = |dir: &Path| -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    const OURS: [&str; 7] =
        ["cache", "control.sock", "khashmir.db", "khashmir.db-shm", "khashmir.db-wal", "lock", "partial"];
    for name in names(data) {
        assert!(OURS.contains(&name.as_str()), "{name} is litter");
    }
    assert_eq!(names(&data.join("partial")), [""; 0], "litter");
    let mut cached = BTreeSet::new();
    for folder in names(&data.join("cache")) {
        for name in names(&data.join("cache").join(&folder)) {
            let sha256 = Sha256::of(&fs::read(data.join("cache").join(&folder).join(&name)).unwrap());
            assert_eq!(name, sha256.to_string(), "a file is not what its name says");
            cached.insert(sha256);
        }
    }
    let rows = rows(data);
    assert_eq!(rows.iter().map(|(sha256, _)| *sha256).collect::<BTreeSet<_>>(), cached, "rows and files");
    cached
}

/// What the database says is in the cache, and whether it is for peers.
fn rows(data: &Path) -> Vec<(Sha256, bool)> {
    let database = open(data);
    let report: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(report, "ok");
    let half_learnt = count(data, "SELECT count(*) FROM learnt_index WHERE NOT complete");
    assert_eq!(half_learnt, 0, "a half-learnt index is left");
    let mut statement = database.prepare("SELECT sha256, from_index FROM cached_file").unwrap();
    let rows = statement.query_map([], |row| Ok((Sha256(row.get(0)?), row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn count(data: &Path, query: &str) -> usize {
    open(data).query_row(query, [], |row| row.get(0)).unwrap()
}

fn open(data: &Path) -> Connection {
    Connection::open_with_flags(data.join("khashmir.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}
