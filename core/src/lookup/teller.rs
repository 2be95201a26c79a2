//! Who told a lookup of whom, and what became of those: whoever makes contacts up is found out.

use alloc::vec::Vec;
use core::num::NonZeroU8;

/// A response that told of contacts, as a number within one lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TellerId(NonZeroU8);

/// What became of those whom one response told of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Teller {
    told: u8,
    silent: u8,
    answered: u8,
}

impl Teller {
    /// So many who are silent, and not one who answers, are no chance.
    const SILENT: u8 = 3;

    /// Whether it makes contacts up.
    pub fn makes_up(&self) -> bool {
        self.answered == 0 && self.silent >= Teller::SILENT
    }

    /// Whether it was of use: told of somebody who is there. `None`: that is not known yet.
    pub fn is_useful(&self) -> Option<bool> {
        let is_useless = self.told == 0 || self.makes_up();
        (is_useless || self.answered > 0).then_some(!is_useless)
    }

    /// It told of one more.
    pub fn add_told(&mut self) {
        self.told = self.told.saturating_add(1);
    }

    /// One of those whom it told of has not answered in time.
    pub fn add_silent(&mut self) {
        self.silent = self.silent.saturating_add(1);
    }

    /// One of those whom it told of has answered.
    pub fn add_answered(&mut self) {
        self.answered = self.answered.saturating_add(1);
    }
}

/// All of one lookup, 255 at most.
#[derive(Clone, Debug, Default)]
pub struct Tellers(Vec<Teller>);

impl Tellers {
    /// One more; `None`: there have been too many.
    pub fn begin(&mut self) -> Option<TellerId> {
        let number = u8::try_from(self.0.len() + 1).ok().and_then(NonZeroU8::new)?;
        self.0.push(Teller::default());
        Some(TellerId(number))
    }

    /// That teller, if there is one.
    pub fn get(&self, id: Option<TellerId>) -> Option<&Teller> {
        self.0.get(usize::from(id?.0.get()) - 1)
    }

    /// The same, to change.
    pub fn get_mut(&mut self, id: Option<TellerId>) -> Option<&mut Teller> {
        self.0.get_mut(usize::from(id?.0.get()) - 1)
    }
}
