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
}

/// When a request is sent again, counted from its first transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retransmission {
    /// When the same bytes are sent again; equal to `fail_after` or later: not at all.
    pub resend_after: [Duration; 2],
    /// When the request has failed.
    pub fail_after: Duration,
}

/// What makes a contact of one who queried us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Its query.
    Query,
    /// Its answer to a query of ours.
    Answer,
}

impl Retransmission {
    /// One transmission, failure after 20 s.
    pub const ORIGINAL: Retransmission =
        Retransmission { resend_after: [Duration::from_secs(20); 2], fail_after: Duration::from_secs(20) };
    /// Again after 2 s and 6 s, failure at 9 s.
    pub const KHASHMIR_2008: Retransmission = Retransmission {
        resend_after: [Duration::from_secs(2), Duration::from_secs(6)],
        fail_after: Duration::from_secs(9),
    };

    /// When a request that was transmitted `sent` times is transmitted again, if it is, counted
    /// from the first transmission.
    pub fn resend_at(&self, sent: u8) -> Option<Duration> {
        let at = *self.resend_after.get(usize::from(sent).checked_sub(1)?)?;
        (at < self.fail_after).then_some(at)
    }
}

impl LookupPolicy {
    /// The most requests that [`parallelism`](Self::parallelism) may ask for.
    pub const MAX_PARALLELISM: u8 = 16;

    /// Khashmir before the papers.
    pub const ORIGINAL: LookupPolicy = LookupPolicy {
        parallelism: 4,
        retransmission: Retransmission::ORIGINAL,
        admission: Admission::Query,
        leap_frog: false,
        abort_early: false,
        re_ping: false,
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
