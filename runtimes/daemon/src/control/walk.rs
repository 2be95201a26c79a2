//! Walking the network, from the contacts of the daemon's node.

use std::io;
use std::time::Duration;

use smol::channel::bounded;
use smol::future::FutureExt as _;

use super::Answering;
use super::message::Teller;
use crate::walk::walk;

/// Queries in a second at most, whoever asks.
pub const MAX_PER_SECOND: u32 = 500;

impl Answering {
    /// Walks, and tells what was found.
    pub(super) async fn walk(&self, per_second: u32, at_most_s: u64, teller: &mut Teller) -> io::Result<()> {
        let Some(_turn) = self.walking.try_lock() else {
            return teller.refuse("another walk is under way; wait for its end, or end it").await;
        };
        let seeds = self.dht.known_contacts().await;
        if seeds.is_empty() {
            let text = "the daemon's node knows no other node, so there is nowhere to walk; name one with \
                        --bootstrap HOST:PORT";
            return teller.refuse(text).await;
        }
        let per_second = per_second.clamp(1, MAX_PER_SECOND);
        let at_most = Duration::from_secs(at_most_s);
        let config = self.dht.config().clone();
        let (sender, advances) = bounded(1);
        let tell = |advance| {
            // What there is no room for is out of date when there is.
            let _unheard = sender.try_send(advance);
        };
        let walk = walk(config, &seeds, per_second, at_most, tell);
        let pass_on = async {
            while let Ok(advance) = advances.recv().await {
                teller.advance(&advance).await?;
            }
            std::future::pending().await
        };
        match walk.or(pass_on).await {
            Ok(report) => teller.finish(&report).await,
            // Of the client, most likely, who then hears nothing of it.
            Err(error) => teller.refuse(&format!("the walk failed: {error}")).await,
        }
    }
}
