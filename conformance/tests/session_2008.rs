//! Every datagram of a recorded session of the 2008 implementation reads, and
//! writes back to the same bytes.

use bytes::BytesMut;
use khashmir::krpc::{Body, Message};

#[test]
fn every_recorded_datagram_reads_and_writes_back() {
    let mut queries = 0;
    for (number, datagram) in khashmir_conformance::session().iter().enumerate() {
        let bytes = &datagram.payload;
        let message =
            Message::decode(bytes).unwrap_or_else(|error| panic!("datagram {number}: {error}: {datagram:?}"));
        let well_formed = match &message.body {
            Body::Query(query) => query.is_ok(),
            Body::Response(response) => response.is_ok(),
            Body::Error(..) => true,
        };
        assert!(well_formed, "datagram {number}: {message:?}");
        queries += u32::from(matches!(message.body, Body::Query(_)));
        let mut again = BytesMut::new();
        message.encode(&mut again);
        assert_eq!(again, bytes, "datagram {number}: {message:?}");
    }
    assert!(queries > 200, "the recording is there and has queries: {queries}");
}
