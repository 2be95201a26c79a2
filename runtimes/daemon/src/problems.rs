//! What is wrong on this machine, for the person who looks.
//!
//! A part of the daemon that cannot do its work, and does without, says so here: once in the log
//! when it begins and once when it is over, and in `khashmir status` as long as it lasts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

/// What a problem is about. There is one problem of each kind and name at most.
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
    /// A mirror cannot be asked for the Release file of that name.
    Release,
    /// The system clock is behind.
    Clock,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What it is about.
    pub kind: Kind,
    /// Which of its kind, where there are several.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What happened, what comes of it, and what to do; a few sentences.
    pub text: String,
    /// Seconds since 1970 when it began.
    pub since: u64,
}

/// All that is wrong now.
#[derive(Debug, Default)]
pub struct Problems(Mutex<BTreeMap<(Kind, String), Problem>>);

/// As many are listed; further ones are logged.
const MAX_LISTED: usize = 100;

impl Problems {
    /// Something is wrong. Said again, only the text is renewed.
    pub fn begin(&self, kind: Kind, text: String) {
        self.begin_with(kind, "", text);
    }

    /// As [`begin`](Self::begin), with one of several.
    pub fn begin_with(&self, kind: Kind, name: &str, text: String) {
        let mut problems = self.lock();
        if let Some(problem) = problems.get_mut(&(kind, name.to_owned())) {
            problem.text = text;
            return;
        }
        match kind {
            // It is not this machine's.
            Kind::Release => tracing::warn!("{text}"),
            _ => tracing::error!("{text}"),
        }
        if problems.len() < MAX_LISTED {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let (name, since) = (name.to_owned(), since.map_or(0, |since| since.as_secs()));
            problems.insert((kind, name.clone()), Problem { kind, name, text, since });
        }
    }

    /// It is over, if it was.
    pub fn end(&self, kind: Kind) {
        self.end_with(kind, "");
    }

    /// As [`end`](Self::end), with one of several.
    pub fn end_with(&self, kind: Kind, name: &str) {
        if let Some(problem) = self.lock().remove(&(kind, name.to_owned())) {
            tracing::warn!("it is over: {}", problem.text);
        }
    }

    /// What is wrong now.
    #[must_use]
    pub fn list(&self) -> Vec<Problem> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Kind, String), Problem>> {
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

    #[test]
    fn several_of_a_kind_are_told_apart_and_bounded() {
        let problems = Problems::default();
        for n in 0..=MAX_LISTED {
            problems.begin_with(Kind::Release, &format!("{n:03}"), "first".to_owned());
        }
        problems.begin_with(Kind::Release, "001", "second".to_owned());
        problems.end_with(Kind::Release, "000");
        let list = problems.list();
        assert_eq!(list.len(), MAX_LISTED - 1);
        assert_eq!((&*list[0].name, &*list[0].text), ("001", "second"));
    }
}
