//! apt sends ten requests ahead, and takes answers in their order.

use std::ops::Range;
use std::time::Duration;

use super::{Rows, pause, recommended, required};
use crate::check::{Outcome, Unmet};
use crate::http::judge::{ensure, next, part, status, unlike, whole};
use crate::http::{Answer, Broken, Client};
use crate::proxy::Target;
use crate::proxy::mirror::Gate;
use crate::proxy::reply::{Doc, OLD, Reply};
use crate::proxy::scene::Scene;
use crate::proxy::suite::noise;

pub(super) const CHECKS: Rows = &[
    required("pipelining/order", "RFC 9112, section 9.3.2", "answers in the order of the requests", order),
    required("pipelining/sixty", "APT.md, section 2", "up to 10 requests ahead of the answers", sixty),
    recommended(
        "pipelining/ahead",
        "APT.md, section 2",
        "what is behind a slow file is fetched meanwhile",
        ahead,
    ),
    required(
        "pipelining/in-pieces",
        "RFC 9112, section 2.2",
        "a head ends with its empty line, wherever packets end",
        in_pieces,
    ),
    required(
        "pipelining/not-found-inside",
        "RFC 9112, section 9.3.2",
        "answers in the order of the requests",
        not_found_inside,
    ),
    required(
        "pipelining/not-modified-inside",
        "RFC 9112, section 6.3",
        "an answer 304 has no content, whatever its headers say",
        not_modified_inside,
    ),
    required(
        "pipelining/range-inside",
        "RFC 9112, section 9.3.2",
        "answers in the order of the requests",
        range_inside,
    ),
    required("pipelining/empty-inside", "RFC 9112, section 6.3", "a length of 0 is a length", empty_inside),
    required(
        "pipelining/chunked-inside",
        "RFC 9112, section 7.1",
        "chunks end with the last chunk",
        chunked_inside,
    ),
    required("pipelining/cut-inside", "APT.md, section 3", "one wrong byte is fatal", cut_inside),
    required(
        "pipelining/close-at-the-end",
        "RFC 9112, section 9.6",
        "what was asked before is answered",
        close_at_the_end,
    ),
];

/// How many requests apt has outstanding.
const DEPTH: usize = 10;

fn name(n: u64) -> String {
    format!("pool/main/s/speck/speck-{n}_1.0_all.deb")
}

/// Content and length differ, so that no answer passes for another.
fn content(n: u64) -> Vec<u8> {
    noise(300 + n, 5_000 + 117 * n as usize)
}

fn serve(scene: &Scene, count: u64) {
    for n in 0..count {
        scene.serve(&name(n), &Doc::new(content(n)));
    }
}

/// A request, and what its answer has to be.
struct Want {
    path: String,
    lines: Vec<String>,
    judge: Box<dyn Fn(&Answer) -> Outcome>,
}

impl Want {
    fn new(n: u64, lines: &[&str], judge: impl Fn(&Answer) -> Outcome + 'static) -> Self {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        Self { path: name(n), lines, judge: Box::new(judge) }
    }

    fn file(n: u64) -> Self {
        Self::new(n, &[], move |answer| whole(answer, &content(n)))
    }
}

/// Asks as apt does: the first alone, then up to ten ahead. If the proxy closes in between, what is
/// left is asked again on another connection, as long as each brings something.
fn pipeline(scene: &Scene, wants: &[Want]) -> Outcome {
    let mut at = 0;
    while at < wants.len() {
        let (start, mut asked) = (at, at);
        let mut client = scene.client()?;
        let cut = loop {
            let ahead = if at == start && start == 0 { 1 } else { DEPTH };
            while let Some(want) = wants.get(asked).filter(|_| asked < at + ahead) {
                let lines: Vec<&str> = want.lines.iter().map(String::as_str).collect();
                // That it was closed shows when the next answer is read.
                let _ = scene.ask(&mut client, &want.path, &lines);
                asked += 1;
            }
            let Some(want) = wants.get(at) else { return Ok(()) };
            match client.read() {
                Ok(answer) => (want.judge)(&answer)?,
                Err(cut @ Broken::Cut(_)) if at == start => break Some(cut),
                Err(Broken::Cut(_)) => break None,
                Err(other) => return Err(Unmet::failed("an answer", other.to_string())),
            }
            at += 1;
        };
        if let Some(cut) = cut {
            return Err(Unmet::failed(format!("an answer for {}", name(at as u64)), cut.to_string()));
        }
    }
    Ok(())
}

