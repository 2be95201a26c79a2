//! `khashmir explain`.

use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use clap::Args;
use khashmir_apt::Sha256;

use super::bars::{advance, alone};
use super::say;
use super::text::{ago, plural, size};
use crate::cache::Hasher;
use crate::control::{Advance, Conversation, Explanation, KnownFile, Request, Subject, UrlKind};
use crate::history::{Ending, KeyOf, MirrorAsked, PeerAsked, Record};

/// Downloads of one file that are shown in full; of earlier ones the JSON tells.
const SHOWN: usize = 3;
/// What is read of a file at a time, in bytes.
const CHUNK: usize = 256 * 1024;

const EXAMPLES: &str = "\
Examples:
  khashmir explain http://deb.example.org/debian/pool/main/h/hello/hello_2.10-3_amd64.deb
  khashmir explain hello_2.10-3_amd64.deb
  khashmir explain /var/cache/apt/archives/hello_2.10-3_amd64.deb";

/// Explain where a file came from, and why from there
///
/// Explains where a file came from: its hash, the keys under which it is looked up, which peers were
/// tried and how fast they were, and why the mirror was asked.
///
/// The daemon remembers its last 4096 downloads, also after a restart. A file that apt got out of the
/// cache was not downloaded again: what is shown then is the download that brought it there.
#[derive(Debug, PartialEq, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Options {
    /// A URL as it stands in apt's output, a file such as one in /var/cache/apt/archives, the bare
    /// name of a package's file, or a SHA-256
    #[arg(value_name = "FILE-or-URL")]
    pub(super) subject: String,

    /// Print all that is known as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Options {
    pub(super) fn run(&self, data_dir: &Path) -> Result<(), Box<dyn Error>> {
        let subject = subject(&self.subject)?;
        let request = Request::Explain { subject: subject.clone() };
        let explanation: Explanation = Conversation::begin(data_dir, &request)?.finish(|_: Advance| {})?;
        if self.json {
            say(&format!("{}\n", serde_json::to_string(&explanation)?));
            return Ok(());
        }
        say(&render(&self.subject, &subject, &explanation));
        Ok(())
    }
}

/// What is meant.
fn subject(text: &str) -> Result<Subject, Box<dyn Error>> {
    if text.parse::<Sha256>().is_ok() {
        return Ok(Subject::Sha256(text.to_owned()));
    }
    if text.contains("://") || text.contains("HTTPS///") {
        return Ok(Subject::Url(text.to_owned()));
    }
    let path = Path::new(text);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Subject::Sha256(hash(path, metadata.len())?.to_string())),
        Ok(_) => Err(format!("{text} is no regular file").into()),
        // A name that apt would give it.
        Err(_) if !text.contains('/') => Ok(Subject::Name(text.to_owned())),
        Err(error) => Err(format!("cannot read {text}: {error}; a URL begins with http://").into()),
    }
}

fn hash(path: &Path, len: u64) -> io::Result<Sha256> {
    let bar = alone(&path.file_name().unwrap_or_default().to_string_lossy());
    let (mut file, mut hasher) = (File::open(path)?, Hasher::default());
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
        advance(&bar, hasher.position(), len);
    }
    bar.finish_and_clear();
    Ok(hasher.finish().sha256())
}

fn render(asked: &str, subject: &Subject, explanation: &Explanation) -> String {
    let mut text = String::new();
    let note = match (explanation.url, explanation.files.is_empty()) {
        (Some(UrlKind::Document), _) => {
            "It changes under its name, so no hash tells what it must be: the mirror is asked each time."
        }
        (Some(UrlKind::Unknown), true) => {
            "No index that this daemon has read lists it, so its hash is not known: it comes from the mirror, as \
             it is, and is neither kept nor shared. `apt update` through the daemon lets it read the indexes."
        }
        (Some(UrlKind::Unknown), false) => {
            "No index that this daemon knows lists it any more. It was downloaded before:"
        }
        (None, true) => match subject {
            Subject::Name(_) => {
                "No download of a file with this name is remembered; a URL or a hash would say more."
            }
            _ => "Nothing is known about it.",
        },
        _ => "",
    };
    let _ = writeln!(text, "{asked}");
    if !note.is_empty() {
        let _ = writeln!(text, "{note}");
    }
    for file in &explanation.files {
        render_file(&mut text, file);
    }
    text
}

fn render_file(text: &mut String, file: &KnownFile) {
    let mut row = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<11}{value}");
    };
    row("SHA-256", &file.sha256);
    if let Some(bytes) = file.size {
        row("length", &format!("{bytes} bytes ({})", size(bytes)));
    }
    row("key", &format!("{} ({} for machines without IPv4)", file.keys[0], file.keys[1]));
    for (place, suite) in &file.listed {
        row("listed as", &format!("{place} in {suite}"));
    }
    row(
        "here",
        match (file.is_cached, file.is_for_peers) {
            (true, true) => "in the cache, and other machines may have it",
            (true, false) => "in the cache, for this machine alone: no index lists it",
            (false, _) => "not in the cache",
        },
    );
    for path in &file.shared_at {
        row("shared", path);
    }
    if let Some(running) = &file.running {
        render_record(text, &running.record);
    }
    for record in file.past.iter().take(SHOWN) {
        render_record(text, record);
    }
    if file.running.is_none() && file.past.is_empty() {
        let _ = writeln!(text, "No download of it is remembered.");
    }
    if let Some(more @ 1..) = file.past.len().checked_sub(SHOWN) {
        let _ =
            writeln!(text, "and {} before, which --json shows", plural(more as u64, "download", "downloads"));
    }
}

