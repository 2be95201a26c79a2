//! Runs checks, beside one another as far as they allow it.

use super::{Check, In2008, Level, Outcome, Unmet};
use crate::report::{CheckReport, Status};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use wildmatch::WildMatch;

/// Which checks are run.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Names or groups, with `*` for anything and `?` for any character; none: all.
    pub only: Vec<String>,
    /// Levels; none: all.
    pub levels: Vec<Level>,
}

impl Selection {
    /// Whether `check` is among them.
    pub fn contains<T>(&self, check: &Check<T>) -> bool {
        let named = |pattern: &String| {
            let pattern = WildMatch::new(pattern);
            pattern.matches(check.name) || pattern.matches(check.group())
        };
        (self.only.is_empty() || self.only.iter().any(named))
            && (self.levels.is_empty() || self.levels.contains(&check.level))
    }
}

/// How checks are run.
#[derive(Clone, Debug)]
pub struct Runner {
    /// Which.
    pub selection: Selection,
    /// How many at a time.
    pub jobs: usize,
    /// What one may take before it has failed.
    pub timeout: Duration,
    /// Whether the implementation of 2008 is the measure: what it is known to do otherwise is no
    /// failure then.
    pub dialect_2008: bool,
}

impl Runner {
    /// Runs the chosen ones of `checks` on `target`, and tells of each when it is done. Returns
    /// what came of them, in the order of `checks`.
    pub fn run<T: Send + Sync + 'static>(
        &self,
        checks: &[&'static Check<T>],
        target: &Arc<T>,
        mut done: impl FnMut(&CheckReport),
    ) -> Vec<CheckReport> {
        let chosen: Vec<_> = checks.iter().filter(|check| self.selection.contains(check)).collect();
        let mut reports: Vec<Option<CheckReport>> = chosen.iter().map(|_| None).collect();
        for (alone, jobs) in [(false, self.jobs.max(1)), (true, 1)] {
            let waiting = chosen.iter().enumerate().filter(|(_, check)| check.alone == alone);
            self.run_some(waiting.map(|(at, check)| (at, **check)), jobs, target, |at, report| {
                done(&report);
                reports[at] = Some(report);
            });
        }
        reports.into_iter().flatten().collect()
    }

    /// Runs `waiting`, `jobs` at a time, each on a thread of its own: one that does not end is left
    /// behind and has failed.
    fn run_some<T: Send + Sync + 'static>(
        &self,
        mut waiting: impl Iterator<Item = (usize, &'static Check<T>)>,
        jobs: usize,
        target: &Arc<T>,
        mut done: impl FnMut(usize, CheckReport),
    ) {
        let (sender, finished) = mpsc::channel();
        let mut running: Vec<(usize, &'static Check<T>, Instant)> = Vec::new();
        loop {
            while running.len() < jobs
                && let Some((at, check)) = waiting.next()
            {
                let (sender, target) = (sender.clone(), Arc::clone(target));
                thread::spawn(move || {
                    let outcome = catch_unwind(AssertUnwindSafe(|| (check.run)(&target)));
                    // Nobody listens any more once it is too late.
                    let _ = sender.send((at, outcome.unwrap_or_else(|_| Err(panicked()))));
                });
                running.push((at, check, Instant::now()));
            }
            let Some((oldest, _, started)) = running.iter().min_by_key(|(.., started)| *started).copied()
            else {
                return;
            };
            let left = self.timeout.saturating_sub(started.elapsed());
            let (at, outcome) =
                finished.recv_timeout(left).unwrap_or_else(|_| (oldest, Err(self.too_late())));
            // One that was given up may still come to an end.
            if let Some(index) = running.iter().position(|(other, ..)| *other == at) {
                let (_, check, started) = running.swap_remove(index);
                done(at, self.report(check, outcome, started.elapsed()));
            }
        }
    }

    fn too_late(&self) -> Unmet {
        Unmet::failed("an end of this check", format!("it was still running after {:?}", self.timeout))
    }

    fn report<T>(&self, check: &Check<T>, outcome: Outcome, took: Duration) -> CheckReport {
        let mut report = CheckReport::new(check, took);
        match outcome {
            Ok(()) => report.status = Status::Passed,
            Err(Unmet::Skipped(reason)) => {
                report.status = Status::Skipped;
                report.reason = Some(reason);
            }
            Err(Unmet::Failed(failure)) => {
                let tolerated = self.dialect_2008 && !matches!(check.in_2008, In2008::Same(_));
                report.status = if tolerated { Status::Different } else { Status::Failed };
                report.failure = Some(failure.into());
            }
        }
        report
    }
}

fn panicked() -> Unmet {
    Unmet::failed("an answer that this check can judge", "the check itself broke: a fault of this kit")
}
