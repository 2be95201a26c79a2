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
mod tests;