fn render_record(text: &mut String, record: &Record) {
    let began = SystemTime::UNIX_EPOCH + Duration::from_millis(record.began_ms.unsigned_abs());
    let took = record.took_ms as f64 / 1000.0;
    let ending = match &record.ending {
        None => format!("running for {took:.3} s"),
        Some(Ending::Complete) => format!("took {took:.3} s"),
        Some(Ending::Mismatched) => "the mirror had a file with another hash, which was passed on".to_owned(),
        Some(Ending::Rejected(status)) => format!("the mirror answered {status}"),
        Some(Ending::Failed(reason)) => format!("failed after {took:.3} s: {reason}"),
    };
    let from = record.url.as_deref().unwrap_or("other machines alone");
    let _ = writeln!(text, "\ndownload {}, of {from}: {ending}", ago(began));
    let mut at = |ms: u64, what: String| {
        let _ = writeln!(text, "  {:>8.3} s  {what}", ms as f64 / 1000.0);
    };
    for key in &record.keys {
        let of = match key.of {
            KeyOf::File => "who has it",
            KeyOf::FileIpv6 => "who has it and no IPv4",
            KeyOf::PieceHashes => "the hashes of its pieces",
        };
        let first = key
            .first_ms
            .map_or(String::new(), |ms| format!(", the first after {:.3} s", since(ms, key.asked_ms)));
        let ended = match key.ended_ms {
            Some(ms) => format!("done after {:.3} s", since(ms, key.asked_ms)),
            None => "not waited for".to_owned(),
        };
        let values = plural(key.values, "answer", "answers");
        at(key.asked_ms, format!("asked the hash table for {of} ({}): {values}{first}; {ended}", key.key));
    }
    for peer in &record.peers {
        at(peer.asked_ms, format!("asked peer {}: {}", peer.address, gave(peer)));
    }
    for asked in &record.mirror {
        at(asked.at_ms, mirror(asked, record.size));
    }
    let (peers, mirror) = (size(record.bytes_from_peers), size(record.bytes_from_mirror));
    let _ = writeln!(text, "  in all {peers} from peers, {mirror} from the mirror");
}

fn gave(peer: &PeerAsked) -> String {
    let mut gave = match peer.first_ms {
        Some(first) => format!(
            "{}, {}, the first after {:.3} s",
            plural(peer.answers, "answer", "answers"),
            size(peer.bytes),
            since(first, peer.asked_ms)
        ),
        None => "nothing".to_owned(),
    };
    if peer.wrong > 0 {
        let _ = write!(gave, "; {} wrong", plural(peer.wrong, "piece was", "pieces were"));
    }
    if let Some(failed) = &peer.failed {
        let _ = write!(gave, "; {failed}");
    }
    gave
}

fn mirror(asked: &MirrorAsked, whole: Option<u64>) -> String {
    let what = match (asked.offset, asked.len) {
        (0, None) => "all of it".to_owned(),
        (0, len) if len == whole => "all of it".to_owned(),
        (offset, None) => format!("all from byte {offset} on"),
        (offset, Some(len)) => format!("{} from byte {offset} on", size(len)),
    };
    let failed = asked.failed.as_ref().map_or(String::new(), |failed| format!("; it failed: {failed}"));
    format!("asked the mirror for {what}, because {}{failed}", asked.why)
}

/// Seconds between two times of one record.
fn since(later_ms: u64, earlier_ms: u64) -> f64 {
    later_ms.saturating_sub(earlier_ms) as f64 / 1000.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::history::{KeyAsked, Why};

    #[test]
    fn a_download_reads_like_this() {
        let key = KeyAsked {
            key: "ab".repeat(20),
            of: KeyOf::File,
            asked_ms: 1,
            first_ms: Some(31),
            ended_ms: None,
            values: 2,
        };
        let peer = PeerAsked {
            address: ([192, 0, 2, 1], 9978).into(),
            asked_ms: 35,
            first_ms: Some(85),
            answers: 3,
            bytes: 1 << 20,
            wrong: 1,
            failed: Some("it answered 404 Not Found".to_owned()),
        };
        let mirror =
            MirrorAsked { at_ms: 1500, offset: 1 << 20, len: None, why: Why::PeersLate, failed: None };
        let record = Record {
            url: Some("http://m.example/pool/p.deb".to_owned()),
            took_ms: 2340,
            ending: Some(Ending::Complete),
            keys: vec![key],
            peers: vec![peer],
            mirror: vec![mirror],
            bytes_from_peers: 1 << 20,
            bytes_from_mirror: 1 << 10,
            ..Record::default()
        };
        let mut text = String::new();
        render_record(&mut text, &record);
        let (head, rest) = text.trim_start().split_once('\n').unwrap();
        assert!(
            head.starts_with("download ") && head.ends_with("of http://m.example/pool/p.deb: took 2.340 s"),
            "{head}"
        );
        assert_eq!(
            rest,
            format!(
                "     0.001 s  asked the hash table for who has it ({}): 2 answers, the first after 0.030 s; not waited for\n\
                 \x20    0.035 s  asked peer 192.0.2.1:9978: 3 answers, 1.0 MiB, the first after 0.050 s; 1 piece was wrong; it answered 404 Not Found\n\
                 \x20    1.500 s  asked the mirror for all from byte 1048576 on, because peers had not yet sent what was needed\n\
                 \x20 in all 1.0 MiB from peers, 1.0 KiB from the mirror\n",
                "ab".repeat(20)
            )
        );
    }
}
