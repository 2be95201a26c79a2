//! The command line.

use crate::check::{Check, Level, Runner, Selection};
use crate::node;
use crate::peer;
use crate::proxy;
use crate::report::{self, Format, Report};
use clap::{Args, Parser, Subcommand};
use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Shows whether an implementation of the khashmir protocol keeps to it, whatever wrote it.
///
/// Each check cites the sentence of PROTOCOL.md that it holds the implementation to, and says what
/// it expected and what came.
#[derive(Debug, Parser)]
#[command(name = "khashmir-conformance", version, after_help = EXIT_STATUS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Node(node::Args),
    Proxy(proxy::Args),
    Peer(peer::Args),
}

const EXIT_STATUS: &str = "\
Exit status:
  0  no required check failed; with --strict, none of any level (skipped ones and
     differences that --dialect 2008 expects are no failures)
  1  at least one did
  2  the command line is wrong, or nothing answers there";

/// What all runners are told alike.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Lists the checks instead of running them
    #[arg(long)]
    pub list: bool,
    /// Runs only these: a name like ping/id-is-missing, a group like ping, or a pattern with * in it
    /// (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub only: Vec<String>,
    /// Runs only checks of this level (repeatable)
    #[arg(long, value_enum)]
    pub level: Vec<Level>,
    /// Takes failures of any level into the exit status
    #[arg(long)]
    pub strict: bool,
    /// Whom to measure by: 2008 also takes as they are what the implementation of 2008 does otherwise,
    /// and what nobody knows of it
    #[arg(long, value_enum, default_value = "modern")]
    pub dialect: Dialect,
    /// How to write the report
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Writes the report there instead of to standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Names passed checks too
    #[arg(long, short)]
    pub verbose: bool,
    /// How many checks run beside one another
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub jobs: usize,
    /// What one check may take
    #[arg(long, value_name = "SECONDS", default_value_t = 45)]
    pub timeout: u64,
}

/// Whom an implementation is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// The protocol page.
    Modern,
    /// The implementation of 2008, as far as it is known.
    #[value(name = "2008")]
    Khashmir2008,
}

/// Nothing could be checked.
#[derive(Debug)]
pub struct Unusable(pub String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

/// Nothing answers, or the command line is wrong, as clap has it.
const UNUSABLE: u8 = 2;

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Node(args) => node::main(&args),
        Command::Proxy(args) => proxy::main(&args),
        Command::Peer(args) => peer::main(&args),
    };
    done.unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr(), "khashmir-conformance: {error}");
        ExitCode::from(UNUSABLE)
    })
}

impl RunArgs {
    /// Lists `checks` if that is what was asked for.
    pub fn listed<T>(&self, checks: &[&'static Check<T>]) -> Result<bool, Unusable> {
        if self.list {
            let selection = self.selection();
            let chosen: Vec<_> = checks.iter().copied().filter(|check| selection.contains(check)).collect();
            self.write(&report::list::render(&chosen, self.format))?;
        }
        Ok(self.list)
    }

    /// Runs the chosen ones of `checks` on `target`, which the report calls `name`, and writes the
    /// report.
    pub fn run<T: Send + Sync + 'static>(
        &self,
        runner: &'static str,
        name: String,
        checks: &[&'static Check<T>],
        target: T,
    ) -> Result<ExitCode, Unusable> {
        if self.format == Format::Markdown {
            return Err(Unusable("--format markdown is for --list".to_owned()));
        }
        let dialect_2008 = self.dialect == Dialect::Khashmir2008;
        let timeout = Duration::from_secs(self.timeout);
        let plan = Runner { selection: self.selection(), jobs: self.jobs, timeout, dialect_2008 };
        let started = Instant::now();
        let reports = plan.run(checks, &Arc::new(target), |_| {});
        if reports.is_empty() {
            return Err(Unusable("no check is chosen by --only and --level; see --list".to_owned()));
        }
        let report = Report::new(runner, name, dialect_2008, started.elapsed(), reports);
        self.write(&report.render(self.format, self.verbose))?;
        let failed = |level: &Level| (self.strict || *level == Level::Required) && report.failed(*level) > 0;
        Ok(ExitCode::from(u8::from(Level::ALL.iter().any(failed))))
    }

    fn selection(&self) -> Selection {
        Selection { only: self.only.clone(), levels: self.level.clone() }
    }

    /// Writes to where the report goes; with colours if that is a terminal.
    fn write(&self, text: &str) -> Result<(), Unusable> {
        let written = match &self.output {
            Some(path) => std::fs::write(path, anstream::adapter::strip_str(text).to_string()),
            None => anstream::stdout().write_all(text.as_bytes()),
        };
        let place = self.output.as_ref().map_or("standard output".into(), |path| path.to_string_lossy());
        written.map_err(|error| Unusable(format!("cannot write to {place}: {error}")))
    }
}
