//! Learning Release files: generations of a suite.

use khashmir_apt::archive::DistsPath;
use khashmir_apt::index::IndexName;
use khashmir_apt::release::Release;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{LearnError, Suite};
use crate::cache::Hasher;
use crate::database::{Database, Durability, cached_file};

/// How many Release files of one suite are remembered.
pub const KEPT_GENERATIONS: usize = 4;

/// How many suites are remembered; beyond it the ones seen longest ago go.
pub const MAX_SUITES: usize = 64;

pub(super) fn learn(database: &Database, site: &str, path: &str, bytes: &[u8]) -> Result<Suite, LearnError> {
    let (root, name) = DistsPath::parse(path)
        .and_then(|dists| Some((dists.root, dists.suite_of_release()?)))
        .filter(|_| !path.ends_with(".gpg"))
        .ok_or(LearnError::NotARelease)?;
    let suite = Suite { site: site.to_owned(), dir: format!("{root}/dists/{name}") };
    let release = Release::parse(bytes).map_err(LearnError::Release)?;
    let generation =
        Generation { digest: digest(&release), separate_all: !release.all_is_in_each, release: &release };
    if !database.read(|connection| generation.is_newest(connection, &suite))? {
        database.write(Durability::Relaxed, |transaction| generation.store(transaction, &suite))?;
    }
    Ok(suite)
}

struct Generation<'a> {
    release: &'a Release,
    digest: [u8; 32],
    separate_all: bool,
}

impl Generation<'_> {
    fn is_newest(&self, connection: &Connection, suite: &Suite) -> rusqlite::Result<bool> {
        let newest: Option<[u8; 32]> = connection
            .prepare_cached(
                "SELECT g.digest FROM suite s JOIN generation g ON g.suite_id = s.id
                 WHERE s.authority = ?1 AND s.dir = ?2 ORDER BY g.seen DESC LIMIT 1",
            )?
            .query_row([&suite.site, &suite.dir], |row| row.get(0))
            .optional()?;
        Ok(newest == Some(self.digest))
    }

    fn store(&self, transaction: &Transaction<'_>, suite: &Suite) -> rusqlite::Result<()> {
        // The column's name is older than https.
        transaction.execute(
            "INSERT OR IGNORE INTO suite (authority, root, dir) VALUES (?1, ?2, ?3)",
            [&suite.site, suite.root(), &suite.dir],
        )?;
        let suite_id: i64 = transaction.query_row(
            "SELECT id FROM suite WHERE authority = ?1 AND dir = ?2",
            [&suite.site, &suite.dir],
            |row| row.get(0),
        )?;
        let seen: i64 =
            transaction.query_row("SELECT ifnull(max(seen), 0) + 1 FROM generation", [], |row| row.get(0))?;
        let known = transaction.execute(
            "UPDATE generation SET seen = ?3 WHERE suite_id = ?1 AND digest = ?2",
            params![suite_id, self.digest, seen],
        )?;
        if known == 0 {
            transaction.execute(
                "INSERT INTO generation (suite_id, digest, acquire_by_hash, separate_all, seen)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![suite_id, self.digest, self.release.acquire_by_hash, self.separate_all, seen],
            )?;
            let generation_id = transaction.last_insert_rowid();
            self.store_files(transaction, generation_id)?;
            cached_file::mark_listed_by_release(transaction, generation_id)?;
        }
        prune(transaction)
    }

    fn store_files(&self, transaction: &Transaction<'_>, generation_id: i64) -> rusqlite::Result<()> {
        let mut insert = transaction.prepare_cached(
            "INSERT OR IGNORE INTO release_file
             (generation_id, path, size, sha256, index_name, preference, sha512)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        for file in &self.release.files {
            let index = IndexName::parse(&file.path).map(|(_, compression)| {
                let name = file.path.trim_end_matches(".xz").trim_end_matches(".gz");
                (name, compression as i64)
            });
            insert.execute(params![
                generation_id,
                file.path,
                file.size,
                file.sha256.0,
                index.map(|(name, _)| name),
                index.map(|(_, preference)| preference),
                file.sha512
            ])?;
        }
        Ok(())
    }
}

/// Forgets what is beyond the bounds, and indexes that nothing names any more.
fn prune(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute(
        "DELETE FROM generation WHERE id IN (
             SELECT id FROM (
                 SELECT id, row_number() OVER (PARTITION BY suite_id ORDER BY seen DESC) AS nth
                 FROM generation
             ) WHERE nth > ?1
         )",
        [KEPT_GENERATIONS],
    )?;
    transaction.execute(
        "DELETE FROM suite WHERE id NOT IN (
             SELECT suite_id FROM generation GROUP BY suite_id ORDER BY max(seen) DESC LIMIT ?1
         )",
        [MAX_SUITES],
    )?;
    transaction.execute(
        "DELETE FROM learnt_index WHERE complete
             AND NOT EXISTS (SELECT 1 FROM release_file f WHERE f.sha256 = learnt_index.sha256)",
        [],
    )?;
    Ok(())
}

/// What makes two Release files the same to us: what they list. Not the
/// signature, nor the date.
fn digest(release: &Release) -> [u8; 32] {
    let mut hasher = Hasher::default();
    hasher.update(&[u8::from(release.acquire_by_hash)]);
    for file in &release.files {
        hasher.update(&(file.path.len() as u64).to_be_bytes());
        hasher.update(file.path.as_bytes());
        hasher.update(&file.size.to_be_bytes());
        hasher.update(&file.sha256.0);
        hasher.update(file.sha512.as_ref().map_or(&[], |sha512| &sha512[..]));
    }
    hasher.finish().sha256().0
}
