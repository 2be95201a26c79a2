use std::os::unix::fs::FileExt as _;

use super::*;
use crate::database::cached_file::Seen;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn open(&self, limit: u64) -> Cache {
        let database = Arc::new(Database::open(&self.dir.path().join("khashmir.db")).unwrap());
        Cache::open(self.dir.path(), limit, database).unwrap()
    }

    fn path_of(&self, sha256: &Sha256) -> PathBuf {
        let name = sha256.to_string();
        self.dir.path().join("cache").join(&name[..2]).join(name)
    }
}

fn hashed(content: &[u8]) -> Verified {
    let mut hasher = Hasher::default();
    hasher.update(content);
    hasher.finish()
}

fn put(cache: &Cache, content: &[u8]) -> (Sha256, Committed) {
    let partial = cache.create_partial().unwrap();
    partial.file().write_all_at(content, 0).unwrap();
    let verified = hashed(content);
    (verified.sha256(), cache.commit(partial, verified, true).unwrap())
}

fn content_of(file: &CachedFile) -> Vec<u8> {
    let mut content = vec![0; file.verified.len() as usize];
    file.file.read_exact_at(&mut content, 0).unwrap();
    content
}

#[test]
fn what_was_committed_is_served_also_after_a_restart() {
    let place = Place::new();
    let cache = place.open(1 << 20);
    let (sha256, committed) = put(&cache, b"a package");
    assert_eq!(committed, Committed { kept: true, evicted: vec![] });
    assert_eq!(cache.contains(&sha256), Some(9));
    assert_eq!(cache.contains(&Sha256::of(b"another")), None);
    drop(cache);
    let cache = place.open(1 << 20);
    let file = cache.open_file(&sha256).unwrap();
    assert_eq!(content_of(&file), b"a package");
    assert_eq!(file.verified, hashed(b"a package"));
    assert!(file.from_index);
    assert_eq!(cache.total_bytes(), 9);
}

#[test]
fn the_least_recently_used_goes_first_and_is_named() {
    let place = Place::new();
    let cache = place.open(30);
    let (first, _) = put(&cache, &[1; 10]);
    let (second, _) = put(&cache, &[2; 10]);
    let (third, _) = put(&cache, &[3; 10]);
    assert!(cache.open_file(&first).is_some());
    let (fourth, committed) = put(&cache, &[4; 10]);
    assert_eq!(committed.evicted, [second]);
    assert!(!place.path_of(&second).exists());
    assert!(cache.open_file(&second).is_none());
    for kept in [first, third, fourth] {
        assert!(cache.open_file(&kept).is_some());
    }
    assert_eq!(cache.total_bytes(), 30);
}

#[test]
fn a_use_is_remembered_across_a_restart() {
    let place = Place::new();
    let cache = place.open(20);
    let (first, _) = put(&cache, &[1; 10]);
    let (second, _) = put(&cache, &[2; 10]);
    assert!(cache.open_file(&first).is_some());
    drop(cache);
    let (_, committed) = put(&place.open(20), &[3; 10]);
    assert_eq!(committed.evicted, [second]);
}

#[test]
fn an_evicted_file_that_is_being_read_stays_readable() {
    let place = Place::new();
    let cache = place.open(10);
    let (first, _) = put(&cache, &[1; 10]);
    let reading = cache.open_file(&first).unwrap();
    put(&cache, &[2; 10]);
    assert!(cache.open_file(&first).is_none());
    assert_eq!(content_of(&reading), [1; 10]);
}

#[test]
fn a_file_larger_than_the_cache_is_not_kept_and_evicts_nothing() {
    let place = Place::new();
    let cache = place.open(10);
    let (small, _) = put(&cache, &[1; 10]);
    let (large, committed) = put(&cache, &[2; 11]);
    assert_eq!(committed, Committed { kept: false, evicted: vec![] });
    assert!(cache.open_file(&large).is_none());
    assert!(cache.open_file(&small).is_some());
}

#[test]
fn the_same_content_twice_counts_once() {
    let place = Place::new();
    let cache = place.open(100);
    put(&cache, &[1; 10]);
    put(&cache, &[1; 10]);
    assert_eq!(cache.total_bytes(), 10);
}

#[test]
fn a_file_that_grew_after_it_was_hashed_is_refused() {
    let place = Place::new();
    let cache = place.open(100);
    let partial = cache.create_partial().unwrap();
    partial.file().write_all_at(b"more than was hashed", 0).unwrap();
    let error = cache.commit(partial, hashed(b"more"), true).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(cache.total_bytes(), 0);
}

