//! The mirror as a source: one stream at a time, resumed where it broke.

use super::Failure;
use super::config::DownloadConfig;
use crate::time::Instant;

/// Bytes of one stream that prove the mirror to be working, so that failures are counted anew.
const PROGRESS: u64 = 16 * 1024;

/// What is known of the mirror beside the stream that is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mirror {
    pub(super) standing: Standing,
    failures: u32,
    /// Where the last stream broke, in bytes from the start of the file: what lies before it in
    /// its piece is there.
    broke_at: u64,
}

/// Whether the mirror is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Usable,
    /// It failed; not before then.
    UsableFrom(Instant),
    /// It failed too often, or has not got the file, or there is none.
    Gone,
}

impl Mirror {
    pub(super) fn new(config: &DownloadConfig) -> Mirror {
        let standing = if config.mirror { Standing::Usable } else { Standing::Gone };
        Mirror { standing, failures: 0, broke_at: 0 }
    }

    pub(super) fn is_usable(&self, now: Instant) -> bool {
        match self.standing {
            Standing::Usable => true,
            Standing::UsableFrom(at) => now >= at,
            Standing::Gone => false,
        }
    }

    /// The stream ended, for whatever reason, having brought `received` bytes up to `cursor`.
    pub(super) fn ended(&mut self, cursor: u64, received: u64) {
        self.broke_at = cursor;
        if received >= PROGRESS {
            self.failures = 0;
        }
    }

    /// The stream failed; [`ended`](Self::ended) was called before.
    pub(super) fn failed(&mut self, now: Instant, failure: Failure, config: &DownloadConfig) {
        self.failures += 1;
        self.standing = if failure == Failure::NotFound || self.failures >= config.mirror_failures.max(1) {
            Standing::Gone
        } else {
            let doublings = (self.failures - 1).min(16);
            Standing::UsableFrom(now + config.mirror_retry.saturating_mul(1 << doublings))
        };
    }

    /// Where to go on in the piece of these bytes.
    pub(super) fn resume_in(&self, piece: core::ops::Range<u64>) -> u64 {
        if piece.contains(&self.broke_at) { self.broke_at } else { piece.start }
    }

    /// What a broken stream left in these bytes is not there any more.
    pub(super) fn forget(&mut self, bytes: &core::ops::Range<u64>) {
        if bytes.contains(&self.broke_at) {
            self.broke_at = 0;
        }
    }
}
