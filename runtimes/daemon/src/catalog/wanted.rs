//! Which indexes are worth having.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use khashmir_apt::Sha256;
use khashmir_apt::archive::{ByHash, by_hash};
use khashmir_apt::index::{IndexKind, IndexName};
use khashmir_apt::release::ReleaseFile;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Expected, IndexWanted, MAX_INDEX_BYTES, Suite};
use crate::database::{Database, DatabaseError, Durability, milliseconds};

/// How many indexes of one suite are remembered as asked for, beyond which the
/// ones asked for longest ago are forgotten; and how many are named as missing.
pub const MAX_WANTED: usize = 64;

/// A repeated wish is written down no more often.
const REMEMBER_AGAIN: Duration = Duration::from_secs(24 * 3600);

pub(super) fn record(database: &Database, site: &str, path: &str) -> Result<(), DatabaseError> {
    let now_ms = milliseconds(SystemTime::now());
    let Some(index) = database.read(|connection| find_index(connection, site, path))? else {
        return Ok(());
    };
    let again_ms = i64::try_from(REMEMBER_AGAIN.as_millis()).unwrap_or(i64::MAX);
    if index.wanted_ms.is_some_and(|at| at <= now_ms && now_ms - at < again_ms) {
        return Ok(());
    }
    database.write(Durability::Relaxed, |transaction| {
        transaction.execute(
            "INSERT OR REPLACE INTO wanted_index (suite_id, index_name, wanted_ms)
             SELECT id, ?2, ?3 FROM suite WHERE id = ?1",
            params![index.suite_id, index.name, now_ms],
        )?;
        transaction.execute(
            "DELETE FROM wanted_index WHERE suite_id = ?1 AND index_name NOT IN (
                 SELECT index_name FROM wanted_index WHERE suite_id = ?1
                 ORDER BY wanted_ms DESC LIMIT ?2
             )",
            params![index.suite_id, MAX_WANTED],
        )?;
        Ok(())
    })
}

/// An index that a path leads to, and when it was last asked for.
struct Found {
    suite_id: i64,
    name: String,
    wanted_ms: Option<i64>,
}

fn find_index(connection: &Connection, site: &str, path: &str) -> rusqlite::Result<Option<Found>> {
    const BY_NAME: &str = "f.path = substr(?2, length(s.dir) + 2) AND ?3 IS NULL";
    let hash = by_hash(path);
    let (condition, hash) = match &hash {
        None => (BY_NAME, None),
        Some(ByHash::Sha256(sha256)) => ("f.sha256 = ?3", Some(&sha256.0[..])),
        Some(ByHash::Sha512(sha512)) => ("f.sha512 = ?3", Some(&sha512[..])),
    };
    connection
        .prepare_cached(&format!(
            "SELECT s.id, f.index_name, w.wanted_ms
             FROM suite s
             JOIN generation g ON g.suite_id = s.id
             JOIN release_file f ON f.generation_id = g.id AND {condition}
             LEFT JOIN wanted_index w ON w.suite_id = s.id AND w.index_name = f.index_name
             WHERE s.authority = ?1 AND substr(?2, 1, length(s.dir) + 1) = s.dir || '/'
               AND f.index_name IS NOT NULL
             ORDER BY g.seen DESC LIMIT 1"
        ))?
        .query_row(params![site, path, hash], |row| {
            Ok(Found { suite_id: row.get(0)?, name: row.get(1)?, wanted_ms: row.get(2)? })
        })
        .optional()
}

