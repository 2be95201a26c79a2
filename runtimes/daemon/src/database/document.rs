//! Files whose hash nobody promised: `InRelease` and its like.

use std::time::SystemTime;

use rusqlite::{OptionalExtension as _, params};

use super::{Database, DatabaseError, Durability, milliseconds};

/// A file whose hash nobody promised, as its mirror last sent it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// The `Last-Modified` header as sent.
    pub last_modified: Option<String>,
    /// The `ETag` header as sent.
    pub etag: Option<String>,
    /// The `Content-Type` header as sent.
    pub content_type: Option<String>,
    /// The content, at most [`MAX_DOCUMENT_BYTES`].
    pub body: Vec<u8>,
}

/// A longer document is not kept.
pub const MAX_DOCUMENT_BYTES: usize = 16 << 20;

/// Beyond these the documents stored longest ago go.
const MAX_DOCUMENTS: usize = 512;
const MAX_TOTAL_BYTES: usize = 64 << 20;

impl Database {
    /// The document last stored for this URL (authority and path).
    pub fn document(&self, url: &str) -> Result<Option<Document>, DatabaseError> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT last_modified, etag, content_type, body FROM document WHERE url = ?1",
                )?
                .query_row([url], |row| {
                    Ok(Document {
                        last_modified: row.get(0)?,
                        etag: row.get(1)?,
                        content_type: row.get(2)?,
                        body: row.get(3)?,
                    })
                })
                .optional()
        })
    }

    /// The URLs of the kept documents in which this text stands. All are looked through: at
    /// most 64 MiB.
    pub fn documents_with(&self, text: &str) -> Result<Vec<String>, DatabaseError> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT url FROM document WHERE instr(body, ?1) > 0")?
                .query_map([text.as_bytes()], |row| row.get(0))?
                .collect()
        })
    }

    /// Keeps a document under its URL, in place of an older one. Returns
    /// whether it was kept: one that is too long is not, and the older one is
    /// forgotten.
    pub fn store_document(&self, url: &str, document: &Document) -> Result<bool, DatabaseError> {
        let keep = document.body.len() <= MAX_DOCUMENT_BYTES;
        self.write(Durability::Relaxed, |transaction| {
            transaction.execute("DELETE FROM document WHERE url = ?1", [url])?;
            if !keep {
                return Ok(false);
            }
            transaction.execute(
                "INSERT INTO document (url, last_modified, etag, content_type, body, stored_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    url,
                    document.last_modified,
                    document.etag,
                    document.content_type,
                    document.body,
                    milliseconds(SystemTime::now())
                ],
            )?;
            // Newest first, what lies beyond either bound goes. The row just
            // stored has the largest rowid, so a clock set back cannot make
            // it the victim.
            transaction.execute(
                "DELETE FROM document WHERE rowid IN (
                     SELECT rowid FROM (
                         SELECT rowid,
                                row_number() OVER newest AS nth,
                                sum(length(body)) OVER newest AS bytes
                         FROM document WINDOW newest AS (ORDER BY rowid DESC)
                     ) WHERE nth > ?1 OR bytes > ?2
                 )",
                params![MAX_DOCUMENTS, MAX_TOTAL_BYTES],
            )?;
            Ok(true)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn database() -> (tempfile::TempDir, Database) {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(&dir.path().join("khashmir.db")).unwrap();
        (dir, database)
    }

    #[test]
    fn a_document_comes_back_as_it_was_stored_and_is_replaced() {
        let (_dir, database) = database();
        let first = Document {
            last_modified: Some("Sat, 17 May 2025 08:00:00 GMT".to_owned()),
            etag: None,
            content_type: Some("text/plain".to_owned()),
            body: b"Origin: Debian".to_vec(),
        };
        assert!(database.store_document("h/dists/x/InRelease", &first).unwrap());
        assert_eq!(database.document("h/dists/x/InRelease").unwrap(), Some(first));
        let second = Document { etag: Some("\"2\"".to_owned()), ..Document::default() };
        assert!(database.store_document("h/dists/x/InRelease", &second).unwrap());
        assert_eq!(database.document("h/dists/x/InRelease").unwrap(), Some(second));
        assert_eq!(database.document("h/dists/y/InRelease").unwrap(), None);
    }

    #[test]
    fn what_is_too_long_is_not_kept_nor_is_its_predecessor() {
        let (_dir, database) = database();
        assert!(database.store_document("u", &Document::default()).unwrap());
        let long = Document { body: vec![0; MAX_DOCUMENT_BYTES + 1], ..Document::default() };
        assert!(!database.store_document("u", &long).unwrap());
        assert_eq!(database.document("u").unwrap(), None);
    }

    #[test]
    fn the_oldest_go_when_all_together_are_too_long() {
        let (_dir, database) = database();
        let document = Document { body: vec![0; MAX_TOTAL_BYTES / 4], ..Document::default() };
        for url in ["1", "2", "3", "4", "5"] {
            assert!(database.store_document(url, &document).unwrap());
        }
        assert_eq!(database.document("1").unwrap(), None);
        assert!(database.document("2").unwrap().is_some());
        assert!(database.document("5").unwrap().is_some());
    }
}
