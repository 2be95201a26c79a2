//! Whether waiting for peers has been worth it lately.

use std::sync::{Mutex, PoisonError};

/// How the last lookups of files went, which tells how the next will.
///
/// Where nobody near has what this machine installs, or lookups take longer than anyone would wait,
/// every file would come later by the wait for peers than without. Then the mirror is asked at
/// once, and peers that are found after all only help.
#[derive(Debug, Default)]
pub(super) struct Hopes(Mutex<Outcomes>);

#[derive(Debug, Default, Clone, Copy)]
struct Outcomes {
    /// The last ones, the latest in the lowest bit: whether a claim was found in time.
    fulfilled: u16,
    /// How many there are, 16 at most.
    known: u32,
}

/// With fewer outcomes than this nothing is concluded.
const ENOUGH: u32 = 4;
/// Waiting is worth it if of so many lookups one finds a claim in time.
const ONE_IN: u32 = 4;

impl Hopes {
    /// Notes whether a lookup found somebody who has the file in time.
    pub(super) fn note(&self, fulfilled: bool) {
        let mut outcomes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.fulfilled = outcomes.fulfilled << 1 | u16::from(fulfilled);
        outcomes.known = (outcomes.known + 1).min(u16::BITS);
    }

    /// Whether the mirror is to wait for peers.
    pub(super) fn are_high(&self) -> bool {
        let Outcomes { fulfilled, known } = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known < ENOUGH || fulfilled.count_ones() * ONE_IN >= known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disappointments_end_the_wait_and_a_few_finds_bring_it_back() {
        let hopes = Hopes::default();
        for _ in 0..3 {
            hopes.note(false);
            assert!(hopes.are_high(), "too early to tell");
        }
        for _ in 0..100 {
            hopes.note(false);
            assert!(!hopes.are_high());
        }
        (0..3).for_each(|_| hopes.note(true));
        assert!(!hopes.are_high());
        hopes.note(true);
        assert!(hopes.are_high(), "four of the last sixteen");
    }

    #[test]
    fn one_find_in_four_is_worth_waiting() {
        let hopes = Hopes::default();
        for turn in 0..40 {
            hopes.note(turn % 4 == 0);
            assert!(hopes.are_high());
        }
    }
}
