//! A mirror that sends elsewhere. The proxy may follow, or leave it to apt.

use super::{Rows, hardening, required};
use crate::check::{Outcome, Unmet};
use crate::http::Answer;
use crate::http::judge::{ensure, next, whole};
use crate::proxy::Target;
use crate::proxy::reply::{Doc, Reply};
use crate::proxy::scene::{DEB, Scene};
use crate::proxy::suite::noise;

pub(super) const CHECKS: Rows = &[
    required("redirects/same-host", "APT.md, section 3", "a 302 is followed", same_host),
    required(
        "redirects/statuses",
        "RFC 9110, section 15.4",
        "301, 302, 303, 307 and 308 lead elsewhere",
        statuses,
    ),
    required("redirects/other-host", "RFC 9110, section 15.4", "to any host", other_host),
    required(
        "redirects/relative",
        "RFC 9110, section 10.2.2",
        "a relative reference is resolved against the target",
        relative,
    ),
    required(
        "redirects/within-the-prefix",
        "RFC 9110, section 10.2.2",
        "a relative reference is resolved against the target",
        within_prefix,
    ),
    hardening(
        "redirects/loop",
        "RFC 9110, section 15.4",
        "a client should detect and intervene in cyclical redirections",
        circle,
    ),
    hardening(
        "redirects/to-a-file",
        "RFC 9110, section 17.3",
        "what names a file of the server itself is not opened",
        to_a_file,
    ),
];

const ELSEWHERE: &str = "pool/main/e/elsewhere/elsewhere_1.0_all.deb";
/// apt follows no more.
const MAX_HOPS: usize = 10;

/// Follows as apt does.
fn follow(scene: &Scene, first: &str) -> Result<Answer, Unmet> {
    let mut target = first.to_owned();
    for _ in 0..MAX_HOPS {
        let mut client = scene.client()?;
        scene.ask_for(&mut client, &target, &[])?;
        let answer = next(&mut client)?;
        if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
            return Ok(answer);
        }
        target = resolved(&target, answer.header("location").unwrap_or_default());
    }
    Err(Unmet::failed("the file after some redirects", format!("more than {MAX_HOPS}")))
}

/// Where a reference leads (RFC 3986, section 5). In the prefix style the proxy's own host is left
/// out, as apt takes it for the mirror.
fn resolved(target: &str, location: &str) -> String {
    if location.starts_with("http://") {
        return location.to_owned();
    }
    let path_at = target.strip_prefix("http://").and_then(|rest| rest.find('/')).map_or(0, |at| at + 7);
    let (host, path) = target.split_at(path_at);
    if location.starts_with('/') {
        return format!("{host}{location}");
    }
    let mut folders: Vec<&str> = path.split('/').collect();
    folders.pop();
    for step in location.split('/') {
        match step {
            ".." => drop(folders.pop()),
            step => folders.push(step),
        }
    }
    format!("{host}{}", folders.join("/"))
}

fn same_host(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_100, 10_000));
    let to = scene.url(ELSEWHERE);
    scene.script(DEB, move |_| Reply::redirect(302, &to));
    scene.serve(ELSEWHERE, &Doc::new(content.clone()));
    for _ in 0..2 {
        whole(&follow(&scene, &scene.url(DEB))?, &content)?;
    }
    Ok(())
}

fn statuses(target: &Target) -> Outcome {
    for (n, status) in [301, 302, 303, 307, 308].into_iter().enumerate() {
        let (scene, content) = (target.scene(), noise(1_101 + n as u64, 10_000));
        let to = scene.url(ELSEWHERE);
        scene.script(DEB, move |_| Reply::redirect(status, &to));
        scene.serve(ELSEWHERE, &Doc::new(content.clone()));
        whole(&follow(&scene, &scene.url(DEB))?, &content)?;
    }
    Ok(())
}

fn relative(target: &Target) -> Outcome {
    for n in 0..2 {
        let (scene, content) = (target.scene(), noise(1_109 + n, 10_000));
        let to = match n {
            0 => scene.path(ELSEWHERE),
            _ => "../../e/elsewhere/elsewhere_1.0_all.deb".to_owned(),
        };
        scene.script(DEB, move |_| Reply::redirect(302, &to));
        scene.serve(ELSEWHERE, &Doc::new(content.clone()));
        whole(&follow(&scene, &scene.url(DEB))?, &content)?;
    }
    Ok(())
}

fn other_host(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_107, 10_000));
    let to = format!("http://{}{}", target.mirror.elsewhere, scene.path(ELSEWHERE));
    scene.script(DEB, move |_| Reply::redirect(302, &to));
    scene.serve(ELSEWHERE, &Doc::new(content.clone()));
    whole(&follow(&scene, &scene.url(DEB))?, &content)?;
    let asked = scene.asked(ELSEWHERE);
    let there = asked.iter().all(|asked| asked.port == target.mirror.elsewhere.port());
    ensure(there, format!("{} is asked", target.mirror.elsewhere), "the first mirror is asked again")
}

fn within_prefix(target: &Target) -> Outcome {
    target.needs_prefix()?;
    let (scene, content) = (target.scene(), noise(1_108, 10_000));
    let to = scene.path(ELSEWHERE);
    scene.script(DEB, move |_| Reply::redirect(302, &to));
    scene.serve(ELSEWHERE, &Doc::new(content.clone()));
    whole(&follow(&scene, &target.prefixed(&scene.path(DEB)))?, &content)
}

fn circle(target: &Target) -> Outcome {
    let scene = target.scene();
    let (to, back) = (scene.url(ELSEWHERE), scene.url(DEB));
    scene.script(DEB, move |_| Reply::redirect(302, &to));
    scene.script(ELSEWHERE, move |_| Reply::redirect(302, &back));
    let answer = scene.try_get(DEB, &[])?;
    let rounds = scene.asked(DEB).len() + scene.asked(ELSEWHERE).len();
    let came = match answer {
        Ok(answer) => format!("status {}", answer.status),
        Err(error) => error.to_string(),
    };
    ensure(rounds <= 100, "an end after some rounds", format!("{rounds} requests, and then: {came}"))
}

fn to_a_file(target: &Target) -> Outcome {
    let scene = target.scene();
    scene.script(DEB, |_| Reply::redirect(302, "file:///etc/passwd"));
    match scene.try_get(DEB, &[])? {
        Ok(answer) => ensure(answer.status != 200, "a refusal, or the redirect itself", "status 200"),
        Err(_) => Ok(()),
    }
}
