//! A database that is damaged makes way for a new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Database, DatabaseError};
use crate::problems::Kind;

impl Database {
    /// As [`open`](Self::open); but one that is damaged is set aside, in place of one that was before,
    /// and a new one begun.
    pub fn open_or_begin_anew(path: &Path) -> Result<Self, DatabaseError> {
        let damage = match Self::open(path) {
            Err(error) if error.is_damage() => error,
            opened => return opened,
        };
        let aside = match set_aside(path) {
            Ok(aside) => aside,
            Err(error) => {
                tracing::error!(%error, "the damaged database cannot be set aside");
                return Err(damage);
            }
        };
        let database = Self::open(path)?;
        let text = format!(
            "The database was damaged ({}), and has been set aside as {}. A new one is in its place: cached files \
             are kept, and are offered to peers again when the next `apt update` has told what they are; what you \
             shared is to be shared again. Check the \
             disk (see the system's log); the file that was set aside may be removed.",
            damage.source,
            aside.display()
        );
        database.problems().begin(Kind::Database, text);
        Ok(database)
    }
}

/// Renames the database's files. Its log goes first: one that is left beside a new database would be
/// taken for that one's.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let ignore_missing = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    ignore_missing(fs::remove_file(with(".damaged-wal")))?;
    ignore_missing(fs::rename(with("-wal"), with(".damaged-wal")))?;
    ignore_missing(fs::remove_file(with("-shm")))?;
    let aside = with(".damaged");
    fs::rename(path, &aside)?;
    Ok(aside)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::database::Document;

    #[test]
    fn a_new_one_takes_the_place_of_a_damaged_one_which_stays_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("khashmir.db");
        // Twice, since the second finds what the first set aside.
        for round in [1, 2] {
            let database = Database::open_or_begin_anew(&path).unwrap();
            assert_eq!(database.problems().list(), []);
            assert_eq!(database.document("u").unwrap(), None);
            let document = Document { body: vec![round; 200_000], ..Document::default() };
            assert!(database.store_document("u", &document).unwrap());
            drop(database);
            let mut bytes = fs::read(&path).unwrap();
            bytes[4096..65536].fill(round);
            fs::write(&path, &bytes).unwrap();

            let database = Database::open_or_begin_anew(&path).unwrap();
            let problems = database.problems().list();
            assert_eq!(problems.len(), 1);
            assert!(problems[0].text.contains("khashmir.db.damaged"), "{problems:?}");
            assert_eq!(database.document("u").unwrap(), None, "nothing of the old is in the new");
            let aside = fs::read(dir.path().join("khashmir.db.damaged")).unwrap();
            assert!(aside == bytes, "it is as it was");
        }
    }
}
