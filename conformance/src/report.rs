//! What came of a run.
//!
//! The JSON form is [`Report`] as serde writes it; [`Report::VERSION`] changes when a field changes
//! its meaning or goes, not when one is added.

mod hexdump;
mod junit;
pub mod list;
mod text;

use crate::check::{Check, Failure, In2008, Level};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this form: [`Report::VERSION`].
    pub version: u32,
    /// Version of the kit.
    pub kit: &'static str,
    /// What ran: `node`, `proxy` or `peer`.
    pub runner: &'static str,
    /// What it ran against, as it was named.
    pub target: String,
    /// `modern`, or `2008` if the implementation of 2008 was the measure.
    pub dialect: &'static str,
    /// How long it took.
    pub seconds: f64,
    /// How many checks of each level came to what.
    pub summary: BTreeMap<Level, Counts>,
    /// What came of each check.
    pub checks: Vec<CheckReport>,
}

/// How many checks came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// As the protocol wants it.
    pub passed: usize,
    /// Otherwise.
    pub failed: usize,
    /// Otherwise, and with `--dialect 2008` that is no failure.
    pub different: usize,
    /// Not tried.
    pub skipped: usize,
}

/// What came of one check.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// Its name.
    pub name: &'static str,
    /// Its level.
    pub level: Level,
    /// The section of `PROTOCOL.md`.
    pub section: u8,
    /// What it rests on instead, where that is no section of `PROTOCOL.md`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<&'static str>,
    /// What stands there.
    pub sentence: &'static str,
    /// What it came to.
    pub status: Status,
    /// How long it took.
    pub seconds: f64,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was expected and what came, if it failed or is different.
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    pub failure: Option<FailureReport>,
    /// What the implementation of 2008 does instead: `same`, `unknown` or a sentence.
    pub in_2008: &'static str,
}

/// What was expected, what came, and what shows it.
#[derive(Clone, Debug, Serialize)]
pub struct FailureReport {
    /// What the protocol wants.
    pub expected: String,
    /// What was seen.
    pub came: String,
    /// Bytes that were sent or received.
    pub evidence: Vec<EvidenceReport>,
}

/// Bytes that were sent or received.
#[derive(Clone, Debug, Serialize)]
pub struct EvidenceReport {
    /// What they are.
    pub label: String,
    /// The bytes, in hexadecimal.
    #[serde(serialize_with = "hex::serde::serialize")]
    pub hex: Vec<u8>,
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As the protocol wants it.
    Passed,
    /// Otherwise.
    Failed,
    /// Otherwise, but the measure is the implementation of 2008, which does so too or of which
    /// nothing is known there.
    Different,
    /// Not tried.
    Skipped,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For what shows the results of tests.
    Junit,
    /// A table, with `--list` only.
    Markdown,
}

impl Report {
    /// Version of the JSON form.
    pub const VERSION: u32 = 1;

    pub(crate) fn new(
        runner: &'static str,
        target: String,
        dialect_2008: bool,
        took: Duration,
        checks: Vec<CheckReport>,
    ) -> Report {
        let mut summary = BTreeMap::<Level, Counts>::new();
        for check in &checks {
            let counts = summary.entry(check.level).or_default();
            *match check.status {
                Status::Passed => &mut counts.passed,
                Status::Failed => &mut counts.failed,
                Status::Different => &mut counts.different,
                Status::Skipped => &mut counts.skipped,
            } += 1;
        }
        let dialect = if dialect_2008 { "2008" } else { "modern" };
        let (version, kit, seconds) = (Report::VERSION, env!("CARGO_PKG_VERSION"), took.as_secs_f64());
        Report { version, kit, runner, target, dialect, seconds, summary, checks }
    }

    /// How many checks of `level` failed.
    pub fn failed(&self, level: Level) -> usize {
        self.summary.get(&level).map_or(0, |counts| counts.failed)
    }

    /// In `format`; as text where that is for lists only. Text has colours, as ANSI escapes; `all`:
    /// it names passed checks too.
    pub fn render(&self, format: Format, all: bool) -> String {
        match format {
            Format::Text | Format::Markdown => text::render(self, all),
            Format::Json => list::json(self),
            Format::Junit => junit::render(self),
        }
    }
}

impl CheckReport {
    pub(crate) fn new<T>(check: &Check<T>, took: Duration) -> CheckReport {
        let Check { name, level, section, elsewhere, sentence, in_2008, .. } = *check;
        let in_2008 = match in_2008 {
            In2008::Same(_) => "same",
            In2008::Differs { instead, .. } => instead,
            In2008::Unknown => "unknown",
        };
        let (status, seconds) = (Status::Passed, took.as_secs_f64());
        CheckReport {
            name,
            level,
            section,
            elsewhere,
            sentence,
            status,
            seconds,
            reason: None,
            failure: None,
            in_2008,
        }
    }

    /// Where the sentence stands.
    pub fn place(&self) -> String {
        crate::check::place(self.section, self.elsewhere)
    }

    /// The part of its name before the slash.
    pub fn group(&self) -> &'static str {
        self.name.split_once('/').map_or(self.name, |(group, _)| group)
    }
}

impl From<Failure> for FailureReport {
    fn from(failure: Failure) -> FailureReport {
        let Failure { expected, came, evidence } = failure;
        let evidence = evidence.into_iter().map(|e| EvidenceReport { label: e.label, hex: e.bytes });
        FailureReport { expected, came, evidence: evidence.collect() }
    }
}
