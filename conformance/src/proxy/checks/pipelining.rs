//! apt sends ten requests ahead, and takes answers in their order.

use std::time::Duration;

use super::{Rows, pause, recommended, required};
use crate::check::{Outcome, Unmet};
use crate::http::{Broken, Client};
use crate::proxy::Target;
use crate::proxy::mirror::Gate;
use crate::proxy::reply::{Doc, OLD, Reply};
use crate::proxy::scene::{Scene, ensure, next, part, status, whole};
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
    required(
        "pipelining/cut-inside",
        "APT.md, section 3",
        "a cut is resumed, one wrong byte is fatal",
        cut_inside,
    ),
    required(
        "pipelining/close-at-the-end",
        "RFC 9112, section 9.6",
        "what was asked before is answered",
        close_at_the_end,
    ),
];

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

fn ask_all(scene: &Scene, client: &mut Client, numbers: std::ops::Range<u64>) -> Outcome {
    numbers.into_iter().try_for_each(|n| scene.ask(client, &name(n), &[]))
}

fn read_all(client: &mut Client, numbers: std::ops::Range<u64>) -> Outcome {
    numbers.into_iter().try_for_each(|n| whole(&next(client)?, &content(n)))
}

fn order(target: &Target) -> Outcome {
    let scene = target.scene();
    // The sooner asked, the later there.
    for n in 0..10 {
        let (doc, time) = (Doc::new(content(n)), Duration::from_millis(300 - 30 * n));
        scene.script(&name(n), move |asked| doc.answer(asked).after(pause(time)));
    }
    let mut client = scene.client()?;
    ask_all(&scene, &mut client, 0..10)?;
    read_all(&mut client, 0..10)
}

fn sixty(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 60);
    let mut client = scene.client()?;
    // As apt does: the first alone, then ten outstanding.
    ask_all(&scene, &mut client, 0..1)?;
    read_all(&mut client, 0..1)?;
    ask_all(&scene, &mut client, 1..11)?;
    for n in 1..60 {
        let read = read_all(&mut client, n..n + 1);
        // apt connects again when a proxy closes in between.
        if let Err(Unmet::Failed(failure)) = &read
            && failure.came.contains("cut")
        {
            client = scene.client()?;
            ask_all(&scene, &mut client, n..(n + 10).min(60))?;
            read_all(&mut client, n..n + 1)?;
            continue;
        }
        read?;
        if n + 10 < 60 {
            let _ = ask_all(&scene, &mut client, n + 10..n + 11);
        }
    }
    Ok(())
}

fn ahead(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 10);
    let (gate, doc) = (Gate::default(), Doc::new(content(0)));
    let held = gate.clone();
    scene.script(&name(0), move |asked| Reply::default().hold(&held).then(doc.answer(asked)));
    let mut client = scene.client()?;
    ask_all(&scene, &mut client, 0..10)?;
    let paths: Vec<String> = (0..10).map(|n| scene.path(&name(n))).collect();
    let came = target.mirror.wait(target.patience / 3, |count| paths.iter().all(|path| count(path) > 0));
    let seen = paths.iter().filter(|path| !target.mirror.asked(path).is_empty()).count();
    gate.open();
    ensure(came, "the mirror is asked for all ten while the first is late", format!("for {seen}"))?;
    read_all(&mut client, 0..10)
}

fn in_pieces(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 6);
    let mut client = scene.client()?;
    let host = target.mirror.address;
    let all: String =
        (0..6).map(|n| format!("GET {} HTTP/1.1\r\nHost: {host}\r\n\r\n", scene.url(&name(n)))).collect();
    for (at, piece) in all.as_bytes().chunks(7).enumerate() {
        client.send(piece).map_err(|error| Unmet::failed("the requests are read", error.to_string()))?;
        if at % 8 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    read_all(&mut client, 0..6)
}

fn not_found_inside(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 5);
    scene.script(&name(2), |_| Reply::status(404));
    let mut client = scene.client()?;
    ask_all(&scene, &mut client, 0..5)?;
    read_all(&mut client, 0..2)?;
    status(&next(&mut client)?, &[404])?;
    read_all(&mut client, 3..5)
}

fn not_modified_inside(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 4);
    let date = scene.get(&name(1), &[])?.header("last-modified").map(str::to_owned);
    let since = format!("If-Modified-Since: {}", date.as_deref().unwrap_or(OLD));
    let mut client = scene.client()?;
    ask_all(&scene, &mut client, 0..1)?;
    scene.ask(&mut client, &name(1), &[&since])?;
    ask_all(&scene, &mut client, 2..4)?;
    read_all(&mut client, 0..1)?;
    let answer = next(&mut client)?;
    if answer.status != 304 {
        whole(&answer, &content(1))?;
    }
    read_all(&mut client, 2..4)
}

fn range_inside(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 4);
    let mut client = scene.client()?;
    ask_all(&scene, &mut client, 0..1)?;
    scene.ask(&mut client, &name(1), &["Range: bytes=1000-"])?;
    ask_all(&scene, &mut client, 2..4)?;
    read_all(&mut client, 0..1)?;
    let content = content(1);
    part(&next(&mut client)?, &content, 1_000..content.len())?;
    read_all(&mut client, 2..4)
}

fn empty_inside(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 4);
    scene.serve(&name(1), &Doc::new(Vec::new()));
    let mut client = scene.client()?;
    ask_all(&scene, &mut client, 0..4)?;
    read_all(&mut client, 0..1)?;
    whole(&next(&mut client)?, b"")?;
    read_all(&mut client, 2..4)
}

fn chunked_inside(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 4);
    let doc = Doc::new(content(1));
    scene.script(&name(1), move |_| doc.chunked(700));
    let mut client = scene.client()?;
    ask_all(&scene, &mut client, 0..4)?;
    read_all(&mut client, 0..4)
}

/// The mirror cuts one file each time: nothing may be put in the place of its end.
fn cut_inside(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 4);
    let doc = Doc::new(content(1));
    scene.script(&name(1), move |_| doc.whole().cut_after(2_000));
    let mut client = scene.client()?;
    ask_all(&scene, &mut client, 0..4)?;
    read_all(&mut client, 0..1)?;
    match client.read() {
        Err(Broken::Cut(_)) => Ok(()),
        // What it said it is, before the file began.
        Ok(answer) if answer.status >= 500 => Ok(()),
        Ok(answer) => Err(crate::proxy::scene::unlike("a cut", &answer)),
        Err(other) => Err(Unmet::failed("a cut", other.to_string())),
    }
}

fn close_at_the_end(target: &Target) -> Outcome {
    let scene = target.scene();
    serve(&scene, 5);
    let mut client = scene.client()?;
    ask_all(&scene, &mut client, 0..4)?;
    scene.ask(&mut client, &name(4), &["Connection: close"])?;
    client.finish();
    read_all(&mut client, 0..5)
}
