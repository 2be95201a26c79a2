//! Why the daemon did not start, and what to do about it.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::database::DatabaseError;
use crate::upstream::AuthoritiesError;

/// Why the daemon did not start. Its text says what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration lacks something.
    Config(ConfigError),
    /// The file of authorities that the configuration names cannot be used.
    Authorities(AuthoritiesError),
    /// The data directory cannot be made or written.
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another daemon uses the data directory.
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other daemon's process, if it could be read.
        process: Option<u32>,
    },
    /// An address cannot be listened on.
    Bind {
        /// What would have listened there.
        service: Service,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The cache cannot be opened.
    Cache {
        /// Its directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The control socket cannot be made.
    Control {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The recording cannot be begun.
    Recording {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database cannot be opened.
    Database(DatabaseError),
    /// The system refused something that it should not.
    Runtime(io::Error),
}

/// What listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The proxy for apt.
    Proxy,
    /// The listeners for other machines.
    Peers,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Database(error) => error.fmt(f),
            Self::Authorities(error) => {
                write!(f, "{error}; name another file in `ca_file` under [mirror], or none")
            }
            Self::DataDir { path, source } => {
                write!(f, "cannot use the data directory {}: {source}; ", path.display())?;
                if source.kind() == io::ErrorKind::PermissionDenied {
                    f.write_str(
                        "run the daemon as the user that it belongs to, make it yours with `chown -R`, or ",
                    )?;
                }
                f.write_str("name a writable one with --data-dir DIR")
            }
            Self::InUse { path, process } => {
                write!(f, "another daemon keeps its data in {}", path.display())?;
                if let Some(process) = process {
                    write!(f, " (process {process})")?;
                }
                f.write_str(
                    "; stop it, or name another directory with --data-dir DIR (for the cache alone: [cache] dir in the configuration)",
                )
            }
            Self::Bind { service, address, source } => {
                let (what, option) = match service {
                    Service::Proxy => {
                        ("the proxy", "--proxy ADDRESS:PORT (in the configuration: [proxy] listen)")
                    }
                    Service::Peers => {
                        ("peers", "--listen ADDRESS:PORT (in the configuration: [peers] listen)")
                    }
                };
                write!(f, "cannot listen on {address} for {what}: {source}; ")?;
                match source.kind() {
                    io::ErrorKind::AddrInUse => write!(
                        f,
                        "stop the program that uses it (`ss -lntup 'sport = :{}'` names it), or choose another with {option}",
                        address.port()
                    ),
                    io::ErrorKind::AddrNotAvailable => write!(
                        f,
                        "this machine has no such address (`ip address` shows those that it has); choose another with {option}"
                    ),
                    io::ErrorKind::PermissionDenied => {
                        write!(f, "ports below 1024 are root's; choose another with {option}")
                    }
                    _ => write!(f, "choose another with {option}"),
                }
            }
            Self::Cache { path, source } => write!(
                f,
                "cannot open the cache in {}: {source}; make the directory writable, or name another ([cache] dir in the configuration)",
                path.display()
            ),
            Self::Control { path, source } => write!(
                f,
                "cannot make the control socket {}: {source}; name a writable directory with a short path with --data-dir DIR",
                path.display()
            ),
            Self::Recording { path, source } => write!(
                f,
                "cannot record to {}: {source}; name another file with --record FILE or --record-blinded FILE (in the configuration: [recording] file)",
                path.display()
            ),
            Self::Runtime(source) => write!(f, "cannot start: {source}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Database(error) => Some(error),
            Self::Authorities(error) => Some(error),
            Self::DataDir { source, .. }
            | Self::Bind { source, .. }
            | Self::Cache { source, .. }
            | Self::Control { source, .. }
            | Self::Recording { source, .. }
            | Self::Runtime(source) => Some(source),
            Self::InUse { .. } => None,
        }
    }
}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<AuthoritiesError> for StartError {
    fn from(error: AuthoritiesError) -> Self {
        Self::Authorities(error)
    }
}

impl From<DatabaseError> for StartError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_used_is_named_with_who_may() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let text = StartError::DataDir { path: "/d".into(), source: denied() }.to_string();
        assert!(text.contains("/d") && text.contains("chown") && text.contains("--data-dir"), "{text}");
        let address = ([127, 0, 0, 1], 80).into();
        let text = StartError::Bind { service: Service::Proxy, address, source: denied() }.to_string();
        assert!(text.contains("127.0.0.1:80") && text.contains("1024") && text.contains("--proxy"), "{text}");
    }
}
