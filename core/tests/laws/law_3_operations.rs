//! Law 3: every operation ends in exactly one final event, whatever the network does, within a bound
//! that the configuration gives; final events are never dropped. Ids are never reused.

use crate::driver::{Driver, Input, config};
use crate::peer::Peer;
use crate::script::Step;
use core::time::Duration;
use khashmir::config::{Limits, LookupPolicy};
use khashmir::node::{CommandError, Ending};
use khashmir::{Command, Config, Event, Id, OpId};
use khashmir_testing::quickcheck;
use std::collections::BTreeMap;

fn finals(events: &[Event]) -> Vec<OpId> {
    events.iter().filter_map(Event::finished).collect()
}

#[test]
fn every_operation_ends_once_and_in_time() {
    fn law(script: Vec<Step>) -> bool {
        let mut driver = Driver::new(config());
        for step in &script {
            // A driver that oversleeps is late with everything.
            if !matches!(step, Step::Wait { in_time: false, .. } | Step::Jump { .. }) {
                driver.step(step);
            }
        }
        let bound = Limits::DEFAULT.lookup_duration * 2;
        driver.wait_until(driver.now + bound);
        let started: BTreeMap<OpId, _> = driver
            .output
            .commands
            .iter()
            .zip(&driver.command_times)
            .filter_map(|(result, at)| result.as_ref().ok().map(|op| (*op, *at)))
            .collect();
        let mut ended = BTreeMap::new();
        for (event, at) in driver.output.events.iter().zip(&driver.event_times) {
            let Some(op) = event.finished() else { continue };
            assert_eq!(ended.insert(op, *at), None, "{op:?} ended twice");
        }
        assert_eq!(started.keys().collect::<Vec<_>>(), ended.keys().collect::<Vec<_>>());
        assert_eq!(driver.node.stats().operations, 0);
        started.iter().all(|(op, at)| ended[op].saturating_duration_since(*at) <= bound)
    }
    quickcheck().tests(200).quickcheck(law as fn(Vec<Step>) -> bool);
}

#[test]
fn ids_are_not_reused() {
    fn law(script: Vec<Step>) -> bool {
        let driver = Driver::after(config(), &script);
        let ops: Vec<OpId> = driver.output.commands.iter().filter_map(|result| result.ok()).collect();
        ops.windows(2).all(|pair| pair[0] < pair[1])
    }
    quickcheck().tests(100).quickcheck(law as fn(Vec<Step>) -> bool);
}

/// Whoever is asked answers, but so late, and with ever new contacts, that it would go on for minutes.
#[test]
fn a_lookup_that_is_kept_busy_ends_all_the_same() {
    let lookup = LookupPolicy { parallelism: 1, abort_early: false, ..LookupPolicy::KHASHMIR_2008 };
    let mut driver = Driver::new(Config { lookup, ..config() });
    driver.give(driver.now, Input::Command(Command::Join { bootstrap: vec![Peer(0).addr()] }));
    driver.step(&Step::AnswerAll);
    for command in [Command::FindNode { target: Id([7; 20]) }, Command::Get { key: Id([7; 20]), wanted: 1 }] {
        let started = driver.now;
        driver.give(started, Input::Command(command));
        let op = driver.output.commands.iter().rev().find_map(|result| result.ok()).unwrap();
        let ended = loop {
            driver.step(&Step::Wait { millis: 4_000, in_time: true });
            driver.step(&Step::AnswerAll);
            let events = driver.output.events.iter().zip(&driver.event_times);
            if let Some(ended) = events.clone().find(|(event, _)| event.finished() == Some(op)) {
                break (ended.0.clone(), *ended.1);
            }
            assert!(driver.now < started + Limits::DEFAULT.lookup_duration * 2, "{op:?} still runs");
        };
        match ended {
            (Event::FindNodeFinished { ending, .. }, at) => {
                assert_eq!(ending, Ending::OutOfTime);
                assert_eq!(at, started + Limits::DEFAULT.lookup_duration);
            }
            // It goes on with those whom it found until then.
            (Event::GetFinished { values, .. }, at) => {
                assert!(at > started + Limits::DEFAULT.lookup_duration && values > 0, "{values}");
            }
            (event, _) => panic!("{event:?}"),
        }
    }
}

/// A caller that never polls is refused new operations, and loses the end of none.
#[test]
fn final_events_are_kept_until_they_are_polled() {
    fn law(script: Vec<Step>) -> bool {
        let limits = Limits { operations: 5, progress_events: 1, ..Limits::DEFAULT };
        let mut driver = Driver::new(Config { limits, ..config() });
        driver.polls = false;
        script.iter().for_each(|step| driver.step(step));
        driver.wait_until(driver.now + Duration::from_secs(120));
        let started: Vec<OpId> = driver.output.commands.iter().filter_map(|result| result.ok()).collect();
        let refused = driver.output.commands.contains(&Err(CommandError::TooManyOperations));
        assert!(driver.output.events.is_empty() && started.len() <= 5);
        assert!(!refused || started.len() == 5, "refused though slots were free");
        driver.poll();
        let mut ended = finals(&driver.output.events);
        ended.sort();
        ended == started && driver.output.events.len() <= started.len() + 1
    }
    quickcheck().tests(100).quickcheck(law as fn(Vec<Step>) -> bool);
}
