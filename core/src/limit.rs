//! Which addresses are proved, and how many queries are served.

use crate::config::Limits;
use crate::map::{HashKey, RecentTable, Remembered};
use crate::prefix::NetworkPrefix;
use crate::time::Instant;
use core::net::{IpAddr, SocketAddr};
use core::num::{NonZeroU32, NonZeroU64};
use core::time::Duration;

/// The addresses that lately proved that they receive what is sent to them.
///
/// Holds nearly [`Limits::proved_addresses`], and takes no more memory than those proved lately need;
/// of too many, one that was proved longest ago is forgotten.
#[derive(Clone, Debug)]
pub struct Proofs {
    /// In [units](Proof::UNIT_BITS).
    lifetime: u64,
    proved: RecentTable<SocketAddr, Proof>,
}

impl Proofs {
    /// No address is proved.
    pub fn new(limits: &Limits, key: HashKey) -> Proofs {
        let micros = limits.proof_lifetime.as_micros().min(u128::from(Instant::LATEST.as_micros()));
        let lifetime = (micros as u64 >> Proof::UNIT_BITS).max(1);
        Proofs { lifetime, proved: RecentTable::new(limits.proved_addresses, key) }
    }

    /// Notes that `addr` answered a query of ours, or presented a valid token.
    pub fn prove(&mut self, now: Instant, addr: SocketAddr) {
        let lifetime = self.lifetime;
        let is_void = |proof: &Proof| proof.age(now) >= lifetime;
        let proof = self.proved.entry(&addr, is_void, |hash| Proof::new(hash, now));
        *proof = Proof::new(proof.hash(), now);
    }

    /// Gives back the room that a crowd took. Due at every checkpoint.
    pub fn trim(&mut self, now: Instant) {
        let lifetime = self.lifetime;
        self.proved.trim(|proof| proof.age(now) >= lifetime);
    }

    /// Whether `addr` proved itself within [`Limits::proof_lifetime`]. In its last two seconds a proof
    /// may not count any more; older than that, none counts.
    pub fn is_proved(&self, now: Instant, addr: &SocketAddr) -> bool {
        self.proved.get(addr).is_some_and(|proof| proof.age(now) < self.lifetime)
    }
}

/// An address, hashed, and when it proved itself: on the left and on the right of one number.
#[derive(Clone, Copy, Debug)]
struct Proof(NonZeroU64);

impl Proof {
    /// Time is counted in units of 2^20 µs, a little more than a second. 28 bits of them are more than
    /// eight years.
    const UNIT_BITS: u32 = 20;
    const TIME: u64 = (1 << (u64::BITS - Proof::HASH_BITS)) - 1;

    fn new(hash: NonZeroU64, now: Instant) -> Proof {
        Proof(hash | (now.as_micros() >> Proof::UNIT_BITS & Proof::TIME))
    }

    /// How old it is, in units.
    fn age(self, now: Instant) -> u64 {
        (now.as_micros() >> Proof::UNIT_BITS).wrapping_sub(self.0.get()) & Proof::TIME
    }
}

impl Remembered for Proof {
    const HASH_BITS: u32 = 36;

    fn hash(&self) -> NonZeroU64 {
        NonZeroU64::new(self.0.get() & !Proof::TIME).unwrap_or(self.0)
    }

    fn used_at(&self) -> Instant {
        Instant::from_micros((self.0.get() & Proof::TIME) << Proof::UNIT_BITS)
    }
}

/// How many queries are served, per source and in all (protocol, section 7).
///
/// A source is an IPv4 address or an IPv6 /64. Those that have spent some of their budget are
/// remembered, and those of whom that is wanted, nearly [`Limits::query_sources`] of them; a source that
/// was forgotten starts anew, and then only the budget for all holds it.
#[derive(Clone, Debug)]
pub struct QueryBudget {
    /// None: lifted.
    per_source: Option<Rate>,
    sources: RecentTable<NetworkPrefix, Source>,
    /// For how long it is remembered that a source has queried.
    memory: Duration,
    in_all: Option<(Rate, Bucket)>,
}

