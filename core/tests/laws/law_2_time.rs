//! Law 2: every input first fires the timers that are due. After it, the next deadline is none or
//! later. Time that goes backwards is taken as no time; a jump forwards fires each timer once.

use crate::driver::{Driver, Input, config, replay};
use crate::peer::Peer;
use crate::script::Step;
use core::time::Duration;
use khashmir::config::LookupPolicy;
use khashmir::krpc::Call;
use khashmir::{Command, Config, Event, Id, Instant};
use khashmir_testing::quickcheck;
use std::net::SocketAddr;

#[test]
fn nothing_is_due_after_an_input() {
    fn law(script: Vec<Step>) -> bool {
        let driver = Driver::after(config(), &script);
        let mut latest = Instant::ORIGIN;
        driver.inputs.iter().zip(&driver.output.timeouts).all(|((now, _), wake)| {
            latest = latest.max(*now);
            wake.is_none_or(|at| at > latest)
        })
    }
    quickcheck().tests(200).quickcheck(law as fn(Vec<Step>) -> bool);
}

#[test]
fn every_input_fires_what_is_due_itself() {
    fn law(script: Vec<Step>) -> bool {
        let driver = Driver::after(config(), &script);
        let woken =
            driver.inputs.iter().flat_map(|(now, input)| [(*now, Input::Timeout), (*now, input.clone())]);
        let output = replay(config(), &woken.collect::<Vec<_>>());
        (output.sent, output.events, output.commands)
            == (driver.output.sent, driver.output.events, driver.output.commands)
    }
    quickcheck().tests(150).quickcheck(law as fn(Vec<Step>) -> bool);
}

#[test]
fn time_that_goes_backwards_is_no_time() {
    fn law(script: Vec<Step>) -> bool {
        let driver = Driver::after(config(), &script);
        let mut latest = Instant::ORIGIN;
        let clamped = driver.inputs.iter().map(|(now, input)| {
            latest = latest.max(*now);
            (latest, input.clone())
        });
        replay(config(), &clamped.collect::<Vec<_>>()) == driver.output
    }
    quickcheck().tests(150).quickcheck(law as fn(Vec<Step>) -> bool);
}

/// A node with contacts and publications sleeps for hours and makes up for nothing.
#[test]
fn a_jump_fires_each_timer_once() {
    fn law(hours: u8) -> bool {
        // Its re-pings are among the timers.
        let lookup = LookupPolicy::KHASHMIR_2008;
        let mut driver = Driver::new(Config { lookup, ..config() });
        let bootstrap: Vec<SocketAddr> = [0, 4, 8].map(|n| Peer(n).addr()).to_vec();
        driver.give(Instant::ORIGIN, Input::Command(Command::Join { bootstrap }));
        (0..20).for_each(|_| driver.step(&Step::AnswerAll));
        for n in 0..5 {
            let publish = Command::Publish { key: Id([n * 50; 20]), value: vec![n].into() };
            driver.give(driver.now, Input::Command(publish));
            (0..20).for_each(|_| driver.step(&Step::AnswerAll));
        }
        let contacts = driver.node.contacts().count();
        assert!(contacts > 8, "it has joined");
        driver.wait_until(driver.now + Duration::from_secs(10));

        let (sent, events) = (driver.output.sent.len(), driver.output.events.len());
        driver.step(&Step::Jump { hours: hours % 200 + 3 });
        let checkpoints = driver.output.events[events..].iter();
        let checkpoints = checkpoints.filter(|event| **event == Event::CheckpointPassed).count();
        let mut pinged: Vec<_> = driver.output.sent[sent..]
            .iter()
            .filter(|(_, datagram)| datagram.windows(11).any(|bytes| bytes == b"1:q4:ping1:"))
            .map(|(to, _)| *to)
            .collect();
        pinged.sort();
        let repeated = pinged.windows(2).any(|pair| pair[0] == pair[1]);
        // One renewal, and a refresh of each bucket.
        let upkeep = driver.node.stats().upkeep_operations;
        checkpoints == 1 && !pinged.is_empty() && !repeated && upkeep <= 17
    }
    quickcheck().tests(20).quickcheck(law as fn(u8) -> bool);
}

#[test]
fn a_late_query_is_answered_with_what_holds_then() {
    let mut driver = Driver::new(config());
    let peer = Peer(0);
    let key = Id([1; 20]);
    driver.give(Instant::ORIGIN, Input::Command(Command::Put { key, value: "value".into() }));
    // No wake-up between: the value has expired all the same when the query comes.
    for (hours, num) in [(2, 1), (4, 0)] {
        let at = Instant::ORIGIN + Duration::from_secs(3600) * hours;
        driver.give(at, Input::Datagram(peer.addr(), peer.query(1, Call::FindValue { key })));
        let expected = format!("3:numi{num}e");
        let answered = |(to, datagram): &(SocketAddr, bytes::Bytes)| {
            *to == peer.addr() && datagram.windows(8).any(|bytes| bytes == expected.as_bytes())
        };
        assert!(driver.output.sent.iter().any(answered), "after {hours} hours: {expected}");
    }
}

#[test]
fn the_end_of_time_is_an_end() {
    for micros in [u64::MAX - 1, u64::MAX] {
        let mut driver = Driver::new(config());
        driver.give(
            Instant::ORIGIN,
            Input::Command(Command::Publish { key: Id([1; 20]), value: "value".into() }),
        );
        driver.give(Instant::from_micros(micros), Input::Timeout);
        driver.give(Instant::from_micros(u64::MAX), Input::Command(Command::Ping { addr: Peer(0).addr() }));
        driver.node.check_invariants();
    }
}
