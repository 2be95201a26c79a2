//! The iterative search for the contacts closest to a target: policy, frontier, one pure step.
//!
//! Protocol, section 5. A lookup sends nothing and knows no clock. [`Lookup::step`] says what the
//! policy wants done next; what came of it is put back in with [`answered`](Lookup::answered),
//! [`found`](Lookup::found) and [`failed`](Lookup::failed).

mod teller;

pub use teller::TellerId;

use crate::config::{Limits, LookupPolicy};
use crate::id::{Contact, Id};
use crate::krpc::K;
use crate::prefix::NetworkPrefix;
use alloc::boxed::Box;
use alloc::vec::Vec;
use arrayvec::ArrayVec;
use core::num::NonZeroU32;
use core::ops::Deref;
use teller::{Teller, Tellers, ToldBy};

/// Longest token of another node that we keep; longer ones count as none. 2008 gives 20 bytes.
pub const MAX_TOKEN_LEN: usize = 64;

/// A token as another node gave it, of [`MAX_TOKEN_LEN`] bytes at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignToken(Box<[u8]>);

impl ForeignToken {
    /// The token; `None` if it is too long.
    pub fn new(token: &[u8]) -> Option<ForeignToken> {
        (token.len() <= MAX_TOKEN_LEN).then(|| ForeignToken(token.into()))
    }
}

impl Deref for ForeignToken {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Contacts that a frontier holds; beyond it the farthest goes.
const MAX_CANDIDATES: usize = 128;

/// By how many a frontier grows: most hold about 40.
const MORE_CANDIDATES: usize = 16;

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Query this contact. It now counts as queried.
    Query(Contact),
    /// The request to this contact has lost its place: do not send it again. A late answer counts.
    Abandon(Contact),
    /// Nothing until an answer or a failure comes.
    Wait,
    /// The lookup is over.
    Done,
}

/// The state of one lookup in one address family.
#[derive(Clone, Debug)]
pub struct Lookup {
    target: Id,
    /// Closest to the target first.
    candidates: Vec<Candidate>,
    queries: usize,
    /// Answers of others that came.
    answers: usize,
    tellers: Tellers,
}

/// A contact in the frontier.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Who it is.
    pub contact: Contact,
    /// How many values it said that it holds.
    pub num: u64,
    /// Its token, if it gave one.
    pub token: Option<ForeignToken>,
    known: Known,
    told_by: ToldBy,
    /// Who it is among the tellers, once it has told of others.
    teller: Option<TellerId>,
    state: State,
}

/// What is known of a contact before it is queried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// Whether it is one of few allowed in its prefix.
    pub counted: bool,
    /// Whether it is queried, but not waited for.
    pub doubtful: bool,
    /// Whether it is queried however far it is, and waited for unless it is late: it may know others than
    /// those whom we know.
    pub way_in: bool,
    /// How long its last answer took, in microseconds.
    pub round_trip_micros: Option<NonZeroU32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Queried,
    /// Queried, and its answer is late.
    Late,
    /// Queried, but it has lost its place.
    Abandoned,
    Answered,
    Failed,
}

/// Contacts that bound the search, as positions in the frontier.
type Window = ArrayVec<usize, K>;

/// What a candidate is to the K closest of some kind.
enum Place {
    /// One of them, if it is close enough.
    Held,
    /// None, but its prefix has one less to itself.
    GivenUp,
    None,
}

impl Place {
    fn held_if(is_held: bool) -> Place {
        if is_held { Place::Held } else { Place::None }
    }
}

impl Candidate {
    /// Smaller for those that can be expected to answer sooner.
    fn haste(&self) -> NonZeroU32 {
        self.known.round_trip_micros.unwrap_or(NonZeroU32::MAX)
    }
}

impl Lookup {
    /// A lookup for `target` that knows nobody yet.
    pub fn new(target: Id) -> Lookup {
        Lookup { target, candidates: Vec::new(), queries: 0, answers: 0, tellers: Tellers::default() }
    }

    /// What is looked for.
    pub fn target(&self) -> &Id {
        &self.target
    }

    /// Puts a contact into the frontier, unless it is there.
    pub fn found(&mut self, contact: Contact, known: Known) {
        self.told_of(contact, known, TellerId::TRUSTED);
    }

    /// `teller` has told of contacts, each of which is [`told_of`](Self::told_of) then.
    pub fn begin_teller(&mut self, teller: &Contact) -> TellerId {
        let id = self.tellers.begin();
        if let Some(candidate) = self.candidate(teller) {
            candidate.teller = Some(id);
        }
        id
    }

