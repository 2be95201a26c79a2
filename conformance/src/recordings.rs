//! The recordings of the 2008 implementation as values, for tests and benches.

use serde::Deserialize;
use std::net::SocketAddr;

/// A datagram of a recorded session.
#[derive(Clone, Debug, Deserialize)]
pub struct Datagram {
    /// When it was sent, in milliseconds from the start.
    pub ms: f64,
    /// By whom.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// Its payload.
    #[serde(rename = "hex", deserialize_with = "bytes")]
    pub payload: Vec<u8>,
}

/// A question to a 2008 node, and what it said.
#[derive(Clone, Debug, Deserialize)]
pub struct Probe {
    /// Names the probe.
    pub name: String,
    /// The payload sent.
    #[serde(deserialize_with = "bytes")]
    pub request: Vec<u8>,
    /// The payload of the answer, if there was one.
    #[serde(deserialize_with = "bytes_if_any")]
    pub reply: Option<Vec<u8>>,
    /// What is remarkable, and where a node of today answers otherwise.
    pub note: String,
}

/// The recorded life of a small network of 2008 nodes, in the order of sending: joins, puts and
/// gets among them.
pub fn session() -> Vec<Datagram> {
    let recording = include_str!("../vectors/recordings/khashmir-2008-session.jsonl");
    recording.lines().map(|line| read("khashmir-2008-session.jsonl", line)).collect()
}

/// Single datagrams sent to one 2008 node, in this order, each with its answer. They came from
/// 127.0.0.1:7009; the node was at 127.0.0.1:7001.
pub fn probes() -> Vec<Probe> {
    #[derive(Deserialize)]
    struct Recording {
        probes: Vec<Probe>,
    }
    let recording = include_str!("../vectors/recordings/khashmir-2008-probes.json");
    read::<Recording>("khashmir-2008-probes.json", recording).probes
}

/// Panics if a recording cannot be read: it is a part of this package, and no input.
fn read<T: for<'a> Deserialize<'a>>(name: &str, text: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn bytes<'a, D: serde::Deserializer<'a>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    hex::decode(text).map_err(serde::de::Error::custom)
}

fn bytes_if_any<'a, D: serde::Deserializer<'a>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(hex::decode).transpose().map_err(serde::de::Error::custom)
}
