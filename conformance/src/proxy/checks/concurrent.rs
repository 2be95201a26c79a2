//! Several clients that want one file.

use std::thread;
use std::time::Duration;

use super::{Rows, hardening, joined, recommended, required};
use crate::check::{Outcome, Unmet};
use crate::http::judge::{ensure, part, whole};
use crate::proxy::Target;
use crate::proxy::mirror::Gate;
use crate::proxy::reply::{Doc, Step};
use crate::proxy::scene::{DEB, Scene};
use crate::proxy::suite::noise;

pub(super) const CHECKS: Rows = &[
    required("concurrent/bytes", "APT.md, section 2", "several apts at once", bytes),
    recommended(
        "concurrent/once",
        "RFC 9111, section 4",
        "a cache may use one response for requests that came while it was awaited",
        once,
    ),
    required("concurrent/first-leaves", "APT.md, section 2", "several apts at once", first_leaves),
    required("concurrent/range-and-whole", "APT.md, section 2", "several apts at once", range_and_whole),
    hardening(
        "concurrent/slow-reader",
        "APT.md, section 2",
        "one that does not read holds up no other",
        slow_reader,
    ),
];

const LEN: usize = 300_000;
const CLIENTS: usize = 8;

/// The mirror stops in the middle of the file until the gate opens.
fn hold(scene: &Scene, content: &[u8]) -> Gate {
    let (gate, doc) = (Gate::default(), Doc::new(content));
    let held = gate.clone();
    scene.script(DEB, move |asked| {
        let len = LEN / 2;
        doc.answer(asked).with_step_at(len, &Step::Hold(held.clone()))
    });
    gate
}

/// All ask while the mirror holds the file back.
fn all_ask(scene: &Scene, content: &[u8], lines: impl Fn(usize) -> Vec<String>) -> Outcome {
    let gate = hold(scene, content);
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        let mut client = scene.client()?;
        let lines = lines(n);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        scene.ask(&mut client, DEB, &lines)?;
        clients.push((client, lines.is_empty()));
    }
    scene.wait_asked(DEB, 1);
    // Time for those who came later to be seen; more of them asking for themselves changes nothing
    // for what they get.
    thread::sleep(Duration::from_millis(300));
    gate.open();
    thread::scope(|threads| {
        let reading: Vec<_> = clients
            .into_iter()
            .map(|(mut client, all)| {
                threads.spawn(move || {
                    let answer = crate::http::judge::next(&mut client)?;
                    if all { whole(&answer, content) } else { part(&answer, content, 1_000..LEN) }
                })
            })
            .collect();
        reading.into_iter().try_for_each(joined)
    })
}

fn bytes(target: &Target) -> Outcome {
    let scene = target.scene();
    all_ask(&scene, &noise(900, LEN), |_| Vec::new())
}

fn once(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(901, LEN));
    scene.with_known_deb(&content)?;
    all_ask(&scene, &content, |_| Vec::new())?;
    let sent = scene.sent(DEB);
    ensure(sent == LEN, "the mirror sends the file once", format!("it sent {sent} bytes of {LEN}"))
}

fn first_leaves(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(902, LEN));
    let gate = hold(&scene, &content);
    let mut first = scene.client()?;
    scene.ask(&mut first, DEB, &[])?;
    ensure(scene.wait_asked(DEB, 1), "the mirror is asked", "it is not")?;
    let mut second = scene.client()?;
    scene.ask(&mut second, DEB, &[])?;
    thread::sleep(Duration::from_millis(200));
    drop(first);
    thread::sleep(Duration::from_millis(100));
    gate.open();
    whole(&crate::http::judge::next(&mut second)?, &content)
}

fn range_and_whole(target: &Target) -> Outcome {
    let scene = target.scene();
    all_ask(&scene, &noise(903, LEN), |n| match n % 2 {
        0 => Vec::new(),
        _ => vec!["Range: bytes=1000-".to_owned()],
    })
}

fn slow_reader(target: &Target) -> Outcome {
    // More than the system holds for a client on its own.
    let (scene, content) = (target.scene(), noise(904, 24 << 20));
    scene.serve(DEB, &Doc::new(content.clone()));
    let mut idle = scene.client()?;
    scene.ask(&mut idle, DEB, &[])?;
    // Its answer has begun.
    let _ = idle.read_head();
    let answer = scene.try_get(DEB, &[])?.map_err(|error| {
        Unmet::failed("the file, while another client does not read it", error.to_string())
    })?;
    whole(&answer, &content)?;
    drop(idle);
    Ok(())
}
