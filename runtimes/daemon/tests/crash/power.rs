//! A power failure at every moment: what was not synced is gone, and what was announced is not.
//!
//! While a story runs, what a disk must keep is followed: of a file its bytes when it was last synced,
//! of a directory its names when it was. From that come the two worst disks for each moment: one that
//! kept nothing else, and one that kept every name at once but no byte that was not synced. A daemon is
//! started on each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::call::{Call, What};
use super::scene::Scene;
use super::story::{EVICTION, FIRST, Story};
use super::tracer::{Observer, Verdict};

/// A file's bytes, and when they were written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Content {
    bytes: Arc<Vec<u8>>,
    modified: SystemTime,
}

impl Content {
    fn read(path: &Path) -> Self {
        let modified = fs::metadata(path).unwrap().modified().unwrap();
        Self { bytes: Arc::new(fs::read(path).unwrap()), modified }
    }

    /// Of a file that was never synced.
    fn lost() -> Self {
        Self { bytes: Arc::default(), modified: SystemTime::UNIX_EPOCH }
    }

    fn write(&self, path: &Path) {
        fs::write(path, self.bytes.as_slice()).unwrap();
        fs::File::options().write(true).open(path).unwrap().set_modified(self.modified).unwrap();
    }
}

/// A directory's names, and what bears them.
type Names = BTreeMap<String, Node>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Dir,
    File { inode: u64 },
}

/// What is found after the power came back: files and, without bytes, directories.
type Found = BTreeMap<PathBuf, Option<Content>>;

/// Follows what the disk must keep.
struct Disk {
    root: PathBuf,
    /// Of files, by inode.
    synced: HashMap<u64, Content>,
    /// Of directories, by path.
    names: HashMap<PathBuf, Names>,
    /// What is being synced: kept when that is done.
    syncing: HashMap<PathBuf, Syncing>,
    /// What happened, in order.
    events: Vec<Event>,
    found: BTreeSet<(Found, BTreeSet<&'static str>)>,
    announced: BTreeSet<&'static str>,
}

enum Syncing {
    File { inode: u64, content: Content },
    Dir(Names),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Written(PathBuf),
    Synced(PathBuf),
    Renamed { from: PathBuf, to: PathBuf },
    Announced(&'static str),
}

impl Disk {
    /// A disk that has kept all that is there.
    fn new(root: &Path) -> Self {
        let mut disk = Self {
            root: root.to_owned(),
            synced: HashMap::new(),
            names: HashMap::new(),
            syncing: HashMap::new(),
            events: Vec::new(),
            found: BTreeSet::new(),
            announced: BTreeSet::new(),
        };
        let mut dirs = vec![PathBuf::new()];
        while let Some(dir) = dirs.pop() {
            let names = disk.read_names(&dir);
            for (name, node) in &names {
                match node {
                    Node::Dir => dirs.push(dir.join(name)),
                    Node::File { inode } => {
                        let content = Content::read(&disk.root.join(&dir).join(name));
                        disk.synced.insert(*inode, content);
                    }
                }
            }
            disk.names.insert(dir, names);
        }
        disk
    }

    /// The names that are in a directory now; sockets aside.
    fn read_names(&self, dir: &Path) -> Names {
        let Ok(entries) = fs::read_dir(self.root.join(dir)) else { return Names::new() };
        let nodes = entries.filter_map(|entry| {
            let entry = entry.ok()?;
            let metadata = entry.metadata().ok()?;
            let node = match (metadata.is_dir(), metadata.is_file()) {
                (true, _) => Node::Dir,
                (_, true) => Node::File { inode: metadata.ino() },
                _ => return None,
            };
            Some((entry.file_name().into_string().unwrap(), node))
        });
        nodes.collect()
    }

    /// What would be found with these names.
    fn find(&self, names: impl Fn(&Path) -> Names) -> Found {
        let mut found = Found::new();
        let mut dirs = vec![PathBuf::new()];
        while let Some(dir) = dirs.pop() {
            for (name, node) in names(&dir) {
                let path = dir.join(name);
                match node {
                    Node::Dir => {
                        dirs.push(path.clone());
                        found.insert(path, None);
                    }
                    Node::File { inode } => {
                        found.insert(
                            path,
                            Some(self.synced.get(&inode).cloned().unwrap_or_else(Content::lost)),
                        );
                    }
                }
            }
        }
        found
    }

