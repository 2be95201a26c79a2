//! Connections and requests.

use super::Target;
use crate::check::{Check, Outcome, Unmet};
use crate::http::Client;
use crate::http::judge::{ensure, exactly, next, status, unlike, whole};

pub(super) const CHECKS: &[Check<Target>] = &[
    Check::required("http/keep-alive", 6, "HTTP/1.1 with keep-alive", keep_alive),
    Check::required("http/pipeline", 6, "pipelining (10 requests deep)", pipeline),
    Check::required("http/pipeline-with-404", 6, "pipelining (10 requests deep)", pipeline_with_404),
    Check::required("http/host-without-port", 6, "`Host` may lack the port.", host_without_port),
    Check::required("http/other-host", 6, "The request target is in origin form.", other_host),
    Check::recommended("http/head", 0, "the answer to HEAD has no content", head)
        .resting_on("RFC 9110, section 9.3.2"),
    Check::recommended("http/close", 0, "after the last answer the server closes", close)
        .resting_on("RFC 9112, section 9.6"),
    Check::recommended(
        "http/other-methods",
        0,
        "a method that is known and not allowed is 405, with Allow",
        methods,
    )
    .resting_on("RFC 9110, section 15.5.6"),
    Check::required("http/in-pieces", 0, "a head ends with its empty line, wherever packets end", in_pieces)
        .resting_on("RFC 9112, section 2.2"),
];

/// A byte of the file, with its own answer.
fn ask_byte(target: &Target, client: &mut Client, n: usize) -> Outcome {
    target.ask(client, &target.path(), &[&format!("Range: bytes={n}-{n}")])
}

fn read_byte(target: &Target, client: &mut Client, n: usize) -> Outcome {
    exactly(&next(client)?, &target.content, n..n + 1)
}

fn count(target: &Target, most: usize) -> usize {
    target.content.len().min(most)
}

fn keep_alive(target: &Target) -> Outcome {
    let mut client = target.client()?;
    for n in 0..count(target, 20) {
        ask_byte(target, &mut client, n)?;
        read_byte(target, &mut client, n)?;
    }
    Ok(())
}

fn pipeline(target: &Target) -> Outcome {
    let (mut client, count) = (target.client()?, count(target, 10));
    (0..count).try_for_each(|n| ask_byte(target, &mut client, n))?;
    (0..count).try_for_each(|n| read_byte(target, &mut client, n))
}

fn pipeline_with_404(target: &Target) -> Outcome {
    let mut client = target.client()?;
    ask_byte(target, &mut client, 0)?;
    target.ask(&mut client, "/~/none", &[])?;
    ask_byte(target, &mut client, 0)?;
    read_byte(target, &mut client, 0)?;
    status(&next(&mut client)?, &[404])?;
    read_byte(target, &mut client, 0)
}

fn with_host(target: &Target, host: &str) -> Outcome {
    let mut client = target.client()?;
    let sent = client.ask(&target.path(), host, &[]);
    sent.map_err(|error| Unmet::failed("the request is read", error.to_string()))?;
    whole(&next(&mut client)?, &target.content)
}

fn host_without_port(target: &Target) -> Outcome {
    with_host(target, &target.peer.ip().to_string())
}

/// The name under which others know the peer is not always the one that it has for itself.
fn other_host(target: &Target) -> Outcome {
    with_host(target, "peer.example")
}

fn send(client: &mut Client, text: &str) -> Outcome {
    client.send(text).map_err(|error| Unmet::failed("the request is read", error.to_string()))
}

fn head(target: &Target) -> Outcome {
    let mut client = target.client()?;
    send(&mut client, &format!("HEAD {} HTTP/1.1\r\nHost: {}\r\n\r\n", target.path(), target.peer))?;
    let answer = client.read_head_only().map_err(|error| Unmet::failed("an answer", error.to_string()))?;
    let len = target.content.len().to_string();
    let told = answer.header("content-length").unwrap_or("none").to_owned();
    ensure(answer.status == 200 && told == len, format!("200 and a length of {len}"), told)?;
    ask_byte(target, &mut client, 0)?;
    read_byte(target, &mut client, 0)
}

fn close(target: &Target) -> Outcome {
    let mut client = target.client()?;
    target.ask(&mut client, &target.path(), &["Connection: close"])?;
    whole(&next(&mut client)?, &target.content)?;
    ensure(client.is_at_end(), "the end of the connection", "it stays open, or more comes")
}

fn methods(target: &Target) -> Outcome {
    for method in ["POST", "PUT", "DELETE"] {
        let mut client = target.client()?;
        let (path, peer) = (target.path(), target.peer);
        send(&mut client, &format!("{method} {path} HTTP/1.1\r\nHost: {peer}\r\nContent-Length: 0\r\n\r\n"))?;
        let answer = next(&mut client)?;
        let right =
            [405, 501].contains(&answer.status) && (answer.status == 501 || answer.header("allow").is_some());
        if !right {
            return Err(unlike(format!("405 with Allow, or 501, to {method}"), &answer));
        }
    }
    Ok(())
}

fn in_pieces(target: &Target) -> Outcome {
    let mut client = target.client()?;
    let request =
        format!("GET {} HTTP/1.1\r\nHost: {}\r\nRange: bytes=0-0\r\n\r\n", target.path(), target.peer);
    for piece in request.as_bytes().chunks(16) {
        client.send(piece).map_err(|error| Unmet::failed("the request is read", error.to_string()))?;
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    read_byte(target, &mut client, 0)
}