    /// Puts a contact that `teller` told of into the frontier, unless it is there.
    pub fn told_of(&mut self, contact: Contact, known: Known, teller: TellerId) {
        let distance = contact.id.distance(&self.target);
        // Worked out again each time: a frontier is what a node takes most memory for.
        let is_closer = |other: &Candidate| other.contact.id.distance(&self.target) < distance;
        let at = self.candidates.partition_point(is_closer);
        let mut same = self.candidates[at..].iter_mut().take_while(|other| other.contact.id == contact.id);
        if let Some(same) = same.find(|other| other.contact == contact) {
            same.known.way_in |= known.way_in;
            self.tellers.note(&mut same.told_by, teller, same.state == State::Answered);
            return;
        }
        if self.candidates.len() == MAX_CANDIDATES {
            if at == MAX_CANDIDATES {
                return;
            }
            self.candidates.pop();
        }
        let mut told_by = ToldBy::default();
        self.tellers.note(&mut told_by, teller, false);
        let candidate =
            Candidate { contact, num: 0, token: None, known, told_by, teller: None, state: State::New };
        if self.candidates.len() == self.candidates.capacity() {
            self.candidates.reserve_exact(MORE_CANDIDATES);
        }
        self.candidates.insert(at, candidate);
    }

    /// A contact of the frontier answered: how many values it holds, and its token. We ourselves
    /// answer before the first step.
    pub fn answered(&mut self, contact: &Contact, num: u64, token: Option<ForeignToken>) {
        if let Some(candidate) = self.candidate(contact) {
            candidate.num = num;
            candidate.token = token;
            let was_asked = candidate.state != State::New;
            candidate.state = State::Answered;
            let told_by = candidate.told_by;
            self.answers += usize::from(was_asked);
            self.tellers.each(&told_by, Teller::add_answered);
        }
    }

    /// Those of whom it can be said whether their answers were of use, and whether they were: told of
    /// somebody who answered.
    pub fn judged(&self) -> impl Iterator<Item = (Contact, bool)> {
        self.candidates
            .iter()
            .filter_map(|candidate| Some((candidate.contact, self.tellers.was_useful(candidate.teller?)?)))
    }

    /// The query that the last [`step`](Self::step) asked for cannot be sent now: it is as if it had
    /// not been asked for.
    pub fn postpone(&mut self, contact: &Contact) {
        if let Some(candidate) = self.candidate(contact) {
            candidate.state = State::New;
            self.queries -= 1;
        }
    }

    /// A contact of the frontier did not answer, or not rightly.
    pub fn failed(&mut self, contact: &Contact) {
        if let Some(candidate) = self.candidate(contact) {
            let was_waited_for = matches!(candidate.state, State::Queried | State::Abandoned);
            candidate.state = State::Failed;
            let told_by = candidate.told_by;
            if was_waited_for {
                self.tellers.each(&told_by, Teller::add_missing);
            }
        }
    }

    /// The answer of a contact that was queried is late.
    pub fn late(&mut self, contact: &Contact) {
        if let Some(candidate) = self.candidate(contact)
            && candidate.state == State::Queried
        {
            candidate.state = State::Late;
            let told_by = candidate.told_by;
            self.tellers.each(&told_by, Teller::add_missing);
        }
    }

