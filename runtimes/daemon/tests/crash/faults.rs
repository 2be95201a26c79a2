//! A disk that is full, can only be read, or fails, from any moment on: apt gets everything all the
//! same, and the person is told.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use serde_json::Value;

use super::call::{Call, What};
use super::every::every_moment;
use super::scene::{Deed, await_status};
use super::story::{EVICTION, FIRST, Story};
use super::tracer::Verdict;

/// How a disk fails.
struct Fault {
    errno: Errno,
    hits: fn(&Call) -> bool,
}

const FULL: Fault = Fault { errno: Errno::ENOSPC, hits: |call| call.takes_room() };
const READ_ONLY: Fault = Fault { errno: Errno::EROFS, hits: |call| call.what != What::Sync };
const BROKEN: Fault =
    Fault { errno: Errno::EIO, hits: |call| matches!(call.what, What::Write { .. } | What::Sync) };

/// The disk fails from the first moment on, from the second, and so on, until it does not fail.
fn from_every_moment(story: &Story, fault: &Fault) {
    let is_fetch = |deed: &Deed| matches!(deed, Deed::Fetch(_));
    let told = Mutex::new((0, 0));
    every_moment(story, |scene, data, watch| {
        // Whether it has failed, and whether it had when the client was done.
        let (failed, failed_before_the_end) = (AtomicBool::new(false), AtomicBool::new(false));
        let ended = story.run(
            scene,
            data,
            |proxy| {
                for deed in story.deeds.iter().filter(|deed| is_fetch(deed)) {
                    scene.perform(deed, proxy, data).expect("what apt would have got without us");
                }
                // A daemon that has no place for its socket is silent.
                let _silent = await_status(data, |status| status["downloads"]["in_progress"] == 0);
                let has_failed = failed.load(Ordering::Relaxed);
                failed_before_the_end.store(has_failed, Ordering::Relaxed);
                // It may have failed just now, and the daemon not know it yet.
                let is_told = |status: &Value| status["problems"][0]["text"].is_string();
                let told_by_status = has_failed && await_status(data, is_told).is_ok();
                told.lock().unwrap().0 += usize::from(told_by_status);
            },
            &mut |call: &Call| {
                if !(fault.hits)(call) || !watch.note(call) {
                    return Verdict::Pass;
                }
                failed.store(true, Ordering::Relaxed);
                Verdict::Fail(fault.errno)
            },
        );
        let log = fs::read_to_string(&ended.log).unwrap();
        assert!(watch.has_come || log.is_empty(), "its log: {log}");
        // Once it has closed its database there is nothing to complain of.
        assert!(!failed_before_the_end.into_inner() || !log.is_empty(), "nothing is said in the log");
        told.lock().unwrap().1 += usize::from(!log.is_empty());
        story.check(scene, data, &ended.announced);
    });
    let (by_status, by_log) = told.into_inner().unwrap();
    println!("{}: told {by_status} times by the status, {by_log} times in the log", fault.errno);
    assert!(by_status > 0);
}

#[test]
fn the_disk_fills_up_at_any_moment_until_a_first_package() {
    from_every_moment(&FIRST, &FULL);
}

#[test]
fn the_disk_fills_up_at_any_moment_while_files_make_room() {
    from_every_moment(&EVICTION, &FULL);
}

#[test]
fn the_disk_can_only_be_read_from_any_moment_on() {
    from_every_moment(&FIRST, &READ_ONLY);
}

#[test]
fn the_disk_fails_from_any_moment_on() {
    from_every_moment(&FIRST, &BROKEN);
}
