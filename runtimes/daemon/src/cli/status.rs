//! `khashmir status`.

use std::error::Error;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::bars::{Bars, line};
use super::say;
use super::text::{duration, plural, size};
use crate::control::{Fetching, ask_status};

/// How often a status that is watched is asked for.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

const EXAMPLES: &str = "\
Examples:
  khashmir status                     how it is now
  sudo khashmir status                the same of root's daemon
  khashmir status --watch             downloads as they come, until Ctrl-C
  khashmir status --json | jq .dht    what the node counts";

/// Show how the running daemon is, and what it is downloading
///
/// Shows what the running daemon has done since it was started, which other nodes it knows and
/// what it keeps for them, and the downloads in progress, with bars where the output is a terminal.
///
/// `sent to apt` is what apt got, by where the bytes came from; `from peers` what other machines
/// gave to this one, `to peers` what this one gave to them. `known to them` is the address that
/// other nodes report; without one nothing is offered to them.
#[derive(Debug, PartialEq, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Options {
    /// Print all that the daemon counts, as one JSON document
    #[arg(long)]
    pub(super) json: bool,

    /// Keep showing the downloads until interrupted (Ctrl-C); the output must be a terminal
    #[arg(long, conflicts_with = "json")]
    pub(super) watch: bool,
}

impl Options {
    pub(super) fn run(&self, data_dir: &Path) -> Result<(), Box<dyn Error>> {
        let status = ask_status(data_dir)?;
        if self.json {
            say(&format!("{status}\n"));
            return Ok(());
        }
        say(&render(&status));
        let fetching = fetching(&status)?;
        if !std::io::stdout().is_terminal() {
            if self.watch {
                return Err("only a terminal can be used with --watch; elsewhere, ask again and again".into());
            }
            for fetching in &fetching {
                say(&format!("  {}\n", line(fetching)));
            }
            return Ok(());
        }
        let mut bars = Bars::on_stdout();
        bars.show(&fetching);
        if !self.watch {
            bars.leave();
            return Ok(());
        }
        loop {
            std::thread::sleep(WATCH_INTERVAL);
            bars.show(&self::fetching(&ask_status(data_dir)?)?);
        }
    }
}

/// The downloads in progress in a status document; none in that of an older daemon.
fn fetching(status: &Value) -> serde_json::Result<Vec<Fetching>> {
    status.get("fetching").map_or(Ok(Vec::new()), |list| serde_json::from_value(list.clone()))
}

/// A dozen lines out of the status document; all that it has is in the document itself.
fn render(status: &Value) -> String {
    let status = Status(status);
    let mut lines = format!(
        "khashmir {}, running for {}\n",
        status.text("/version"),
        duration(status.number("/uptime_seconds"))
    );
    for (name, value) in rows(&status) {
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{name:<15}{value}");
    }
    for problem in status.list("/problems") {
        let text = Status(problem).text("/text").replace('\n', "\n               ");
        let _ = writeln!(lines, "attention      {text}");
    }
    lines
}

fn rows(status: &Status<'_>) -> [(&'static str, String); 12] {
    let count = |pointer, one, many| status.count(pointer, one, many);
    let number = |pointer| status.number(pointer);
    let size = |pointer| status.size(pointer);
    let offers = ["plain", "t", "h", "l"].map(|tier| status.number(&format!("/claims/{tier}")));
    [
        ("apt's proxy", status.text("/proxy")),
        ("other machines", format!("{} (TCP for files, UDP for the hash table)", status.text("/peers"))),
        ("known to them", status.own_addresses()),
        ("data", status.text("/data_dir")),
        ("cache", format!("{} of {} used", size("/cache/bytes"), size("/cache/limit_bytes"))),
        (
            "asked by apt",
            format!(
                "{}, {} refused, {} cut off",
                count("/apt/requests", "request", "requests"),
                number("/apt/refused"),
                number("/apt/cut")
            ),
        ),
        (
            "sent to apt",
            format!(
                "{} from the cache, {} from peers, {} from mirrors",
                size("/apt/bytes_from_cache"),
                size("/apt/bytes_from_peers"),
                size("/apt/bytes_from_mirror")
            ),
        ),
        (
            "downloads",
            format!(
                "{} done, {} under way, {} failed, {} refused by the mirror, {} with a wrong hash",
                count("/downloads/completed", "file", "files"),
                number("/downloads/in_progress"),
                number("/downloads/failed"),
                number("/downloads/rejected"),
                number("/downloads/mismatched")
            ),
        ),
        (
            "from peers",
            format!(
                "{} right, {} wrong, {} read",
                count("/downloads/pieces_good", "piece", "pieces"),
                number("/downloads/pieces_bad"),
                plural(offers.iter().sum(), "offer", "offers")
            ),
        ),
        (
            "to peers",
            format!("{} in {}", size("/uploads/bytes"), count("/uploads/requests", "answer", "answers")),
        ),
        ("on offer", count("/dht/publications", "file", "files")),
        (
            "hash table",
            format!(
                "{} known, {} kept for others under {}",
                count("/dht/contacts", "node", "nodes"),
                count("/dht/values", "value", "values"),
                count("/dht/keys", "key", "keys")
            ),
        ),
    ]
}

