//! The status, for people.

use std::fmt::Write as _;

use serde_json::Value;

/// A dozen lines out of the status document; all that it has is in the document itself.
pub fn render(status: &Value) -> String {
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
    for release in status.list("/releases/unconfirmed") {
        let release = Status(release);
        let _ = writeln!(
            lines,
            "attention      {} is served as it is kept, for {} now: {}",
            release.text("/name"),
            duration(release.number("/for_seconds")),
            release.text("/why")
        );
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
        bytesize::ByteSize(self.number(pointer)).display().iec().to_string()
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

fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
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
    fn a_mirror_that_cannot_be_asked_is_spoken_of() {
        let stats = Stats::default();
        stats.releases.unconfirmed.insert("http://m/InRelease", "Connection refused");
        let text = render(&document(&stats));
        let line =
            "attention      http://m/InRelease is served as it is kept, for 0 s now: Connection refused\n";
        assert!(text.ends_with(line), "{text}");
        stats.releases.unconfirmed.remove("http://m/InRelease");
        assert!(!render(&document(&stats)).contains("attention"));
    }

    #[test]
    fn who_is_not_reached_yet_is_told_so() {
        let mut status = document(&Stats::default());
        status["own_addresses"] = serde_json::json!([]);
        assert!(render(&status).contains("known to them  not yet"), "{}", render(&status));
    }
}
