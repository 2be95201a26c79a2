//! What is wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a configuration cannot be used.
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file's text is not a configuration.
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The text of that line.
        text: String,
        /// What is wrong with it, and what is allowed.
        message: String,
    },
    /// No directory to keep data in is named, and none can be derived.
    NoDataDir,
    /// An option that only running the daemon heeds was given before another command.
    RunOptionElsewhere,
}

impl ConfigError {
    pub(super) fn invalid(path: PathBuf, input: &str, error: &toml::de::Error) -> Self {
        let offset = error.span().map_or(0, |span| span.start).min(input.len());
        let before = input.get(..offset).unwrap_or(input);
        let line = before.matches('\n').count() + 1;
        Self::Invalid {
            path,
            line,
            text: input.lines().nth(line - 1).unwrap_or_default().trim().to_owned(),
            message: error.message().to_owned(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => {
                write!(f, "cannot read the configuration {}: {source}", path.display())
            }
            Self::Invalid { path, line, text, message } => {
                write!(f, "{}, line {line}: {message}\n  in: {text}", path.display())
            }
            Self::NoDataDir => f.write_str(
                "no place to keep data: neither XDG_DATA_HOME nor HOME is set; name one with --data-dir DIR",
            ),
            Self::RunOptionElsewhere => f.write_str(
                "options for running the daemon (--proxy, --listen, --bootstrap, --local-network, --log, \
                 --check-config) do nothing before another command; leave them out",
            ),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Invalid { .. } | Self::NoDataDir | Self::RunOptionElsewhere => None,
        }
    }
}
