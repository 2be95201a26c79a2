//! The tables, and how an older file becomes a current one.
//!
//! `PRAGMA user_version` counts the steps that a file has been through. A
//! step, once released, is never changed; a new one is added behind it.

use rusqlite::{Connection, TransactionBehavior};

/// Brings the schema up to date, all steps or none.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let done = usize::try_from(done).unwrap_or(usize::MAX);
    let Some(missing) = STEPS.get(done..) else {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_SCHEMA),
            Some(format!(
                "written by a newer khashmir (schema {done}, this one knows up to {}); run that one, or name another directory with --data-dir",
                STEPS.len()
            )),
        ));
    };
    if missing.is_empty() {
        return Ok(());
    }
    for step in missing {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", STEPS.len())?;
    transaction.commit()
}

const STEPS: &[&str] = &[
    "
    -- The cache's files. Times are milliseconds since 1970.
    CREATE TABLE cached_file (
        sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
        len INTEGER NOT NULL,
        last_used_ms INTEGER NOT NULL,
        -- Listed by an index, or shared by the user: peers may have it.
        from_index INTEGER NOT NULL,
        -- Concatenated SHA-1s of the pieces, and the SHA-1 of those.
        piece_hashes BLOB,
        piece_hashes_sha1 BLOB
    ) STRICT;
    CREATE INDEX cached_file_by_use ON cached_file (last_used_ms);
    CREATE INDEX cached_file_by_piece_hashes ON cached_file (piece_hashes_sha1)
        WHERE piece_hashes_sha1 IS NOT NULL;

    -- Files whose hash nobody promised, as their mirror last sent them.
    CREATE TABLE document (
        url TEXT NOT NULL UNIQUE,
        last_modified TEXT,
        etag TEXT,
        content_type TEXT,
        body BLOB NOT NULL,
        stored_ms INTEGER NOT NULL
    ) STRICT;

    -- Single things by name: the node's snapshot.
    CREATE TABLE saved (
        name TEXT NOT NULL UNIQUE,
        bytes BLOB NOT NULL,
        saved_ms INTEGER NOT NULL
    ) STRICT;

    -- One suite of one archive: `authority` is host[:port], `root` the path
    -- before `/dists/`, `dir` the directory that InRelease lies in.
    CREATE TABLE suite (
        id INTEGER PRIMARY KEY,
        authority TEXT NOT NULL,
        root TEXT NOT NULL,
        dir TEXT NOT NULL,
        UNIQUE (authority, dir)
    ) STRICT;
    -- What a suite's Release file said once. `digest` is over its file list;
    -- `seen` grows: the generation last confirmed has the largest.
    -- `separate_all`: architecture-independent packages have their own index.
    CREATE TABLE generation (
        id INTEGER PRIMARY KEY,
        suite_id INTEGER NOT NULL REFERENCES suite ON DELETE CASCADE,
        digest BLOB NOT NULL,
        acquire_by_hash INTEGER NOT NULL,
        separate_all INTEGER NOT NULL,
        seen INTEGER NOT NULL,
        UNIQUE (suite_id, digest)
    ) STRICT;
    -- The files of a generation, by path below the suite's directory.
    -- `index_name` is the path without compression, for files that list
    -- packages or sources and can be read; `preference` is least for the
    -- compression to ask for first.
    CREATE TABLE release_file (
        generation_id INTEGER NOT NULL REFERENCES generation ON DELETE CASCADE,
        path TEXT NOT NULL,
        size INTEGER NOT NULL,
        sha256 BLOB NOT NULL,
        index_name TEXT,
        preference INTEGER,
        PRIMARY KEY (generation_id, path)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX release_file_by_hash ON release_file (sha256);
    -- Indexes whose entries are known; incomplete ones are litter of a crash.
    CREATE TABLE learnt_index (
        id INTEGER PRIMARY KEY,
        sha256 BLOB NOT NULL UNIQUE,
        complete INTEGER NOT NULL
    ) STRICT;
    -- What they list, by path below the archive's root.
    CREATE TABLE index_entry (
        index_id INTEGER NOT NULL REFERENCES learnt_index ON DELETE CASCADE,
        path TEXT NOT NULL,
        size INTEGER NOT NULL,
        sha256 BLOB NOT NULL,
        PRIMARY KEY (index_id, path)
    ) STRICT, WITHOUT ROWID;
    -- Indexes that clients of this machine asked for.
    CREATE TABLE wanted_index (
        suite_id INTEGER NOT NULL REFERENCES suite ON DELETE CASCADE,
        index_name TEXT NOT NULL,
        wanted_ms INTEGER NOT NULL,
        PRIMARY KEY (suite_id, index_name)
    ) STRICT, WITHOUT ROWID;
",
    "
    -- By which apt asks where the Release has it.
    ALTER TABLE release_file ADD COLUMN sha512 BLOB;
    CREATE INDEX release_file_by_sha512 ON release_file (sha512) WHERE sha512 IS NOT NULL;
",
    "
    -- What the entries of an index take, about.
    ALTER TABLE learnt_index ADD COLUMN stored_bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE learnt_index SET stored_bytes = (
        SELECT ifnull(sum(48 + length(path)), 0) FROM index_entry WHERE index_id = learnt_index.id
    );
",
    "
    -- What became of downloads; `sha256` in hexadecimal, `name` the last part of the URL's path.
    CREATE TABLE history (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        sha256 TEXT NOT NULL,
        name TEXT NOT NULL,
        record TEXT NOT NULL
    ) STRICT;
    CREATE INDEX history_by_hash ON history (sha256);
    CREATE INDEX history_by_name ON history (name);
",
    "
    -- Files that a person shares from where they lie: absolute paths, and what they were when they
    -- were hashed last. The stamp is all zero if that is to be found out anew.
    CREATE TABLE shared_file (
        path BLOB NOT NULL UNIQUE,
        sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
        len INTEGER NOT NULL,
        stamp_len INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        modified_ns INTEGER NOT NULL,
        changed_ns INTEGER NOT NULL,
        piece_hashes BLOB NOT NULL,
        piece_hashes_sha1 BLOB NOT NULL
    ) STRICT;
    CREATE INDEX shared_file_by_hash ON shared_file (sha256);
    CREATE INDEX shared_file_by_piece_hashes ON shared_file (piece_hashes_sha1);
",
    "
    -- How a file looked when it was last hashed: its inode's time of change, in
    -- nanoseconds since 1970, and when that was.
    ALTER TABLE cached_file ADD COLUMN changed_ns INTEGER;
    ALTER TABLE cached_file ADD COLUMN checked_ms INTEGER;
",
];