impl QueryBudget {
    /// All budgets are full: [`Limits::query_burst_seconds`] worth of queries, one at least. `memory`: for
    /// how long [`remember`](Self::remember) holds.
    pub fn new(limits: &Limits, memory: Duration, key: HashKey) -> QueryBudget {
        let burst_seconds = limits.query_burst_seconds;
        let per_source = Rate::new(limits.queries_per_second_and_source, burst_seconds);
        let in_all = per_source.and_then(|_| Rate::new(limits.queries_per_second, burst_seconds));
        QueryBudget {
            per_source,
            sources: RecentTable::new(limits.query_sources, key),
            memory,
            in_all: in_all.map(|rate| (rate, Bucket::full(&rate, Instant::ORIGIN))),
        }
    }

    /// Gives back the room that a crowd took. Due at every checkpoint.
    pub fn trim(&mut self, now: Instant) {
        let (rate, since) = (self.per_source.unwrap_or_default(), now.saturating_sub(self.memory));
        self.sources.trim(|source| source.is_void(&rate, now, since));
    }

    /// Whether a query from `ip` is served, and if so, charges for it.
    ///
    /// A source that is over its own budget takes nothing from the others'.
    pub fn admit(&mut self, now: Instant, ip: &IpAddr) -> bool {
        let (rate, since) = (self.per_source.unwrap_or_default(), now.saturating_sub(self.memory));
        let is_void = |source: &Source| source.is_void(&rate, now, since);
        let new = |hash| Source::new(hash, Bucket::full(&rate, now));
        let source = self.sources.entry(&NetworkPrefix::source(ip), is_void, new);
        if !source.bucket.take(&rate, now) && self.per_source.is_some() {
            return false;
        }
        match &mut self.in_all {
            Some((rate, bucket)) => bucket.take(rate, now),
            None => true,
        }
    }

    /// Remembers that `ip`, whose query has just been admitted, has queried, and will when it queries again.
    pub fn remember(&mut self, ip: &IpAddr) {
        if let Some(source) = self.sources.get_mut(&NetworkPrefix::source(ip)) {
            source.remembered = true;
        }
    }

    /// Whether a query came after `since` from `ip`, of which that is remembered.
    pub fn has_queried(&self, since: Instant, ip: &IpAddr) -> bool {
        self.sources.get(&NetworkPrefix::source(ip)).is_some_and(|source| source.has_queried(since))
    }
}

/// Thousandths of a query: one query a second is exactly one of these a millisecond, so that
/// refilling rounds nothing, however often it is done.
const QUERY: u64 = 1000;

#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    per_second: u32,
    /// In thousandths of a query.
    capacity: u64,
}

impl Rate {
    /// None where zero lifts the limit.
    fn new(per_second: u32, burst_seconds: u32) -> Option<Rate> {
        let burst = u64::from(per_second) * u64::from(burst_seconds);
        let capacity = burst.max(1).saturating_mul(QUERY).min(Narrow::<2>::MAX);
        (per_second != 0).then_some(Rate { per_second, capacity })
    }
}

/// A source, hashed, and what is left of its budget.
#[derive(Clone, Debug)]
struct Source {
    hash: NonZeroU32,
    bucket: Bucket,
    remembered: bool,
}

impl Source {
    fn new(hash: NonZeroU64, bucket: Bucket) -> Source {
        let hash = NonZeroU32::new((hash.get() >> (u64::BITS - Source::HASH_BITS)) as u32);
        Source { hash: hash.unwrap_or(NonZeroU32::MAX), bucket, remembered: false }
    }

    /// Whether it says no more than a new one would, where queries before `since` are forgotten.
    fn is_void(&self, rate: &Rate, now: Instant, since: Instant) -> bool {
        !self.has_queried(since) && self.bucket.is_full(rate, now)
    }

    /// Whether it is remembered that it has queried since.
    fn has_queried(&self, since: Instant) -> bool {
        self.remembered && self.bucket.filled_at.get() > millis(since)
    }
}

impl Remembered for Source {
    const HASH_BITS: u32 = 32;

    fn hash(&self) -> NonZeroU64 {
        let hash = u64::from(self.hash.get()) << (u64::BITS - Source::HASH_BITS);
        NonZeroU64::new(hash).unwrap_or(NonZeroU64::MAX)
    }

    fn used_at(&self) -> Instant {
        Instant::from_micros(self.bucket.filled_at.get() * 1000)
    }
}

/// A token bucket.
#[derive(Clone, Debug)]
struct Bucket {
    /// In thousandths of a query.
    level: Narrow<2>,
    /// In milliseconds; they last for 8,900 years.
    filled_at: Narrow<3>,
}

