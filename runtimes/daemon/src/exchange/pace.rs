//! How fast peers have been found and have answered lately, and whether waiting for peers has been worth it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::{Event, EventListener};

/// What the next downloads can learn from the last.
///
/// Where nobody near has what this machine installs, or lookups take longer than anyone would wait,
/// every file would come later by the wait for peers than without. Then the mirror is asked at
/// once, and peers that are found after all only help.
#[derive(Debug)]
pub(super) struct Pace {
    /// The longest that anyone waits for peers before the mirror is asked, too.
    hedge_delay: Duration,
    state: Mutex<State>,
    /// Waiting turned out to be worth it, or not.
    changed: Event,
}

#[derive(Debug, Default)]
struct State {
    outcomes: Outcomes,
    /// From the begin of a lookup to the first claim.
    lookup: Smoothed,
    /// From a request to a peer to the first byte of its answer.
    first_byte: Smoothed,
    /// Downloads under way, which share what a mirror gives.
    downloads: u32,
}

/// No wait is shorter than this part of the longest, if there is to be one: a computer may be busy.
const SHORTEST_PART: u32 = 3;
/// A lookup that ends so soon has cost nobody any time.
const UNNOTICED: Duration = Duration::from_millis(20);

impl Pace {
    pub(super) fn new(hedge_delay: Duration) -> Self {
        Self { hedge_delay, state: Mutex::default(), changed: Event::new() }
    }

    /// The longest that anyone waits for peers.
    pub(super) fn hedge_delay(&self) -> Duration {
        self.hedge_delay
    }

    /// How long to wait for somebody who has a file to be found.
    pub(super) fn mirror_delay(&self) -> Duration {
        let state = self.state();
        match state.outcomes.are_good() {
            true => self.bounded(state.lookup),
            false => Duration::ZERO,
        }
    }

    /// How long to wait for the first byte of a peer's answer.
    pub(super) fn late_silent(&self) -> Duration {
        self.bounded(self.state().first_byte)
    }

    fn bounded(&self, smoothed: Smoothed) -> Duration {
        let usual = smoothed.bound().unwrap_or(self.hedge_delay);
        usual.max(self.hedge_delay / SHORTEST_PART).min(self.hedge_delay)
    }

    /// A lookup found somebody who has the file, after so long.
    pub(super) fn found_after(&self, took: Duration) {
        self.state().lookup.add(took);
        self.note(took <= self.hedge_delay);
    }

    /// A lookup has found nobody after so long; it may go on.
    pub(super) fn found_nobody_after(&self, took: Duration) {
        if took > UNNOTICED.min(self.hedge_delay) {
            self.note(false);
        }
    }

    fn note(&self, fulfilled: bool) {
        let mut state = self.state();
        let before = state.outcomes.are_good();
        state.outcomes.note(fulfilled);
        let has_changed = state.outcomes.are_good() != before;
        drop(state);
        if has_changed {
            self.changed.notify(usize::MAX);
        }
    }

    /// Hears when waiting turns out to be worth it, or not.
    pub(super) fn changed(&self) -> EventListener {
        self.changed.listen()
    }

    /// A peer's answer began after so long.
    pub(super) fn answered_after(&self, took: Duration) {
        self.state().first_byte.add(took);
    }

