//! SIGKILL before every change of the daemon's data, and in the middle of every write: the next
//! daemon makes good of what is left.

use std::sync::atomic::{AtomicBool, Ordering};

use super::apt::Failure;
use super::call::{Call, What};
use super::every::every_moment;
use super::scene::Deed;
use super::story::{EVICTION, FIRST, SHARE, Story};
use super::tracer::Verdict;

fn at_every_moment(story: &Story, end: Verdict) {
    let counts = |call: &Call| match &call.what {
        What::Open => false,
        What::Write { len: 2.., .. } => true,
        _ => end == Verdict::Kill,
    };
    every_moment(story, |scene, data, watch| {
        let is_shared = AtomicBool::new(false);
        let ended = story.run(
            scene,
            data,
            |proxy| {
                // It may end at any time.
                let _ended = story.deeds.iter().try_for_each(|deed| {
                    scene.perform(deed, proxy, data)?;
                    is_shared.fetch_or(matches!(deed, Deed::Share), Ordering::Relaxed);
                    Ok::<(), Failure>(())
                });
            },
            &mut |call: &Call| {
                if counts(call) && watch.note(call) { end } else { Verdict::Pass }
            },
        );
        assert_eq!(ended.is_killed, watch.has_come);
        if is_shared.into_inner() {
            story.check_shared(scene, data);
        }
        story.check(scene, data, &ended.announced);
    });
}

#[test]
fn killed_before_each_change_from_a_first_start_to_a_first_package() {
    at_every_moment(&FIRST, Verdict::Kill);
}

#[test]
fn killed_in_each_write_from_a_first_start_to_a_first_package() {
    at_every_moment(&FIRST, Verdict::Tear);
}

#[test]
fn killed_before_each_change_while_files_make_room_for_another() {
    at_every_moment(&EVICTION, Verdict::Kill);
}

#[test]
fn killed_before_each_change_while_a_person_shares_a_file() {
    at_every_moment(&SHARE, Verdict::Kill);
}

#[test]
fn killed_in_each_write_while_files_make_room_for_another() {
    at_every_moment(&EVICTION, Verdict::Tear);
}
