//! How long an answer takes here: when to expect one no more.

use crate::config::Retransmission;
use core::time::Duration;

/// The estimate of RFC 6298, over all contacts: most requests go to somebody whom we have not asked
/// before, or not lately.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundTrips {
    /// None: nobody has answered yet.
    estimate: Option<Estimate>,
    /// Requests in a row that were late.
    late_in_a_row: u32,
}

/// In microseconds.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    smoothed: u64,
    variation: u64,
}

/// So many late requests in a row are no chance any more: the network has become slower, and the
/// expectation is doubled.
const TOO_MANY_LATE: u32 = 16;

impl RoundTrips {
    /// A request was answered in time, after `took`.
    pub fn answered(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX / 8).min(u64::MAX / 8);
        self.late_in_a_row = 0;
        self.estimate = Some(match self.estimate {
            None => Estimate { smoothed: micros, variation: micros / 2 },
            Some(Estimate { smoothed, variation }) => Estimate {
                smoothed: (smoothed * 7 + micros) / 8,
                variation: (variation * 3 + smoothed.abs_diff(micros)) / 4,
            },
        });
    }

    /// A request was not answered in time.
    pub fn late(&mut self) {
        self.late_in_a_row = self.late_in_a_row.saturating_add(1);
    }

    /// When to send a request again, as things are now.
    pub fn schedule(&self, whole: &Retransmission) -> Retransmission {
        let Some(Estimate { smoothed, variation }) = self.estimate else {
            return *whole;
        };
        let expected = Duration::from_micros(smoothed.saturating_add(variation.saturating_mul(4)));
        let doubled = 1_u32.checked_shl(self.late_in_a_row / TOO_MANY_LATE).unwrap_or(u32::MAX);
        let first = expected.saturating_mul(doubled).max(whole.soonest).min(whole.resend_after[0]);
        whole.scaled(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn first(trips: &RoundTrips) -> u128 {
        trips.schedule(&Retransmission::DEFAULT).resend_after[0].as_millis()
    }

    #[test]
    fn the_schedule_follows_what_is_measured_within_its_bounds() {
        let mut trips = RoundTrips::default();
        assert_eq!(trips.schedule(&Retransmission::DEFAULT), Retransmission::DEFAULT, "nothing is known");
        for _ in 0..100 {
            trips.answered(120 * MILLI);
            trips.answered(160 * MILLI);
        }
        let schedule = trips.schedule(&Retransmission::DEFAULT);
        assert!((180..300).contains(&first(&trips)), "{schedule:?}");
        assert_eq!(schedule.resend_after[1], 2 * schedule.resend_after[0], "in proportion");
        assert_eq!(schedule.fail_after, (4 * schedule.resend_after[0]).max(Duration::from_secs(1)));
        for _ in 0..100 {
            trips.answered(MILLI);
        }
        assert_eq!(first(&trips), 100, "not sooner");
        let fail_after = trips.schedule(&Retransmission::DEFAULT).fail_after;
        assert_eq!(fail_after, Duration::from_secs(1), "some are far away");
        trips.answered(Duration::MAX);
        assert_eq!(first(&trips), 2000, "not later");
        let fixed = Retransmission::KHASHMIR_2008;
        assert_eq!(trips.schedule(&fixed), fixed, "constants stay");
    }

    #[test]
    fn it_waits_longer_when_nobody_answers_in_time_any_more() {
        let mut trips = RoundTrips::default();
        (0..100).for_each(|_| trips.answered(200 * MILLI));
        let before = first(&trips);
        (0..15).for_each(|_| trips.late());
        assert_eq!(first(&trips), before, "losses");
        trips.late();
        assert_eq!(first(&trips), 2 * before);
        (0..1000).for_each(|_| trips.late());
        assert_eq!(first(&trips), 2000);
        trips.answered(900 * MILLI);
        assert!(first(&trips) > before, "learned");
    }
}