    /// A download begins; it has ended when the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Download {
        self.state().downloads += 1;
        Download(Arc::clone(self))
    }

    /// What one of the downloads that are under way may expect of a mirror that gives `rate` in all,
    /// in bytes a second.
    pub(super) fn share_of(&self, rate: Option<u64>) -> Option<u64> {
        rate.map(|rate| (rate / u64::from(self.state().downloads.max(1))).max(1))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A download under way.
#[derive(Debug)]
pub(super) struct Download(Arc<Pace>);

impl Drop for Download {
    fn drop(&mut self) {
        self.0.state().downloads -= 1;
    }
}

/// How the last lookups of files went.
#[derive(Debug, Default, Clone, Copy)]
struct Outcomes {
    /// The latest in the lowest bit: whether a claim was found in time.
    fulfilled: u16,
    /// How many there are, 16 at most.
    known: u32,
}

/// With fewer outcomes than this nothing is concluded.
const ENOUGH: u32 = 4;
/// Waiting is worth it if of so many lookups one finds a claim in time.
const ONE_IN: u32 = 4;

impl Outcomes {
    fn note(&mut self, fulfilled: bool) {
        self.fulfilled = self.fulfilled << 1 | u16::from(fulfilled);
        self.known = (self.known + 1).min(u16::BITS);
    }

    fn are_good(self) -> bool {
        self.known < ENOUGH || self.fulfilled.count_ones() * ONE_IN >= self.known
    }
}

/// A time, its mean and how far it strays from that, as TCP has its round trips (RFC 6298).
#[derive(Debug, Default, Clone, Copy)]
struct Smoothed(Option<(Duration, Duration)>);

impl Smoothed {
    fn add(&mut self, took: Duration) {
        self.0 = Some(match self.0 {
            None => (took, took / 2),
            Some((mean, stray)) => ((mean * 7 + took) / 8, (stray * 3 + mean.abs_diff(took)) / 4),
        });
    }

    /// What is rarely exceeded.
    fn bound(self) -> Option<Duration> {
        self.0.map(|(mean, stray)| mean + stray * 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pace() -> Pace {
        Pace::new(300 * MS)
    }

    #[test]
    fn disappointments_end_the_wait_and_a_few_finds_bring_it_back() {
        let pace = pace();
        for _ in 0..3 {
            pace.found_nobody_after(300 * MS);
            assert_eq!(pace.mirror_delay(), 300 * MS, "too early to tell");
        }
        for _ in 0..100 {
            pace.found_nobody_after(30 * MS);
            assert_eq!(pace.mirror_delay(), Duration::ZERO);
        }
        (0..3).for_each(|_| pace.found_after(250 * MS));
        assert_eq!(pace.mirror_delay(), Duration::ZERO);
        pace.found_after(250 * MS);
        assert!(pace.mirror_delay() > 250 * MS, "four of the last sixteen");
    }

    #[test]
    fn one_find_in_four_is_worth_waiting() {
        let pace = pace();
        for turn in 0..40 {
            match turn % 4 {
                0 => pace.found_after(10 * MS),
                _ => pace.found_nobody_after(400 * MS),
            }
            assert!(pace.mirror_delay() > Duration::ZERO);
        }
    }

    #[test]
    fn a_claim_that_comes_too_late_is_a_disappointment_and_an_answer_at_once_is_none() {
        let pace = pace();
        (0..16).for_each(|_| pace.found_nobody_after(MS));
        assert_eq!(pace.mirror_delay(), 300 * MS);
        (0..4).for_each(|_| pace.found_after(5000 * MS));
        assert_eq!(pace.mirror_delay(), Duration::ZERO);
    }

    #[test]
    fn the_wait_is_what_it_usually_takes_within_bounds() {
        let pace = pace();
        assert_eq!(pace.late_silent(), 300 * MS, "nothing is known");
        (0..50).for_each(|_| pace.answered_after(MS));
        assert_eq!(pace.late_silent(), 100 * MS);
        for n in 0..50 {
            pace.answered_after((100 + n % 2 * 40) * MS);
        }
        let late = pace.late_silent();
        assert!(late > 160 * MS && late < 260 * MS, "{late:?}");
        pace.answered_after(4000 * MS);
        assert_eq!(pace.late_silent(), 300 * MS);
    }

    #[test]
    fn downloads_share_what_a_mirror_gives() {
        let pace = Arc::new(pace());
        assert_eq!(pace.share_of(Some(8_000_000)), Some(8_000_000));
        let downloads: Vec<Download> = (0..4).map(|_| pace.begin()).collect();
        assert_eq!(pace.share_of(Some(8_000_000)), Some(2_000_000));
        drop(downloads);
        assert_eq!((pace.share_of(Some(8_000_000)), pace.share_of(None)), (Some(8_000_000), None));
    }
}