    /// What to do next; call it until it says [`Step::Wait`] or [`Step::Done`].
    pub fn step(&mut self, policy: &LookupPolicy, limits: &Limits) -> Step {
        let waited_for = self.waited_for(policy, limits);
        let state = |at: &usize| self.candidates[*at].state;
        let live = self.select(limits, |at, candidate| match candidate.state {
            State::Failed => Place::None,
            State::New if self.is_made_up(policy, candidate) => Place::None,
            State::Late if !waited_for.contains(&at) => Place::GivenUp,
            _ => Place::Held,
        });
        let answers = |window: &[usize]| window.iter().filter(|at| state(at) == State::Answered).count();
        let all_asked = live.is_full() && live.iter().all(|at| state(at) != State::New);
        let enough = answers(&live) >= K.min(policy.enough.into());
        let mut ways_in = self.candidates.iter().filter(|candidate| candidate.known.way_in);
        let are_in = !ways_in.any(|way_in| matches!(way_in.state, State::New | State::Queried));
        if policy.abort_early && all_asked && enough && are_in && answers(&waited_for) == waited_for.len() {
            return Step::Done;
        }
        let window = if policy.leap_frog { live } else { self.select(limits, |_, _| Place::Held) };
        let outstanding = self.candidates.iter().filter(|c| c.state == State::Queried).count();
        let is_opening = self.answers == 0 && policy.opening < policy.parallelism;
        let new = window.iter().copied().filter(|at| state(at) == State::New);
        let next = if is_opening { new.min_by_key(|at| self.candidates[*at].haste()) } else { new.min() };
        let way_in = self.candidates.iter().position(|c| c.known.way_in && c.state == State::New);
        match way_in.or(next) {
            Some(at) if self.queries < limits.lookup_queries => {
                let places = if is_opening { policy.opening } else { policy.parallelism };
                if outstanding < usize::from(places) {
                    self.queries += 1;
                    let candidate = &mut self.candidates[at];
                    candidate.state = if candidate.known.doubtful { State::Late } else { State::Queried };
                    return Step::Query(candidate.contact);
                }
                match self.overtaken(&window).filter(|_| policy.leap_frog) {
                    Some(overtaken) => {
                        overtaken.state = State::Abandoned;
                        Step::Abandon(overtaken.contact)
                    }
                    None => Step::Wait,
                }
            }
            _ if outstanding == 0 && !waited_for.iter().any(|at| state(at) == State::Late) => Step::Done,
            _ => Step::Wait,
        }
    }

    /// Whether whoever told of it seems to have made it up.
    fn is_made_up(&self, policy: &LookupPolicy, candidate: &Candidate) -> bool {
        policy.prefer_sound && self.tellers.make_up(&candidate.told_by)
    }

    /// Who is waited for, though late: the closest that have not failed, doubtful and made-up ones aside.
    fn waited_for(&self, policy: &LookupPolicy, limits: &Limits) -> Window {
        let mut closest = self.select(limits, |_, candidate| {
            Place::held_if(match candidate.state {
                State::Failed => false,
                State::Late if candidate.known.doubtful => false,
                State::Late | State::New => !self.is_made_up(policy, candidate),
                _ => true,
            })
        });
        closest.truncate(policy.patience.into());
        closest
    }

    /// The up to K closest contacts that answered, closest first.
    pub fn closest(&self, limits: &Limits) -> impl Iterator<Item = &Candidate> {
        let answered = |candidate: &Candidate| Place::held_if(candidate.state == State::Answered);
        self.select(limits, |_, candidate| answered(candidate)).into_iter().map(|at| &self.candidates[at])
    }

    /// All contacts that answered and hold values, closest first.
    pub fn holders(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().filter(|candidate| candidate.state == State::Answered && candidate.num > 0)
    }

    fn candidate(&mut self, contact: &Contact) -> Option<&mut Candidate> {
        self.candidates.iter_mut().find(|candidate| candidate.contact == *contact)
    }

    /// The K closest that hold a place, with a bound on how many share a prefix.
    fn select(&self, limits: &Limits, place: impl Fn(usize, &Candidate) -> Place) -> Window {
        let mut window = Window::new();
        let mut given_up = Vec::new();
        for (at, candidate) in self.candidates.iter().enumerate() {
            if window.is_full() {
                break;
            }
            match place(at, candidate) {
                Place::Held => {
                    let others = window.iter().chain(&given_up);
                    if !self.is_crowded(others, candidate, limits) {
                        window.push(at);
                    }
                }
                Place::GivenUp => given_up.push(at),
                Place::None => {}
            }
        }
        window
    }

