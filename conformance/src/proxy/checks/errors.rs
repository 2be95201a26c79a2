//! A mirror that fails. What is transient at the mirror need not be fatal to apt.

use std::time::Duration;

use super::{Rows, hardening, recommended, required};
use crate::check::{Outcome, Unmet};
use crate::http::judge::{ensure, next, status, unlike, whole, whole_or_cut};
use crate::http::{Answer, Broken};
use crate::proxy::Target;
use crate::proxy::mirror::refusing;
use crate::proxy::reply::{Doc, Reply};
use crate::proxy::scene::{DEB, Scene};
use crate::proxy::suite::{RELEASE, noise};

pub(super) const CHECKS: Rows = &[
    required("errors/not-found", "APT.md, section 3", "a 404 is apt's to report", not_found),
    required("errors/other-refusals", "APT.md, section 3", "a 404 is apt's to report", other_refusals),
    required(
        "errors/not-found-later-there",
        "RFC 9111, section 5.2.1.1",
        "`max-age=0`: nothing older is wanted",
        later_there,
    ),
    recommended(
        "errors/deb-later-there",
        "APT.md, section 4",
        "a mirror that is being synchronised has a file a little later",
        deb_later_there,
    ),
    recommended("errors/once-503", "APT.md, section 3", "a 5xx ends the run, or costs a try", once_503),
    recommended("errors/once-other", "APT.md, section 3", "a 5xx ends the run, or costs a try", once_other),
    recommended(
        "errors/once-503-release",
        "APT.md, section 3",
        "a 5xx ends the run, or costs a try",
        once_503_release,
    ),
    recommended("errors/always-503", "APT.md, section 3", "a 5xx ends the run, or costs a try", always_503),
    recommended("errors/refused", "APT.md, section 3", "a 5xx ends the run, or costs a try", refused),
    required(
        "errors/recovers",
        "RFC 9111, section 4.2.2",
        "no guess of freshness for an error of the server",
        recovers,
    ),
    recommended("errors/interim", "APT.md, section 3", "a 1xx is taken for the answer", interim),
    hardening("errors/no-http", "RFC 9112, section 4", "an answer begins with a status line", no_http),
    hardening("errors/wrong-bytes-not-kept", "APT.md, section 3", "one wrong byte is fatal", wrong_not_kept),
];

fn not_found(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_000, 10_000));
    scene.serve(DEB, &Doc::new(content.clone()));
    let mut client = scene.client()?;
    scene.ask(&mut client, "pool/main/n/none/none_1.0_all.deb", &[])?;
    status(&next(&mut client)?, &[404])?;
    // Whether the connection goes on or not, its text is no part of what follows.
    match scene.ask(&mut client, DEB, &[]).map(|()| client.read()) {
        Ok(answer) => whole_or_cut(answer, &content),
        Err(_) => Ok(()),
    }
}

fn other_refusals(target: &Target) -> Outcome {
    let scene = target.scene();
    for wanted in [403, 410] {
        let path = format!("pool/main/r/refused/refused_{wanted}_all.deb");
        scene.script(&path, move |_| Reply::status(wanted));
        let answer = scene.get(&path, &[])?;
        if !(400..500).contains(&answer.status) {
            return Err(unlike(format!("status {wanted}"), &answer));
        }
    }
    Ok(())
}

fn later_there(target: &Target) -> Outcome {
    let scene = target.scene();
    status(&scene.get(RELEASE, &[])?, &[404])?;
    let release = crate::proxy::suite::Suite::of(&[], crate::proxy::reply::OLD).release;
    scene.serve(RELEASE, &Doc::new(release.clone()));
    whole(&scene.get(RELEASE, &[])?, &release)
}

fn deb_later_there(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_001, 10_000));
    status(&scene.get(DEB, &[])?, &[404])?;
    scene.serve(DEB, &Doc::new(content.clone()));
    whole(&scene.get(DEB, &[])?, &content)
}

/// The mirror is well again when asked a second time.
fn once(target: &Target, path: &str, wanted: u16) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_010 + u64::from(wanted), 10_000));
    let doc = Doc::new(content.clone());
    scene.script(path, move |asked| match asked.nth {
        0 => Reply::status_with(wanted, &["Retry-After: 1"]),
        _ => doc.answer(asked),
    });
    whole_or_cut(scene.try_get(path, &[])?, &content)
}

fn once_503(target: &Target) -> Outcome {
    once(target, DEB, 503)
}

fn once_other(target: &Target) -> Outcome {
    [500, 502, 504, 429, 408].into_iter().try_for_each(|status| once(target, DEB, status))
}

fn once_503_release(target: &Target) -> Outcome {
    once(target, RELEASE, 503)
}

/// What cannot be had is cut: apt tries again.
fn no_server_error(answer: &Result<Answer, Broken>) -> Outcome {
    match answer {
        Ok(answer) => Err(unlike("a cut", answer)),
        Err(Broken::Cut(_)) => Ok(()),
        Err(other) => Err(Unmet::failed("a cut", other.to_string())),
    }
}

fn always_503(target: &Target) -> Outcome {
    let scene = target.scene();
    scene.script(DEB, |_| Reply::status(503));
    no_server_error(&scene.try_get(DEB, &[])?)
}

fn refused(target: &Target) -> Outcome {
    let scene = target.scene();
    let gone = refusing(target.mirror.address.ip()).map_err(|error| Unmet::skipped(error.to_string()))?;
    no_server_error(&scene.try_get_url(&format!("http://{gone}{}", scene.path(DEB)), &[])?)
}

fn recovers(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_002, 10_000));
    scene.script(DEB, |_| Reply::status(500));
    let _ = scene.try_get(DEB, &[])?;
    scene.serve(DEB, &Doc::new(content.clone()));
    whole(&scene.get(DEB, &[])?, &content)
}

fn interim(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_003, 10_000));
    let doc = Doc::new(content.clone());
    scene.script(DEB, move |asked| {
        let first = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n";
        Reply::default().raw(first).pause(Duration::from_millis(50)).then(doc.answer(asked))
    });
    whole_or_cut(scene.try_get(DEB, &[])?, &content)
}

/// A few attempts are allowed before the proxy gives up; none brings the bytes as a file.
fn no_http(target: &Target) -> Outcome {
    let scene = target.scene();
    let said = "SSH-2.0-OpenSSH_9.2p1\r\n\r\nnobody asked for this\r\n";
    scene.script(DEB, move |_| Reply::default().raw(said).close());
    refuses(&scene)
}

/// Nothing comes that apt could take for the file.
pub(super) fn refuses(scene: &Scene) -> Outcome {
    match scene.try_get(DEB, &[])? {
        Ok(answer) if answer.status < 400 => Err(unlike("an error, or a cut", &answer)),
        _ => Ok(()),
    }
}

fn wrong_not_kept(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_004, 10_000));
    scene.with_known_deb(&content)?;
    let mut wrong = content.clone();
    wrong.iter_mut().skip(5_000).take(1).for_each(|byte| *byte ^= 1);
    scene.serve(DEB, &Doc::new(wrong));
    let _ = scene.try_get(DEB, &[])?;
    scene.serve(DEB, &Doc::new(content.clone()));
    let answer = scene.get(DEB, &[])?;
    ensure(answer.body == content, "the right bytes, once the mirror has them", "the wrong ones again")
}
