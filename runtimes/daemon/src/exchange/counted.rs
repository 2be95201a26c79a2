//! What plans count, in the daemon's statistics.

use khashmir::download::DownloadStats;

use crate::stats::Stats;

/// What of a plan's numbers has been counted already.
#[derive(Debug, Default)]
pub(super) struct Counted(DownloadStats);

impl Counted {
    /// Counts what is new. The mirror's bytes are counted where they arrive.
    pub(super) fn update(&mut self, stats: &Stats, now: DownloadStats) {
        let before = std::mem::replace(&mut self.0, now);
        let (claims, downloads) = (&stats.claims, &stats.downloads);
        for (counter, now, before) in [
            (&claims.plain, now.claims_plain, before.claims_plain),
            (&claims.t, now.claims_inline, before.claims_inline),
            (&claims.h, now.claims_dht, before.claims_dht),
            (&claims.l, now.claims_peers, before.claims_peers),
            (&claims.malformed, now.claims_malformed, before.claims_malformed),
            (&downloads.pieces_good, now.pieces_from_peers, before.pieces_from_peers),
            (&downloads.pieces_bad, now.pieces_wrong, before.pieces_wrong),
            (&downloads.pieces_late, now.pieces_late, before.pieces_late),
            (&downloads.files_bad, now.files_wrong, before.files_wrong),
            (&downloads.bytes_from_peers, now.bytes_from_peers, before.bytes_from_peers),
            (&downloads.bytes_wasted, now.bytes_wasted, before.bytes_wasted),
        ] {
            counter.add(now.saturating_sub(before));
        }
    }
}
