//! Parts of files, and what an interrupted download asks for.

use super::{Rows, hardening, recommended, required};
use crate::check::{Outcome, Unmet};
use crate::http::judge::{exactly, part, status, unlike, whole};
use crate::http::{Broken, content_range};
use crate::proxy::Target;
use crate::proxy::reply::{Doc, NEW, OLD};
use crate::proxy::scene::{DEB, Scene};
use crate::proxy::suite::{PACKAGES, noise};

pub(super) const CHECKS: Rows = &[
    required("ranges/from", "APT.md, section 3", "206 is appended, 200 begins anew", from),
    recommended(
        "ranges/from-cached",
        "RFC 9110, section 14.2",
        "a range that can be satisfied is answered 206",
        from_cached,
    ),
    required(
        "ranges/inside",
        "RFC 9110, section 14.1.2",
        "the first and the last byte, both included",
        inside,
    ),
    required("ranges/suffix", "RFC 9110, section 14.1.2", "so many bytes from the end", suffix),
    required("ranges/clipped", "RFC 9110, section 14.1.2", "a last byte past the end is the end", clipped),
    required(
        "ranges/past-the-end",
        "RFC 9110, section 15.5.17",
        "416 says the length in Content-Range",
        past_the_end,
    ),
    required(
        "ranges/whole-after",
        "RFC 9111, section 3.3",
        "an incomplete response is not used for a complete one",
        whole_after,
    ),
    recommended(
        "ranges/several",
        "RFC 9110, section 15.3.7.2",
        "several ranges are multipart, or ignored",
        several,
    ),
    recommended(
        "ranges/other-unit",
        "RFC 9110, section 14.2",
        "a range unit that is not known is ignored",
        other_unit,
    ),
    required("ranges/mirror-ignores", "RFC 9110, section 14.2", "a server may ignore Range", mirror_ignores),
    hardening(
        "ranges/mirror-sends-other",
        "RFC 9110, section 14.4",
        "a recipient inspects Content-Range to see what came",
        mirror_sends_other,
    ),
    required(
        "if-range/same",
        "APT.md, section 3",
        "`If-Range` with the date that came with the first part",
        same,
    ),
    recommended(
        "if-range/resumes",
        "RFC 9110, section 13.1.5",
        "the same version: the range is sent",
        resumes,
    ),
    required(
        "if-range/other-date",
        "RFC 9110, section 13.1.5",
        "another version: the whole file is sent",
        other_date,
    ),
    required(
        "if-range/other-tag",
        "RFC 9110, section 13.1.5",
        "another version: the whole file is sent",
        other_tag,
    ),
    required(
        "if-range/changed-index",
        "RFC 9110, section 13.1.5",
        "another version: the whole file is sent",
        changed_index,
    ),
    recommended(
        "if-range/nonsense",
        "RFC 9110, section 13.1.5",
        "what is no validator matches nothing",
        nonsense,
    ),
];

const LEN: usize = 100_000;

fn scene<'a>(target: &'a Target, seed: u64) -> (Scene<'a>, Vec<u8>) {
    let (scene, content) = (target.scene(), noise(seed, LEN));
    scene.serve(DEB, &Doc::new(content.clone()));
    (scene, content)
}

/// Asks before the file was ever asked for, and again when it was.
fn both_times(target: &Target, seed: u64, range: &str, wanted: std::ops::Range<usize>) -> Outcome {
    let (scene, content) = scene(target, seed);
    let line = format!("Range: {range}");
    part(&scene.get(DEB, &[&line])?, &content, wanted.clone())?;
    whole(&scene.get(DEB, &[])?, &content)?;
    part(&scene.get(DEB, &[&line])?, &content, wanted)
}

fn from(target: &Target) -> Outcome {
    both_times(target, 400, "bytes=60000-", 60_000..LEN)
}

fn from_cached(target: &Target) -> Outcome {
    let (scene, content) = scene(target, 401);
    whole(&scene.get(DEB, &[])?, &content)?;
    exactly(&scene.get(DEB, &["Range: bytes=60000-"])?, &content, 60_000..LEN)
}

fn inside(target: &Target) -> Outcome {
    both_times(target, 402, "bytes=5-9", 5..10)
}

fn suffix(target: &Target) -> Outcome {
    both_times(target, 403, "bytes=-100", LEN - 100..LEN)
}

fn clipped(target: &Target) -> Outcome {
    both_times(target, 404, "bytes=99000-200000", 99_000..LEN)
}

/// apt asks so when the partial file was whole.
fn past_the_end(target: &Target) -> Outcome {
    let (scene, content) = scene(target, 405);
    for _ in 0..2 {
        let answer = scene.get(DEB, &["Range: bytes=100000-"])?;
        match (answer.status, answer.header("content-range")) {
            (416, Some("bytes */100000")) => {}
            (200, _) => whole(&answer, &content)?,
            _ => return Err(unlike("416 with `bytes */100000`, or the whole file", &answer)),
        }
        whole(&scene.get(DEB, &[])?, &content)?;
    }
    Ok(())
}

