//! `khashmir get`.

use std::error::Error;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use khashmir_apt::Sha256;
use tempfile::NamedTempFile;

use super::bars::{advance, alone};
use crate::cache::{Hasher, Verified};
use crate::config::Size;
use crate::control::{Advance, Conversation, Got, Request};

/// What is copied at a time, in bytes.
const CHUNK: usize = 256 * 1024;

const EXAMPLES: &str = "\
Examples:
  khashmir get 4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865
  khashmir get 4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865 -o disk.img --max-size 2GiB
  khashmir get 4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865 -o - | tar x";

/// Get a file from other machines by its SHA-256
///
/// Gets the file with this SHA-256 from machines that have it, without apt and without a mirror:
/// from those that installed it, or on which somebody typed `khashmir share`.
///
/// The running daemon fetches it and checks the whole of it before this command sees a byte; the
/// hash is checked again as it is written. The file gets its name only when it is complete and
/// right; until then, and if anything fails, whatever has that name stays as it is. If this command
/// is interrupted, the daemon goes on: ask again to pick the file up. A file that is there already
/// and right is left alone.
///
/// What is got stays in the daemon's cache for a while. It is not offered to others: that needs
/// `khashmir share`.
#[derive(Debug, PartialEq, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Options {
    /// The file's SHA-256, 64 hexadecimal digits, as `sha256sum` and `khashmir share` print it
    #[arg(value_name = "SHA256", value_parser = sha256)]
    pub(super) sha256: Sha256,

    /// Write it here; `-` is standard output [default: a file named after its hash, in the current
    /// directory]
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,

    /// Refuse a longer file: a number of bytes, or text such as "500 MB" or "2 GiB". Its length is
    /// known only when others have told it
    #[arg(long, value_name = "SIZE")]
    pub(super) max_size: Option<Size>,
}

fn sha256(text: &str) -> Result<Sha256, String> {
    text.parse().map_err(|_| "a SHA-256 has 64 hexadecimal digits".to_owned())
}

impl Options {
    pub(super) fn run(&self, data_dir: &Path) -> Result<(), Box<dyn Error>> {
        let output = self.output.clone().unwrap_or_else(|| self.sha256.to_string().into());
        if output == Path::new("-") {
            let mut conversation = self.ask(data_dir)?;
            let got = wait(&mut conversation)?;
            let mut out = io::stdout().lock();
            let verified = copy(conversation.bytes(), &mut out, got.len)?;
            return self.check(verified);
        }
        if is_right(&output, &self.sha256) {
            eprintln!("{} is there already, and right", output.display());
            return Ok(());
        }
        let dir = output.parent().filter(|dir| *dir != Path::new("")).unwrap_or(Path::new("."));
        let cannot_write = |error: io::Error| {
            format!("cannot write {}: {error}; name another place with -o FILE", output.display())
        };
        if output.is_dir() {
            return Err(cannot_write(io::ErrorKind::IsADirectory.into()).into());
        }
        // Found out before anything is fetched, and gone at once, so that nothing lies about while
        // the daemon works.
        drop(beside(&output, dir).map_err(cannot_write)?);
        let mut conversation = self.ask(data_dir)?;
        let got = wait(&mut conversation)?;
        let mut file = beside(&output, dir).map_err(cannot_write)?;
        let verified = copy(conversation.bytes(), file.as_file_mut(), got.len).map_err(cannot_write)?;
        self.check(verified)?;
        file.as_file().sync_all().map_err(cannot_write)?;
        file.persist(&output).map_err(|error| cannot_write(error.error))?;
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(cannot_write)?;
        eprintln!("{}: {} bytes, {} of them from peers just now", output.display(), got.len, got.from_peers);
        Ok(())
    }

    fn ask(&self, data_dir: &Path) -> Result<Conversation, Box<dyn Error>> {
        let request =
            Request::Get { sha256: self.sha256.to_string(), max_len: self.max_size.map(Size::bytes) };
        Ok(Conversation::begin(data_dir, &request)?)
    }

    fn check(&self, verified: Verified) -> Result<(), Box<dyn Error>> {
        if verified.sha256() == self.sha256 {
            return Ok(());
        }
        Err(format!(
            "what came has the hash {}, not {}; if this machine shares it, the file was changed: see `khashmir \
             share --list`",
            verified.sha256(),
            self.sha256
        )
        .into())
    }
}

/// Waits until the daemon has it.
fn wait(conversation: &mut Conversation) -> Result<Got, Box<dyn Error>> {
    let bar = alone("looking for it");
    let got = conversation.finish(|Advance { done, len }| {
        if len > 0 {
            bar.set_prefix("from peers");
            advance(&bar, done, len);
        } else {
            bar.tick();
        }
    });
    bar.finish_and_clear();
    Ok(got?)
}

fn is_right(path: &Path, sha256: &Sha256) -> bool {
    let is_file = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let hash = || {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        copy(&mut file, &mut io::sink(), len)
    };
    is_file && hash().is_ok_and(|verified| verified.sha256() == *sha256)
}

/// A new file beside the one that it is to become, with the rights that any new file has.
fn beside(output: &Path, dir: &Path) -> io::Result<NamedTempFile> {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir)
}

/// Copies `len` bytes, and says what they hash to.
fn copy(from: &mut impl Read, to: &mut impl Write, len: u64) -> io::Result<Verified> {
    let mut hasher = Hasher::default();
    let mut chunk = vec![0; CHUNK];
    let mut from = from.take(len);
    loop {
        let read = from.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
        to.write_all(bytes)?;
    }
    if hasher.position() < len {
        let text =
            format!("{} of {len} bytes came; the daemon was stopped, or the file changed", hasher.position());
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
    }
    to.flush()?;
    Ok(hasher.finish())
}
