//! Every datagram of a recorded session of the 2008 implementation reads, and
//! writes back to the same bytes.

use bytes::BytesMut;
use khashmir::krpc::{Body, Message};
use serde::Deserialize;

#[derive(Deserialize)]
struct Datagram {
    hex: String,
}

#[test]
fn every_recorded_datagram_reads_and_writes_back() {
    let recording = include_str!("../vectors/recordings/khashmir-2008-session.jsonl");
    let mut queries = 0;
    for (line, text) in recording.lines().enumerate() {
        let datagram: Datagram = serde_json::from_str(text).unwrap();
        let bytes = hex::decode(datagram.hex).unwrap();
        let message = Message::decode(&bytes).unwrap_or_else(|error| panic!("line {}: {error}", line + 1));
        let well_formed = match &message.body {
            Body::Query(query) => query.is_ok(),
            Body::Response(response) => response.is_ok(),
            Body::Error(..) => true,
        };
        assert!(well_formed, "line {}: {message:?}", line + 1);
        queries += u32::from(matches!(message.body, Body::Query(_)));
        let mut again = BytesMut::new();
        message.encode(&mut again);
        assert_eq!(again, bytes, "line {}: {message:?}", line + 1);
    }
    assert!(queries > 200, "the recording is there and has queries: {queries}");
}
