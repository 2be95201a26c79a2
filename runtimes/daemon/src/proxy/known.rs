//! What the catalog said lately, so that it need not be asked for every request.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use khashmir_apt::url::Upstream;

use crate::fetch::Expectation;

/// Files remembered.
const MAX_KNOWN: usize = 1024;

/// Answers of the catalog.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    /// After so many steps of the teacher they were given.
    steps: u64,
    by_url: HashMap<(String, String), Vec<Expectation>>,
}

impl Known {
    /// What the catalog expects of a file, if that is known and nothing was learnt since, which is
    /// after so many `steps` of the teacher.
    pub(super) fn find(&self, url: &Upstream, steps: u64) -> Option<Vec<Expectation>> {
        let answers = self.lock();
        let is_current = answers.steps == steps;
        is_current.then(|| answers.by_url.get(&key(url)).cloned()).flatten()
    }

    /// Remembers what the catalog, asked after so many `steps`, expects of a file.
    pub(super) fn remember(&self, url: &Upstream, steps: u64, expected: &[Expectation]) {
        let mut answers = self.lock();
        if answers.steps != steps || answers.by_url.len() >= MAX_KNOWN {
            answers.steps = steps;
            answers.by_url.clear();
        }
        if !expected.is_empty() {
            answers.by_url.insert(key(url), expected.to_vec());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(url: &Upstream) -> (String, String) {
    (url.authority(), url.path.clone())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use khashmir_apt::Sha256;
    use khashmir_apt::url::Target;

    use super::*;

    #[test]
    fn what_was_said_before_something_was_learnt_does_not_count() {
        let url = Target::parse("http://mirror.test/debian/pool/p.deb").unwrap().upstream;
        let expected = [Expectation { sha256: Sha256::of(b"p"), size: Some(1) }];
        let known = Known::default();
        assert_eq!(known.find(&url, 0), None);
        known.remember(&url, 0, &expected);
        assert_eq!(known.find(&url, 0), Some(expected.to_vec()));
        assert_eq!(known.find(&url, 1), None);
        known.remember(&url, 1, &[]);
        assert_eq!(known.find(&url, 1), None, "what is unknown may be learnt");
        for n in 0..5000 {
            known.remember(&url.with_path(format!("/{n}")), 1, &expected);
        }
        assert!(known.lock().by_url.len() <= MAX_KNOWN);
    }
}