pub(super) fn missing(
    database: &Database,
    suite: &Suite,
    components: Option<&BTreeSet<String>>,
    architecture: &str,
) -> Result<Vec<IndexWanted>, DatabaseError> {
    let Some((generation, variants)) = database.read(|connection| {
        let Some(generation) = newest(connection, suite)? else { return Ok(None) };
        let variants = variants(connection, &generation)?;
        Ok(Some((generation, variants)))
    })?
    else {
        return Ok(Vec::new());
    };
    let machine = Machine { components, architecture, separate_all: generation.separate_all };
    // The best variant of each index of which none is learnt, those that were asked for first.
    // Variants come best first.
    let mut missing: BTreeMap<(bool, &str), Option<&ReleaseFile>> = BTreeMap::new();
    for variant in &variants {
        if !variant.was_asked_for && !machine.uses(&variant.name) {
            continue;
        }
        let best = missing.entry((!variant.was_asked_for, &variant.name)).or_insert(Some(&variant.file));
        if variant.is_learnt {
            *best = None;
        }
    }
    let wanted = |file: &ReleaseFile| IndexWanted {
        path: match generation.acquire_by_hash {
            true => format!("{}/{}", suite.dir, file.by_hash_path()),
            false => format!("{}/{}", suite.dir, file.path),
        },
        expected: Expected { sha256: file.sha256, size: file.size },
    };
    let can_be_learnt = |file: &&ReleaseFile| file.size <= MAX_INDEX_BYTES;
    Ok(missing.into_values().flatten().filter(can_be_learnt).take(MAX_WANTED).map(wanted).collect())
}

struct Newest {
    id: i64,
    suite_id: i64,
    acquire_by_hash: bool,
    separate_all: bool,
}

fn newest(connection: &Connection, suite: &Suite) -> rusqlite::Result<Option<Newest>> {
    connection
        .prepare_cached(
            "SELECT g.id, g.suite_id, g.acquire_by_hash, g.separate_all
             FROM suite s JOIN generation g ON g.suite_id = s.id
             WHERE s.authority = ?1 AND s.dir = ?2 ORDER BY g.seen DESC LIMIT 1",
        )?
        .query_row([&suite.site, &suite.dir], |row| {
            Ok(Newest {
                id: row.get(0)?,
                suite_id: row.get(1)?,
                acquire_by_hash: row.get(2)?,
                separate_all: row.get(3)?,
            })
        })
        .optional()
}

/// One way in which an index is packed.
struct Variant {
    name: String,
    file: ReleaseFile,
    was_asked_for: bool,
    is_learnt: bool,
}

/// All indexes of a generation in all their variants, the best of each first.
fn variants(connection: &Connection, generation: &Newest) -> rusqlite::Result<Vec<Variant>> {
    connection
        .prepare_cached(
            "SELECT f.index_name, f.path, f.size, f.sha256,
                    w.index_name IS NOT NULL, i.id IS NOT NULL
             FROM release_file f
             LEFT JOIN wanted_index w ON w.suite_id = ?2 AND w.index_name = f.index_name
             LEFT JOIN learnt_index i ON i.sha256 = f.sha256 AND i.complete
             WHERE f.generation_id = ?1 AND f.index_name IS NOT NULL
             ORDER BY f.index_name, f.preference",
        )?
        .query_map([generation.id, generation.suite_id], |row| {
            Ok(Variant {
                name: row.get(0)?,
                file: ReleaseFile {
                    path: row.get(1)?,
                    size: row.get(2)?,
                    sha256: Sha256(row.get(3)?),
                    sha512: None,
                },
                was_asked_for: row.get(4)?,
                is_learnt: row.get(5)?,
            })
        })?
        .collect()
}

/// What this machine installs.
struct Machine<'a> {
    /// `None`: its sources do not name the suite; somebody behind the proxy
    /// uses it, who knows with what components.
    components: Option<&'a BTreeSet<String>>,
    architecture: &'a str,
    separate_all: bool,
}

impl Machine<'_> {
    fn uses(&self, index: &str) -> bool {
        let Some((name, _)) = IndexName::parse(index) else { return false };
        let is_separate = match name.kind {
            IndexKind::Packages { architecture } => architecture != "all" || self.separate_all,
            IndexKind::Sources | IndexKind::Patches => false,
        };
        // Some archives prefix components with a part of the suite's name:
        // `updates/main` is listed as `main`.
        let is_component = self.components.is_none_or(|components| {
            components.contains(name.component)
                || name.component.rsplit('/').next().is_some_and(|last| components.contains(last))
        });
        is_separate && is_component && name.is_for(self.architecture, false)
    }
}