impl Bucket {
    fn full(rate: &Rate, now: Instant) -> Bucket {
        Bucket { level: Narrow::new(rate.capacity), filled_at: Narrow::new(millis(now)) }
    }

    fn level_at(&self, rate: &Rate, now: Instant) -> u64 {
        let elapsed = millis(now).saturating_sub(self.filled_at.get());
        let refill = elapsed.saturating_mul(u64::from(rate.per_second));
        self.level.get().saturating_add(refill).min(rate.capacity)
    }

    fn is_full(&self, rate: &Rate, now: Instant) -> bool {
        self.level_at(rate, now) == rate.capacity
    }

    fn take(&mut self, rate: &Rate, now: Instant) -> bool {
        let level = self.level_at(rate, now);
        let rest = level.checked_sub(QUERY);
        self.level = Narrow::new(rest.unwrap_or(level));
        self.filled_at = Narrow::new(self.filled_at.get().max(millis(now)));
        rest.is_some()
    }
}

fn millis(now: Instant) -> u64 {
    now.as_micros() / 1000
}

/// A number of N times 16 bits, four at most: there are many, and they are to take no room that they
/// do not need. Greater ones become the greatest.
#[derive(Clone, Copy, Debug)]
struct Narrow<const N: usize>([u16; N]);

impl<const N: usize> Narrow<N> {
    const MAX: u64 = u64::MAX >> (u64::BITS - u16::BITS * N as u32);

    fn new(number: u64) -> Narrow<N> {
        let number = number.min(Narrow::<N>::MAX);
        Narrow(core::array::from_fn(|place| (number >> (u16::BITS * place as u32)) as u16))
    }

