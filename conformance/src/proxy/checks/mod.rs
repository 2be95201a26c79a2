//! The checks, a file for each group.

mod by_hash;
mod concurrent;
mod connections;
mod encodings;
mod errors;
mod forms;
mod hardening;
mod lengths;
mod pipelining;
mod ranges;
mod redirects;
mod slow;
mod stale;
mod truncation;
mod validators;

use std::thread::ScopedJoinHandle;
use std::time::Duration;

use super::Target;
use super::reply::Step;
use crate::check::{Check, Outcome, Unmet};

/// The checks of one group.
type Rows = &'static [Check<Target>];

const GROUPS: [Rows; 15] = [
    forms::CHECKS,
    connections::CHECKS,
    pipelining::CHECKS,
    ranges::CHECKS,
    validators::CHECKS,
    encodings::CHECKS,
    by_hash::CHECKS,
    truncation::CHECKS,
    concurrent::CHECKS,
    errors::CHECKS,
    redirects::CHECKS,
    lengths::CHECKS,
    slow::CHECKS,
    stale::CHECKS,
    hardening::CHECKS,
];

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static Check<Target>> {
    GROUPS.into_iter().flatten()
}

/// A check at a place in `APT.md` or an RFC, and what stands there.
const fn required(
    name: &'static str,
    place: &'static str,
    sentence: &'static str,
    run: fn(&Target) -> Outcome,
) -> Check<Target> {
    Check::required(name, 0, sentence, run).resting_on(place)
}

const fn recommended(
    name: &'static str,
    place: &'static str,
    sentence: &'static str,
    run: fn(&Target) -> Outcome,
) -> Check<Target> {
    Check::recommended(name, 0, sentence, run).resting_on(place)
}

const fn hardening(
    name: &'static str,
    place: &'static str,
    sentence: &'static str,
    run: fn(&Target) -> Outcome,
) -> Check<Target> {
    Check::hardening(name, 0, sentence, run).resting_on(place)
}

fn pause(time: Duration) -> Step {
    Step::Pause(time)
}

/// What a thread of a check came to.
pub(super) fn joined(thread: ScopedJoinHandle<'_, Outcome>) -> Outcome {
    thread.join().unwrap_or_else(|_| Err(Unmet::failed("an answer that can be judged", "this check broke")))
}
