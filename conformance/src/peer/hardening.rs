//! What a stranger may try.

use super::Target;
use crate::check::{Check, Outcome, Unmet};
use crate::http::judge::{ensure, next, unlike};
use crate::http::{Broken, Client};

pub(super) const CHECKS: &[Check<Target>] = &[
    Check::hardening("hardening/nothing-else", 6, "The request target is in origin form.", nothing_else),
    Check::hardening("hardening/no-open-proxy", 6, "The request target is in origin form.", no_open_proxy),
    Check::hardening("hardening/parent", 0, "`..` leads to no file of the peer's machine", parent)
        .resting_on("RFC 3986, section 5.2.4"),
    Check::hardening("hardening/endless-head", 0, "a head may be too long to be read", endless_head)
        .resting_on("RFC 9112, section 2.3"),
    Check::hardening(
        "hardening/body-of-a-get",
        0,
        "the body of a request ends where its length says",
        body_of_a_get,
    )
    .resting_on("RFC 9112, section 6.3"),
    Check::hardening(
        "hardening/two-framings",
        0,
        "a request with both lengths is dealt with as an error, or by its chunks",
        two_framings,
    )
    .resting_on("RFC 9112, section 6.1"),
    Check::hardening("hardening/half-heads", 0, "connections that stand idle hold up no client", half_heads)
        .resting_on("RFC 9112, section 9.5"),
];

/// Nothing but content by its hash is to be had.
fn nothing_else(target: &Target) -> Outcome {
    for path in ["/", "/~", "/~/", "/status", "/metrics", "/debian/dists/stable/InRelease", "/~/~/"] {
        refused(target, path)?;
    }
    Ok(())
}

fn refused(target: &Target, path: &str) -> Outcome {
    let mut client = target.client()?;
    target.ask(&mut client, path, &[])?;
    match client.read() {
        Ok(answer) if answer.status < 400 => Err(unlike(format!("a refusal of {path}"), &answer)),
        Err(Broken::Silent(time)) => Err(Unmet::failed("a refusal", format!("nothing for {time:?}"))),
        _ => Ok(()),
    }
}

/// Whoever asks for another host's page does not get it.
fn no_open_proxy(target: &Target) -> Outcome {
    let bait = crate::proxy::bait().map_err(|error| Unmet::skipped(error.to_string()))?;
    refused(target, &format!("http://{}/page", bait.address))?;
    refused(target, &format!("/{}/page", bait.address))?;
    ensure(bait.asked("/page").is_empty(), "no other host is asked", "it is")
}

fn parent(target: &Target) -> Outcome {
    for up in ["../", "%2e%2e/", "..%2f", "%2e%2e%2f"] {
        refused(target, &format!("/~/{}etc/passwd", up.repeat(16)))?;
    }
    Ok(())
}

/// 8 MiB, of which a peer reads what it wants to.
fn endless_head(target: &Target) -> Outcome {
    let mut client = target.client()?;
    let mut sent = client.send(format!("GET {} HTTP/1.1\r\nHost: {}\r\n", target.path(), target.peer));
    let line = format!("X-Filler: {}\r\n", "x".repeat(8_000));
    let mut lines = 0;
    while sent.is_ok() && lines < 1_000 {
        lines += 1;
        sent = client.send(&line);
    }
    let _ = client.send("\r\n");
    match client.read() {
        Ok(answer) if answer.status < 400 => Err(unlike("status 431, or a cut", &answer)),
        _ => Ok(()),
    }
}

/// Asks for a byte of the file with another request hidden in the body of the first: it has at most
/// one answer that is the byte. `wrap` gives the fields and the body for what is hidden.
fn hidden(target: &Target, wrap: impl Fn(&str) -> (String, String)) -> Outcome {
    let (path, peer) = (target.path(), target.peer);
    let get =
        |fields: &str| format!("GET {path} HTTP/1.1\r\nHost: {peer}\r\nRange: bytes=0-0\r\n{fields}\r\n");
    let (fields, body) = wrap(&get(""));
    let mut client = target.client()?;
    let _ = client.send(format!("{}{body}", get(&fields)));
    client.finish();
    let mut answers = 0;
    while answers < 3 && client.read().is_ok_and(|answer| answer.status == 206) {
        answers += 1;
    }
    ensure(answers < 2, "no answer to what stands in the body", format!("{answers} answers"))
}

fn body_of_a_get(target: &Target) -> Outcome {
    hidden(target, |inner| (format!("Content-Length: {}\r\n", inner.len()), inner.to_owned()))
}

/// Whoever goes by the length takes the chunk for the next request.
fn two_framings(target: &Target) -> Outcome {
    hidden(target, |inner| {
        let size = format!("{:x}\r\n", inner.len());
        let fields = format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", size.len());
        (fields, format!("{size}{inner}\r\n0\r\n\r\n"))
    })
}

/// As many as a peer allows one address; then one that asks.
fn half_heads(target: &Target) -> Outcome {
    let mut idle: Vec<Client> = Vec::new();
    for _ in 0..4 {
        let mut client = target.client()?;
        let _ = client.send("GET /~/");
        idle.push(client);
    }
    let mut client = target.client()?;
    target.ask(&mut client, &target.path(), &["Range: bytes=0-0"])?;
    let answer = next(&mut client)?;
    crate::http::judge::status(&answer, &[200, 206])
}
