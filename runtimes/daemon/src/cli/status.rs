//! The status, for people.

use std::fmt::Write as _;

use serde_json::Value;

/// A dozen lines out of the status document.
pub fn render(status: &Value) -> String {
    let text = |pointer: &str| match status.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "?".to_owned(),
    };
    let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let size = |pointer: &str| bytesize::ByteSize(number(pointer)).display().iec().to_string();
    let rows = [
        ("proxy", text("/proxy")),
        ("peers", text("/peers")),
        ("data", text("/data_dir")),
        ("cache", format!("{} of {}", size("/cache/bytes"), size("/cache/limit_bytes"))),
        (
            "apt",
            format!(
                "{} requests, {} refused, {} cut",
                number("/apt/requests"),
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
                "{} now, {} done, {} failed, {} with a wrong hash",
                number("/downloads/in_progress"),
                number("/downloads/completed"),
                number("/downloads/failed"),
                number("/downloads/mismatched")
            ),
        ),
        (
            "pieces",
            format!("{} good, {} bad", number("/downloads/pieces_good"), number("/downloads/pieces_bad")),
        ),
        ("uploads", format!("{} in {} requests", size("/uploads/bytes"), number("/uploads/requests"))),
        (
            "claims read",
            format!(
                "{} plain, {} t, {} h, {} l",
                number("/claims/plain"),
                number("/claims/t"),
                number("/claims/h"),
                number("/claims/l")
            ),
        ),
        (
            "hash table",
            format!(
                "{} contacts, {} keys, {} values, {} files announced",
                number("/dht/contacts"),
                number("/dht/keys"),
                number("/dht/values"),
                number("/dht/publications")
            ),
        ),
    ];
    let mut lines =
        format!("khashmir {}, running for {}\n", text("/version"), duration(number("/uptime_seconds")));
    for (name, value) in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{name:<12} {value}");
    }
    lines
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

    #[test]
    fn every_number_shown_is_one_that_is_counted() {
        let stats = Stats::default();
        stats.apt.bytes_from_peers.add(3 << 20);
        stats.claims.h.add(77);
        let mut status = serde_json::to_value(&stats).unwrap();
        status["uptime_seconds"] = 3_700.into();
        status["version"] = "1.2.3".into();
        let text = render(&status);
        assert!(text.starts_with("khashmir 1.2.3, running for 1 h 1 min\n"), "{text}");
        assert!(text.contains("3.0 MiB from peers"), "{text}");
        assert!(text.contains("77 h,"), "{text}");
    }
}
