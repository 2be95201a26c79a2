//! Randomness from the system.

use std::io;

/// A seed for [`Node::new`](khashmir::Node::new), from the system's generator.
///
/// Fails where the system has none, or not yet.
pub fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_seeds_differ() {
        assert_ne!(super::seed().unwrap(), super::seed().unwrap());
    }
}