/// The document. What it lacks is shown as `?` or 0: an older daemon may still be running.
struct Status<'a>(&'a Value);

impl Status<'_> {
    fn text(&self, pointer: &str) -> String {
        match self.0.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => "?".to_owned(),
        }
    }

    fn number(&self, pointer: &str) -> u64 {
        self.0.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    fn count(&self, pointer: &str, one: &str, many: &str) -> String {
        plural(self.number(pointer), one, many)
    }

    fn size(&self, pointer: &str) -> String {
        size(self.number(pointer))
    }

    fn list(&self, pointer: &str) -> &[Value] {
        self.0.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn own_addresses(&self) -> String {
        let addresses: Vec<&str> = self.list("/own_addresses").iter().filter_map(Value::as_str).collect();
        match addresses.as_slice() {
            [] => "not yet: nothing is offered until other nodes have told this one's address".to_owned(),
            known => format!("as {}", known.join(" and ")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::stats::Stats;

    fn document(stats: &Stats) -> Value {
        let mut status = serde_json::to_value(stats).unwrap();
        status["version"] = "1.2.3".into();
        status["uptime_seconds"] = 3_700.into();
        status["proxy"] = "127.0.0.1:9977".into();
        status["peers"] = "[::]:9978".into();
        status["own_addresses"] = serde_json::json!(["203.0.113.7:9978"]);
        status["data_dir"] = "/d".into();
        status["cache"] = serde_json::json!({ "bytes": 1u64 << 30, "limit_bytes": 10u64 << 30 });
        status
    }

    #[test]
    fn a_machine_at_work_reads_like_this() {
        let stats = Stats::default();
        stats.apt.requests.add(412);
        stats.apt.cut.add(2);
        stats.apt.bytes_from_cache.add(12 << 20);
        stats.apt.bytes_from_peers.add(380 << 20);
        stats.apt.bytes_from_mirror.add(20 << 20);
        stats.downloads.completed.add(405);
        stats.downloads.failed.add(4);
        stats.downloads.rejected.add(3);
        stats.downloads.mismatched.add(5);
        stats.downloads.pieces_good.add(1297);
        stats.downloads.pieces_bad.add(6);
        for (tier, claims) in [&stats.claims.plain, &stats.claims.t, &stats.claims.h, &stats.claims.l]
            .into_iter()
            .zip([500, 60, 30, 10])
        {
            tier.add(claims);
        }
        stats.uploads.bytes.add(33 << 20);
        stats.uploads.requests.increment();
        stats.dht.publications.set(405);
        stats.dht.contacts.set(12);
        stats.dht.values.set(60);
        stats.dht.keys.set(44);
        assert_eq!(
            render(&document(&stats)),
            "khashmir 1.2.3, running for 1 h 1 min\n\
             apt's proxy    127.0.0.1:9977\n\
             other machines [::]:9978 (TCP for files, UDP for the hash table)\n\
             known to them  as 203.0.113.7:9978\n\
             data           /d\n\
             cache          1.0 GiB of 10.0 GiB used\n\
             asked by apt   412 requests, 0 refused, 2 cut off\n\
             sent to apt    12.0 MiB from the cache, 380.0 MiB from peers, 20.0 MiB from mirrors\n\
             downloads      405 files done, 0 under way, 4 failed, 3 refused by the mirror, 5 with a wrong hash\n\
             from peers     1297 pieces right, 6 wrong, 600 offers read\n\
             to peers       33.0 MiB in 1 answer\n\
             on offer       405 files\n\
             hash table     12 nodes known, 60 values kept for others under 44 keys\n"
        );
    }

    #[test]
    fn what_is_wrong_is_spoken_of() {
        let mut status = document(&Stats::default());
        status["problems"] = serde_json::json!([{ "kind": "disk", "text": "full.\nmake room.", "since": 1 }]);
        let text = render(&status);
        assert!(text.ends_with("attention      full.\n               make room.\n"), "{text}");
    }

    #[test]
    fn who_is_not_reached_yet_is_told_so() {
        let mut status = document(&Stats::default());
        status["own_addresses"] = serde_json::json!([]);
        assert!(render(&status).contains("known to them  not yet"), "{}", render(&status));
    }
}
