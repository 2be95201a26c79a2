//! Every moment of a story, one after the other, some at a time.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::{Condvar, Mutex};
use std::time::Instant;

use super::call::Call;
use super::scene::Scene;
use super::story::Story;

/// Stories told at a time; each is one that waits, most of the time.
const WORKERS: usize = 4;
/// How often something is waited for that happened in another telling.
const ATTEMPTS: usize = 5;

/// The nth time, from 0, that something of a kind happens. Threads come in another order each time;
/// that the second write to the log comes after the first does not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    label: String,
    nth: usize,
}

/// Waits for a moment.
#[derive(Debug, Default)]
pub struct Watch {
    moment: Option<Moment>,
    /// How often what happened.
    seen: BTreeMap<String, usize>,
    /// Whether the moment has come.
    pub has_come: bool,
}

impl Watch {
    /// Notes a call. Returns whether the moment has come; what comes of it is not noted.
    pub fn note(&mut self, call: &Call) -> bool {
        if self.has_come {
            return true;
        }
        let label = call.label();
        let nth = self.seen.entry(label.clone()).or_default();
        self.has_come |=
            self.moment.as_ref().is_some_and(|moment| moment.label == label && moment.nth == *nth);
        *nth += 1;
        self.has_come
    }
}

/// What is still to be tried.
#[derive(Debug, Default)]
struct Plan {
    waiting: VecDeque<(Moment, usize)>,
    /// How often each kind was met; it is here as soon as it is known.
    met: BTreeMap<String, usize>,
    running: usize,
    is_failed: bool,
}

impl Plan {
    /// Notes how a telling went in which `watch` waited, for so many times before.
    fn note(&mut self, watch: Watch, attempts: usize) {
        for label in watch.seen.into_keys() {
            if !self.met.contains_key(&label) {
                self.met.insert(label.clone(), 0);
                self.waiting.push_back((Moment { label, nth: 0 }, 0));
            }
        }
        let Some(mut moment) = watch.moment else { return };
        match watch.has_come {
            true => {
                *self.met.entry(moment.label.clone()).or_default() += 1;
                moment.nth += 1;
                self.waiting.push_back((moment, 0));
            }
            false if moment.nth == 0 && attempts < ATTEMPTS => self.waiting.push_back((moment, attempts + 1)),
            false => {}
        }
    }
}

/// Tells the story once to learn what happens in it, and then again for each time that each of these
/// things happens, with something else at that moment, which `tell` makes happen.
pub fn every_moment(story: &Story, tell: impl Fn(&Scene, &Path, &mut Watch) + Sync) {
    let began = Instant::now();
    let (plan, changed) = (Mutex::new(Plan::default()), Condvar::new());
    let tell = |scene: &Scene, template: Option<&Path>, watch: &mut Watch| {
        let data = scene.data(template);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| tell(scene, data.path(), watch))) {
            eprintln!("that was at {:?}", watch.moment);
            plan.lock().unwrap().is_failed = true;
            changed.notify_all();
            resume_unwind(panic);
        }
    };
    std::thread::scope(|threads| {
        for worker in 0..WORKERS {
            let (plan, changed, tell) = (&plan, &changed, &tell);
            plan.lock().unwrap().running += usize::from(worker == 0);
            threads.spawn(move || {
                let scene = Scene::new();
                let template = (!story.before.is_empty()).then(|| scene.template(story.before));
                let template = template.as_ref().map(|template| template.path());
                if worker == 0 {
                    let mut watch = Watch::default();
                    tell(&scene, template, &mut watch);
                    let mut plan = plan.lock().unwrap();
                    plan.note(watch, 0);
                    plan.running -= 1;
                    changed.notify_all();
                }
                loop {
                    let is_idle =
                        |plan: &mut Plan| plan.waiting.is_empty() && plan.running > 0 && !plan.is_failed;
                    let mut now = changed.wait_while(plan.lock().unwrap(), is_idle).unwrap();
                    if now.is_failed {
                        return;
                    }
                    let Some((moment, attempts)) = now.waiting.pop_front() else { return };
                    now.running += 1;
                    drop(now);
                    let mut watch = Watch { moment: Some(moment), ..Watch::default() };
                    tell(&scene, template, &mut watch);
                    let mut plan = plan.lock().unwrap();
                    plan.note(watch, attempts);
                    plan.running -= 1;
                    changed.notify_all();
                }
            });
        }
    });
    let Plan { met, .. } = plan.into_inner().unwrap();
    println!("{} moments in {:?}: {met:#?}", met.values().sum::<usize>(), began.elapsed());
    let missed: Vec<&String> = met.iter().filter(|(_, times)| **times == 0).map(|(label, _)| label).collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}
