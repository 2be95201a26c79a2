//! A node that answers as the recording of 2008 does: `--dialect 2008` takes what it does otherwise
//! as it is, and nothing else.

use crate::trial::{told, try_checks};
use khashmir_conformance::check::{In2008, Source};
use khashmir_conformance::node::checks;
use khashmir_conformance::report::Status;
use khashmir_conformance::{Probe, Tree, probes};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Which probes tell one query from another by more than the ids in it: what the recorded node knew.
const NEED_STATE: [&str; 8] = [
    "get_value_2",
    "get_value_60",
    "get_value_1400",
    "get_value_all",
    "get_after_store",
    "store_good_token",
    "big_int",
    "find_value",
];

/// Starts it; it answers until what is returned is dropped.
fn start() -> (SocketAddr, StopOnDrop) {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let addr = socket.local_addr().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    std::thread::spawn(move || {
        let probes: Vec<Probe> =
            probes().into_iter().filter(|p| !NEED_STATE.contains(&&p.name[..])).collect();
        let mut buffer = [0; 65_535];
        while !stopped.load(Ordering::Relaxed) {
            let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
            if let Some(reply) = reply(&probes, from, &buffer[..len]) {
                socket.send_to(&reply, from).unwrap();
            }
        }
    });
    (addr, StopOnDrop(stop))
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What the recorded node said to the query that is the same but for its ids and texts.
fn reply(probes: &[Probe], from: SocketAddr, query: &[u8]) -> Option<Vec<u8>> {
    let probe = probes.iter().find(|probe| without_ids(&probe.request) == without_ids(query))?;
    let mut reply = Tree::read(probe.reply.as_ref()?).unwrap();
    // The first transaction id there is: a message need not be well-formed.
    let t = query.windows(6).rposition(|window| window == b"1:t20:")? + 6;
    reply.insert("t", query[t..t + 20].into());
    // Where the query came from is told in the answer to `join`.
    if let Some(response) = reply.get("r").filter(|response| response.get("ip_addr").is_some()) {
        let mut response = response.clone();
        response.insert("ip_addr", from.ip().to_string().as_bytes().into());
        response.insert("port", i64::from(from.port()).into());
        reply.insert("r", response);
    }
    Some(reply.to_bytes())
}

/// A datagram with every byte string of 8 or more bytes made the same. No malformed one is read for
/// that.
fn without_ids(datagram: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = datagram;
    while let Some((first, after)) = rest.split_first() {
        let (digits, tail) = rest.split_at(rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
        let len: usize = std::str::from_utf8(digits).unwrap().parse().unwrap_or_default();
        if len >= 8 && tail.first() == Some(&b':') && tail.len() > len {
            // Methods are to stay, ids and tokens are not.
            let content = &tail[1..=len];
            let is_name = content.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_');
            out.extend_from_slice(if is_name { content } else { b"<some bytes>" });
            rest = &tail[1 + len..];
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

#[test]
fn what_a_recorded_node_does_otherwise_is_different_and_no_failure() {
    let by_probe = |wanted: fn(&In2008) -> Option<&'static str>| {
        // A recording answers, and asks nobody: it cannot show whom the node pings.
        let shown = checks()
            .into_iter()
            .filter(|check| check.group() != "contacts")
            .filter(move |check| wanted(&check.in_2008).is_some_and(|probe| !NEED_STATE.contains(&probe)));
        shown.map(|check| check.name).collect::<Vec<_>>()
    };
    let same =
        by_probe(|in_2008| if let In2008::Same(Source::Probe(probe)) = in_2008 { Some(probe) } else { None });
    let differs = by_probe(|in_2008| match in_2008 {
        In2008::Differs { source: Source::Probe(probe), .. } => Some(probe),
        _ => None,
    });
    assert!(same.len() >= 20 && differs.len() >= 8, "{same:?} {differs:?}");

    let lenient = try_checks(&differs, true, |_| start());
    let wrong: Vec<_> = lenient.iter().filter(|report| report.status != Status::Different).collect();
    assert!(wrong.is_empty(), "{}", told(&wrong));
    assert!(lenient.iter().all(|report| report.in_2008 != "unknown" && report.in_2008 != "same"));

    let strict = try_checks(&differs, false, |_| start());
    let wrong: Vec<_> = strict.iter().filter(|report| report.status != Status::Failed).collect();
    assert!(wrong.is_empty(), "{}", told(&wrong));

    let alike = try_checks(&same, true, |_| start());
    let wrong: Vec<_> = alike.iter().filter(|report| report.status != Status::Passed).collect();
    assert!(wrong.is_empty(), "{}", told(&wrong));
}
