//! Law 3: every operation ends in exactly one final event, whatever the network does, within a bound
//! that the configuration gives; final events are never dropped. Ids are never reused.

use crate::driver::{Driver, config};
use crate::script::Step;
use core::time::Duration;
use khashmir::config::Limits;
use khashmir::node::CommandError;
use khashmir::{Config, Event, OpId};
use quickcheck::QuickCheck;
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
    QuickCheck::new().tests(200).quickcheck(law as fn(Vec<Step>) -> bool);
}

#[test]
fn ids_are_not_reused() {
    fn law(script: Vec<Step>) -> bool {
        let driver = Driver::after(config(), &script);
        let ops: Vec<OpId> = driver.output.commands.iter().filter_map(|result| result.ok()).collect();
        ops.windows(2).all(|pair| pair[0] < pair[1])
    }
    QuickCheck::new().tests(100).quickcheck(law as fn(Vec<Step>) -> bool);
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
    QuickCheck::new().tests(100).quickcheck(law as fn(Vec<Step>) -> bool);
}
