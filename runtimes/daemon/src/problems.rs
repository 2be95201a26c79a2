//! What is wrong on this machine, for the person who looks.
//!
//! A part of the daemon that cannot do its work, and does without, says so here: once in the log
//! when it begins and once when it is over, and in `khashmir status` as long as it lasts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

/// What a problem is about. There is one problem of each kind at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// The daemon started without its data directory.
    Storage,
    /// Files cannot be written, or read again.
    Disk,
    /// The database is damaged, or was.
    Database,
    /// The system clock is behind.
    Clock,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What it is about.
    pub kind: Kind,
    /// What happened, what comes of it, and what to do; a few sentences.
    pub text: String,
    /// Seconds since 1970 when it began.
    pub since: u64,
}

/// All that is wrong now.
#[derive(Debug, Default)]
pub struct Problems(Mutex<BTreeMap<Kind, Problem>>);

impl Problems {
    /// Something is wrong. Said again, only the text is renewed.
    pub fn begin(&self, kind: Kind, text: String) {
        match self.lock().entry(kind) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                tracing::error!("{text}");
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let since = since.map_or(0, |since| since.as_secs());
                entry.insert(Problem { kind, text, since });
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => entry.get_mut().text = text,
        }
    }

    /// It is over, if it was.
    pub fn end(&self, kind: Kind) {
        if let Some(problem) = self.lock().remove(&kind) {
            tracing::warn!("it is over: {}", problem.text);
        }
    }

    /// What is wrong now.
    #[must_use]
    pub fn list(&self) -> Vec<Problem> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Kind, Problem>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_there_from_its_begin_to_its_end_and_once() {
        let problems = Problems::default();
        problems.begin(Kind::Disk, "full".to_owned());
        problems.begin(Kind::Database, "damaged".to_owned());
        problems.begin(Kind::Disk, "fuller".to_owned());
        let texts = |problems: &Problems| problems.list().into_iter().map(|p| p.text).collect::<Vec<_>>();
        assert_eq!(texts(&problems), ["fuller", "damaged"]);
        problems.end(Kind::Disk);
        problems.end(Kind::Disk);
        assert_eq!(texts(&problems), ["damaged"]);
    }
}
