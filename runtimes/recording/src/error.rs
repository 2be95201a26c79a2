//! What can be wrong with a recording.

use khashmir::config::ConfigError;
use std::fmt;
use std::io;

/// Why a recording can't be read any further. All before it was read and is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// What is wrong.
    pub fault: Fault,
    /// Where, in bytes from the start of the recording.
    pub offset: u64,
}

/// What is wrong with a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It does not begin as a recording does.
    NoRecording,
    /// It is of a version that this library does not read.
    OtherVersion,
    /// It is a blinded one, which is text for people.
    Blinded,
    /// It ends before its end: the recorder was killed or still runs, or bytes were lost.
    CutShort,
    /// Bytes were changed.
    Damaged,
    /// What is there is intact, but not what this library knows, such as a knob of a later version.
    Unknown,
    /// Something follows the end.
    AfterTheEnd,
    /// The node cannot be started so.
    Start(ConfigError),
    /// The file can't be read.
    Io(io::ErrorKind),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Fault::NoRecording => f.write_str("this is no recording")?,
            Fault::OtherVersion => f.write_str("a recording of another version")?,
            Fault::Blinded => {
                f.write_str("a blinded recording is text to be read, and can't be replayed")?;
            }
            Fault::CutShort => {
                f.write_str("the recording ends without its end: cut short, or still being made")?;
            }
            Fault::Damaged => f.write_str("the recording is damaged")?,
            Fault::Unknown => {
                f.write_str("the recording says something unknown: made by a later version?")?
            }
            Fault::AfterTheEnd => f.write_str("something follows the recording's end")?,
            Fault::Start(error) => write!(f, "the recorded node does not start: {error}")?,
            Fault::Io(kind) => write!(f, "cannot read: {kind}")?,
        }
        write!(f, ", at byte {}", self.offset)
    }
}

impl std::error::Error for ReadError {}
