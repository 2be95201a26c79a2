//! Bars for what takes a while.

use std::collections::HashMap;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text::{plural, size};
use crate::control::Fetching;

/// A bar with a name before it and numbers behind it; if it gets too long, the numbers are cut.
const WITH_BAR: &str = "{prefix:>30!} [{bar:24}] {percent:>3} % {wide_msg}";
/// The same where the length is not known.
const WITHOUT_BAR: &str = "{prefix:>30!} [{spinner:24}]       {wide_msg}";

/// The downloads in progress on a terminal.
#[derive(Debug)]
pub(super) struct Bars {
    all: MultiProgress,
    /// By hash.
    bars: HashMap<String, ProgressBar>,
}

impl Bars {
    pub(super) fn on_stdout() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        Self { all, bars: HashMap::new() }
    }

    /// Shows these; bars of those that have ended go.
    pub(super) fn show(&mut self, fetching: &[Fetching]) {
        self.bars.retain(|sha256, bar| {
            let is_there = fetching.iter().any(|fetching| fetching.record.sha256 == *sha256);
            if !is_there {
                bar.finish_and_clear();
            }
            is_there
        });
        for fetching in fetching {
            let bar = self.bars.entry(fetching.record.sha256.clone()).or_insert_with(|| {
                let bar = self.all.add(ProgressBar::no_length());
                bar.set_prefix(name(fetching));
                bar
            });
            let len = fetching.len.unwrap_or(0);
            bar.set_style(style(if len > 0 { WITH_BAR } else { WITHOUT_BAR }));
            bar.set_length(len);
            bar.set_position(arrived(fetching));
            bar.set_message(numbers(fetching));
            bar.force_draw();
        }
    }

    /// Leaves them standing as they are.
    pub(super) fn leave(self) {
        self.bars.into_values().for_each(|bar| bar.abandon());
    }
}

/// One bar, on standard error, for what one command waits for; nothing where that is no terminal.
pub(super) fn alone(prefix: &str) -> ProgressBar {
    let bar = ProgressBar::no_length();
    bar.set_style(style(WITHOUT_BAR));
    bar.set_prefix(prefix.to_owned());
    bar
}

/// Shows how much of it is there.
pub(super) fn advance(bar: &ProgressBar, done: u64, len: u64) {
    if bar.length() != Some(len) {
        bar.set_style(style(WITH_BAR));
        bar.set_length(len);
    }
    bar.set_position(done);
    bar.set_message(format!("{} of {}", size(done), size(len)));
}

/// A download in one line, without a bar.
pub(super) fn line(fetching: &Fetching) -> String {
    let percent = match fetching.len {
        Some(len) if len > 0 => format!("{:>3} %", u128::from(arrived(fetching)) * 100 / u128::from(len)),
        _ => "  ? %".to_owned(),
    };
    format!("{} {percent} {}", name(fetching), numbers(fetching))
}

fn name(fetching: &Fetching) -> String {
    let record = &fetching.record;
    match record.name() {
        "" => record.sha256.get(..16).unwrap_or(&record.sha256).to_owned(),
        name => name.to_owned(),
    }
}

fn arrived(fetching: &Fetching) -> u64 {
    fetching.record.bytes_from_peers + fetching.record.bytes_from_mirror
}

fn numbers(fetching: &Fetching) -> String {
    let record = &fetching.record;
    let peers = record.peers.iter().filter(|peer| peer.bytes > 0).count() as u64;
    format!(
        "{} of {}, {} from {}, {} from the mirror, {:.1} s",
        size(arrived(fetching)),
        fetching.len.map_or("?".to_owned(), size),
        size(record.bytes_from_peers),
        plural(peers, "peer", "peers"),
        size(record.bytes_from_mirror),
        record.took_ms as f64 / 1000.0,
    )
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("#>-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{PeerAsked, Record};

    #[test]
    fn a_download_reads_like_this() {
        let peer = PeerAsked {
            address: ([192, 0, 2, 1], 9978).into(),
            asked_ms: 3,
            first_ms: Some(20),
            answers: 2,
            bytes: 1 << 20,
            wrong: 0,
            failed: None,
        };
        let record = Record {
            url: Some("http://m.example/pool/big_1.0_all.deb".to_owned()),
            took_ms: 1234,
            bytes_from_peers: 1 << 20,
            bytes_from_mirror: 1 << 19,
            peers: vec![peer],
            ..Record::default()
        };
        let mut fetching = Fetching { len: Some(3 << 20), record };
        assert_eq!(
            line(&fetching),
            "big_1.0_all.deb  50 % 1.5 MiB of 3.0 MiB, 1.0 MiB from 1 peer, 512.0 KiB from the mirror, 1.2 s"
        );
        fetching = Fetching { len: None, ..fetching };
        assert!(line(&fetching).contains("? % 1.5 MiB of ?"), "{}", line(&fetching));
    }

    #[test]
    fn the_templates_are_right() {
        for template in [WITH_BAR, WITHOUT_BAR] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
