//! Whether the system clock is plainly behind.
//!
//! A machine without a battery for its clock starts in 1970 until the network has told it the time.
//! apt then takes every Release file for not yet valid, and certificates of https mirrors are not valid
//! yet either. The daemon works all the same, so it does not refuse; it says what is wrong. Only a clock
//! that is behind is found out: a mirror's date may be old because a cache stands before it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::DATE;
use khashmir_apt::HttpDate;

use crate::problems::{Kind, Problems};

/// A clock that is no further behind is right enough: what is signed an hour ago is valid.
const ALLOWED: Duration = Duration::from_secs(3600);

/// What is known of the system clock.
#[derive(Debug)]
pub struct Clock {
    problems: Arc<Problems>,
    fault: Mutex<Option<Fault>>,
}

/// What is wrong with it: a time that has passed, which the clock says is yet to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What it says.
    pub now: SystemTime,
    /// What it should have passed.
    pub passed: SystemTime,
    /// What happened then.
    pub what: Passed,
}

/// What happened in the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// This program was built.
    Built,
    /// The daemon last wrote down the time.
    Saved,
    /// A mirror named the time in its answer.
    Mirror,
}

impl Clock {
    /// What is to be said of the clock when the daemon starts, which last wrote the time down at `saved`.
    #[must_use]
    pub fn at_start(problems: Arc<Problems>, now: SystemTime, saved: Option<SystemTime>) -> Self {
        let clock = Self { problems, fault: Mutex::default() };
        clock.compare(now, built_at(), Passed::Built);
        if let Some(saved) = saved {
            clock.compare(now, saved, Passed::Saved);
        }
        clock
    }

    /// A mirror's answer has this head.
    pub fn heard(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        if let Some(date) = date.and_then(|date| date.parse::<HttpDate>().ok()) {
            self.compare(SystemTime::now(), date.into(), Passed::Mirror);
        }
    }

    /// It is `now`: a clock that was set is no problem any more.
    pub fn look(&self, now: SystemTime) {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        if fault.is_some_and(|fault| now + ALLOWED >= fault.passed) {
            *fault = None;
            self.problems.end(Kind::Clock);
        }
    }

    fn compare(&self, now: SystemTime, passed: SystemTime, what: Passed) {
        self.look(now);
        let is_behind = passed > now + ALLOWED;
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match *fault {
            None if is_behind => {
                let new = Fault { now, passed, what };
                self.problems.begin(Kind::Clock, new.to_string());
                *fault = Some(new);
            }
            // This mirror says otherwise than that one.
            Some(known) if !is_behind && what == known.what => {
                *fault = None;
                self.problems.end(Kind::Clock);
            }
            _ => {}
        }
    }
}

/// When this program was built.
fn built_at() -> SystemTime {
    let seconds = env!("KHASHMIR_BUILT_AT").parse().unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            Passed::Built => "this program was built",
            Passed::Saved => "this daemon last noted the time",
            Passed::Mirror => "a mirror answers",
        };
        write!(
            f,
            "the system clock says {}, but {what} at {}: set the clock (`timedatectl set-ntp true`, or `date -s`), \
             or apt will take mirrors' files for not yet valid",
            HttpDate::from(self.now),
            HttpDate::from(self.passed)
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn clock(now: SystemTime, saved: Option<SystemTime>) -> Clock {
        Clock::at_start(Arc::default(), now, saved)
    }

    fn complaint(clock: &Clock) -> Option<String> {
        clock.problems.list().pop().map(|problem| problem.text)
    }

    fn heard(clock: &Clock, date: SystemTime) {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, HttpDate::from(date).to_string().parse().unwrap());
        clock.heard(&headers);
    }

    #[test]
    fn a_clock_that_is_right_is_not_complained_of() {
        let now = SystemTime::now();
        let clock = clock(now, Some(now + Duration::from_secs(600)));
        heard(&clock, now + Duration::from_secs(1800));
        heard(&clock, now - Duration::from_secs(1 << 30));
        clock.heard(&HeaderMap::new());
        assert_eq!(complaint(&clock), None);
    }

    #[test]
    fn a_clock_before_the_build_or_the_last_run_is_behind_until_it_is_set() {
        let early = clock(SystemTime::UNIX_EPOCH, None);
        let text = complaint(&early).unwrap();
        assert!(text.contains("Thu, 01 Jan 1970") && text.contains("was built at"), "{text}");
        assert!(text.contains("timedatectl"), "{text}");
        early.look(SystemTime::UNIX_EPOCH);
        assert!(complaint(&early).is_some());
        early.look(SystemTime::now());
        assert_eq!(complaint(&early), None);
        let now = SystemTime::now();
        let text = complaint(&clock(now, Some(now + Duration::from_secs(86_400)))).unwrap();
        assert!(text.contains("last noted"), "{text}");
    }

    #[test]
    fn one_mirror_that_is_ahead_is_forgotten_when_it_or_another_is_right() {
        let clock = clock(SystemTime::now(), None);
        heard(&clock, SystemTime::now() + Duration::from_secs(86_400));
        assert!(complaint(&clock).unwrap().contains("a mirror answers"));
        heard(&clock, SystemTime::now());
        assert_eq!(complaint(&clock), None);
    }
}
