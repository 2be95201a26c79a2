//! A mirror that takes its time. apt gives up after 30 s without a byte.

use std::time::{Duration, Instant};

use super::{Rows, pause, recommended, required};
use crate::check::{Outcome, Unmet};
use crate::http::judge::{ensure, next, whole};
use crate::proxy::Target;
use crate::proxy::mirror::Gate;
use crate::proxy::reply::{Doc, Reply, Step};
use crate::proxy::scene::DEB;
use crate::proxy::suite::noise;

pub(super) const CHECKS: Rows = &[
    recommended(
        "slow/first-byte",
        "APT.md, section 3",
        "30 s without a first byte are a failure",
        first_byte,
    ),
    recommended("slow/stall", "APT.md, section 3", "30 s of silence in the middle are a failure", stall),
    required("slow/drip", "APT.md, section 3", "any byte keeps it waiting", drip),
    recommended("slow/flows", "APT.md, section 3", "30 s without a first byte are a failure", flows),
    required("slow/others-are-served", "APT.md, section 2", "several apts at once", others),
];

/// For longer than apt waits; the index has told the file's length.
fn first_byte(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_300, 50_000));
    scene.with_known_deb(&content)?;
    let doc = Doc::new(content.clone());
    let until = Instant::now() + target.patience + target.patience / 5;
    scene.script(DEB, move |asked| {
        doc.answer(asked).after(pause(until.saturating_duration_since(Instant::now())))
    });
    whole(&scene.get(DEB, &[])?, &content)
}

fn stall(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_301, 50_000));
    scene.with_known_deb(&content)?;
    let doc = Doc::new(content.clone());
    let time = target.patience + target.patience / 5;
    scene.script(DEB, move |asked| match asked.nth {
        0 => doc.answer(asked).with_step_at(20_000, &pause(time)),
        _ => doc.answer(asked),
    });
    whole(&scene.get(DEB, &[])?, &content)
}

fn drip(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_302, 60));
    let doc = Doc::new(content.clone());
    scene.script(DEB, move |_| {
        let mut reply = doc.whole();
        reply.steps.pop();
        doc.content.chunks(1).fold(reply, |reply, byte| reply.body(byte).pause(Duration::from_millis(50)))
    });
    whole(&scene.get(DEB, &[])?, &content)
}

/// The beginning of a file comes while the mirror still has the end.
fn flows(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_303, 2_000_000));
    let (gate, doc) = (Gate::default(), Doc::new(content.clone()));
    let held = gate.clone();
    scene.script(DEB, move |asked| doc.answer(asked).with_step_at(1_500_000, &Step::Hold(held.clone())));
    let mut client = scene.client()?;
    scene.ask(&mut client, DEB, &[])?;
    let early = client.read_head().and_then(|_| client.take(100_000));
    gate.open();
    let early =
        early.map_err(|error| Unmet::failed("the beginning, before the end is there", error.to_string()))?;
    ensure(content.starts_with(&early), "the beginning of the file", "other bytes")
}

fn others(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_304, 10_000));
    let gate = Gate::default();
    let waiting = "pool/main/w/wait/wait_1.0_all.deb";
    let held = gate.clone();
    scene.script(waiting, move |_| Reply::default().hold(&held).then(Reply::status(404)));
    scene.serve(DEB, &Doc::new(content.clone()));
    let mut late = scene.client()?;
    scene.ask(&mut late, waiting, &[])?;
    let seen = scene.wait_asked(waiting, 1);
    let answer = scene.get(DEB, &[]);
    gate.open();
    ensure(seen, "the mirror is asked", "it is not")?;
    whole(&answer?, &content)?;
    next(&mut late).map(drop)
}
