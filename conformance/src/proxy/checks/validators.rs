//! Who has a file already, and whether it is still the one.

use super::{Rows, recommended, required};
use crate::check::{Outcome, Unmet};
use crate::http::judge::{ensure, next, status, whole};
use crate::proxy::Target;
use crate::proxy::reply::{Doc, NEW, OLD, Reply};
use crate::proxy::scene::{DEB, Scene};
use crate::proxy::suite::{RELEASE, Suite, noise};

pub(super) const CHECKS: Rows = &[
    recommended("validators/date", "APT.md, section 3", "without a date a download cannot be resumed", date),
    recommended(
        "validators/date-kept",
        "APT.md, section 3",
        "without a date a download cannot be resumed",
        date_kept,
    ),
    recommended(
        "validators/not-modified",
        "APT.md, section 4",
        "the second update asks with `If-Modified-Since`",
        not_modified,
    ),
    required("validators/no-content", "RFC 9110, section 15.4.5", "a 304 has no content", no_content),
    required(
        "validators/changed",
        "RFC 9111, section 5.2.1.1",
        "`max-age=0`: nothing older is wanted",
        changed,
    ),
    required(
        "validators/without",
        "APT.md, section 4",
        "some mirrors send no date and take no condition",
        without,
    ),
    required(
        "validators/revalidated",
        "RFC 9111, section 4.3.3",
        "a 304 from the mirror is not for a client that has nothing",
        revalidated,
    ),
    recommended(
        "validators/unasked",
        "RFC 9110, section 15.4.5",
        "304 answers a conditional request",
        unasked,
    ),
];

fn release(origin: &str) -> Vec<u8> {
    let mut release = Suite::of(&[], OLD).release;
    release.extend(format!("Label: {origin}\n").into_bytes());
    release
}

fn told(scene: &Scene, path: &str, content: &[u8]) -> Result<String, Unmet> {
    let answer = scene.get(path, &[])?;
    whole(&answer, content)?;
    let date = answer.header("last-modified").map(str::to_owned);
    date.ok_or_else(|| Unmet::failed("Last-Modified", "none"))
}

fn date(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(500, 10_000));
    scene.serve(DEB, &Doc::new(content.clone()));
    told(&scene, DEB, &content).map(drop)
}

fn date_kept(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(501, 10_000));
    scene.with_known_deb(&content)?;
    let first = told(&scene, DEB, &content)?;
    let second = told(&scene, DEB, &content)?;
    ensure(first == second, format!("the same date again, {first}"), second)
}

fn not_modified(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), release("a"));
    scene.serve(RELEASE, &Doc::new(content.clone()));
    let date = told(&scene, RELEASE, &content)?;
    let answer = scene.get(RELEASE, &[&format!("If-Modified-Since: {date}")])?;
    status(&answer, &[304])
}

fn no_content(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), release("b"));
    scene.serve(RELEASE, &Doc::new(content.clone()));
    let since = format!("If-Modified-Since: {}", told(&scene, RELEASE, &content).unwrap_or(OLD.to_owned()));
    let mut client = scene.client()?;
    for _ in 0..3 {
        scene.ask(&mut client, RELEASE, &[&since])?;
    }
    for _ in 0..3 {
        let answer = next(&mut client)?;
        if answer.status != 304 {
            whole(&answer, &content)?;
        }
    }
    Ok(())
}

fn changed(target: &Target) -> Outcome {
    let (scene, before, after) = (target.scene(), release("c"), release("d"));
    scene.serve(RELEASE, &Doc::new(before.clone()));
    let date = scene.get(RELEASE, &[])?.header("last-modified").unwrap_or(OLD).to_owned();
    scene.serve(RELEASE, &Doc::new(after.clone()).modified(NEW));
    whole(&scene.get(RELEASE, &[&format!("If-Modified-Since: {date}")])?, &after)?;
    whole(&scene.get(RELEASE, &[])?, &after)
}

fn without(target: &Target) -> Outcome {
    let (scene, before, after) = (target.scene(), release("e"), release("f"));
    let serve = |content: &[u8]| {
        let doc = Doc::new(content).without_validators();
        scene.script(RELEASE, move |_| doc.whole());
    };
    serve(&before);
    let first = scene.get(RELEASE, &[])?;
    whole(&first, &before)?;
    serve(&after);
    // apt takes the date of arrival where none is told.
    let date = first.header("last-modified").or(first.header("date")).unwrap_or(NEW).to_owned();
    whole(&scene.get(RELEASE, &[&format!("If-Modified-Since: {date}")])?, &after)?;
    whole(&scene.get(RELEASE, &[])?, &after)
}

fn revalidated(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), release("g"));
    scene.serve(RELEASE, &Doc::new(content.clone()).tagged("\"g\""));
    for _ in 0..3 {
        whole(&scene.get(RELEASE, &[])?, &content)?;
    }
    Ok(())
}

/// A mirror that says "not modified" to who has not said of what.
fn unasked(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), release("h"));
    let doc = Doc::new(content.clone());
    scene.script(RELEASE, move |asked| match asked.nth {
        0 => Reply::head(304, &doc.validators()),
        _ => doc.answer(asked),
    });
    crate::http::judge::whole_or_cut(scene.try_get(RELEASE, &[])?, &content)
}
