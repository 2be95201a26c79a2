//! What all peers together may take.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A rate that all uploads share: whoever wants to send books its bytes, and waits for their turn.
#[derive(Debug)]
pub(super) struct UploadLimit {
    /// 0: no limit.
    bytes_per_second: u64,
    /// When all that was booked will have been sent at that rate.
    booked_until: Mutex<Instant>,
}

/// What may be sent at once after a pause, in time.
const BURST: Duration = Duration::from_millis(200);

impl UploadLimit {
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, booked_until: Mutex::new(Instant::now()) }
    }

    /// The most bytes to book at once, so that many uploads get their turn often.
    pub(super) fn chunk(&self, at_most: u64) -> u64 {
        match self.bytes_per_second {
            0 => at_most,
            // A tenth of a second's worth.
            rate => at_most.min((rate / 10).max(1024)),
        }
    }

    /// Waits until `bytes` more may be sent.
    pub(super) async fn book(&self, bytes: u64) {
        if let Some(turn) = self.turn(bytes, Instant::now()) {
            smol::Timer::at(turn).await;
        }
    }

    /// Books `bytes` and says when they may be sent; `None`: now.
    fn turn(&self, bytes: u64, now: Instant) -> Option<Instant> {
        if self.bytes_per_second == 0 {
            return None;
        }
        let micros = bytes.saturating_mul(1_000_000) / self.bytes_per_second;
        let mut booked_until = self.booked_until.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*booked_until).max(now.checked_sub(BURST).unwrap_or(now));
        *booked_until = turn + Duration::from_micros(micros);
        (turn > now).then_some(turn)
    }
}

#[cfg(test)]
mod tests {
    use khashmir_testing::quickcheck;

    use super::*;

    #[test]
    fn no_limit_never_waits() {
        let limit = UploadLimit::new(0);
        assert_eq!(limit.turn(u64::MAX, Instant::now()), None);
        assert_eq!(limit.chunk(4096), 4096);
    }

    quickcheck! {
        fn no_more_is_sent_than_the_rate_and_a_burst(rate: u32, wishes: Vec<(u16, u16)>) -> bool {
            let rate = u64::from(rate % 1_000_000) + 1;
            let limit = UploadLimit::new(rate);
            let start = Instant::now();
            let (mut now, mut sent, mut largest) = (start, 0, 0);
            for (bytes, pause_ms) in wishes {
                now += Duration::from_millis(u64::from(pause_ms));
                now = limit.turn(u64::from(bytes), now).unwrap_or(now).max(now);
                sent += u64::from(bytes);
                largest = largest.max(u64::from(bytes));
                let elapsed = (now - start + BURST).as_micros() + 1_000;
                let allowed = u128::from(rate) * elapsed / 1_000_000 + u128::from(largest) + 1;
                if u128::from(sent) > allowed {
                    return false;
                }
            }
            true
        }
    }
}
