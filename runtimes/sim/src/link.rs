//! What a network does to a datagram on its way.

use bytes::{Bytes, BytesMut};
use core::time::Duration;
use khashmir::rng::Rng;

/// How every pair of nodes is connected. All chances are drawn anew for each datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// From sender to receiver, at least.
    pub latency: Duration,
    /// Added to the latency: from nothing to this, evenly.
    pub jitter: Duration,
    /// How many of a hundred datagrams never arrive.
    pub loss_percent: u8,
    /// How many of a hundred that arrive come twice, each with a delay of its own.
    pub duplication_percent: u8,
    /// How many of a hundred are held back for up to a second, so that later ones overtake them.
    pub reordering_percent: u8,
    /// How many of a hundred that arrive have a byte changed.
    pub corruption_percent: u8,
}

/// The longest that a datagram is held back in order to be overtaken.
const HELD_BACK: Duration = Duration::from_secs(1);

impl Link {
    /// 20 to 80 ms each way; nothing is lost, doubled or held back.
    pub const GOOD: Link = Link {
        latency: Duration::from_millis(20),
        jitter: Duration::from_millis(60),
        loss_percent: 0,
        duplication_percent: 0,
        reordering_percent: 0,
        corruption_percent: 0,
    };

    /// The same, but of a hundred datagrams ten are lost, five doubled and ten held back.
    pub const BAD: Link =
        Link { loss_percent: 10, duplication_percent: 5, reordering_percent: 10, ..Link::GOOD };

    /// After how long each copy of one datagram arrives; neither does if it is lost.
    pub(crate) fn delays(&self, rng: &mut Rng) -> [Option<Duration>; 2] {
        let mut happens = |percent: u8| rng.below(100) < u64::from(percent);
        let (lost, doubled) = (happens(self.loss_percent), happens(self.duplication_percent));
        if lost {
            return [None, None];
        }
        [Some(self.delay(rng)), doubled.then(|| self.delay(rng))]
    }

    /// What arrives of a datagram.
    pub(crate) fn carry(&self, datagram: &Bytes, rng: &mut Rng) -> Bytes {
        if self.corruption_percent == 0 || rng.below(100) >= u64::from(self.corruption_percent) {
            return datagram.clone();
        }
        let mut changed = BytesMut::from(&datagram[..]);
        let at = rng.below(datagram.len() as u64) as usize;
        if let Some(byte) = changed.get_mut(at) {
            *byte ^= 1 + rng.below(255) as u8;
        }
        changed.freeze()
    }

    fn delay(&self, rng: &mut Rng) -> Duration {
        let held_back = rng.below(100) < u64::from(self.reordering_percent);
        let held_back = if held_back { uniform(rng, HELD_BACK) } else { Duration::ZERO };
        self.latency + uniform(rng, self.jitter) + held_back
    }
}

/// From nothing to `most`, to the microsecond.
fn uniform(rng: &mut Rng, most: Duration) -> Duration {
    let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(rng.below(micros.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use khashmir::rng::Purpose;

    #[test]
    fn chances_and_delays_are_as_promised() {
        let mut rng = Rng::new([5; 32], Purpose::Jitter);
        let mut arrived = [0; 2];
        let mut late = 0;
        for _ in 0..10_000 {
            for (arrived, delay) in arrived.iter_mut().zip(Link::BAD.delays(&mut rng)) {
                let Some(delay) = delay else { continue };
                *arrived += 1;
                assert!((20..=1080).contains(&delay.as_millis()), "{delay:?}");
                late += u32::from(delay > Duration::from_millis(80));
            }
        }
        let [once, twice] = arrived;
        assert!((8800..9200).contains(&once), "90 of a hundred arrive: {once}");
        assert!((350..550).contains(&twice), "5 of those twice: {twice}");
        assert!((700..1100).contains(&late), "10 of those late: {late}");
        let sent = Bytes::from_static(&[7; 100]);
        let bad = Link { corruption_percent: 10, ..Link::GOOD };
        let changed: Vec<usize> = (0..10_000)
            .map(|_| bad.carry(&sent, &mut rng).iter().filter(|byte| **byte != 7).count())
            .collect();
        let all = changed.iter().sum::<usize>();
        assert!((900..1100).contains(&all) && changed.iter().all(|count| *count < 2), "{all}");
        let mut delays = (0..1000).flat_map(|_| Link::GOOD.delays(&mut rng));
        assert_eq!(delays.by_ref().flatten().count(), 1000);
    }
}
