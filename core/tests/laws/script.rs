//! What may happen to a node, drawn at random and made shorter when something fails.

use crate::peer::Manner;
use khashmir::krpc::ErrorCode;
use quickcheck::{Arbitrary, Gen};

/// One thing that happens. Bytes choose among what there is at that time.
#[derive(Clone, Debug)]
pub enum Step {
    /// Time passes, in milliseconds; whether the driver wakes up in time or late.
    Wait { millis: u32, in_time: bool },
    /// The clock goes back by so many milliseconds, until time passes again.
    Back { millis: u16 },
    /// The clock jumps by so many hours.
    Jump { hours: u8 },
    /// A peer asks something.
    Query { peer: u8, call: u8, key: u8 },
    /// One of the latest queries of the node is answered.
    Answer { which: u8, manner: u8 },
    /// All queries since the last of these steps are answered rightly.
    AnswerAll,
    /// One of the latest datagrams that went either way comes, with some bytes changed.
    Mutated { which: u8, peer: u8, changes: Vec<(u16, u8)> },
    /// Anything comes.
    Garbage { peer: u8, datagram: Vec<u8> },
    /// A datagram to a peer could not be delivered.
    Unreachable { peer: u8 },
    /// The user wants something.
    Command { command: u8, key: u8, len: u16 },
}

impl Step {
    /// How the answer that `byte` stands for goes wrong: mostly not at all.
    pub fn manner(byte: u8) -> Manner {
        match byte % 12 {
            0 => Manner::OtherId,
            1 => Manner::OtherAddress,
            2 => Manner::Error(ErrorCode::InvalidToken),
            3 => Manner::Error(ErrorCode::ServerError),
            4 => Manner::Hostile,
            5 => Manner::Malformed,
            _ => Manner::Right,
        }
    }
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Step {
        let byte = |g: &mut Gen| u8::arbitrary(g);
        match byte(g) % 32 {
            0..4 => Step::Wait { millis: u32::arbitrary(g) % 3_000, in_time: true },
            4 => Step::Wait { millis: u32::arbitrary(g) % 30_000, in_time: bool::arbitrary(g) },
            5 => Step::Wait { millis: u32::arbitrary(g) % 1_000_000, in_time: bool::arbitrary(g) },
            6 => Step::Back { millis: u16::arbitrary(g) },
            7 => Step::Jump { hours: byte(g) % 30 },
            8..14 => Step::Query { peer: byte(g) % 64, call: byte(g), key: byte(g) },
            14..19 => Step::Answer { which: byte(g), manner: byte(g) },
            19..22 => Step::AnswerAll,
            22..24 => Step::Mutated { which: byte(g), peer: byte(g) % 64, changes: Arbitrary::arbitrary(g) },
            24 => Step::Garbage { peer: byte(g) % 64, datagram: Arbitrary::arbitrary(g) },
            25 => Step::Unreachable { peer: byte(g) },
            _ => Step::Command { command: byte(g), key: byte(g), len: u16::arbitrary(g) % 1400 },
        }
    }
}