#[test]
fn a_dropped_partial_leaves_nothing() {
    let place = Place::new();
    let cache = place.open(100);
    drop(cache.create_partial().unwrap());
    assert_eq!(fs::read_dir(place.dir.path().join("partial")).unwrap().count(), 0);
}

/// The states that `kill -9` or a power failure can leave behind.
#[test]
fn a_crash_at_any_moment_is_repaired_at_the_start() {
    let place = Place::new();
    let cache = place.open(100);
    let (kept, _) = put(&cache, b"kept");
    let (unlinked, _) = put(&cache, b"row without file");
    let (cut, _) = put(&cache, b"file shorter than its row");
    drop(cache);
    // Before the rename: an unnamed rest.
    fs::write(place.dir.path().join("partial/abc"), b"half").unwrap();
    // After the rename, before the row.
    let unrowed = Sha256::of(b"file without row");
    fs::create_dir_all(place.path_of(&unrowed).parent().unwrap()).unwrap();
    fs::write(place.path_of(&unrowed), b"file without row").unwrap();
    // A foreign hand.
    fs::remove_file(place.path_of(&unlinked)).unwrap();
    fs::write(place.path_of(&cut), b"short").unwrap();
    fs::write(place.dir.path().join("cache/README"), b"not ours").unwrap();

    let cache = place.open(100);
    assert_eq!(fs::read_dir(place.dir.path().join("partial")).unwrap().count(), 0);
    assert_eq!(content_of(&cache.open_file(&kept).unwrap()), b"kept");
    let found = cache.open_file(&unrowed).unwrap();
    assert_eq!(content_of(&found), b"file without row");
    assert!(!found.from_index, "nothing says that peers may have it");
    assert_eq!(cache.contains(&unlinked), None);
    assert_eq!(cache.contains(&cut), None);
    assert!(!place.path_of(&cut).exists());
    assert!(place.dir.path().join("cache/README").exists());
    assert_eq!(cache.total_bytes(), 4 + 16);
}

#[test]
fn a_file_removed_behind_our_back_is_a_miss_and_then_forgotten() {
    let place = Place::new();
    let cache = place.open(100);
    let (sha256, _) = put(&cache, b"here today");
    fs::remove_file(place.path_of(&sha256)).unwrap();
    assert!(cache.open_file(&sha256).is_none());
    assert_eq!(cache.contains(&sha256), None);
    assert_eq!(cache.total_bytes(), 0);
}

/// Overwrites a file in its place.
fn alter(path: &Path, content: &[u8]) {
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(content, 0).unwrap();
}

#[test]
fn a_file_altered_behind_our_back_is_never_handed_out() {
    let place = Place::new();
    let cache = place.open(100);
    let (sha256, _) = put(&cache, b"as it was");
    alter(&place.path_of(&sha256), b"as it is!");
    assert!(cache.open_file(&sha256).is_none());
    assert!(!place.path_of(&sha256).exists());
    assert_eq!((cache.contains(&sha256), cache.total_bytes()), (None, 0));
    put(&cache, b"as it was");
    assert_eq!(content_of(&cache.open_file(&sha256).unwrap()), b"as it was");
}

#[test]
fn a_file_that_was_only_touched_is_hashed_once_and_stays() {
    let place = Place::new();
    let cache = place.open(100);
    let (sha256, _) = put(&cache, b"as it was");
    let seen = |cache: &Cache| cache.row(&sha256).unwrap().seen.unwrap();
    let before = seen(&cache);
    alter(&place.path_of(&sha256), b"as it was");
    assert_eq!(content_of(&cache.open_file(&sha256).unwrap()), b"as it was");
    let after = seen(&cache);
    assert_ne!(before.changed_ns, after.changed_ns);
    assert!(cache.open_file(&sha256).is_some());
    assert_eq!(seen(&cache), after);
}

#[test]
fn a_file_that_the_disk_changed_is_found_out_after_a_day() {
    let place = Place::new();
    let cache = place.open(100);
    let (sha256, _) = put(&cache, b"as it was");
    // A disk that forgets leaves no trace in the inode.
    alter(&place.path_of(&sha256), b"as it is!");
    let metadata = fs::metadata(place.path_of(&sha256)).unwrap();
    let checked_ago = |hours: i64| {
        let now = checked::seen(&metadata);
        let seen = Seen { checked_ms: now.checked_ms - hours * 3_600_000, ..now };
        cache.database.write(Durability::Relaxed, |t| cached_file::set_seen(t, &sha256, seen)).unwrap();
    };
    checked_ago(23);
    assert!(cache.open_file(&sha256).is_some(), "not each time");
    checked_ago(25);
    assert!(cache.open_file(&sha256).is_none());
}

