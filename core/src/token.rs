//! Tokens: proof that who stores here can receive at the address that it sends from.

use crate::id::Id;
use crate::rng::Rng;
use core::fmt;
use core::hint::black_box;
use core::net::IpAddr;
use sha1::{Digest, Sha1};

/// Issues tokens and recognises them, without remembering any.
///
/// A token is the first 8 bytes of `SHA1(secret ‖ IP ‖ key)`: good for one key from one IP
/// address, whatever the port, until its secret is the fourth latest (protocol, section 2).
#[derive(Clone)]
pub struct Tokens {
    /// Latest first. Until there were three, the others are as random and never used.
    secrets: [Secret; 3],
}

type Secret = [u8; 20];

impl Tokens {
    /// Bytes in a token of ours.
    pub const LEN: usize = 8;

    /// Draws the first secret.
    pub fn new(rng: &mut Rng) -> Tokens {
        Tokens { secrets: [rng.bytes(), rng.bytes(), rng.bytes()] }
    }

    /// The token with which `ip` may store values under `key`.
    pub fn issue(&self, ip: &IpAddr, key: &Id) -> [u8; Tokens::LEN] {
        compute(&self.secrets[0], ip, key)
    }

    /// Whether `token` was issued to `ip` for `key` under one of the latest three secrets.
    ///
    /// Takes the same time wherever a token of the right length differs.
    pub fn accepts(&self, token: &[u8], ip: &IpAddr, key: &Id) -> bool {
        let Ok(token) = token.try_into() else {
            return false;
        };
        let token = u64::from_ne_bytes(token);
        let any = self.secrets.iter().fold(0, |any, secret| {
            let difference = black_box(token ^ u64::from_ne_bytes(compute(secret, ip, key)));
            // The top bit is set exactly where the difference is zero, without a branch.
            any | black_box(!(difference | difference.wrapping_neg()))
        });
        any >> 63 == 1
    }

    /// Draws a new secret and forgets the oldest. Due at every checkpoint.
    pub fn rotate(&mut self, rng: &mut Rng) {
        self.secrets.rotate_right(1);
        self.secrets[0] = rng.bytes();
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(secret)")
    }
}

fn compute(secret: &Secret, ip: &IpAddr, key: &Id) -> [u8; Tokens::LEN] {
    let sha1 = Sha1::new_with_prefix(secret);
    let sha1 = match ip {
        IpAddr::V4(ip) => sha1.chain_update(ip.octets()),
        IpAddr::V6(ip) => sha1.chain_update(ip.octets()),
    };
    let digest: [u8; 20] = sha1.chain_update(key).finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;
    use khashmir_testing::quickcheck;

    fn rng() -> Rng {
        Rng::new([9; 32], Purpose::TokenSecret)
    }

    #[test]
    fn a_token_is_good_for_its_key_and_ip_alone() {
        fn law(ip: IpAddr, other_ip: IpAddr, key: Id, other_key: Id) -> bool {
            let tokens = Tokens::new(&mut rng());
            let token = tokens.issue(&ip, &key);
            tokens.accepts(&token, &ip, &key)
                && tokens.accepts(&token, &other_ip, &key) == (ip == other_ip)
                && tokens.accepts(&token, &ip, &other_key) == (key == other_key)
        }
        quickcheck().quickcheck(law as fn(IpAddr, IpAddr, Id, Id) -> bool);
    }

    #[test]
    fn a_token_outlives_two_rotations() {
        let (mut rng, ip, key) = (rng(), IpAddr::from([192, 0, 2, 1]), Id([3; 20]));
        let mut tokens = Tokens::new(&mut rng);
        let token = tokens.issue(&ip, &key);
        for _ in 0..2 {
            tokens.rotate(&mut rng);
            assert!(tokens.accepts(&token, &ip, &key));
            assert_ne!(tokens.issue(&ip, &key), token, "a new secret issues other tokens");
        }
        tokens.rotate(&mut rng);
        assert!(!tokens.accepts(&token, &ip, &key));
    }

    #[test]
    fn near_misses_are_refused() {
        let (ip, key) = (IpAddr::from([192, 0, 2, 1]), Id([3; 20]));
        let tokens = Tokens::new(&mut rng());
        let token = tokens.issue(&ip, &key);
        for bit in 0..64 {
            let mut wrong = token;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!tokens.accepts(&wrong, &ip, &key), "bit {bit}");
        }
        assert!(!tokens.accepts(&[], &ip, &key));
        assert!(!tokens.accepts(&token[..7], &ip, &key));
        assert!(!tokens.accepts(&[&token[..], &[0]].concat(), &ip, &key));
    }

    #[test]
    fn the_secret_is_not_printed() {
        use alloc::format;
        assert_eq!(format!("{:?}", Tokens::new(&mut rng())), "Tokens(secret)");
    }
}
