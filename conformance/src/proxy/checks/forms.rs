//! How requests name what they want.

use std::time::Duration;

use super::{Rows, hardening, recommended, required};
use crate::check::{Outcome, Unmet};
use crate::http::Framing;
use crate::http::judge::{ensure, next, status, unlike, whole};
use crate::proxy::Target;
use crate::proxy::reply::Doc;
use crate::proxy::scene::DEB;
use crate::proxy::suite::{Suite, noise};

pub(super) const CHECKS: Rows = &[
    required(
        "forms/absolute",
        "APT.md, section 1",
        "with a proxy set, the target is the whole URL",
        absolute,
    ),
    recommended(
        "forms/prefix",
        "APT.md, section 1",
        "the mirror's address as the first part of the path",
        prefix,
    ),
    required("forms/escapes", "APT.md, section 1", "`+` is sent as `%2b` and `~` as `%7e`", escapes),
    recommended(
        "forms/one-file",
        "RFC 3986, section 6.2.2",
        "spellings that differ only in escapes are equivalent",
        one_file,
    ),
    hardening(
        "forms/host-ignored",
        "RFC 9112, section 3.2.2",
        "a proxy must ignore the received Host and replace it with the host of the target",
        host_ignored,
    ),
    recommended(
        "forms/http-1.0",
        "RFC 9112, section 6.1",
        "a server must not send Transfer-Encoding to a client of HTTP/1.0",
        http_1_0,
    ),
    recommended("forms/head", "RFC 9110, section 9.3.2", "the answer to HEAD has no content", head),
    recommended(
        "forms/connect",
        "APT.md, section 1",
        "Either a tunnel is opened, or refused at once",
        connect,
    ),
];

fn absolute(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(1, 30_000));
    scene.serve(DEB, &Doc::new(content.clone()));
    whole(&scene.get(DEB, &[])?, &content)
}

fn prefix(target: &Target) -> Outcome {
    target.needs_prefix()?;
    let (scene, content) = (target.scene(), noise(2, 30_000));
    scene.serve(DEB, &Doc::new(content.clone()));
    for _ in 0..2 {
        let mut client = scene.client()?;
        scene.ask_for(&mut client, &target.prefixed(&scene.path(DEB)), &[])?;
        whole(&next(&mut client)?, &content)?;
    }
    Ok(())
}

/// What apt asks for, and what the mirror has.
const ESCAPED: &str = "pool/main/o/orbit/orbit-c%2b%2b_1.0%2bb1%7erc2_all.deb";
const UNESCAPED: &str = "pool/main/o/orbit/orbit-c++_1.0+b1~rc2_all.deb";

fn escapes(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(3, 30_000));
    scene.serve(UNESCAPED, &Doc::new(content.clone()));
    whole(&scene.get(ESCAPED, &[])?, &content)
}

fn one_file(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(4, 30_000));
    scene.serve(UNESCAPED, &Doc::new(content.clone()));
    let suite = Suite::of(&[(UNESCAPED, &content)], crate::proxy::reply::OLD);
    scene.publish(&suite, crate::proxy::reply::OLD);
    scene.update(&suite)?;
    for path in [ESCAPED, UNESCAPED, &ESCAPED.replace("%2b", "%2B").replace("%7e", "%7E")] {
        whole(&scene.get(path, &[])?, &content)?;
    }
    let sent = scene.sent(UNESCAPED);
    ensure(sent == content.len(), "one download for all spellings", format!("the mirror sent {sent} bytes"))
}

fn host_ignored(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(5, 3_000));
    scene.serve(DEB, &Doc::new(content.clone()));
    let mut client = scene.client()?;
    let request = format!("GET {} HTTP/1.1\r\nHost: other.invalid\r\n\r\n", scene.url(DEB));
    client.send(request).map_err(|error| Unmet::failed("the request is read", error.to_string()))?;
    let answer = next(&mut client)?;
    // Refusing what contradicts itself is as good.
    if (400..500).contains(&answer.status) {
        return Ok(());
    }
    whole(&answer, &content)?;
    let asked = scene.asked(DEB);
    let host = asked.first().and_then(|asked| asked.header("host")).unwrap_or_default().to_owned();
    ensure(host == target.mirror.address.to_string(), format!("Host: {}", target.mirror.address), host)
}

fn http_1_0(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(6, 30_000));
    let doc = Doc::new(content.clone());
    scene.script(DEB, move |_| doc.chunked(4_000));
    let mut client = scene.client()?;
    let request = format!("GET {} HTTP/1.0\r\n\r\n", scene.url(DEB));
    client.send(request).map_err(|error| Unmet::failed("the request is read", error.to_string()))?;
    let answer = next(&mut client)?;
    ensure(answer.framing != Framing::Chunked, "no chunks", "chunks")?;
    whole(&answer, &content)
}

fn head(target: &Target) -> Outcome {
    let (scene, content) = (target.scene(), noise(7, 30_000));
    scene.serve(DEB, &Doc::new(content.clone()));
    let mut client = scene.client()?;
    let host = target.mirror.address;
    let request = format!("HEAD {} HTTP/1.1\r\nHost: {host}\r\n\r\n", scene.url(DEB));
    client.send(request).map_err(|error| Unmet::failed("the request is read", error.to_string()))?;
    let answer = client.read_head_only().map_err(|error| Unmet::failed("an answer", error.to_string()))?;
    status(&answer, &[200])?;
    // Content that came after all would be taken for the next answer.
    scene.ask(&mut client, DEB, &[])?;
    whole(&next(&mut client)?, &content)
}

fn connect(target: &Target) -> Outcome {
    let scene = target.scene();
    scene.serve(DEB, &Doc::new(b"through a tunnel".to_vec()));
    let mut client = scene.client()?;
    let host = target.mirror.address;
    let sent = client.send(format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    sent.map_err(|error| Unmet::failed("the request is read", error.to_string()))?;
    let answer = client.read_head_only().map_err(|error| Unmet::failed("an answer", error.to_string()))?;
    ensure(answer.silence < Duration::from_secs(10), "an answer at once", format!("{:?}", answer.silence))?;
    if (400..600).contains(&answer.status) {
        return Ok(());
    }
    if answer.status != 200 {
        return Err(unlike("a tunnel or a refusal", &answer));
    }
    let sent = client.ask(&scene.path(DEB), &host.to_string(), &[]);
    sent.map_err(|error| Unmet::failed("a tunnel", error.to_string()))?;
    whole(&next(&mut client)?, b"through a tunnel")
}
