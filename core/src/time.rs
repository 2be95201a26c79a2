//! Time as the engine sees it: an argument, never a clock.

use core::num::NonZeroU64;
use core::ops::Add;
use core::time::Duration;

/// A point in time: whole microseconds since an origin that the driver chooses.
///
/// The origin is arbitrary (a start of the process, say) but must stay the same
/// for the life of a node. The driver's clock should be monotonic; where it goes
/// backwards all the same, the node holds on to the latest time that it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(
    /// One more than the microseconds, so that an `Option` of it takes no more room.
    NonZeroU64,
);

impl Instant {
    /// The driver's origin.
    pub const ORIGIN: Instant = Instant::from_micros(0);

    /// The latest that a node takes for the present, some 292,000 years after the origin: what is
    /// due later than that still lies ahead.
    pub const LATEST: Instant = Instant::from_micros(u64::MAX / 2);

    /// The instant that lies `micros` microseconds after the origin, `u64::MAX - 1` at most.
    pub const fn from_micros(micros: u64) -> Instant {
        Instant(NonZeroU64::MIN.saturating_add(micros))
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0.get() - 1
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    pub const fn saturating_duration_since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// The instant `duration` ago; the origin if that lies before it.
    pub const fn saturating_sub(self, duration: Duration) -> Instant {
        Instant::from_micros(self.as_micros().saturating_sub(micros(duration)))
    }
}

impl Default for Instant {
    fn default() -> Instant {
        Instant::ORIGIN
    }
}

/// Saturates at the end of time, some 585,000 years after the origin.
impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(micros(duration)))
    }
}

const fn micros(duration: Duration) -> u64 {
    let micros = duration.as_micros();
    if micros > u64::MAX as u128 { u64::MAX } else { micros as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saturates_at_both_ends() {
        let end = Instant::from_micros(u64::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(Instant::ORIGIN + Duration::MAX, end);
        assert_eq!(Instant::ORIGIN.saturating_duration_since(end), Duration::ZERO);
        assert_eq!(Instant::ORIGIN.saturating_sub(Duration::MAX), Instant::ORIGIN);
    }
}