#[test]
fn a_clock_set_back_trusts_no_file() {
    let place = Place::new();
    let cache = place.open(100);
    let (sha256, _) = put(&cache, b"as it was");
    alter(&place.path_of(&sha256), b"as it is!");
    let now = checked::seen(&fs::metadata(place.path_of(&sha256)).unwrap());
    let seen = Seen { checked_ms: now.checked_ms + 3_600_000, ..now };
    cache.database.write(Durability::Relaxed, |t| cached_file::set_seen(t, &sha256, seen)).unwrap();
    assert!(cache.open_file(&sha256).is_none());
}

#[test]
fn a_failure_of_the_disk_ends_writing_for_a_while_and_is_told() {
    let place = Place::new();
    let cache = place.open(100);
    let (kept, _) = put(&cache, b"kept");
    cache.file_failed("No space left on device (os error 28)");
    assert!(cache.create_partial().is_err());
    assert!(cache.open_file(&kept).is_some(), "what is there is still served");
    let problems = cache.database.problems();
    let text = &problems.list()[0].text;
    assert!(text.contains("No space left") && text.contains("Make room"), "{text}");
    cache.resume();
    assert!(cache.create_partial().is_ok(), "it is tried again");
    assert_eq!(problems.list().len(), 1, "but nothing has been kept yet");
    put(&cache, b"another");
    assert_eq!(problems.list(), []);
}

#[test]
fn a_closed_cache_takes_nothing_and_has_nothing() {
    let place = Place::new();
    let cache = Cache::closed(place.dir.path(), Arc::new(Database::in_memory().unwrap()));
    assert!(cache.create_partial().is_err() && cache.create_partial_of(10).is_err());
    assert!(cache.open_file(&Sha256::of(b"kept")).is_none());
    assert_eq!(cache.announceable(10).unwrap(), []);
    assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 0);
}

#[test]
fn a_smaller_limit_takes_effect_at_the_next_start() {
    let place = Place::new();
    let cache = place.open(100);
    for byte in 0..10 {
        put(&cache, &[byte; 10]);
    }
    drop(cache);
    assert!(place.open(35).total_bytes() <= 35);
}

#[test]
fn piece_hashes_are_found_by_file_and_by_their_own_hash() {
    let place = Place::new();
    let cache = place.open(100);
    let (sha256, _) = put(&cache, b"pieces");
    assert_eq!(cache.piece_hashes(&sha256).unwrap(), None);
    assert!(cache.set_piece_hashes(&sha256, &[5; 40], &[9; 20]).unwrap());
    assert_eq!(cache.piece_hashes(&sha256).unwrap(), Some(vec![5; 40]));
    assert_eq!(cache.piece_hashes_by_sha1(&[9; 20]).unwrap(), Some(vec![5; 40]));
    assert_eq!(cache.piece_hashes_by_sha1(&[8; 20]).unwrap(), None);
    assert!(!cache.set_piece_hashes(&Sha256::of(b"?"), &[5; 40], &[9; 20]).unwrap());
}

#[test]
fn on_a_full_disk_files_not_used_for_longest_make_room() {
    let place = Place::new();
    let cache = place.open(1 << 30);
    let (oldest, _) = put(&cache, &[1; 3 << 20]);
    let (old, _) = put(&cache, &[2; 2 << 20]);
    let (new, _) = put(&cache, &[3; 2 << 20]);
    assert!(cache.open_file(&oldest).is_some());
    cache.make_room(1 << 20, 1 << 10).unwrap();
    assert_eq!([old, oldest, new].map(|file| cache.contains(&file).is_some()), [false, true, true]);
    assert!(!place.path_of(&old).exists());
    assert_eq!(cache.total_bytes(), 5 << 20);

    let error = cache.make_room(6 << 20, 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(cache.total_bytes(), 5 << 20, "nothing goes for what will not fit");
}

#[test]
fn room_is_taken_before_the_first_byte_comes() {
    use std::os::unix::fs::MetadataExt as _;
    let place = Place::new();
    let cache = place.open(1 << 30);
    let partial = cache.create_partial_of(1 << 20).unwrap();
    let metadata = partial.file().metadata().unwrap();
    assert_eq!(metadata.len(), 0);
    assert!(metadata.blocks() * 512 >= 1 << 20, "or a test on a file system that cannot");
    // What would not be kept takes no file's place.
    let wild = cache.create_partial_of(1 << 50).unwrap();
    assert!(wild.file().metadata().unwrap().blocks() * 512 < 1 << 20);
}