    /// Whether so many of `others` share the candidate's prefix that it may not be one of them.
    fn is_crowded<'a>(
        &self,
        others: impl Iterator<Item = &'a usize>,
        candidate: &Candidate,
        limits: &Limits,
    ) -> bool {
        let prefix = |candidate: &Candidate| NetworkPrefix::of(&candidate.contact.addr.ip());
        let is_neighbour = |at: &&usize| {
            let other = &self.candidates[**at];
            other.known.counted && prefix(other) == prefix(candidate)
        };
        candidate.known.counted && others.filter(is_neighbour).count() >= limits.closest_per_prefix
    }

    /// The farthest contact that was queried and is no longer among the K closest.
    fn overtaken(&mut self, window: &Window) -> Option<&mut Candidate> {
        let overtaken = |(at, candidate): &(usize, &mut Candidate)| {
            candidate.state == State::Queried && !candidate.known.way_in && !window.contains(at)
        };
        self.candidates.iter_mut().enumerate().rfind(overtaken).map(|(_, candidate)| candidate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use khashmir_testing::quickcheck;

    const COUNTED: Known = Known { counted: true, doubtful: false, way_in: false, round_trip_micros: None };

    fn contact(n: u8) -> Contact {
        let mut id = [0; 20];
        id[19] = n;
        Contact { id: Id(id), addr: ([10, n, 0, 1], 9978).into() }
    }

    fn lookup(found: impl IntoIterator<Item = u8>) -> Lookup {
        let mut lookup = Lookup::new(Id([0; 20]));
        found.into_iter().for_each(|n| lookup.found(contact(n), COUNTED));
        lookup
    }

    fn queried(lookup: &mut Lookup, policy: &LookupPolicy) -> Vec<u8> {
        let mut queried = Vec::new();
        while let Step::Query(contact) = lookup.step(policy, &Limits::DEFAULT) {
            queried.push(contact.id.0[19]);
        }
        queried
    }

    #[test]
    fn the_closest_are_queried_first_and_no_more_than_allowed() {
        let mut lookup = lookup([9, 2, 5, 7, 1, 3]);
        assert_eq!(queried(&mut lookup, &LookupPolicy::RETRANSMIT), [1, 2, 3, 5]);
        assert_eq!(lookup.step(&LookupPolicy::RETRANSMIT, &Limits::DEFAULT), Step::Wait);
    }

    /// `by` answers, and tells of all of these.
    fn told(lookup: &mut Lookup, by: u8, all: impl IntoIterator<Item = u8>) -> TellerId {
        let teller = lookup.begin_teller(&contact(by));
        all.into_iter().for_each(|n| lookup.told_of(contact(n), COUNTED, teller));
        lookup.answered(&contact(by), 0, None);
        teller
    }

    fn judged(lookup: &Lookup) -> Vec<(u8, bool)> {
        lookup.judged().map(|(contact, useful)| (contact.id.0[19], useful)).collect()
    }

    #[test]
    fn of_whoever_tells_of_three_who_do_not_answer_no_more_are_asked() {
        let policy = LookupPolicy { parallelism: 4, opening: 4, ..LookupPolicy::DEFAULT };
        let mut lookup = lookup([101, 102, 103]);
        assert_eq!(queried(&mut lookup, &policy), [101, 102, 103]);
        let liar = told(&mut lookup, 101, 1..9);
        assert_eq!(queried(&mut lookup, &policy), [1, 2]);
        [1, 2].iter().for_each(|n| lookup.late(&contact(*n)));
        assert_eq!(queried(&mut lookup, &policy), [3, 4, 5], "two may be chance");
        lookup.failed(&contact(3));
        let is_made_up = |lookup: &Lookup, policy| {
            lookup.candidates.iter().filter(|candidate| lookup.is_made_up(policy, candidate)).count()
        };
        assert_eq!(is_made_up(&lookup, &policy), 8);
        assert_eq!(is_made_up(&lookup, &LookupPolicy::KHASHMIR_2008), 0);
        told(&mut lookup, 102, [7, 8]);
        told(&mut lookup, 103, []);
        lookup.found(contact(90), COUNTED);
        lookup.told_of(contact(90), COUNTED, liar);
        assert_eq!(is_made_up(&lookup, &policy), 6, "nor is it whom we know ourselves");
        assert_eq!(queried(&mut lookup, &policy), [7, 8], "somebody else knows these, and none knows 6");
        lookup.answered(&contact(7), 0, None);
        assert_eq!(judged(&lookup), [(101, true), (102, true), (103, false)], "so the first is of use, too");
        assert_eq!(is_made_up(&lookup, &policy), 0);
    }

    #[test]
    fn those_who_are_made_up_hold_nobody_up() {
        let policy = LookupPolicy { enough: 1, ..LookupPolicy::DEFAULT };
        let mut lookup = lookup([101]);
        queried(&mut lookup, &policy);
        told(&mut lookup, 101, 1..9);
        while let Step::Query(made_up) = lookup.step(&policy, &Limits::DEFAULT) {
            lookup.late(&made_up);
        }
        assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Done);
        assert_eq!((lookup.queries, judged(&lookup)), (4, [(101, false)].to_vec()));
    }

    #[test]
    fn who_is_told_of_by_an_honest_node_too_is_asked_whoever_told_first() {
        let policy = LookupPolicy { parallelism: 6, opening: 6, ..LookupPolicy::DEFAULT };
        for first in [101, 102] {
            let mut lookup = lookup([101, 102]);
            queried(&mut lookup, &policy);
            told(&mut lookup, first, if first == 101 { 1..9 } else { 8..9 });
            told(&mut lookup, 203 - first, if first == 101 { 8..9 } else { 1..9 });
            while let Step::Query(asked) = lookup.step(&policy, &Limits::DEFAULT) {
                match asked.id.0[19] {
                    8 => lookup.answered(&asked, 0, None),
                    _ => lookup.failed(&asked),
                }
            }
            assert!(lookup.closest(&Limits::DEFAULT).any(|candidate| candidate.contact == contact(8)));
        }
    }

    #[test]
    fn failed_contacts_bound_the_search_unless_leap_frogged() {
        for (policy, then) in [(LookupPolicy::RETRANSMIT, &[][..]), (LookupPolicy::LEAPFROG, &[9][..])] {
            let policy = LookupPolicy { parallelism: 8, ..policy };
            let mut lookup = lookup(1..=9);
            assert_eq!(queried(&mut lookup, &policy), [1, 2, 3, 4, 5, 6, 7, 8]);
            lookup.failed(&contact(1));
            assert_eq!(queried(&mut lookup, &policy), then);
        }
    }

    #[test]
    fn an_overtaken_request_gives_its_place_and_its_late_answer_counts() {
        let policy = LookupPolicy::KHASHMIR_2008;
        let mut lookup = lookup(11..=18);
        assert_eq!(queried(&mut lookup, &policy).len(), 8);
        lookup.found(contact(1), COUNTED);
        assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Abandon(contact(18)));
        assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Query(contact(1)));
        lookup.answered(&contact(18), 1, None);
        assert_eq!(lookup.holders().count(), 1);
    }

    #[test]
    fn abort_early_ends_with_the_last_of_the_k_closest() {
        for (policy, step) in [(LookupPolicy::LEAPFROG, Step::Wait), (LookupPolicy::ABORT_EARLY, Step::Done)]
        {
            let policy = LookupPolicy { parallelism: 16, ..policy };
            let mut lookup = lookup(10..=17);
            queried(&mut lookup, &policy);
            (1..=8).for_each(|n| lookup.found(contact(n), COUNTED));
            queried(&mut lookup, &policy);
            (1..=8).for_each(|n| lookup.answered(&contact(n), 0, None));
            assert_eq!(lookup.step(&policy, &Limits::DEFAULT), step);
        }
    }

    #[test]
    fn abort_early_looks_past_failed_contacts_even_where_they_bound_the_search() {
        let policy = LookupPolicy { parallelism: 16, leap_frog: false, ..LookupPolicy::ABORT_EARLY };
        let mut lookup = lookup(10..=18);
        queried(&mut lookup, &policy);
        lookup.found(contact(1), COUNTED);
        assert_eq!(queried(&mut lookup, &policy), [1]);
        (10..=17).for_each(|n| lookup.answered(&contact(n), 0, None));
        assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Wait);
        lookup.failed(&contact(1));
        assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Done);
    }

    #[test]
    fn a_late_request_gives_its_place_and_only_the_closest_are_waited_for() {
        let policy = LookupPolicy { opening: 16, ..LookupPolicy::DEFAULT };
        let mut lookup = lookup(1..=12);
        assert_eq!(queried(&mut lookup, &policy), [1, 2, 3, 4, 5, 6]);
        for n in [3, 4] {
            lookup.late(&contact(n));
        }
        assert_eq!(queried(&mut lookup, &policy), [7, 8], "the ninth takes the place of the fourth alone");
        for n in [1, 2, 5, 6, 7, 8] {
            lookup.answered(&contact(n), 0, None);
            queried(&mut lookup, &policy);
        }
        assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Wait, "for the third");
        lookup.answered(&contact(3), 0, None);
        assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Done);
        lookup.answered(&contact(4), 1, None);
        assert_eq!(lookup.holders().count(), 1, "a late answer counts");
    }

    #[test]
    fn a_way_in_is_queried_and_waited_for_however_far_it_is() {
        let policy = LookupPolicy { opening: 16, ..LookupPolicy::DEFAULT };
        let mut lookup = lookup(1..=8);
        lookup.found(contact(100), Known { way_in: true, ..COUNTED });
        assert_eq!(queried(&mut lookup, &policy), [100, 1, 2, 3, 4, 5]);
        (1..=5).for_each(|n| lookup.answered(&contact(n), 0, None));
        assert_eq!(queried(&mut lookup, &policy), [6, 7, 8]);
        (6..=8).for_each(|n| lookup.answered(&contact(n), 0, None));
        assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Wait);
        lookup.answered(&contact(100), 0, None);
        assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Done);
    }

    #[test]
    fn late_contacts_leave_no_more_room_to_their_prefix() {
        let in_one_prefix = |n: u8| Contact { addr: ([10, 0, 0, n], 9978).into(), ..contact(n) };
        let policy = LookupPolicy { opening: 16, patience: 0, ..LookupPolicy::DEFAULT };
        let mut lookup = lookup([11, 12]);
        (1..=5).for_each(|n| lookup.found(in_one_prefix(n), COUNTED));
        assert_eq!(queried(&mut lookup, &policy), [1, 2, 11, 12]);
        (1..=2).for_each(|n| lookup.late(&in_one_prefix(n)));
        assert_eq!(queried(&mut lookup, &policy), []);
        lookup.failed(&in_one_prefix(1));
        assert_eq!(queried(&mut lookup, &policy), [3]);
    }

    #[test]
    fn a_lookup_opens_with_the_fastest_and_goes_on_with_the_closest() {
        let policy = LookupPolicy { opening: 2, ..LookupPolicy::DEFAULT };
        let mut lookup = Lookup::new(Id([0; 20]));
        for n in 1..=8 {
            let round_trip_micros = NonZeroU32::new(100 - u32::from(n));
            lookup.found(contact(n), Known { round_trip_micros, ..COUNTED });
        }
        assert_eq!(queried(&mut lookup, &policy), [8, 7]);
        lookup.answered(&contact(7), 0, None);
        assert_eq!(queried(&mut lookup, &policy), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn doubtful_contacts_are_asked_and_not_waited_for() {
        let policy = LookupPolicy { opening: 16, ..LookupPolicy::DEFAULT };
        let mut lookup = Lookup::new(Id([0; 20]));
        lookup.found(contact(1), Known { doubtful: true, ..COUNTED });
        (2..=9).for_each(|n| lookup.found(contact(n), COUNTED));
        assert_eq!(queried(&mut lookup, &policy), [1, 2, 3, 4, 5, 6, 7], "beside six others");
        (2..=7).for_each(|n| lookup.answered(&contact(n), 0, None));
        assert_eq!(queried(&mut lookup, &policy), [8, 9]);
        assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Done, "six answers of eight are enough");
    }

    #[test]
    fn two_of_one_prefix_count_among_the_closest() {
        let mut lookup = Lookup::new(Id([0; 20]));
        for n in 1..=12 {
            lookup.found(Contact { addr: ([10, 0, 0, n], 1).into(), ..contact(n) }, COUNTED);
        }
        assert_eq!(queried(&mut lookup, &LookupPolicy::KHASHMIR_2008), [1, 2]);
    }

    #[test]
    fn every_lookup_ends_within_its_queries_whatever_comes_back() {
        fn law(start: Vec<u8>, script: Vec<(bool, u8)>, switches: u8) -> bool {
            let policy = LookupPolicy {
                leap_frog: switches & 1 != 0,
                abort_early: switches & 2 != 0,
                opening: 1 + switches / 4 % 4,
                patience: switches / 16 % 9,
                enough: switches / 64 * 2 + 2,
                ..LookupPolicy::ORIGINAL
            };
            let limits = Limits { lookup_queries: 20, ..Limits::DEFAULT };
            let mut lookup = lookup(start);
            let mut script = script.into_iter();
            let mut outstanding = Vec::new();
            for _ in 0..1000 {
                match lookup.step(&policy, &limits) {
                    Step::Query(contact) => outstanding.push(contact),
                    Step::Abandon(_) => {}
                    Step::Done => return lookup.queries <= 20,
                    Step::Wait => match (outstanding.pop(), script.next()) {
                        (Some(contact), Some((true, found))) if found % 5 == 0 => {
                            lookup.late(&contact);
                            outstanding.insert(0, contact);
                        }
                        (Some(contact), Some((true, found))) => {
                            lookup.found(super::tests::contact(found), COUNTED);
                            lookup.answered(&contact, 0, None);
                        }
                        (Some(contact), _) => lookup.failed(&contact),
                        (None, _) => return false,
                    },
                }
            }
            false
        }
        quickcheck().quickcheck(law as fn(Vec<u8>, Vec<(bool, u8)>, u8) -> bool);
    }
}
