//! One plan, from its first action to its last event.

use std::sync::Arc;
use std::time::Instant;

use khashmir::claim::Claim;
use khashmir::download::{Action, Download, Event, FailedBecause, Failure, Verdict};
use khashmir_apt::Sha256;
use smol::Timer;
use smol::future::FutureExt as _;

use super::counted::Counted;
use super::evidence::Evidence;
use super::liars::Liars;
use super::pace::Pace;
use super::requests::{Piece, Requests, Target, Told};
use super::{Exchange, Lookup, digest};
use crate::Context;
use crate::cache::Verified;
use crate::fetch::{Fetch, MAX_LEN, Mirror, MirrorError, Origin};
use crate::upstream::Fault;

/// A plan that is being carried out.
#[derive(Debug)]
pub(super) struct Run {
    context: Arc<Context>,
    liars: Arc<Liars>,
    plan: Download,
    fetch: Arc<Fetch>,
    size: u64,
    requests: Requests,
    started: Instant,
    counted: Counted,
    pace: Arc<Pace>,
    mirror: Mirror,
    is_wanted: bool,
    /// Why the mirror cannot give the file, however often it is asked.
    mirror_lacks_it: Option<MirrorError>,
    /// The hash of the whole file, as it was last.
    verified: Option<Verified>,
}

/// What a plan came to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// All bytes are there, and this is their hash.
    Complete(Verified),
    /// No peer can give what is missing.
    MirrorAlone,
}

/// Why a plan is to be told something.
enum Woken {
    Told(Told),
    /// Somebody waits for the file now.
    Wanted,
    /// It is worth waiting for peers, or no longer.
    Experienced,
    Due,
}

impl Run {
    pub(super) fn new(
        exchange: &Exchange,
        plan: Download,
        fetch: &Arc<Fetch>,
        mirror: &Mirror,
        sha256: Sha256,
        size: u64,
    ) -> Self {
        let target = Target { fetch: Arc::clone(fetch), mirror: mirror.clone(), sha256, size };
        Self {
            context: Arc::clone(&exchange.context),
            liars: Arc::clone(&exchange.liars),
            plan,
            fetch: Arc::clone(fetch),
            size,
            requests: Requests::new(exchange, target),
            started: Instant::now(),
            counted: Counted::default(),
            pace: Arc::clone(&exchange.pace),
            mirror: mirror.clone(),
            is_wanted: false,
            mirror_lacks_it: None,
            verified: None,
        }
    }

