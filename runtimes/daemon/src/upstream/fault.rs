//! What goes wrong at a mirror, and how long that is borne.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};
use khashmir_apt::HttpDate;

use super::Response;
use crate::config::MirrorConfig;
use crate::stats::Stats;

/// No pause is longer, whatever `Retry-After` asks for: apt is waiting.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often one file is asked for in all, even when each time brings some bytes.
const MAX_ATTEMPTS: u32 = 100;

/// Why a mirror gave no answer that could be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It may be right the next time.
    Transient {
        /// What went wrong.
        reason: String,
        /// How long the mirror asked us to wait.
        retry_after: Option<Duration>,
    },
    /// It would be wrong every time: the request may not or cannot be sent.
    Refused(String),
    /// It is on our side (a full disk, say): asking again would not help.
    Local(String),
}

impl Fault {
    /// A transient fault without advice on when to try again.
    pub fn transient(reason: impl Into<String>) -> Self {
        Self::Transient { reason: reason.into(), retry_after: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transient { reason, .. } | Self::Refused(reason) | Self::Local(reason) => {
                f.write_str(reason)
            }
        }
    }
}

impl std::error::Error for Fault {}

/// An error with its causes, which hyper keeps apart.
pub(super) fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Sorts out the statuses that mean "not now", 408, 429 and 5xx, and those that mean nothing here:
/// a change of protocols that nobody asked for, and what lies beyond 5xx (RFC 9110, section 15).
pub(super) fn check_status(response: Response) -> Result<Response, Fault> {
    let status = response.status;
    let transient = status.is_informational()
        || status.as_u16() >= 500
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    if !transient {
        return Ok(response);
    }
    Err(Fault::Transient {
        reason: format!("the mirror answered {status}"),
        retry_after: retry_after(&response.headers, SystemTime::now()),
    })
}

/// `Retry-After` as seconds or as a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => SystemTime::from(value.parse::<HttpDate>().ok()?).duration_since(now).ok(),
    }
}

/// How often, and after which pauses, a mirror is tried again for one file.
#[derive(Debug)]
pub struct Patience {
    retries: u64,
    first_pause: Duration,
    failures: u64,
    attempts: u32,
    stats: Arc<Stats>,
}

impl Patience {
    pub(super) fn new(config: &MirrorConfig, stats: Arc<Stats>) -> Self {
        let first_pause = Duration::from_millis(config.retry_delay_ms);
        Self { retries: config.retries, first_pause, failures: 0, attempts: 0, stats }
    }

    /// Bytes came: the failures before them are forgiven.
    pub fn renew(&mut self) {
        self.failures = 0;
    }

    /// Waits until it is time to try again.
    ///
    /// # Errors
    /// `fault` itself, when it is not transient or has come too often.
    pub async fn bear(&mut self, fault: Fault) -> Result<(), Fault> {
        let Fault::Transient { reason, retry_after } = &fault else {
            return Err(fault);
        };
        self.failures += 1;
        self.attempts += 1;
        if self.failures > self.retries || self.attempts >= MAX_ATTEMPTS {
            return Err(fault);
        }
        let pause = pause(self.first_pause, self.failures, *retry_after);
        tracing::debug!(%reason, ?pause, "the mirror is tried again");
        self.stats.downloads.mirror_retries.increment();
        smol::Timer::after(pause).await;
        Ok(())
    }
}

/// The pause after the `failures`th failure in a row.
fn pause(first: Duration, failures: u64, asked: Option<Duration>) -> Duration {
    let ours = first.saturating_mul(1 << failures.saturating_sub(1).min(16));
    asked.unwrap_or_default().max(ours).min(LONGEST_PAUSE)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_are_bounded() {
        let seconds = Duration::from_secs;
        let pause = |failures, asked| pause(Duration::from_millis(250), failures, asked);
        assert_eq!(pause(1, None), Duration::from_millis(250));
        assert_eq!(pause(3, None), seconds(1));
        assert_eq!(pause(40, None), LONGEST_PAUSE);
        assert_eq!(pause(1, Some(seconds(2))), seconds(2));
        assert_eq!(pause(1, Some(seconds(9999))), LONGEST_PAUSE);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now: HttpDate = "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap();
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers, now.into())
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:40 GMT"), Some(Duration::from_secs(3)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:30 GMT"), None);
        assert_eq!(read("soon"), None);
    }
}
