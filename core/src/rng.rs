//! All randomness of a node, from one seed that the caller gives.

use core::time::Duration;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};

/// What a stream of random numbers is for.
///
/// Every purpose has a stream of its own, so that one more draw for a token
/// leaves the transaction ids of a recorded run as they were.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// The random part of our own id.
    NodeId = 1,
    /// Transaction ids.
    TransactionId = 2,
    /// Token secrets.
    TokenSecret = 3,
    /// Keys of the hash maps that hold what strangers name.
    HashKey = 4,
    /// Which values go into a response that has no room for all.
    Sample = 5,
    /// Keys of bucket refreshes.
    Refresh = 6,
    /// Jitter of periodic work.
    Jitter = 7,
    /// A download plan's choices among peers.
    Download = 8,
}

/// A seeded ChaCha12 generator: the same seed and purpose give the same numbers
/// on every platform.
#[derive(Clone, Debug)]
pub struct Rng(ChaCha12Rng);

impl Rng {
    /// The stream of `seed` for one purpose.
    pub fn new(seed: [u8; 32], purpose: Purpose) -> Rng {
        let mut rng = ChaCha12Rng::from_seed(seed);
        rng.set_stream(purpose as u64);
        Rng(rng)
    }

    /// Fills an array with random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// A number drawn uniformly from all of `u64`.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number drawn uniformly from `0..bound`; 0 if `bound` is 0.
    ///
    /// Lemire's multiplication with rejection, so that no number is favoured.
    pub fn below(&mut self, bound: u64) -> u64 {
        let threshold = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// `duration` lengthened or shortened by up to `percent` of itself.
    pub fn jitter(&mut self, duration: Duration, percent: u8) -> Duration {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let spread = micros / 100 * u64::from(percent.min(100));
        let shift = self.below(spread.saturating_mul(2).saturating_add(1));
        Duration::from_micros((micros - spread).saturating_add(shift))
    }

    /// Puts a random choice of `count` elements first, in random order (Fisher and Yates).
    pub fn partial_shuffle<T>(&mut self, slice: &mut [T], count: usize) {
        for i in 0..count.min(slice.len()) {
            let j = i + self.below((slice.len() - i) as u64) as usize;
            slice.swap(i, j);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_purpose_and_repeat_by_seed() {
        let draw = |purpose| Rng::new([7; 32], purpose).next_u64();
        assert_eq!(draw(Purpose::NodeId), draw(Purpose::NodeId));
        assert_ne!(draw(Purpose::NodeId), draw(Purpose::Jitter));
    }

    #[test]
    fn below_stays_below_and_reaches_all() {
        let mut rng = Rng::new([1; 32], Purpose::Sample);
        let mut seen = [0u32; 6];
        (0..6000).for_each(|_| seen[rng.below(6) as usize] += 1);
        assert!(seen.iter().all(|&n| (800..1200).contains(&n)), "{seen:?}");
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
    }

    #[test]
    fn jitter_stays_within_its_percentage() {
        let mut rng = Rng::new([2; 32], Purpose::Jitter);
        let minute = Duration::from_secs(60);
        for _ in 0..1000 {
            let jittered = rng.jitter(minute, 10);
            assert!(jittered >= Duration::from_secs(54) && jittered <= Duration::from_secs(66));
        }
        assert_eq!(rng.jitter(minute, 0), minute);
    }
}
