//! How bodies are wrapped: what arrives are the bytes of the file.

use super::{Rows, required};
use crate::check::Outcome;
use crate::http::judge::{ensure, whole};
use crate::proxy::Target;
use crate::proxy::reply::{Doc, Reply};
use crate::proxy::scene::DEB;
use crate::proxy::suite::{PACKAGES, noise};

pub(super) const CHECKS: Rows = &[
    required("encodings/chunked", "APT.md, section 3", "chunks without a length are fine", chunked),
    required(
        "encodings/extensions-and-trailers",
        "RFC 9112, section 7.1",
        "what a recipient does not know of chunk extensions and trailers it ignores",
        extensions,
    ),
    required(
        "encodings/until-close",
        "RFC 9112, section 6.3",
        "without a length the content ends with the connection",
        until_close,
    ),
    required(
        "encodings/http-1.0-mirror",
        "RFC 9112, section 6.3",
        "without a length the content ends with the connection",
        http_1_0_mirror,
    ),
    required(
        "encodings/no-coding",
        "RFC 9110, section 12.5.3",
        "no coding is used that was not asked for",
        no_coding,
    ),
    required(
        "encodings/labelled-gzip",
        "RFC 9110, section 8.4",
        "a coding belongs to the file: the bytes are as the mirror has them",
        labelled_gzip,
    ),
];

fn twice(target: &Target, seed: u64, reply: impl Fn(Doc) -> Reply + Send + Sync + 'static) -> Outcome {
    let (scene, content) = (target.scene(), noise(seed, 50_000));
    let doc = Doc::new(content.clone());
    scene.script(DEB, move |_| reply(doc.clone()));
    whole(&scene.get(DEB, &[])?, &content)?;
    whole(&scene.get(DEB, &[])?, &content)
}

fn chunked(target: &Target) -> Outcome {
    twice(target, 600, |doc| doc.chunked(999))
}

fn extensions(target: &Target) -> Outcome {
    twice(target, 601, |doc| {
        let mut reply = Reply::head(200, &["Transfer-Encoding: chunked".to_owned()]);
        for chunk in doc.content.chunks(20_000) {
            reply = reply.raw(&format!("{:X};name=\"value\"\r\n", chunk.len())).body(chunk).raw("\r\n");
        }
        reply.raw("000\r\nX-Trailer: 1\r\nX-Other: 2\r\n\r\n")
    })
}

fn until_close(target: &Target) -> Outcome {
    twice(target, 602, |doc| Reply::head(200, &doc.validators()).body(&doc.content).close())
}

fn http_1_0_mirror(target: &Target) -> Outcome {
    twice(target, 603, |doc| {
        Reply::default().raw("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n").body(&doc.content).close()
    })
}

/// A mirror that packs for whoever says that he can unpack, as a web server may.
fn no_coding(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(604, 20_000));
    let doc = Doc::new(content.clone());
    scene.script(DEB, move |asked| match asked.header("accept-encoding") {
        Some(codings) if codings.contains("gzip") => {
            Doc::new(b"not what apt wants".to_vec()).line("Content-Encoding: gzip").whole()
        }
        _ => doc.answer(asked),
    });
    let answer = scene.get(DEB, &[])?;
    let coding = answer.header("content-encoding").unwrap_or("identity").to_owned();
    ensure(coding == "identity", "no Content-Encoding", coding)?;
    whole(&answer, &content)
}

fn labelled_gzip(target: &Target) -> Outcome {
    use std::io::Write as _;
    let scene = target.scene();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let packed = packer.write_all(&noise(605, 20_000)).and_then(|()| packer.finish());
    let packed = packed.map_err(|error| crate::check::Unmet::skipped(error.to_string()))?;
    let path = format!("{PACKAGES}.gz");
    scene.serve(&path, &Doc::new(packed.clone()).line("Content-Encoding: x-gzip"));
    whole(&scene.get(&path, &[])?, &packed)?;
    whole(&scene.get(&path, &[])?, &packed)
}
