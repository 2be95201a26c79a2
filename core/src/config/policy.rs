//! How lookups search: numbers and switches, so that a policy prints, compares and travels.

use core::time::Duration;

/// How a lookup searches (protocol, section 5). Each change that the 2008 papers made to the
/// original is a field of its own, so that its effect can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupPolicy {
    /// Requests outstanding at a time, 1 to 16.
    pub parallelism: u8,
    /// When a request is sent again, and when it has failed.
    pub retransmission: Retransmission,
    /// What makes a contact of one who queried us.
    pub admission: Admission,
    /// Failed contacts leave the K closest; a request to a contact that is no longer among the K
    /// closest gives its place to a new one and is not sent again.
    pub leap_frog: bool,
    /// The lookup is done as soon as the K closest that have not failed have all answered.
    pub abort_early: bool,
    /// New contacts, and ones that failed once, are pinged again after a while.
    pub re_ping: bool,
    /// Requests outstanding at a time until the first answer comes, to the contacts that answered
    /// fastest before. As large as `parallelism`, or larger: no difference is made, and the closest are
    /// asked first.
    pub opening: u8,
    /// A request that is due to be sent again gives its place to another, which makes for more
    /// requests at a time while some are late. So many of the K closest are waited for all the same,
    /// until they answer or fail; the lookup goes on, and ends, without the others. 8 or more: late
    /// requests hold their places, and all are waited for.
    pub patience: u8,
    /// With `abort_early`: of the K closest, once all are queried, so many answers are enough, those
    /// of the first [`patience`](Self::patience) among them. 8 or more: all.
    pub enough: u8,
    /// Contacts that failed a request, or are not known to be reachable, are neither told to others nor
    /// asked as long as there are K others; nobody waits for those that failed. Those who told the last
    /// lookup of nobody who is there are not told to others either, and of whoever tells of three who do
    /// not answer, and none who does, no more are asked.
    pub prefer_sound: bool,
}

/// When a request is sent again, counted from its first transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retransmission {
    /// When the same bytes are sent again; equal to `fail_after` or later: not at all.
    pub resend_after: [Duration; 3],
    /// When the request has failed.
    pub fail_after: Duration,
    /// Measured round trips shorten the whole schedule in proportion, but its first step never to
    /// less than this; with the first of `resend_after`, or more, the schedule stays as it is.
    pub soonest: Duration,
    /// And no request has failed sooner than this, unless `fail_after` is: some are far away, however
    /// near most are.
    pub soonest_failure: Duration,
}

/// What makes a contact of one who queried us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Its query.
    Query,
    /// Its answer to a query of ours.
    Answer,
    /// Its answer to a query of ours, if no NAT can have let that in merely because it had sent us
    /// something within [`nat_timeout`](super::Upkeep::nat_timeout). Whoever queries us is asked when
    /// it has been silent for that long; until we know K contacts that can be reached, everybody is
    /// taken at its first answer.
    Reach,
}

impl Retransmission {
    /// One transmission, failure after 20 s.
    pub const ORIGINAL: Retransmission = Retransmission {
        resend_after: [Duration::from_secs(20); 3],
        fail_after: Duration::from_secs(20),
        soonest: Duration::from_secs(20),
        soonest_failure: Duration::from_secs(20),
    };
    /// Again after 2 s and 6 s, failure at 9 s.
    pub const KHASHMIR_2008: Retransmission = Retransmission {
        resend_after: [Duration::from_secs(2), Duration::from_secs(6), Duration::from_secs(9)],
        fail_after: Duration::from_secs(9),
        soonest: Duration::from_secs(2),
        soonest_failure: Duration::from_secs(9),
    };
    /// Again after 2, 4 and 6 s, failure at 8 s, and all of that as much sooner as measured round
    /// trips allow. Where every tenth datagram is lost, one request in 770 fails for that alone.
    pub const DEFAULT: Retransmission = Retransmission {
        resend_after: [Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(6)],
        fail_after: Duration::from_secs(8),
        soonest: Duration::from_millis(100),
        soonest_failure: Duration::from_secs(1),
    };

    /// When a request that was transmitted `sent` times is transmitted again, if it is, counted
    /// from the first transmission.
    pub fn resend_at(&self, sent: u8) -> Option<Duration> {
        let at = *self.resend_after.get(usize::from(sent).checked_sub(1)?)?;
        (at < self.fail_after).then_some(at)
    }

    /// The schedule with its first step at `first`, the others in proportion.
    pub(crate) fn scaled(&self, first: Duration) -> Retransmission {
        let whole = self.resend_after[0].as_micros().max(1);
        let scale = |step: Duration| {
            let micros = step.as_micros() * first.as_micros() / whole;
            Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
        };
        Retransmission {
            resend_after: self.resend_after.map(scale),
            fail_after: scale(self.fail_after).max(self.soonest_failure.min(self.fail_after)),
            ..*self
        }
    }
}

impl LookupPolicy {
    /// The most requests that [`parallelism`](Self::parallelism) may ask for.
    pub const MAX_PARALLELISM: u8 = 16;

    /// [`patience`](Self::patience) with, or [`enough`](Self::enough) of, all K closest.
    pub const ALL_CLOSEST: u8 = 8;

    /// Whether late requests give their places to others.
    pub(crate) fn passes_over(&self) -> bool {
        self.patience < LookupPolicy::ALL_CLOSEST
    }

    /// Khashmir before the papers.
    pub const ORIGINAL: LookupPolicy = LookupPolicy {
        parallelism: 4,
        retransmission: Retransmission::ORIGINAL,
        admission: Admission::Query,
        leap_frog: false,
        abort_early: false,
        re_ping: false,
        opening: LookupPolicy::MAX_PARALLELISM,
        patience: LookupPolicy::ALL_CLOSEST,
        enough: LookupPolicy::ALL_CLOSEST,
        prefer_sound: false,
    };
    /// Requests are sent again, and only who answers becomes a contact.
    pub const RETRANSMIT: LookupPolicy = LookupPolicy {
        retransmission: Retransmission::KHASHMIR_2008,
        admission: Admission::Answer,
        ..LookupPolicy::ORIGINAL
    };
    /// Requests to contacts that fell behind no longer hold others up.
    pub const LEAPFROG: LookupPolicy = LookupPolicy { leap_frog: true, ..LookupPolicy::RETRANSMIT };
    /// And the lookup ends with the last of the K closest.
    pub const ABORT_EARLY: LookupPolicy = LookupPolicy { abort_early: true, ..LookupPolicy::LEAPFROG };
    /// The release of 2008: all of these, re-pings, and eight at a time.
    pub const KHASHMIR_2008: LookupPolicy =
        LookupPolicy { re_ping: true, parallelism: 8, ..LookupPolicy::ABORT_EARLY };
    /// Our own: waits no longer than the network needs, and keeps to contacts that answer. What that
    /// gains stands in `benches/RESULTS.md`.
    pub const DEFAULT: LookupPolicy = LookupPolicy {
        parallelism: 6,
        retransmission: Retransmission::DEFAULT,
        admission: Admission::Reach,
        opening: 2,
        patience: 3,
        enough: 6,
        prefer_sound: true,
        ..LookupPolicy::KHASHMIR_2008
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resends_follow_the_schedule() {
        let all = |r: Retransmission| [0, 1, 2, 3].map(|sent| r.resend_at(sent).map(|d| d.as_secs()));
        assert_eq!(all(Retransmission::KHASHMIR_2008), [None, Some(2), Some(6), None]);
        assert_eq!(all(Retransmission::ORIGINAL), [None; 4]);
    }
}
