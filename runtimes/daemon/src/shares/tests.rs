use std::time::SystemTime;
use std::{fs, io};

use super::*;

const PIECE: usize = 524_288;

struct Bench {
    shares: Shares,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = Arc::new(Database::open(&dir.path().join("khashmir.db")).unwrap());
        Self { shares: Shares::new(database), dir }
    }

    fn share(&self, name: &str, content: &[u8]) -> (PathBuf, Share) {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        let share = self.shares.add(&path, |_, _| true).unwrap();
        assert_eq!((share.sha256, share.len), (Sha256::of(content), content.len() as u64));
        (path, share)
    }

    fn state(&self, path: &Path) -> State {
        let list = self.shares.list().unwrap();
        list.into_iter().find(|share| share.path.ends_with(path.file_name().unwrap())).unwrap().state
    }
}

/// Writes to a file so that neither its length nor its times nor its inode tell.
fn change_unseen(bench: &Bench, path: &Path, content: &[u8]) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    fs::write(path, content).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
    // The time of the last change cannot be set: the row takes it over.
    let row = bench.shares.database.read(shared_file::all).unwrap().remove(0);
    let State::Touched(now) = file::state(path, &row.stamp) else { panic!("its times are the same") };
    let set = |transaction: &rusqlite::Transaction<'_>| shared_file::set_stamp(transaction, &row.path, &now);
    bench.shares.database.write(Durability::Relaxed, set).unwrap();
}

#[test]
fn every_piece_that_is_read_is_what_it_was_however_well_a_change_is_hidden() {
    let bench = Bench::new();
    let mut content = vec![7; 2 * PIECE + 5];
    let (path, share) = bench.share("f", &content);
    let file = bench.shares.open_file(&share.sha256).unwrap().unwrap();
    assert_eq!(file.read_piece(2).unwrap(), &content[2 * PIECE..]);
    content[PIECE] = 8;
    change_unseen(&bench, &path, &content);
    assert_eq!(bench.state(&path), State::Unchanged, "it seems so");

    let again = bench.shares.open_file(&share.sha256).unwrap().unwrap();
    for file in [file, again] {
        assert_eq!(file.read_piece(0).unwrap(), &content[..PIECE], "this one is right");
        assert_eq!(file.read_piece(1).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(file.read_piece(3).unwrap_err().kind(), io::ErrorKind::InvalidData, "there is none");
    }
    bench.shares.doubt(&share.path);
    assert!(bench.shares.open_file(&share.sha256).unwrap().is_none());
    assert!(bench.shares.announceable().unwrap().is_empty());
    assert!(bench.shares.look().unwrap().is_empty());
    assert_eq!(bench.state(&path), State::Changed);
}

#[test]
fn what_was_only_touched_is_offered_again_after_it_was_hashed() {
    let bench = Bench::new();
    let (path, share) = bench.share("f", b"content");
    fs::File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert!(matches!(bench.state(&path), State::Touched(_)));
    assert!(bench.shares.open_file(&share.sha256).unwrap().is_none());
    assert_eq!(bench.shares.look().unwrap(), [share.path]);
    assert_eq!(bench.state(&path), State::Unchanged);
    assert!(bench.shares.open_file(&share.sha256).unwrap().is_some());
}

#[test]
fn what_changed_or_went_is_offered_again_when_it_is_back() {
    let bench = Bench::new();
    let (path, share) = bench.share("f", b"content");
    fs::write(&path, b"another").unwrap();
    assert!(bench.shares.look().unwrap().is_empty());
    assert_eq!(bench.state(&path), State::Changed);
    fs::remove_file(&path).unwrap();
    assert_eq!(bench.state(&path), State::Gone);
    assert!(bench.shares.look().unwrap().is_empty());
    fs::write(&path, b"content").unwrap();
    assert_eq!(bench.shares.look().unwrap(), std::slice::from_ref(&share.path));
    assert_eq!(bench.shares.announceable().unwrap().len(), 1);
    // Shared anew, it is what it is now.
    fs::write(&path, b"another").unwrap();
    let new = bench.shares.add(&path, |_, _| true).unwrap();
    assert_eq!(new.sha256, Sha256::of(b"another"));
    assert!(bench.shares.open_file(&share.sha256).unwrap().is_none());
    assert_eq!(bench.shares.list().unwrap(), [new]);
}

#[test]
fn only_whole_files_with_content_can_be_shared() {
    let bench = Bench::new();
    let add = |path: &Path| bench.shares.add(path, |_, _| true).unwrap_err().to_string();
    assert!(add(&bench.dir.path().join("none")).contains("No such file"));
    assert!(add(bench.dir.path()).contains("no regular file"));
    assert!(add(Path::new("/dev/null")).contains("no regular file"));
    let path = bench.dir.path().join("f");
    fs::write(&path, b"").unwrap();
    assert!(add(&path).contains("empty"));
    fs::write(&path, vec![1; 3 * PIECE]).unwrap();
    assert!(matches!(bench.shares.add(&path, |_, _| false), Err(ShareError::Stopped)));
    let changing = |done, len| {
        if done == len {
            fs::write(&path, b"other").unwrap();
        }
        true
    };
    assert!(matches!(bench.shares.add(&path, changing), Err(ShareError::Changing(_))));
    let sparse = fs::File::create(&path).unwrap();
    sparse.set_len(crate::fetch::MAX_LEN + 1).unwrap();
    assert!(add(&path).contains("split it"));
    assert!(bench.shares.list().unwrap().is_empty());
}

#[test]
fn files_are_shared_under_their_own_path_and_removed_by_path_or_hash() {
    let bench = Bench::new();
    let (one, first) = bench.share("one", b"1");
    let (_, second) = bench.share("two", b"2");
    let link = bench.dir.path().join("link");
    std::os::unix::fs::symlink(&one, &link).unwrap();
    assert_eq!(bench.shares.add(&link, |_, _| true).unwrap().path, first.path);
    assert_eq!(bench.shares.list().unwrap().len(), 2);
    fs::remove_file(&one).unwrap();
    let removed = bench.shares.remove(&first.path, None).unwrap();
    assert_eq!(removed.into_iter().map(|share| share.path).collect::<Vec<_>>(), [first.path]);
    assert_eq!(
        bench.shares.remove(Path::new(""), Some(&second.sha256)).unwrap(),
        std::slice::from_ref(&second)
    );
    assert_eq!(bench.shares.remove(Path::new(""), Some(&second.sha256)).unwrap(), []);
}
