//! What happens to the node in the hash table, in a file: for a bug report.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use khashmir_smol::Setup;

use crate::config::RecordingConfig;

/// How every recording begins.
const BEGINNING: &[u8] = b"khashmir recording";

/// A new file, and the room that it has left.
#[derive(Debug)]
pub struct Recording {
    file: File,
    path: PathBuf,
    bytes_left: u64,
    is_blinded: bool,
}

impl Recording {
    /// Makes the file, for this user alone, if the configuration names one. A recording that is
    /// there already gets `.old` behind its name, in place of an older one.
    ///
    /// # Errors
    /// Of the system; and `AlreadyExists` if what is there is no recording.
    pub fn create(config: &RecordingConfig) -> io::Result<Option<Self>> {
        let Some(path) = &config.file else { return Ok(None) };
        move_aside(path)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let (bytes_left, is_blinded) = (config.size_limit.bytes(), config.blinded);
        Ok(Some(Self { file, path: path.clone(), bytes_left, is_blinded }))
    }

    /// The same file, as long as nothing is written.
    ///
    /// # Errors
    /// Of the system.
    pub fn try_clone(&self) -> io::Result<Self> {
        let Self { file, path, bytes_left, is_blinded } = self;
        let (file, path) = (file.try_clone()?, path.clone());
        Ok(Self { file, path, bytes_left: *bytes_left, is_blinded: *is_blinded })
    }

    /// A node like `setup`'s that is recorded here.
    pub fn of(self, setup: Setup) -> Setup {
        match self.is_blinded {
            true => setup.recorded_blinded(self),
            false => setup.recorded(self),
        }
    }
}

/// Each call writes a whole step, or nothing: what is there can be replayed to its end.
impl Write for Recording {
    fn write(&mut self, step: &[u8]) -> io::Result<usize> {
        let len = step.len() as u64;
        let written = match self.bytes_left.checked_sub(len) {
            Some(left) => {
                self.bytes_left = left;
                self.file.write_all(step)
            }
            None => Err(io::Error::new(io::ErrorKind::StorageFull, "it has reached its size limit")),
        };
        written.map(|()| step.len()).inspect_err(|error| {
            tracing::warn!(path = %self.path.display(), %error, "the recording ends here; the node goes on");
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn move_aside(path: &Path) -> io::Result<()> {
    let mut beginning = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(BEGINNING.len() as u64).read_to_end(&mut beginning)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !BEGINNING.starts_with(&beginning) {
        let text = "a file that is no recording is there, and is not overwritten";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    let mut old = OsString::from(path);
    old.push(".old");
    fs::rename(path, old)
}
