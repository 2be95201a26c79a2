//! Where an answer ends. Two that disagree about it are a hole; a wrong length is fatal to apt.

use super::errors::refuses;
use super::{Rows, hardening, recommended, required};
use crate::check::{Outcome, Unmet};
use crate::http::judge::{ensure, next, unlike, whole, whole_or_cut};
use crate::http::{Broken, Framing};
use crate::proxy::Target;
use crate::proxy::reply::{Doc, Reply};
use crate::proxy::scene::DEB;
use crate::proxy::suite::noise;

pub(super) const CHECKS: Rows = &[
    recommended(
        "lengths/told",
        "APT.md, section 3",
        "the length is compared with the index before the file arrives",
        told,
    ),
    required("lengths/empty", "RFC 9112, section 6.3", "a length of 0 is a length", empty),
    required("lengths/large", "RFC 9112, section 6.2", "a length of any number of digits", large),
    recommended(
        "lengths/unlike-the-index",
        "APT.md, section 3",
        "a length other than the index says is fatal",
        unlike_index,
    ),
    hardening(
        "lengths/too-much",
        "RFC 9112, section 6.3",
        "what follows the content is no part of it",
        too_much,
    ),
    hardening("lengths/two", "RFC 9112, section 6.3", "lengths that differ make the answer invalid", two),
    hardening(
        "lengths/beside-chunks",
        "RFC 9112, section 6.3",
        "Transfer-Encoding overrides Content-Length",
        beside_chunks,
    ),
    hardening(
        "lengths/nonsense",
        "RFC 9112, section 6.3",
        "an invalid length makes the answer invalid",
        nonsense,
    ),
    hardening(
        "lengths/chunk-too-large",
        "RFC 9112, section 7.1",
        "recipients must anticipate large hexadecimal numerals",
        chunk_too_large,
    ),
    hardening(
        "lengths/chunk-nonsense",
        "RFC 9112, section 7.1",
        "a chunk begins with its size",
        chunk_nonsense,
    ),
];

fn told(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_200, 30_000));
    scene.serve(DEB, &Doc::new(content.clone()));
    for _ in 0..2 {
        let answer = scene.get(DEB, &[])?;
        whole(&answer, &content)?;
        ensure(answer.framing == Framing::Length, "Content-Length", format!("{:?}", answer.framing))?;
    }
    Ok(())
}

fn empty(target: &Target) -> Outcome {
    let scene = target.scene();
    scene.serve(DEB, &Doc::new(Vec::new()));
    whole(&scene.get(DEB, &[])?, b"")?;
    whole(&scene.get(DEB, &[])?, b"")
}

fn large(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_201, 32 << 20));
    scene.serve(DEB, &Doc::new(content.clone()));
    whole(&scene.get(DEB, &[])?, &content)
}

/// The mirror is in the middle of a change, once.
fn unlike_index(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_202, 30_000));
    scene.with_known_deb(&content)?;
    let doc = Doc::new(content.clone());
    scene.script(DEB, move |asked| match asked.nth {
        0 => Doc::new(noise(1_203, 29_000)).whole(),
        _ => doc.answer(asked),
    });
    whole_or_cut(scene.try_get(DEB, &[])?, &content)
}

/// A whole answer stands behind the content: it answers nothing.
fn too_much(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_204, 10_000));
    let doc = Doc::new(content.clone());
    let planted = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nplanted";
    scene.script(DEB, move |asked| {
        let mut reply = doc.answer(asked);
        reply.steps.push(crate::proxy::reply::Step::Body(planted.to_vec()));
        reply
    });
    let next_path = "pool/main/n/next/next_1.0_all.deb";
    let behind = noise(1_205, 10_000);
    scene.serve(next_path, &Doc::new(behind.clone()));
    let mut client = scene.client()?;
    for (path, content) in [(DEB, &content), (next_path, &behind), (next_path, &behind)] {
        let answer = scene.ask(&mut client, path, &[]).map(|()| client.read());
        match answer {
            Ok(Ok(answer)) => whole(&answer, content)?,
            // The connection was given up: what is asked on another must be right.
            Ok(Err(Broken::Cut(_))) | Err(_) => client = scene.client()?,
            Ok(Err(other)) => return Err(Unmet::failed("the file, or a cut", other.to_string())),
        }
    }
    scene.ask(&mut client, next_path, &[])?;
    whole(&next(&mut client)?, &behind)
}

fn two(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_206, 10_000));
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10000\r\nContent-Length: 5000\r\n\r\n";
    scene.script(DEB, move |_| Reply::default().raw(head).body(&content).close());
    refuses(&scene)
}

fn beside_chunks(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_207, 10_000));
    let doc = Doc::new(content.clone()).line("Content-Length: 100");
    scene.script(DEB, move |_| doc.chunked(3_000).close());
    match scene.try_get(DEB, &[])? {
        Ok(answer) if answer.status >= 400 => Ok(()),
        answer => whole_or_cut(answer, &content),
    }
}

fn nonsense(target: &Target) -> Outcome {
    for length in ["-1", "1e4", "99999999999999999999999999"] {
        let (scene, content) = (target.scene(), noise(1_208, 10_000));
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        scene.script(DEB, move |_| Reply::default().raw(&head).body(&content).close());
        refuses(&scene)?;
    }
    Ok(())
}

fn bad_chunk(target: &Target, size: &'static str) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_209, 10_000));
    scene.script(DEB, move |_| {
        let head = Reply::head(200, &["Transfer-Encoding: chunked".to_owned()]);
        let start = content.get(..5_000).unwrap_or_default();
        let head = head.raw("1388\r\n").body(start).raw(&format!("\r\n{size}\r\n"));
        head.body(content.get(5_000..).unwrap_or_default()).raw("\r\n0\r\n\r\n").close()
    });
    match scene.try_get(DEB, &[])? {
        Err(Broken::Cut(_)) => Ok(()),
        Ok(answer) if answer.status >= 400 => Ok(()),
        Ok(answer) => Err(unlike("a cut", &answer)),
        Err(other) => Err(Unmet::failed("a cut", other.to_string())),
    }
}

fn chunk_too_large(target: &Target) -> Outcome {
    bad_chunk(target, "10000000000001388")
}

fn chunk_nonsense(target: &Target) -> Outcome {
    bad_chunk(target, "five thousand")
}
