//! Numbers as people read them.

use std::time::SystemTime;

/// A number of things.
pub(super) fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A time in its two largest units.
pub(super) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// A number of bytes.
pub(super) fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}

/// How long ago something was.
pub(super) fn ago(then: SystemTime) -> String {
    match then.elapsed() {
        Ok(elapsed) => format!("{} ago", duration(elapsed.as_secs())),
        Err(_) => "at a time to come (the clock was changed)".to_owned(),
    }
}