fn order(target: &Target) -> Outcome {
    let scene = target.scene();
    // The sooner asked, the later there.
    for n in 0..11 {
        let (doc, time) = (Doc::new(content(n)), Duration::from_millis(330 - 30 * n));
        scene.script(&name(n), move |asked| doc.answer(asked).after(pause(time)));
    }
    pipeline(&scene, &files(0..11))
}

fn files(numbers: Range<u64>) -> Vec<Want> {
    numbers.map(Want::file).collect()
}

/// Four files, with something else in the place of the second.
fn with_second(scene: &Scene, second: Want) -> Outcome {
    pipeline(scene, &[Want::file(0), second, Want::file(2), Want::file(3)])
}

fn sixty(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 60);
    pipeline(&scene, &files(0..60))
}

fn ahead(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 10);
    let (gate, doc) = (Gate::default(), Doc::new(content(0)));
    let held = gate.clone();
    scene.script(&name(0), move |asked| Reply::default().hold(&held).then(doc.answer(asked)));
    let mut client = scene.client()?;
    (0..10).try_for_each(|n| scene.ask(&mut client, &name(n), &[]))?;
    let paths: Vec<String> = (0..10).map(|n| scene.path(&name(n))).collect();
    let came = target.mirror.wait(target.patience / 3, |count| paths.iter().all(|path| count(path) > 0));
    let seen = paths.iter().filter(|path| !target.mirror.asked(path).is_empty()).count();
    gate.open();
    ensure(came, "the mirror is asked for all ten while the first is late", format!("for {seen}"))?;
    read_all(&mut client, 0..10)
}

fn read_all(client: &mut Client, numbers: Range<u64>) -> Outcome {
    numbers.into_iter().try_for_each(|n| whole(&next(client)?, &content(n)))
}

fn in_pieces(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 7);
    let mut client = scene.client()?;
    // Who answered once is reading: the pieces that follow come one by one.
    scene.ask(&mut client, &name(6), &[])?;
    read_all(&mut client, 6..7)?;
    let host = target.mirror.address;
    let all: String =
        (0..6).map(|n| format!("GET {} HTTP/1.1\r\nHost: {host}\r\n\r\n", scene.url(&name(n)))).collect();
    for piece in all.as_bytes().chunks(7) {
        client.send(piece).map_err(|error| Unmet::failed("the requests are read", error.to_string()))?;
        std::thread::sleep(Duration::from_millis(10));
    }
    read_all(&mut client, 0..6)
}

fn not_found_inside(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 4);
    scene.script(&name(1), |_| Reply::status(404));
    with_second(&scene, Want::new(1, &[], |answer| status(answer, &[404])))
}

fn not_modified_inside(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 4);
    let date = scene.get(&name(1), &[])?.header("last-modified").map(str::to_owned);
    let since = format!("If-Modified-Since: {}", date.as_deref().unwrap_or(OLD));
    let judge = |answer: &Answer| if answer.status == 304 { Ok(()) } else { whole(answer, &content(1)) };
    with_second(&scene, Want::new(1, &[&since], judge))
}

fn range_inside(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 4);
    let judge = |answer: &Answer| part(answer, &content(1), 1_000..content(1).len());
    with_second(&scene, Want::new(1, &["Range: bytes=1000-"], judge))
}

fn empty_inside(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 4);
    scene.serve(&name(1), &Doc::new(Vec::new()));
    with_second(&scene, Want::new(1, &[], |answer| whole(answer, b"")))
}

fn chunked_inside(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 4);
    let doc = Doc::new(content(1));
    scene.script(&name(1), move |_| doc.chunked(700));
    pipeline(&scene, &files(0..4))
}

/// The mirror cuts one file each time: nothing may be put in the place of its end.
fn cut_inside(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 4);
    let doc = Doc::new(content(1));
    scene.script(&name(1), move |_| doc.whole().cut_after(2_000));
    let mut client = scene.client()?;
    (0..4).try_for_each(|n| scene.ask(&mut client, &name(n), &[]))?;
    read_all(&mut client, 0..1)?;
    match client.read() {
        Err(Broken::Cut(_)) => Ok(()),
        // What it said it is, before the file began.
        Ok(answer) if answer.status >= 500 => Ok(()),
        Ok(answer) => Err(unlike("a cut", &answer)),
        Err(other) => Err(Unmet::failed("a cut", other.to_string())),
    }
}

fn close_at_the_end(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 5);
    let mut wants = files(0..4);
    wants.push(Want::new(4, &["Connection: close"], |answer| whole(answer, &content(4))));
    pipeline(&scene, &wants)
}
