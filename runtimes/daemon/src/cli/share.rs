//! `khashmir share`.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Args;
use khashmir_apt::Sha256;

use super::bars::{advance, alone};
use super::say;
use super::text::size;
use crate::control::{Advance, Conversation, NewShare, Request, Shared};

const EXAMPLES: &str = "\
Examples:
  khashmir share disk.img             prints its hash, for `khashmir get` elsewhere
  khashmir share --list               what is shared, and whether it is still what it was
  khashmir share --remove disk.img    no more";

/// Give files to other machines, from where they lie
///
/// Gives files to other machines, without apt: they get them with `khashmir get SHA256`. Prints the
/// SHA-256 of each, as `sha256sum` does. Anyone in the network who knows the hash can fetch the
/// file, and whoever looks the hash up learns that this machine has it.
///
/// Files are not copied: they are given from where they lie, so leave them there. They are shared
/// until they are removed from the list, across restarts of the daemon. Each piece is hashed again
/// before it is given, so a file that was changed is never given as what it was: it is withdrawn,
/// and `--list` says so. If it is changed back, it is offered again; to give it as it is now, share
/// it again.
///
/// Whoever asks within three hours of a removal may still find this machine named, and gets nothing.
#[derive(Debug, PartialEq, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Options {
    /// The files
    #[arg(value_name = "FILE", required_unless_present = "list")]
    pub(super) files: Vec<PathBuf>,

    /// Show what is shared, and whether it is still what it was
    #[arg(long, conflicts_with_all = ["files", "remove"])]
    pub(super) list: bool,

    /// Stop sharing these files: names, also of files that are gone, or SHA-256 hashes
    #[arg(long)]
    pub(super) remove: bool,

    /// Print the list as JSON
    #[arg(long, requires = "list")]
    pub(super) json: bool,
}

impl Options {
    pub(super) fn run(&self, data_dir: &Path) -> Result<(), Box<dyn Error>> {
        if self.list {
            return self.print_list(data_dir);
        }
        // All that can be done is done; what cannot is told of in the end.
        let mut failures = Vec::new();
        for file in &self.files {
            let done = if self.remove { remove(data_dir, file) } else { share(data_dir, file) };
            if let Err(error) = done {
                failures.push(error.to_string());
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(failures.join("\nkhashmir: ").into()) }
    }

    fn print_list(&self, data_dir: &Path) -> Result<(), Box<dyn Error>> {
        let list: Vec<Shared> =
            Conversation::begin(data_dir, &Request::ListShared)?.finish(|_: Advance| {})?;
        if self.json {
            say(&format!("{}\n", serde_json::to_string(&list)?));
            return Ok(());
        }
        for shared in &list {
            say(&format!(
                "{}  {}\n    {}, {}\n",
                shared.sha256,
                shared.path,
                size(shared.len),
                state(shared)
            ));
        }
        if list.is_empty() {
            say("nothing is shared\n");
        }
        Ok(())
    }
}

fn share(data_dir: &Path, file: &Path) -> Result<(), Box<dyn Error>> {
    let path = file.canonicalize().map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let bar = alone(&file.file_name().unwrap_or_default().to_string_lossy());
    let mut conversation = Conversation::begin(data_dir, &Request::Share { path: path.into() })?;
    let done = conversation.finish(|Advance { done, len }| advance(&bar, done, len));
    bar.finish_and_clear();
    let NewShare { shared, is_reachable } = done?;
    say(&format!("{}  {}\n", shared.sha256, file.display()));
    if !is_reachable {
        eprintln!(
            "khashmir: no other node has told this machine its address yet; {} is offered as soon as one has",
            file.display()
        );
    }
    Ok(())
}

fn remove(data_dir: &Path, file: &Path) -> Result<(), Box<dyn Error>> {
    // It may be gone; then its name is all there is.
    let path = file.canonicalize().or_else(|_| std::path::absolute(file))?;
    let sha256 = file.to_str().and_then(|text| text.parse::<Sha256>().ok());
    let request = Request::Unshare { path: path.into(), sha256: sha256.map(|sha256| sha256.to_string()) };
    let removed: Vec<Shared> = Conversation::begin(data_dir, &request)?.finish(|_: Advance| {})?;
    if removed.is_empty() {
        return Err(format!("{} is not shared; see `khashmir share --list`", file.display()).into());
    }
    Ok(())
}

fn state(shared: &Shared) -> &'static str {
    match (shared.state.as_str(), shared.is_announced) {
        ("unchanged", true) => "on offer",
        ("unchanged", false) => "not on offer yet: other nodes are still to be told",
        ("touched", _) => "not on offer: it was touched, and is being hashed again",
        ("changed", _) => {
            "not on offer: it was changed; share it again as it is now, or remove it from the list"
        }
        ("gone", _) => "not on offer: it is gone; put it back, or remove it from the list",
        _ => "not on offer: the daemon cannot read it any more",
    }
}