fn whole_after(target: &Target) -> Outcome {
    let (scene, content) = scene(target, 406);
    for range in ["bytes=0-999", "bytes=50000-"] {
        status(&scene.get(DEB, &[&format!("Range: {range}")])?, &[200, 206])?;
    }
    whole(&scene.get(DEB, &[])?, &content)
}

fn several(target: &Target) -> Outcome {
    let (scene, content) = scene(target, 407);
    for _ in 0..2 {
        let answer = scene.get(DEB, &["Range: bytes=0-1,5-6"])?;
        match answer.header("content-type") {
            Some(media) if answer.status == 206 && media.starts_with("multipart/byteranges") => {}
            _ => whole(&answer, &content)?,
        }
    }
    Ok(())
}

fn other_unit(target: &Target) -> Outcome {
    let (scene, content) = scene(target, 408);
    whole(&scene.get(DEB, &["Range: pieces=0-1"])?, &content)?;
    whole(&scene.get(DEB, &["Range: pieces=0-1"])?, &content)
}

fn mirror_ignores(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(409, LEN));
    let doc = Doc::new(content.clone()).without_validators();
    scene.script(DEB, move |_| doc.whole());
    part(&scene.get(DEB, &["Range: bytes=60000-"])?, &content, 60_000..LEN)?;
    whole(&scene.get(DEB, &[])?, &content)
}

/// What the head says of the bytes has to be so, or there are none.
fn mirror_sends_other(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(410, LEN));
    let doc = Doc::new(content.clone());
    scene.script(DEB, move |asked| match asked.header("range") {
        Some(_) => doc.part(10_000..LEN),
        None => doc.whole(),
    });
    match scene.try_get(DEB, &["Range: bytes=60000-"])? {
        Err(Broken::Cut(_)) => Ok(()),
        Err(other) => Err(Unmet::failed("the bytes, or a cut", other.to_string())),
        Ok(answer) if answer.status == 206 => {
            let told = answer.header("content-range").and_then(content_range);
            let (range, _) = told.ok_or_else(|| unlike("a Content-Range", &answer))?;
            exactly(&answer, &content, range)
        }
        Ok(answer) if answer.status >= 400 => Ok(()),
        Ok(answer) => whole(&answer, &content),
    }
}

/// The date with which the proxy sends the file.
fn date(scene: &Scene) -> Result<String, Unmet> {
    let answer = scene.get(DEB, &[])?;
    Ok(answer.header("last-modified").unwrap_or(OLD).to_owned())
}

fn same(target: &Target) -> Outcome {
    let (scene, content) = scene(target, 411);
    let version = format!("If-Range: {}", date(&scene)?);
    part(&scene.get(DEB, &["Range: bytes=60000-", &version])?, &content, 60_000..LEN)
}

fn resumes(target: &Target) -> Outcome {
    let (scene, content) = scene(target, 412);
    let version = format!("If-Range: {}", date(&scene)?);
    exactly(&scene.get(DEB, &["Range: bytes=60000-", &version])?, &content, 60_000..LEN)
}

fn other_date(target: &Target) -> Outcome {
    let (scene, content) = scene(target, 413);
    let version = format!("If-Range: {NEW}");
    for _ in 0..2 {
        whole(&scene.get(DEB, &["Range: bytes=60000-", &version])?, &content)?;
    }
    Ok(())
}

fn other_tag(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(414, LEN));
    scene.serve(DEB, &Doc::new(content.clone()).tagged("\"this\""));
    for tag in ["\"other\"", "W/\"this\""] {
        let version = format!("If-Range: {tag}");
        for _ in 0..2 {
            whole(&scene.get(DEB, &["Range: bytes=60000-", &version])?, &content)?;
        }
    }
    Ok(())
}

/// A part of the old index, which the mirror has replaced since: the rest of the new one would not
/// go with it.
fn changed_index(target: &Target) -> Outcome {
    let (scene, before, after) = (target.scene(), noise(415, LEN), noise(416, LEN));
    scene.serve(PACKAGES, &Doc::new(before.clone()));
    let first = scene.get(PACKAGES, &[])?;
    whole(&first, &before)?;
    let version = format!("If-Range: {}", first.header("last-modified").unwrap_or(OLD));
    scene.serve(PACKAGES, &Doc::new(after.clone()).modified(NEW));
    let answer = scene.get(PACKAGES, &["Range: bytes=60000-", &version])?;
    match answer.status {
        206 => exactly(&answer, &before, 60_000..LEN),
        _ => whole(&answer, &after),
    }
}

fn nonsense(target: &Target) -> Outcome {
    let (scene, content) = scene(target, 417);
    for _ in 0..2 {
        whole(&scene.get(DEB, &["Range: bytes=60000-", "If-Range: yesterday"])?, &content)?;
    }
    Ok(())
}