    /// The power fails now.
    fn fail(&mut self) {
        let kept = self.find(|dir| self.names.get(dir).cloned().unwrap_or_default());
        let named = self.find(|dir| self.read_names(dir));
        for found in [kept, named] {
            self.found.insert((found, self.announced.clone()));
        }
    }
}

impl Observer for Disk {
    fn before(&mut self, call: &Call) -> Verdict {
        self.fail();
        match (&call.what, &call.open) {
            (What::Write { .. }, _) => self.events.push(Event::Written(call.path.clone())),
            (What::Sync, Some(open)) => {
                let metadata = fs::metadata(open).unwrap();
                let syncing = match metadata.is_dir() {
                    true => Syncing::Dir(self.read_names(&call.path)),
                    false => Syncing::File { inode: metadata.ino(), content: Content::read(open) },
                };
                self.syncing.insert(call.path.clone(), syncing);
            }
            _ => {}
        }
        Verdict::Pass
    }

    fn announced(&mut self, files: &[&'static str]) {
        self.events.extend(files.iter().copied().map(Event::Announced));
        self.announced.extend(files);
        self.fail();
    }

    fn after(&mut self, call: &Call) {
        match &call.what {
            What::Sync => {
                match self.syncing.remove(&call.path) {
                    Some(Syncing::File { inode, content }) => {
                        self.synced.insert(inode, content);
                    }
                    Some(Syncing::Dir(names)) => {
                        self.names.insert(call.path.clone(), names);
                    }
                    None => {}
                }
                self.events.push(Event::Synced(call.path.clone()));
            }
            What::Rename { to } => {
                self.events.push(Event::Renamed { from: call.path.clone(), to: to.clone() });
            }
            // An inode that another file had before.
            What::Create => {
                if let Ok(metadata) = fs::metadata(self.root.join(&call.path)) {
                    self.synced.remove(&metadata.ino());
                }
            }
            _ => {}
        }
    }
}

fn at_every_moment(story: &Story) {
    let scene = Scene::new();
    let template = (!story.before.is_empty()).then(|| scene.template(story.before));
    let data = scene.data(template.as_ref().map(|template| template.path()));
    let mut disk = Disk::new(data.path());
    story.run(
        &scene,
        data.path(),
        |proxy| {
            for deed in story.deeds {
                scene.perform(deed, proxy, data.path()).unwrap();
            }
        },
        &mut disk,
    );
    disk.fail();
    check_order(&scene, &disk.events);

    for (found, announced) in &disk.found {
        let data = scene.data(None);
        for (path, content) in found {
            match content {
                None => fs::create_dir_all(data.path().join(path)).unwrap(),
                Some(content) => content.write(&data.path().join(path)),
            }
        }
        let check = || story.check(&scene, data.path(), announced);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(check)) {
            let len = |content: &Option<Content>| content.as_ref().map(|content| content.bytes.len());
            let found: Vec<_> = found.iter().map(|(path, content)| (path, len(content))).collect();
            eprintln!("{announced:?} had been announced; found was {found:#?}");
            resume_unwind(panic);
        }
    }
    println!("the power failed in {} ways", disk.found.len());
}

/// Each announced file was written, synced, renamed, its name synced, and its row, in this order.
fn check_order(scene: &Scene, events: &[Event]) {
    let mut checked = 0;
    for (at, event) in events.iter().enumerate() {
        let Event::Announced(name) = event else { continue };
        let file = &scene.cached_at(name);
        let Some(renamed) = events[..at].iter().position(|event| match event {
            Event::Renamed { to, .. } => to == file,
            _ => false,
        }) else {
            // It was there before.
            continue;
        };
        let Event::Renamed { from, .. } = &events[renamed] else { unreachable!() };
        let last = |event: &Event, within: &[Event]| within.iter().rposition(|other| other == event);
        let written = last(&Event::Written(from.clone()), events).unwrap();
        let synced = last(&Event::Synced(from.clone()), &events[..renamed]);
        assert!(synced > Some(written), "{file:?} is renamed before it is synced: {events:?}");
        let dir = file.parent().unwrap().to_owned();
        let named = events[renamed..at].iter().position(|event| *event == Event::Synced(dir.clone()));
        let named =
            renamed + named.unwrap_or_else(|| panic!("the name of {file:?} is not synced: {events:?}"));
        let log = PathBuf::from("khashmir.db-wal");
        let row_written = last(&Event::Written(log.clone()), &events[..at]);
        let row_synced = last(&Event::Synced(log), &events[named..at]).map(|nth| named + nth);
        assert!(row_synced.is_some(), "{file:?} is announced before its row is synced: {events:?}");
        assert!(row_written > Some(named), "the row of {file:?} comes before its name");
        checked += 1;
    }
    assert!(checked > 0, "nothing new was announced");
}

#[test]
fn the_power_fails_at_any_moment_until_a_first_package() {
    at_every_moment(&FIRST);
}

#[test]
fn the_power_fails_at_any_moment_while_files_make_room() {
    at_every_moment(&EVICTION);
}
