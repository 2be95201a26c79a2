//! Where the configuration and the data lie when nobody says.

use std::env;
use std::path::PathBuf;

use super::{Config, ConfigError};

impl Config {
    /// The configuration file that is read when none is named, if it exists:
    /// `/etc/khashmir/khashmir.toml` for root, else
    /// `khashmir/khashmir.toml` below `$XDG_CONFIG_HOME` (`~/.config`).
    pub fn default_file() -> Option<PathBuf> {
        let dir = match is_root() {
            true => PathBuf::from("/etc"),
            false => xdg("XDG_CONFIG_HOME", ".config")?,
        };
        Some(dir.join("khashmir/khashmir.toml")).filter(|file| file.exists())
    }

    /// The data directory: as configured, else `/var/lib/khashmir` for root,
    /// else `khashmir` below `$XDG_DATA_HOME` (`~/.local/share`).
    pub fn data_dir_or_default(&self) -> Result<PathBuf, ConfigError> {
        if let Some(dir) = &self.data_dir {
            return Ok(dir.clone());
        }
        if is_root() {
            return Ok(PathBuf::from("/var/lib/khashmir"));
        }
        let dir = xdg("XDG_DATA_HOME", ".local/share").ok_or(ConfigError::NoDataDir)?;
        Ok(dir.join("khashmir"))
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// As the XDG base directory specification has it: a path that is not
/// absolute counts as unset.
fn xdg(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |variable| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))
}
