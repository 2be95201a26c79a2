//! Connections, of apt and to the mirror.

use std::thread;

use super::{Rows, recommended, required};
use crate::check::{Outcome, Unmet};
use crate::http::Broken;
use crate::http::judge::{ensure, next, whole};
use crate::proxy::Target;
use crate::proxy::reply::{Doc, Reply};
use crate::proxy::scene::DEB;
use crate::proxy::suite::noise;

pub(super) const CHECKS: Rows = &[
    recommended(
        "connections/keep-alive",
        "APT.md, section 2",
        "one connection for all requests to a host",
        keep_alive,
    ),
    recommended(
        "connections/close",
        "RFC 9112, section 9.6",
        "after the last answer the server closes",
        close,
    ),
    required(
        "connections/mirror-closes",
        "RFC 9112, section 9.6",
        "a mirror may close after any answer",
        mirror_closes,
    ),
    required(
        "connections/idle-mirror",
        "RFC 9112, section 9.3.1",
        "a request on a connection that was closed meanwhile is sent again on another",
        idle_mirror,
    ),
    required("connections/many", "APT.md, section 2", "several apts at once", many),
];

fn name(n: u64) -> String {
    format!("pool/main/s/speck/speck-{n}_1.0_all.deb")
}

fn keep_alive(target: &Target) -> Outcome {
    let scene = target.scene();
    let mut client = scene.client()?;
    for n in 0..20 {
        let content = noise(100 + n, 2_000);
        scene.serve(&name(n), &Doc::new(content.clone()));
        scene.ask(&mut client, &name(n), &[])?;
        whole(&next(&mut client)?, &content)?;
    }
    Ok(())
}

fn close(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(120, 2_000));
    scene.serve(DEB, &Doc::new(content.clone()));
    let mut client = scene.client()?;
    scene.ask(&mut client, DEB, &["Connection: close"])?;
    whole(&next(&mut client)?, &content)?;
    ensure(client.is_at_end(), "the end of the connection", "it stays open, or more comes")
}

fn mirror_closes(target: &Target) -> Outcome {
    closing(target, Some("Connection: close"))
}

/// The mirror says nothing of closing, and has closed when the next request comes.
fn idle_mirror(target: &Target) -> Outcome {
    closing(target, None)
}

/// One file after the other from a mirror that closes after each.
fn closing(target: &Target, line: Option<&str>) -> Outcome {
    let scene = target.scene();
    let mut client = scene.client()?;
    for n in 0..5 {
        let content = noise(140 + n, 2_000);
        let doc = line.into_iter().fold(Doc::new(content.clone()), Doc::line);
        scene.script(&name(n), move |asked| doc.answer(asked).close());
        let asked = scene.ask(&mut client, &name(n), &[]);
        match asked.map(|()| client.read()) {
            Ok(Ok(answer)) => whole(&answer, &content)?,
            Ok(Err(Broken::Cut(_))) | Err(_) => {
                // apt connects again, and asks once more.
                client = scene.client()?;
                scene.ask(&mut client, &name(n), &[])?;
                whole(&next(&mut client)?, &content)?;
            }
            Ok(Err(other)) => return Err(Unmet::failed("an answer", other.to_string())),
        }
    }
    Ok(())
}

fn many(target: &Target) -> Outcome {
    let scene = target.scene();
    for n in 0..24 {
        let content = noise(200 + n, 20_000);
        scene.script(&name(n), move |asked| {
            let pause = std::time::Duration::from_millis(50);
            match asked.method.as_str() {
                "GET" => Doc::new(content.clone()).answer(asked).after(super::pause(pause)),
                _ => Reply::status(405),
            }
        });
    }
    thread::scope(|threads| {
        let asking: Vec<_> = (0..24)
            .map(|n| {
                let scene = &scene;
                threads.spawn(move || whole(&scene.get(&name(n), &[])?, &noise(200 + n, 20_000)))
            })
            .collect();
        asking.into_iter().try_for_each(super::joined)
    })
}
