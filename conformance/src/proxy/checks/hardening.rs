//! Requests and answers that are made to confuse.

use std::time::Duration;

use super::{Rows, hardening, recommended};
use crate::check::{Outcome, Unmet};
use crate::http::judge::{ensure, unlike, whole};
use crate::http::{Answer, Broken, Client};
use crate::proxy::Target;
use crate::proxy::reply::{Doc, Reply};
use crate::proxy::scene::{DEB, Scene};
use crate::proxy::suite::noise;

pub(super) const CHECKS: Rows = &[
    hardening(
        "hardening/body-of-a-get",
        "RFC 9112, section 6.3",
        "the body of a request ends where its length says",
        body_of_a_get,
    ),
    hardening(
        "hardening/two-framings",
        "RFC 9112, section 6.1",
        "a request with both lengths is dealt with as an error, or by its chunks",
        two_framings,
    ),
    hardening(
        "hardening/space-before-colon",
        "RFC 9112, section 5.1",
        "a request with whitespace before a colon is rejected with 400",
        space_before_colon,
    ),
    hardening(
        "hardening/endless-head",
        "RFC 9112, section 2.3",
        "a head may be too long to be read",
        endless_head,
    ),
    hardening(
        "hardening/endless-mirror-head",
        "RFC 9110, section 5.4",
        "fields larger than one wishes to process are refused",
        endless_mirror_head,
    ),
    hardening(
        "hardening/itself",
        "RFC 9110, section 7.6.3",
        "a proxy must not forward to itself in a loop",
        itself,
    ),
    hardening(
        "hardening/parent",
        "RFC 3986, section 5.2.4",
        "`..` leads to no file that is not the mirror's",
        parent,
    ),
    hardening(
        "hardening/encoded-line-end",
        "RFC 9110, section 5.5",
        "no line end from a target or value makes a field",
        encoded_line_end,
    ),
    recommended(
        "hardening/hop-by-hop-in",
        "RFC 9110, section 7.6.1",
        "fields that Connection names go no further than the mirror's next hop",
        hop_by_hop_in,
    ),
    recommended(
        "hardening/hop-by-hop-out",
        "RFC 9110, section 7.6.1",
        "fields that Connection names go no further than the proxy",
        hop_by_hop_out,
    ),
    hardening(
        "hardening/half-heads",
        "RFC 9112, section 9.5",
        "connections that stand idle hold up no client",
        half_heads,
    ),
];

const PLANTED: &str = "pool/main/p/planted/planted_1.0_all.deb";

/// Sends what is made up, and then asks for something: whatever came of the first, nothing that was
/// planted in it was asked for.
fn nothing_planted(scene: &Scene, request: &str) -> Outcome {
    scene.serve(DEB, &Doc::new(noise(1_500, 3_000)));
    scene.serve(PLANTED, &Doc::new(b"planted".to_vec()));
    let mut client = scene.client()?;
    // A proxy may have closed before it was all sent.
    let _ = client.send(request);
    client.finish();
    let mut answers = 0;
    while let Ok(answer) = client.read() {
        answers += 1;
        ensure(answer.body != b"planted", "no answer to what was planted", "one")?;
        if answers > 3 {
            break;
        }
    }
    ensure(scene.asked(PLANTED).is_empty(), "the mirror is not asked for what was planted", "it is")
}

fn planted_request(scene: &Scene) -> String {
    format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", scene.url(PLANTED), scene.target.mirror.address)
}

fn body_of_a_get(target: &Target) -> Outcome {
    let scene = target.scene();
    let (planted, host) = (planted_request(&scene), target.mirror.address);
    let head = format!("GET {} HTTP/1.1\r\nHost: {host}\r\n", scene.url(DEB));
    nothing_planted(&scene, &format!("{head}Content-Length: {}\r\n\r\n{planted}", planted.len()))
}

fn two_framings(target: &Target) -> Outcome {
    let scene = target.scene();
    let (planted, host) = (planted_request(&scene), target.mirror.address);
    let head = format!("GET {} HTTP/1.1\r\nHost: {host}\r\n", scene.url(DEB));
    let size = format!("{:x}\r\n", planted.len());
    // Whoever goes by the length takes the chunk for the next request.
    let framing = format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n", size.len());
    nothing_planted(&scene, &format!("{head}{framing}{size}{planted}\r\n0\r\n\r\n"))
}

fn space_before_colon(target: &Target) -> Outcome {
    let scene = target.scene();
    scene.serve(DEB, &Doc::new(noise(1_501, 3_000)));
    let mut client = scene.client()?;
    let host = target.mirror.address;
    let request =
        format!("GET {} HTTP/1.1\r\nHost: {host}\r\nContent-Length : 5\r\n\r\nhello", scene.url(DEB));
    let _ = client.send(request);
    match client.read() {
        Ok(answer) if answer.status < 400 => Err(unlike("status 400", &answer)),
        _ => Ok(()),
    }
}

