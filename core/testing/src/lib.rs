//! Properties checked from a seed that is fixed, printed, and can be set.
//!
//! quickcheck on its own draws another seed in every run and tells nobody: a property that fails
//! once can't be asked again. Here the seed is always the same, so that a change is judged by what it
//! changes. `KHASHMIR_TEST_SEED=7 cargo test` looks elsewhere.

use quickcheck::{Gen, QuickCheck};

/// Names the seed for all properties of a run.
pub const SEED_VARIABLE: &str = "KHASHMIR_TEST_SEED";

const DEFAULT_SEED: u64 = 2008;

/// Lengths and numbers go up to about this.
const SIZE: usize = 100;

/// The seed that the environment names, or the usual one. It is printed, which a test's failure
/// shows.
///
/// # Panics
/// If the environment's seed is no number.
pub fn seed() -> u64 {
    let seed = match std::env::var(SEED_VARIABLE) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{SEED_VARIABLE}={text}: {error}")),
        Err(_) => DEFAULT_SEED,
    };
    println!("{SEED_VARIABLE}={seed}");
    seed
}

/// A checker on [`seed`].
pub fn quickcheck() -> QuickCheck {
    QuickCheck::new().rng(Gen::from_size_and_seed(SIZE, seed()))
}

/// Makes a test of each function: `fn name(argument: Type, …) -> Testable { … }`.
#[macro_export]
macro_rules! quickcheck {
    ($($(#[$meta:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty $body:block)*) => {
        $(
            #[test]
            $(#[$meta])*
            fn $name() {
                fn property($($argument: $type),*) -> $result $body
                $crate::quickcheck().quickcheck(property as fn($($type),*) -> $result);
            }
        )*
    };
}
