//! Connections that end too early, on either side.

use super::{Rows, recommended, required};
use crate::check::{Outcome, Unmet};
use crate::http::Broken;
use crate::http::judge::{ensure, part, unlike, whole, whole_or_cut};
use crate::proxy::Target;
use crate::proxy::mirror::Gate;
use crate::proxy::reply::{Doc, OLD, Reply, Step};
use crate::proxy::scene::{DEB, Scene};
use crate::proxy::suite::noise;

pub(super) const CHECKS: Rows = &[
    required(
        "truncation/seen",
        "RFC 9112, section 8",
        "a message that ends before its length is incomplete",
        seen,
    ),
    recommended(
        "truncation/healed",
        "APT.md, section 3",
        "a cut is resumed with `Range` and `If-Range`",
        healed,
    ),
    required(
        "truncation/in-chunks",
        "RFC 9112, section 8",
        "chunks without the last are incomplete",
        in_chunks,
    ),
    required(
        "truncation/not-kept",
        "RFC 9111, section 3.3",
        "an incomplete response is not used for a complete one",
        not_kept,
    ),
    recommended(
        "truncation/in-the-head",
        "APT.md, section 3",
        "a 5xx ends the run, or costs a try",
        in_the_head,
    ),
    required(
        "truncation/client-resumes",
        "APT.md, section 3",
        "a cut is resumed with `Range` and `If-Range`",
        client_resumes,
    ),
    recommended(
        "truncation/resumed-at-no-cost",
        "APT.md, section 3",
        "a cut is resumed with `Range` and `If-Range`",
        at_no_cost,
    ),
    required(
        "truncation/client-gone",
        "RFC 9111, section 3.3",
        "an incomplete response is not used for a complete one",
        client_gone,
    ),
];

const LEN: usize = 1_200_000;

fn seen(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(800, LEN));
    let doc = Doc::new(content.clone());
    scene.script(DEB, move |_| doc.whole().cut_after(150_000));
    match scene.try_get(DEB, &[])? {
        Ok(answer) if answer.status >= 500 => Ok(()),
        answer => whole_or_cut(answer, &content),
    }
}

fn healed(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(801, LEN));
    scene.with_known_deb(&content)?;
    let doc = Doc::new(content.clone());
    scene.script(DEB, move |asked| match asked.nth {
        0 => doc.answer(asked).cut_after(150_000),
        _ => doc.answer(asked),
    });
    whole(&scene.get(DEB, &[])?, &content)
}

fn in_chunks(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(802, LEN));
    let doc = Doc::new(content.clone());
    scene.script(DEB, move |_| doc.chunked(10_000).cut_after(150_000));
    match scene.try_get(DEB, &[])? {
        Ok(answer) if answer.status >= 500 => Ok(()),
        answer => whole_or_cut(answer, &content),
    }
}

fn not_kept(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(803, LEN));
    let doc = Doc::new(content.clone());
    let cut = doc.clone();
    scene.script(DEB, move |_| cut.whole().cut_after(150_000));
    let _ = scene.try_get(DEB, &[])?;
    scene.serve(DEB, &doc);
    whole(&scene.get(DEB, &[])?, &content)?;
    whole(&scene.get(DEB, &[])?, &content)
}

fn in_the_head(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(804, 20_000));
    let doc = Doc::new(content.clone());
    scene.script(DEB, move |asked| match asked.nth {
        0 => Reply::default().raw("HTTP/1.1 200 OK\r\nContent-Len").close(),
        _ => doc.answer(asked),
    });
    whole_or_cut(scene.try_get(DEB, &[])?, &content)
}

/// Reads a part, and the date that came with it; then the connection is gone. The mirror holds the
/// rest back until then.
fn interrupted(scene: &Scene, content: &[u8]) -> Result<String, Unmet> {
    let (gate, doc) = (Gate::default(), Doc::new(content));
    let held = gate.clone();
    scene.script(DEB, move |asked| doc.answer(asked).with_step_at(250_000, &Step::Hold(held.clone())));
    let mut client = scene.client()?;
    scene.ask(&mut client, DEB, &[])?;
    let broken = |error: Broken| Unmet::failed("the beginning of the file", error.to_string());
    // A proxy that sends nothing before it has all is none of this check's business.
    let head = client.read_head();
    let date = match &head {
        Ok((200, headers)) => {
            headers.iter().find(|(name, _)| name == "last-modified").map(|(_, v)| v.clone())
        }
        Ok((other, _)) => return Err(Unmet::failed("status 200", format!("status {other}"))),
        Err(Broken::Silent(_)) => None,
        Err(other) => return Err(broken(other.clone())),
    };
    let chunked = head.is_ok_and(|(_, headers)| headers.iter().any(|(name, _)| name == "transfer-encoding"));
    if date.is_some() && !chunked {
        match client.take(100_000) {
            Ok(part) if content.starts_with(&part) => {}
            Ok(_) => return Err(Unmet::failed("the beginning of the file", "other bytes")),
            Err(Broken::Silent(_)) => {}
            Err(other) => return Err(broken(other)),
        }
    }
    drop(client);
    gate.open();
    Ok(format!("If-Range: {}", date.as_deref().unwrap_or(OLD)))
}

fn client_resumes(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(805, LEN));
    let version = interrupted(&scene, &content)?;
    part(&scene.get(DEB, &["Range: bytes=100000-", &version])?, &content, 100_000..LEN)
}

fn at_no_cost(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(806, LEN));
    scene.with_known_deb(&content)?;
    let version = interrupted(&scene, &content)?;
    part(&scene.get(DEB, &["Range: bytes=100000-", &version])?, &content, 100_000..LEN)?;
    let sent = scene.sent(DEB);
    // Something may have been on its way when the client went.
    ensure(sent <= LEN + LEN / 4, format!("about {LEN} bytes from the mirror"), format!("{sent}"))
}

fn client_gone(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(807, LEN));
    interrupted(&scene, &content)?;
    let answer = scene.get(DEB, &[])?;
    if answer.status != 200 {
        return Err(unlike("the file", &answer));
    }
    whole(&answer, &content)?;
    whole(&scene.get(DEB, &[])?, &content)
}
