//! Whose responses told a lookup of whom, and what became of those: whoever makes contacts up is of no
//! use.

use alloc::vec::Vec;
use core::num::NonZeroU8;

/// A response that told of contacts, as a number within one lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TellerId(NonZeroU8);

impl TellerId {
    /// Ourselves, or whoever no account is kept of: makes nobody up.
    pub const TRUSTED: TellerId = TellerId(NonZeroU8::MAX);
}

/// Up to two of those who told of a contact. Whoever tells of it first may have made up others.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToldBy([Option<TellerId>; 2]);

/// What became of those whom one response told of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Teller {
    told: u8,
    missing: u8,
    answered: u8,
}

impl Teller {
    /// So many who do not answer, and not one who does, are no chance.
    const MISSING: u8 = 3;

    /// Whether it makes contacts up.
    fn makes_up(&self) -> bool {
        self.answered == 0 && self.missing >= Teller::MISSING
    }

    /// Whether it was of use: told of somebody who is there. `None`: that is not known yet.
    fn is_useful(&self) -> Option<bool> {
        let is_useless = self.told == 0 || self.makes_up();
        (is_useless || self.answered > 0).then_some(!is_useless)
    }

    /// One of those whom it told of has not answered in time, or not rightly.
    pub fn add_missing(&mut self) {
        self.missing = self.missing.saturating_add(1);
    }

    /// One of those whom it told of has answered.
    pub fn add_answered(&mut self) {
        self.answered = self.answered.saturating_add(1);
    }
}

/// All of one lookup of whom account is kept, 254 at most.
#[derive(Clone, Debug, Default)]
pub struct Tellers(Vec<Teller>);

impl Tellers {
    /// One more.
    pub fn begin(&mut self) -> TellerId {
        let number = u8::try_from(self.0.len() + 1).ok().and_then(NonZeroU8::new);
        let id = number.map_or(TellerId::TRUSTED, TellerId);
        if id != TellerId::TRUSTED {
            self.0.push(Teller::default());
        }
        id
    }

    /// `teller` tells of a contact, as others may have done, and which may have answered already. Whoever
    /// made contacts up makes room.
    pub fn note(&mut self, told_by: &mut ToldBy, teller: TellerId, has_answered: bool) {
        if let Some(teller) = self.get_mut(teller) {
            teller.told = teller.told.saturating_add(1);
            teller.answered = teller.answered.saturating_add(has_answered.into());
        }
        let makes_up = |id: &TellerId| self.get(*id).is_some_and(Teller::makes_up);
        let makes_room = |told_by: &Option<TellerId>| told_by.as_ref().is_some_and(makes_up);
        let place = told_by.0.iter().position(Option::is_none).or(told_by.0.iter().position(makes_room));
        if let Some(place) = place {
            told_by.0[place] = Some(teller);
        }
    }

    /// Whether all who told of a contact make contacts up.
    pub fn make_up(&self, told_by: &ToldBy) -> bool {
        told_by.0.iter().flatten().all(|id| self.get(*id).is_some_and(Teller::makes_up))
    }

    /// Notes for all of them what became of a contact.
    pub fn each(&mut self, told_by: &ToldBy, note: impl Fn(&mut Teller)) {
        for teller in told_by.0.into_iter().flatten() {
            if let Some(teller) = self.get_mut(teller) {
                note(teller);
            }
        }
    }

    /// Whether that response was of use: told of somebody who is there. `None`: that is not known yet.
    pub fn was_useful(&self, teller: TellerId) -> Option<bool> {
        self.get(teller)?.is_useful()
    }

    fn get(&self, teller: TellerId) -> Option<&Teller> {
        self.0.get(usize::from(teller.0.get()) - 1)
    }

    fn get_mut(&mut self, teller: TellerId) -> Option<&mut Teller> {
        self.0.get_mut(usize::from(teller.0.get()) - 1)
    }
}