    /// Carries the plan out, and notes who gave what.
    pub(super) async fn carry_out(
        mut self,
        lookup: Lookup,
        evidence: &mut Evidence,
    ) -> Result<Outcome, MirrorError> {
        self.requests.look_up(lookup);
        loop {
            // First what is no longer there, then who is to send it again.
            while let Some(event) = self.plan.poll_event() {
                let outcome = self.on_event(event, evidence).await?;
                self.counted.update(&self.context.stats, self.plan.stats());
                if let Some(outcome) = outcome {
                    return Ok(outcome);
                }
            }
            self.act();
            match self.next().await {
                Woken::Wanted => {
                    self.is_wanted = true;
                    self.plan.handle_wanted(self.now());
                }
                Woken::Experienced => {
                    let (delay, rate) = (self.pace.mirror_delay(), self.pace.share_of(self.mirror.rate()));
                    self.plan.handle_experience(self.now(), delay, rate);
                }
                Woken::Told(told) => {
                    for (id, received, is_held) in self.requests.progress() {
                        match is_held {
                            true => self.plan.handle_held(self.now(), id),
                            false => self.plan.handle_sent(self.now(), id),
                        }
                        self.plan.handle_progress(self.now(), id, received);
                    }
                    let nobody_has_it = matches!(told, Told::LookupEnded) && self.nobody_has_it();
                    self.on_told(told, evidence).await?;
                    self.counted.update(&self.context.stats, self.plan.stats());
                    if nobody_has_it {
                        return Ok(Outcome::MirrorAlone);
                    }
                }
                Woken::Due => self.plan.handle_timeout(self.now()),
            }
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.plan.poll_action() {
            match action {
                Action::Request(request) => self.requests.start(request, self.plan.piece_hashes_max_len()),
                Action::Cancel(id) => self.requests.cancel(id),
            }
        }
    }

    /// Waits until the plan is to be told something.
    async fn next(&self) -> Woken {
        let due = self
            .plan
            .poll_timeout()
            .map(|at| self.started + at.saturating_duration_since(khashmir::Instant::ORIGIN));
        let due = async {
            match due {
                Some(due) => Timer::at(due).await,
                None => Timer::never().await,
            };
            Woken::Due
        };
        let wanted = async {
            match self.is_wanted {
                true => smol::future::pending().await,
                false => self.fetch.wanted().await,
            }
            Woken::Wanted
        };
        let experienced = async {
            self.pace.changed().await;
            Woken::Experienced
        };
        let told = async { Woken::Told(self.requests.next().await) };
        told.or(wanted).or(experienced).or(due).await
    }

    /// Whether there was no claim to have the file, and the mirror has not been asked yet.
    fn nobody_has_it(&self) -> bool {
        let stats = self.plan.stats();
        let claims = stats.claims_plain + stats.claims_inline + stats.claims_dht + stats.claims_peers;
        claims <= stats.claims_refused && self.requests.is_empty()
    }

    async fn on_told(&mut self, told: Told, evidence: &mut Evidence) -> Result<(), MirrorError> {
        let now = self.now();
        match told {
            Told::Value(value, key)
                if Claim::decode(&value, key).is_ok_and(|claim| self.liars.made(&claim, Instant::now())) =>
            {
                self.context.stats.claims.distrusted.increment();
            }
            Told::Value(value, key) => self.plan.handle_value(now, &value, key),
            Told::LookupEnded => self.plan.handle_lookup_ended(now),
            Told::Progress => {}
            Told::PieceHashes(id, result) => {
                self.plan.handle_piece_hashes(now, id, result.as_deref().map_err(|failure| *failure));
            }
            Told::Piece(id, Err(failure)) => {
                let _discarded = self.plan.handle_piece(now, id, Err(failure));
            }
            Told::Piece(id, Ok(Piece { peer, offset, sha1, bytes })) => {
                let range = offset..offset + bytes.len() as u64;
                let wrong_before = self.plan.stats().pieces_wrong;
                let verdict = self.plan.handle_piece(now, id, Ok(sha1));
                if self.plan.stats().pieces_wrong > wrong_before {
                    self.fetch.trail().piece_was_wrong(peer);
                }
                if verdict == Verdict::Discard {
                    evidence.refused(peer, range, sha1);
                } else {
                    evidence.kept(peer, range, sha1);
                    self.fetch
                        .write_at(offset, bytes, Origin::Peer)
                        .await
                        .map_err(|error| Fault::Local(format!("cannot write what arrives: {error}")))?;
                }
                self.requests.cancel(id);
            }
            Told::RangeEnded(id, result) => {
                let result = match result {
                    Ok(()) => Ok(()),
                    Err(error @ MirrorError::Fault(Fault::Local(_))) => return Err(error),
                    Err(error) => Err(self.failure_of(error)),
                };
                self.plan.handle_range_ended(now, id, result);
                self.requests.cancel(id);
            }
        }
        Ok(())
    }

    /// What the plan makes of the mirror's error.
    fn failure_of(&mut self, error: MirrorError) -> Failure {
        tracing::debug!(%error, "the mirror did not give what was asked for");
        match error {
            MirrorError::Fault(Fault::Transient { .. } | Fault::Local(_)) => Failure::Interrupted,
            lacks_it => {
                self.mirror_lacks_it = Some(lacks_it);
                Failure::NotFound
            }
        }
    }

    async fn on_event(
        &mut self,
        event: Event,
        evidence: &mut Evidence,
    ) -> Result<Option<Outcome>, MirrorError> {
        match event {
            Event::Discarded { offset, len } => {
                evidence.discarded(&(offset..offset + len));
                let fetch = Arc::clone(&self.fetch);
                smol::unblock(move || fetch.discard_peer_bytes(&(offset..offset + len))).await;
            }
            Event::AllPiecesDone => {
                self.fetch.settle_len(self.size).map_err(Fault::transient)?;
                let verified = digest(&self.fetch).await?;
                self.verified = Some(verified);
                let is_right = self.fetch.is_expected(verified);
                if !is_right {
                    self.fetch.trail().file_was_wrong();
                }
                self.plan.handle_file_hash(self.now(), is_right);
            }
            Event::Finished => return Ok(self.verified.map(Outcome::Complete)),
            // What the mirror sent is apt's to judge, if no other had a part in it.
            Event::Failed(FailedBecause::MirrorWrong) if !self.fetch.has_peer_bytes() => {
                return Ok(self.verified.map(Outcome::Complete));
            }
            Event::Failed(because) => {
                tracing::debug!(%because, "no peer can give what is missing");
                match self.mirror_lacks_it.take() {
                    // Pieces of the wanted file have no place in another.
                    Some(MirrorError::OtherFile { .. }) => {
                        evidence.discarded(&(0..MAX_LEN));
                        self.fetch.discard_peer_bytes(&(0..MAX_LEN));
                    }
                    Some(error) => return Err(error),
                    None => {}
                }
                return Ok(Some(Outcome::MirrorAlone));
            }
            _ => {}
        }
        Ok(None)
    }

    fn now(&self) -> khashmir::Instant {
        khashmir::Instant::ORIGIN + self.started.elapsed()
    }
}