    fn get(self) -> u64 {
        self.0.iter().rev().fold(0, |number, part| number << u16::BITS | u64::from(*part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Rng};
    use alloc::vec::Vec;
    use khashmir_testing::quickcheck;

    fn key() -> HashKey {
        HashKey::new(&mut Rng::new([4; 32], Purpose::HashKey))
    }

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    fn budget(per_source: u32, in_all: u32, burst_seconds: u32) -> QueryBudget {
        let limits = Limits {
            queries_per_second_and_source: per_source,
            queries_per_second: in_all,
            query_burst_seconds: burst_seconds,
            ..Limits::DEFAULT
        };
        QueryBudget::new(&limits, Duration::ZERO, key())
    }

    fn host(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_proof_is_of_one_port_and_ages() {
        let mut proofs = Proofs::new(&Limits::DEFAULT, key());
        let addr = SocketAddr::new(host(1), 9977);
        let lifetime = Limits::DEFAULT.proof_lifetime;
        let secs = |secs: u64| at(secs * 1_000_000);
        proofs.prove(secs(5), addr);
        assert!(proofs.is_proved(secs(2) + lifetime, &addr));
        assert!(!proofs.is_proved(at(5_000_001) + lifetime, &addr));
        assert!(!proofs.is_proved(secs(5), &SocketAddr::new(host(1), 9978)));
        proofs.prove(secs(1000), addr);
        assert!(proofs.is_proved(secs(997) + lifetime, &addr), "proved again");
        assert!(!proofs.is_proved(secs(1 << 27), &addr), "and years later no more");
        assert_eq!(size_of::<Option<Proof>>(), 8);
    }

    #[test]
    fn proofs_are_bounded_and_the_latest_is_kept() {
        let limits = Limits { proved_addresses: 64, ..Limits::DEFAULT };
        let mut proofs = Proofs::new(&limits, key());
        let addr = |port| SocketAddr::new(host(1), port);
        for port in 1..=10_000 {
            proofs.prove(at(u64::from(port)), addr(port));
            assert!(proofs.is_proved(at(u64::from(port)), &addr(port)));
        }
        let kept = (1..=10_000).filter(|&port| proofs.is_proved(at(10_000), &addr(port))).count();
        assert!(kept <= 64, "{kept}");
    }

    #[test]
    fn a_source_gets_its_burst_and_then_its_rate() {
        let mut budget = budget(10, 1000, 3);
        let served = |budget: &mut QueryBudget, now| (0..100).filter(|_| budget.admit(now, &host(1))).count();
        assert_eq!(served(&mut budget, at(0)), 30);
        assert_eq!(served(&mut budget, at(99_999)), 0);
        assert_eq!(served(&mut budget, at(100_000)), 1);
        assert_eq!(served(&mut budget, at(3_600_000_000)), 30, "never more than the burst");
        assert!(budget.admit(at(3_600_000_000), &host(2)), "another source has its own budget");
    }

    #[test]
    fn of_those_for_whom_it_is_wanted_it_is_remembered_that_they_queried() {
        let memory = Duration::from_secs(120);
        let mut budget = QueryBudget::new(&Limits::DEFAULT, memory, key());
        let secs = |secs: u64| at(secs * 1_000_000);
        budget.admit(secs(10), &host(1));
        assert!(!budget.has_queried(secs(0), &host(1)), "nobody wants to know");
        budget.remember(&host(1));
        assert!(budget.has_queried(secs(9), &host(1)) && !budget.has_queried(secs(10), &host(1)));
        budget.admit(secs(100), &host(1));
        assert!(budget.has_queried(secs(99), &host(1)), "every query from now on");
        // A crowd comes by, of which nothing has to be remembered.
        for n in 0..60_000 {
            budget.admit(at(100_000_000 + n * 1000), &IpAddr::from([10, 1, (n >> 8) as u8, n as u8]));
        }
        assert!(budget.has_queried(secs(99), &host(1)));
        assert!(!(0..=255).any(|n| budget.has_queried(secs(99), &IpAddr::from([10, 1, 0, n]))));
        budget.trim(secs(300));
        assert!(!budget.has_queried(secs(0), &host(1)), "long ago");
    }

    #[test]
    fn an_ipv6_host_has_one_budget_for_all_its_addresses() {
        let mut budget = budget(1, 1000, 1);
        let [first, second, other] =
            ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        assert!(budget.admit(at(0), &first));
        assert!(!budget.admit(at(0), &second));
        assert!(budget.admit(at(0), &other));
    }

    #[test]
    fn a_flood_from_one_source_leaves_the_common_budget_to_others() {
        let mut budget = budget(5, 10, 1);
        assert_eq!((0..1000).filter(|_| budget.admit(at(0), &host(1))).count(), 5);
        assert_eq!((0..1000).filter(|_| budget.admit(at(0), &host(2))).count(), 5);
        assert!(!budget.admit(at(0), &host(3)), "ten in all");
        assert!(budget.admit(at(100_000), &host(3)));
    }

    #[test]
    fn zero_lifts_a_limit_and_a_source_limit_of_zero_lifts_both() {
        let count = |mut budget: QueryBudget| (0..1000).filter(|_| budget.admit(at(0), &host(1))).count();
        assert_eq!(count(budget(0, 10, 1)), 1000);
        assert_eq!(count(budget(20, 0, 1)), 20);
        assert_eq!(count(budget(20, 10, 0)), 1, "a burst is one query at least");
        assert_eq!(count(budget(u32::MAX, u32::MAX, u32::MAX)), 1000);
    }

    /// Over any run of attempts, exactly as many are served as an exact model says, which counts whole
    /// milliseconds: refilling at odd moments neither gains nor loses.
    #[test]
    fn refilling_does_not_drift() {
        fn law(rate: u32, steps_micros: Vec<u16>) -> bool {
            let rate = rate % 20 + 1;
            let mut budget = budget(rate, 0, 1);
            let capacity = u64::from(rate) * 1000;
            let (mut now, mut level) = (0, capacity);
            steps_micros.iter().all(|&step| {
                let since = now / 1000;
                now += u64::from(step);
                level = (level + (now / 1000 - since) * u64::from(rate)).min(capacity);
                let expected = level >= 1000;
                level -= if expected { 1000 } else { 0 };
                budget.admit(at(now), &host(1)) == expected
            })
        }
        quickcheck().tests(200).quickcheck(law as fn(u32, Vec<u16>) -> bool);

        assert_eq!(size_of::<Option<Source>>(), 16);
        // 3 a second, asked every seventh microsecond for not quite ten seconds: a burst of three, and
        // 29 more.
        let mut budget = budget(3, 0, 1);
        let served = (0..9_999_999).step_by(7).filter(|&now| budget.admit(at(now), &host(1))).count();
        assert_eq!(served, 32);
    }
}
