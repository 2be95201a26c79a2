//! What a check is, and what may come of it.

mod runner;

pub use runner::{Runner, Selection};

use serde::Serialize;
use std::fmt;

/// One thing that an implementation is held to. `T` is what it is tried on.
#[derive(Debug)]
pub struct Check<T> {
    /// Its group, a slash, and what it is called there, like `ping/id-is-missing`.
    pub name: &'static str,
    /// How much it matters.
    pub level: Level,
    /// The section of `PROTOCOL.md` that it is about.
    pub section: u8,
    /// What it rests on instead, where that is no section of `PROTOCOL.md`.
    pub elsewhere: Option<&'static str>,
    /// A sentence, row or phrase that stands there.
    pub sentence: &'static str,
    /// What the implementation of 2008 does.
    pub in_2008: In2008,
    /// Whether other checks would disturb it, or it them: it then runs when all others are done.
    pub alone: bool,
    /// Tries it.
    pub run: fn(&T) -> Outcome,
}

impl<T> Check<T> {
    /// A check that every implementation has to pass.
    pub const fn required(
        name: &'static str,
        section: u8,
        sentence: &'static str,
        run: fn(&T) -> Outcome,
    ) -> Check<T> {
        let (level, in_2008, alone) = (Level::Required, In2008::Unknown, false);
        Check { name, level, section, elsewhere: None, sentence, in_2008, alone, run }
    }

    /// One that a good implementation passes.
    pub const fn recommended(
        name: &'static str,
        section: u8,
        sentence: &'static str,
        run: fn(&T) -> Outcome,
    ) -> Check<T> {
        Check { level: Level::Recommended, ..Check::required(name, section, sentence, run) }
    }

    /// One of the limits of section 7.
    pub const fn hardening(
        name: &'static str,
        section: u8,
        sentence: &'static str,
        run: fn(&T) -> Outcome,
    ) -> Check<T> {
        Check { level: Level::Hardening, ..Check::required(name, section, sentence, run) }
    }

    /// With what is known of the 2008 implementation.
    pub const fn in_2008(self, in_2008: In2008) -> Check<T> {
        Check { in_2008, ..self }
    }

    /// Resting on another page than `PROTOCOL.md`, like `RFC 9112, section 6.3`.
    pub const fn resting_on(self, place: &'static str) -> Check<T> {
        Check { section: 0, elsewhere: Some(place), ..self }
    }

    /// With nothing else beside it.
    pub const fn alone(self) -> Check<T> {
        Check { alone: true, ..self }
    }

    /// Where the sentence stands.
    pub fn place(&self) -> String {
        place(self.section, self.elsewhere)
    }

    /// The part of its name before the slash.
    pub fn group(&self) -> &'static str {
        self.name.split_once('/').map_or(self.name, |(group, _)| group)
    }
}

/// Where a sentence stands, for people.
pub(crate) fn place(section: u8, elsewhere: Option<&str>) -> String {
    elsewhere.map_or_else(|| format!("section {section}"), str::to_owned)
}

/// How much a check matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Without this, others cannot work with it.
    Required,
    /// It works with others, but not as well as it could.
    Recommended,
    /// What keeps strangers from doing harm (section 7).
    Hardening,
}

impl Level {
    /// All of them.
    pub const ALL: [Level; 3] = [Level::Required, Level::Recommended, Level::Hardening];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Required => "required",
            Level::Recommended => "recommended",
            Level::Hardening => "hardening",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What the implementation of 2008 does where a check looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum In2008 {
    /// It passes: a recording shows it, or the page says it.
    Same(Source),
    /// It does something else.
    Differs {
        /// What it does instead.
        instead: &'static str,
        /// Who says so.
        source: Source,
    },
    /// Neither the page nor a recording tells.
    Unknown,
}

/// Who tells what the implementation of 2008 does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The probe of this name in `vectors/recordings/khashmir-2008-probes.json`.
    Probe(&'static str),
    /// The recorded session in `vectors/recordings/khashmir-2008-session.jsonl`.
    Session,
    /// This section of `PROTOCOL.md`.
    Page(u8),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Probe(name) => write!(f, "probe {name}"),
            Source::Session => f.write_str("recorded session"),
            Source::Page(section) => write!(f, "section {section}"),
        }
    }
}

/// What a check comes to: nothing to say if it passed.
pub type Outcome = Result<(), Unmet>;

/// Why a check did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// What was tried does something else.
    Failed(Failure),
    /// It could not be tried: the reason.
    Skipped(String),
}

/// What was expected, and what came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// What the protocol wants.
    pub expected: String,
    /// What was seen instead.
    pub came: String,
    /// What shows it.
    pub evidence: Vec<Evidence>,
}

/// Something that was sent or received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What it is.
    pub label: String,
    /// Its bytes; a report shows them as text or as a hexdump.
    pub bytes: Vec<u8>,
}

impl Unmet {
    /// A failure without evidence yet.
    pub fn failed(expected: impl Into<String>, came: impl Into<String>) -> Unmet {
        Unmet::Failed(Failure { expected: expected.into(), came: came.into(), evidence: Vec::new() })
    }

    /// It could not be tried.
    pub fn skipped(reason: impl Into<String>) -> Unmet {
        Unmet::Skipped(reason.into())
    }

    /// With something that shows it.
    #[must_use]
    pub fn with(mut self, label: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Unmet {
        if let Unmet::Failed(failure) = &mut self {
            failure.evidence.push(Evidence { label: label.into(), bytes: bytes.into() });
        }
        self
    }
}
