//! The system's monotonic time as the engine counts it.

use khashmir::Instant;
use std::time::Duration;

/// Monotonic time since the clock was made.
///
/// On Linux it counts while the machine is suspended, so that what was due then is done on waking;
/// elsewhere it is what [`std::time::Instant`] gives.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Reading,
}

impl Clock {
    /// A clock that starts now, at [`Instant::ORIGIN`].
    pub fn start() -> Clock {
        Clock { origin: Reading::now() }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        Instant::ORIGIN + Reading::now().since(self.origin)
    }

    /// How long it is until `deadline`; zero if it has passed.
    pub fn until(&self, deadline: Instant) -> Duration {
        deadline.saturating_duration_since(self.now())
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod reading {
    use rustix::time::{ClockId, clock_gettime};
    use std::time::Duration;

    #[derive(Clone, Copy, Debug)]
    pub(super) struct Reading(Duration);

    impl Reading {
        pub(super) fn now() -> Reading {
            let time = clock_gettime(ClockId::Boottime);
            let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
            let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
            Reading(Duration::new(seconds, nanos))
        }

        pub(super) fn since(self, earlier: Reading) -> Duration {
            self.0.saturating_sub(earlier.0)
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod reading {
    use std::time::{Duration, Instant};

    #[derive(Clone, Copy, Debug)]
    pub(super) struct Reading(Instant);

    impl Reading {
        pub(super) fn now() -> Reading {
            Reading(Instant::now())
        }

        pub(super) fn since(self, earlier: Reading) -> Duration {
            self.0.saturating_duration_since(earlier.0)
        }
    }
}

use reading::Reading;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_real_time_from_the_origin() {
        let (clock, real) = (Clock::start(), std::time::Instant::now());
        let first = clock.now();
        let mut last = first;
        while real.elapsed() < Duration::from_millis(20) {
            let now = clock.now();
            assert!(now >= last, "it never goes backwards");
            last = now;
        }
        // This thread may have been kept waiting since it looked at the clock.
        let last = clock.now();
        assert!(last.saturating_duration_since(first) >= Duration::from_millis(15));
        assert!(last <= Instant::ORIGIN + real.elapsed() + Duration::from_secs(1), "it began at the origin");
        assert_eq!(clock.until(Instant::ORIGIN), Duration::ZERO);
        assert!(clock.until(last + Duration::from_secs(3600)) > Duration::from_secs(3000));
    }
}
