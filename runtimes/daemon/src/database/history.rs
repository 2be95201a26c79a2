//! What became of downloads, one JSON text for each.

use rusqlite::params;

use super::{Database, DatabaseError, Durability};
use crate::history::{About, Record};

impl Database {
    /// Adds records, the oldest first, and forgets all but the last `at_most`.
    pub(crate) fn add_records(&self, records: &[Record], at_most: usize) -> Result<(), DatabaseError> {
        self.write(Durability::Relaxed, |transaction| {
            let mut insert = transaction
                .prepare_cached("INSERT INTO history (sha256, name, record) VALUES (?1, ?2, ?3)")?;
            for record in records {
                let text = serde_json::to_string(record)
                    .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
                insert.execute(params![record.sha256, record.name(), text])?;
            }
            // Each has the next id.
            transaction
                .prepare_cached("DELETE FROM history WHERE id <= (SELECT max(id) FROM history) - ?1")?
                .execute([at_most])?;
            Ok(())
        })
    }

    /// The latest records about a file, the latest first. Those that another version of this
    /// program wrote in another way are left out.
    pub(crate) fn records(&self, about: About<'_>, at_most: usize) -> Result<Vec<Record>, DatabaseError> {
        let (column, value) = match about {
            About::Hash(sha256) => ("sha256", sha256.to_string()),
            About::Name(name) => ("name", name.to_owned()),
        };
        let texts = self.read(|connection| {
            connection
                .prepare_cached(&format!(
                    "SELECT record FROM history WHERE {column} = ?1 ORDER BY id DESC LIMIT ?2"
                ))?
                .query_map(params![value, at_most], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<String>>>()
        })?;
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }
}
