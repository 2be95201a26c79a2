//! One enum, one table: why a node wakes up.

use crate::time::Instant;

/// What a node may wake up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// A request is to be sent again, or has failed.
    Request,
    /// An operation has run out of time.
    Operation,
    /// A contact is to be pinged again.
    RePing,
    /// One who queried us is to be asked whether it can be reached.
    Newcomer,
    /// New secret, expiry, refresh.
    Checkpoint,
    /// A publication is due for renewal.
    Republish,
    /// A join that found nobody is tried again.
    Rejoin,
}

impl Timer {
    const ALL: [Timer; 7] = [
        Timer::Request,
        Timer::Operation,
        Timer::RePing,
        Timer::Newcomer,
        Timer::Checkpoint,
        Timer::Republish,
        Timer::Rejoin,
    ];
}

/// The deadline of each timer.
#[derive(Clone, Debug, Default)]
pub struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timers {
    /// Sets a timer, or stops it.
    pub fn set(&mut self, timer: Timer, deadline: Option<Instant>) {
        self.0[timer as usize] = deadline;
    }

    /// A timer's deadline.
    pub fn get(&self, timer: Timer) -> Option<Instant> {
        self.0[timer as usize]
    }

    /// The next deadline.
    pub fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// A timer that is due by now, the one due first; it is stopped.
    pub fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let first = self.next().filter(|deadline| *deadline <= now)?;
        let timer = Timer::ALL.into_iter().find(|timer| self.get(*timer) == Some(first))?;
        self.set(timer, None);
        Some(timer)
    }
}
