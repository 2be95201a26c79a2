//! Whole numbers with a unit and bounds, and what they are to the engine.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::Size;
use super::value::in_range;

/// What a key holds, and what the engine takes for it.
pub(super) trait Knob<T> {
    /// What the key holds for this value of the engine's. It must be one that the key can hold;
    /// those of the defaults are tested.
    fn of(engine: T) -> Self;

    /// The engine's value.
    fn to_engine(&self) -> T;
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        /// From `LEAST` to `MOST`, both included.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        #[serde(transparent)]
        pub struct $name<const LEAST: u64, const MOST: u64>(u64);

        impl<'de, const LEAST: u64, const MOST: u64> Deserialize<'de> for $name<LEAST, MOST> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                in_range::<LEAST, MOST, D>(deserializer).map(Self)
            }
        }
    )*};
}
numbers! {
    /// How many.
    Count
    /// Seconds.
    Seconds
    /// Thousandths of a second.
    Millis
}

impl<const LEAST: u64, const MOST: u64> Knob<Duration> for Seconds<LEAST, MOST> {
    fn of(engine: Duration) -> Self {
        Self(engine.as_secs())
    }

    fn to_engine(&self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl<const LEAST: u64, const MOST: u64> Knob<Duration> for Millis<LEAST, MOST> {
    fn of(engine: Duration) -> Self {
        Self(u64::try_from(engine.as_millis()).unwrap_or(MOST))
    }

    fn to_engine(&self) -> Duration {
        Duration::from_millis(self.0)
    }
}

macro_rules! counts {
    ($($integer:ty)*) => {$(
        impl<const LEAST: u64, const MOST: u64> Knob<$integer> for Count<LEAST, MOST> {
            fn of(engine: $integer) -> Self {
                Self(u64::try_from(engine).unwrap_or(MOST))
            }

            fn to_engine(&self) -> $integer {
                <$integer>::try_from(self.0).unwrap_or(<$integer>::MAX)
            }
        }
    )*};
}
counts!(u8 u16 u32 usize);

impl Knob<usize> for Size {
    fn of(engine: usize) -> Self {
        Self::of_bytes(engine as u64)
    }

    fn to_engine(&self) -> usize {
        usize::try_from(self.bytes()).unwrap_or(usize::MAX)
    }
}

impl Knob<bool> for bool {
    fn of(engine: bool) -> Self {
        engine
    }

    fn to_engine(&self) -> bool {
        *self
    }
}

impl<T, K: Knob<T>, const N: usize> Knob<[T; N]> for [K; N] {
    fn of(engine: [T; N]) -> Self {
        engine.map(K::of)
    }

    fn to_engine(&self) -> [T; N] {
        self.each_ref().map(K::to_engine)
    }
}
