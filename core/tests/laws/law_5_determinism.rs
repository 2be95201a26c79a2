//! Law 5: the same seed, configuration and inputs give the same outputs, bit for bit, on every
//! platform. That there are no floats and no maps with a random order is for the tidy test.

use crate::driver::{Driver, config, replay};
use crate::script::Step;
use bytes::{BufMut, BytesMut};
use core::time::Duration;
use khashmir::rng::{Purpose, Rng};
use khashmir::{Instant, Node};
use khashmir_testing::quickcheck;
use sha1::{Digest, Sha1};

#[test]
fn the_same_inputs_give_the_same_outputs() {
    fn law(script: Vec<Step>) -> bool {
        let driver = Driver::after(config(), &script);
        let again = replay(config(), &driver.inputs);
        again == driver.output
    }
    quickcheck().tests(100).quickcheck(law as fn(Vec<Step>) -> bool);
}

#[test]
fn another_seed_gives_other_ids_and_tokens() {
    let ids = [1, 2].map(|seed| Node::new(config(), [seed; 32], Instant::ORIGIN).unwrap().id());
    assert_ne!(ids[0], ids[1]);
}

/// Whoever changes what a node sends changes this number, on purpose.
#[test]
fn a_recorded_run_repeats_on_every_platform() {
    let mut choice = Rng::new([5; 32], Purpose::Sample);
    let mut driver = Driver::new(config());
    driver.step(&Step::Command { command: 0, key: 3, len: 0 });
    for _ in 0..400 {
        let [kind, a, b, c] = choice.bytes();
        driver.step(&match kind % 8 {
            0 => Step::Wait { millis: u32::from(a) * 40, in_time: true },
            1 => Step::Jump { hours: u8::from(a > 250) },
            2 | 3 => Step::Query { peer: a % 64, call: b, key: c },
            4 => Step::Answer { which: a, manner: b },
            5 => Step::Command { command: a, key: b, len: u16::from(c) + 1 },
            _ => Step::AnswerAll,
        });
    }
    driver.wait_until(driver.now + Duration::from_secs(60));
    assert!(driver.output.sent.len() > 1000, "{} datagrams", driver.output.sent.len());

    let mut trace = BytesMut::new();
    for (to, datagram) in &driver.output.sent {
        trace.put_slice(to.to_string().as_bytes());
        trace.put_slice(datagram);
    }
    trace.put_slice(&driver.node.snapshot());
    let digest: [u8; 20] = Sha1::digest(&trace).into();
    assert_eq!(
        khashmir::Id(digest).to_string(),
        "0ac9a0e2e1b4048458bd15ad305b17003cc639d6",
        "sent otherwise than before"
    );
}