/// 8 MiB, of which a proxy reads what it wants to.
fn endless_head(target: &Target) -> Outcome {
    let scene = target.scene();
    let mut client = scene.client()?;
    let start = format!("GET {} HTTP/1.1\r\nHost: {}\r\n", scene.url(DEB), target.mirror.address);
    let mut sent = client.send(start);
    let line = format!("X-Filler: {}\r\n", "x".repeat(8_000));
    let mut lines = 0;
    while sent.is_ok() && lines < 1_000 {
        lines += 1;
        sent = client.send(&line);
    }
    if sent.is_ok() {
        sent = client.send("\r\n");
    }
    match client.read() {
        Ok(answer) if answer.status >= 400 => {
            ensure(scene.asked(DEB).is_empty(), "a refusal by the proxy itself", "the mirror is asked")
        }
        Err(Broken::Cut(_)) => ensure(scene.asked(DEB).is_empty(), "a refusal", "the mirror is asked"),
        Ok(answer) => Err(unlike("status 431, or a cut", &answer)),
        Err(_) if sent.is_err() => Ok(()),
        Err(other) => Err(Unmet::failed("status 431, or a cut", other.to_string())),
    }
}

fn endless_mirror_head(target: &Target) -> Outcome {
    let scene = target.scene();
    let line = format!("X-Filler: {}\r\n", "x".repeat(8_000));
    let end = format!("Content-Length: 2\r\n\r\n{}", "ok");
    scene.script(DEB, move |_| {
        let start = Reply::default().raw("HTTP/1.1 200 OK\r\n");
        (0..500).fold(start, |reply, _| reply.raw(&line)).raw(&end).close()
    });
    match scene.try_get(DEB, &[])? {
        Ok(answer) if answer.status < 400 => Err(unlike("an error, or a cut", &answer)),
        Err(Broken::Malformed(what)) => Err(Unmet::failed("an error, or a cut", what)),
        _ => Ok(()),
    }
}

fn itself(target: &Target) -> Outcome {
    let scene = target.scene();
    let url = format!("http://{}/debian/{DEB}", target.proxy);
    match scene.try_get_url(&url, &[])? {
        Ok(answer) if answer.status >= 400 => Ok(()),
        Ok(answer) => Err(unlike("a refusal", &answer)),
        Err(Broken::Cut(_)) => Ok(()),
        Err(other) => Err(Unmet::failed("a refusal", other.to_string())),
    }
}

fn parent(target: &Target) -> Outcome {
    let scene = target.scene();
    for up in ["../", "%2e%2e/", "..%2f", "%2e%2e%2f"] {
        let url = format!("{}{}etc/passwd", scene.url("pool/"), up.repeat(16));
        if let Ok(Answer { status: 200, body, .. }) = scene.try_get_url(&url, &[])? {
            let text = String::from_utf8_lossy(&body);
            ensure(!text.contains("root:"), "no file of the proxy's machine", "/etc/passwd")?;
        }
    }
    // And not out of what the proxy keeps: this is another archive's.
    let other = target.scene();
    scene.serve(DEB, &Doc::new(noise(1_502, 3_000)));
    whole(&scene.get(DEB, &[])?, &noise(1_502, 3_000))?;
    let name = scene.path(DEB);
    let url = format!("{}%2e%2e/%2e%2e/{}", other.url(""), name.trim_start_matches('/'));
    match scene.try_get_url(&url, &[])? {
        Ok(answer) if answer.status >= 500 => Err(unlike("the file, or a refusal", &answer)),
        _ => Ok(()),
    }
}

fn encoded_line_end(target: &Target) -> Outcome {
    let scene = target.scene();
    let path = "pool/main/o/orbit/orbit HTTP/1.1\r\nX-Planted: 1\r\nX-Rest:.deb";
    scene.serve(path, &Doc::new(b"x".to_vec()));
    let spelt = "pool/main/o/orbit/orbit%20HTTP/1.1%0d%0aX-Planted:%201%0d%0aX-Rest:.deb";
    let cut = "pool/main/o/orbit/orbit";
    scene.serve(cut, &Doc::new(b"x".to_vec()));
    let _ = scene.try_get(spelt, &[])?;
    let asked: Vec<_> = [path, cut].iter().flat_map(|path| scene.asked(path)).collect();
    let planted = asked.iter().any(|asked| asked.header("x-planted").is_some());
    ensure(!planted, "no header from a path", "X-Planted: 1 at the mirror")
}

fn hop_by_hop_in(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_503, 3_000));
    let doc = Doc::new(content.clone()).line("Connection: X-Hop").line("X-Hop: 1");
    scene.script(DEB, move |asked| doc.answer(asked));
    let answer = scene.get(DEB, &[])?;
    whole(&answer, &content)?;
    ensure(answer.header("x-hop").is_none(), "no X-Hop, which is for the proxy alone", "X-Hop: 1")
}

fn hop_by_hop_out(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_504, 3_000));
    scene.serve(DEB, &Doc::new(content.clone()));
    whole(&scene.get(DEB, &["Connection: X-Hop", "X-Hop: 1"])?, &content)?;
    let passed = scene.asked(DEB).iter().any(|asked| asked.header("x-hop").is_some());
    ensure(!passed, "no X-Hop at the mirror", "X-Hop: 1")
}

fn half_heads(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1_505, 3_000));
    scene.serve(DEB, &Doc::new(content.clone()));
    let mut idle: Vec<Client> = Vec::new();
    for _ in 0..64 {
        let mut client = scene.client()?;
        let _ = client.send("GET http://");
        idle.push(client);
    }
    let answer = scene.try_get(DEB, &[])?;
    let answer = answer.map_err(|error| {
        Unmet::failed("the file, while 64 others have sent half a request", error.to_string())
    })?;
    ensure(answer.silence < Duration::from_secs(5), "an answer at once", format!("{:?}", answer.silence))?;
    whole(&answer, &content)
}
