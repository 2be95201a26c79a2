//! The line to a mirror: whose bytes come first on it, and how many it gives.
//!
//! Files are fetched ahead of the one that apt waits for. On a line that gives only so much, that
//! one would come later by what the others take; so of those only the beginning is read as long
//! as apt waits for a file from the same mirror. That is all of most packages.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_listener::Event;
use smol::future::FutureExt as _;

use super::file::Fetch;

/// What is read of an answer that nobody waits for yet, in bytes.
const AHEAD: u64 = 1 << 20;
/// So often more is read nevertheless: a mirror gives up who takes nothing for long.
const KEPT_ALIVE: Duration = Duration::from_secs(5);
/// Mirrors whose speed is remembered.
const MAX_LINES: usize = 64;
/// Over how long, and how many bytes at least, speed is measured: less says more about distance.
const WINDOW: Duration = Duration::from_millis(200);
const WINDOW_BYTES: u64 = 128 * 1024;

/// The lines to all mirrors.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: Mutex<HashMap<String, Line>>,
    /// Nobody waits any more for an answer on some line.
    calmed: Event,
}

#[derive(Debug, Default)]
struct Line {
    /// Answers that come in.
    streams: u32,
    /// Those of them that somebody waits for.
    urgent: u32,
    meter: Meter,
}

impl Lines {
    /// What a mirror gives in all, in bytes a second, if that is known.
    pub(super) fn rate(&self, mirror: &str) -> Option<u64> {
        self.lock().get(mirror)?.meter.rate.map(|rate| rate as u64)
    }

    /// An answer of a mirror begins that brings bytes of `fetch`.
    pub(super) fn stream(self: &Arc<Self>, mirror: &str, fetch: &Arc<Fetch>) -> Stream {
        let mut lines = self.lock();
        if lines.len() >= MAX_LINES && !lines.contains_key(mirror) {
            lines.retain(|_, line| line.streams > 0);
        }
        let line = lines.entry(mirror.to_owned()).or_default();
        line.streams += 1;
        if line.streams == 1 {
            line.meter.pause();
        }
        drop(lines);
        let (lines, mirror) = (Arc::clone(self), mirror.to_owned());
        Stream { lines, mirror, fetch: Arc::clone(fetch), received: 0, is_urgent: false }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer of a mirror that is coming in.
#[derive(Debug)]
pub(super) struct Stream {
    lines: Arc<Lines>,
    mirror: String,
    fetch: Arc<Fetch>,
    received: u64,
    is_urgent: bool,
}

impl Stream {
    /// Waits until more of the answer is to be read.
    pub(super) async fn turn(&mut self) {
        loop {
            let calmed = self.lines.calmed.listen();
            if self.may_read() {
                return;
            }
            let enough = async {
                smol::Timer::after(KEPT_ALIVE).await;
                true
            };
            let changed = async {
                calmed.or(self.fetch.wanted()).await;
                false
            };
            if changed.or(enough).await {
                return;
            }
        }
    }

    fn may_read(&mut self) -> bool {
        let mut lines = self.lines.lock();
        let Some(line) = lines.get_mut(&self.mirror) else { return true };
        if !self.is_urgent && self.fetch.is_wanted() {
            self.is_urgent = true;
            line.urgent += 1;
        }
        self.is_urgent || self.received < AHEAD || line.urgent == 0
    }

    /// So many more bytes have come.
    pub(super) fn received(&mut self, bytes: u64) {
        self.received += bytes;
        if let Some(line) = self.lines.lock().get_mut(&self.mirror) {
            line.meter.add(bytes, Instant::now());
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut lines = self.lines.lock();
        let Some(line) = lines.get_mut(&self.mirror) else { return };
        line.streams -= 1;
        if self.is_urgent {
            line.urgent -= 1;
            if line.urgent == 0 {
                self.lines.calmed.notify(usize::MAX);
            }
        }
    }
}

/// How fast a mirror is, over all answers that come in at a time.
#[derive(Debug, Default)]
struct Meter {
    /// Bytes a second.
    rate: Option<f64>,
    /// Since when so many bytes have come.
    window: Option<(Instant, u64)>,
}

impl Meter {
    /// Nothing was asked for until now.
    fn pause(&mut self) {
        self.window = None;
    }

    fn add(&mut self, bytes: u64, now: Instant) {
        let Some((since, before)) = self.window else {
            // What came with the first has been waiting somewhere.
            self.window = Some((now, 0));
            return;
        };
        let (took, all) = (now.saturating_duration_since(since), before + bytes);
        self.window = Some((since, all));
        if took >= WINDOW && all >= WINDOW_BYTES {
            let sample = all as f64 / took.as_secs_f64();
            self.rate = Some(self.rate.map_or(sample, |rate| (rate * 3.0 + sample) / 4.0));
            self.window = Some((now, 0));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use smol::future::poll_once;

    use super::super::file::tests::fetch_of;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn all_answers_that_come_at_a_time_are_one_mirrors_speed() {
        let mut meter = Meter::default();
        let began = Instant::now();
        for n in 0..=100_u32 {
            // Of two answers, each 16 KiB in 10 ms.
            meter.add(16_384, began + 10 * n * MS);
            meter.add(16_384, began + 10 * n * MS);
        }
        let rate = meter.rate.unwrap();
        assert!((rate / 3_276_800.0 - 1.0).abs() < 0.1, "{rate}");
        let few = &mut Meter::default();
        (0..100_u32).for_each(|n| few.add(100, began + 100 * n * MS));
        assert_eq!(few.rate, None, "too little to tell");
    }

    #[test]
    fn what_is_fetched_ahead_stops_while_somebody_waits_for_another_file_of_the_mirror() {
        let (first, second) = (fetch_of(b"first"), fetch_of(b"second"));
        let lines = Arc::new(Lines::default());
        let mut urgent = lines.stream("m", &first.fetch);
        let mut ahead = lines.stream("m", &second.fetch);
        let mut elsewhere = lines.stream("n", &second.fetch);
        first.fetch.want();
        smol::block_on(async {
            urgent.turn().await;
            urgent.received(2 * AHEAD);
            elsewhere.received(2 * AHEAD);
            ahead.received(AHEAD - 1);
            // What is wanted, what goes another way, and the beginning of what is neither.
            for stream in [&mut urgent, &mut elsewhere, &mut ahead] {
                assert!(poll_once(stream.turn()).await.is_some());
            }
            ahead.received(1);
            let mut waiting = std::pin::pin!(ahead.turn());
            assert!(poll_once(&mut waiting).await.is_none());
            drop(urgent);
            assert!(poll_once(&mut waiting).await.is_some(), "nobody waits any more");
        });
    }

    #[test]
    fn what_is_fetched_ahead_goes_on_once_it_is_waited_for_itself() {
        let (first, second) = (fetch_of(b"first"), fetch_of(b"second"));
        let lines = Arc::new(Lines::default());
        let mut urgent = lines.stream("m", &first.fetch);
        let mut ahead = lines.stream("m", &second.fetch);
        first.fetch.want();
        smol::block_on(async {
            urgent.turn().await;
            ahead.received(AHEAD);
            let mut waiting = std::pin::pin!(ahead.turn());
            assert!(poll_once(&mut waiting).await.is_none());
            second.fetch.want();
            assert!(poll_once(&mut waiting).await.is_some());
        });
    }
}
