//! What a 2008 node was asked, our node is asked too: it answers as the 2008 node did, or as the
//! notes of the recording say that a node of today does.

#![allow(clippy::unwrap_used)]

mod probing;

use khashmir::Id;
use khashmir_conformance::{Probe, probes};
use probing::{Network, Tree, in_response};
use std::collections::{BTreeMap, BTreeSet};

use Expected::{AsRecorded, Modern, SomeAsRecorded};
use Reply::{AllValues, Error, Silence};

/// How our node's answer relates to the recorded one.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// The same.
    AsRecorded,
    /// The same, but which of the values are sent is left to chance.
    SomeAsRecorded,
    /// Another, as the note says.
    Modern(Reply),
}

#[derive(Clone, Copy, Debug)]
enum Reply {
    Silence,
    Error(i64),
    AllValues,
}

const EXPECTED: [(&str, Expected); 34] = [
    ("ping", AsRecorded),
    ("join", AsRecorded),
    ("find_node", AsRecorded),
    ("find_value", AsRecorded),
    ("get_value_all", AsRecorded),
    ("get_value_2", SomeAsRecorded),
    ("get_value_negative_num", Modern(Error(204))),
    ("get_value_60", SomeAsRecorded),
    ("get_value_1400", Modern(Error(206))),
    ("get_value_missing_key", AsRecorded),
    ("store_bad_token", AsRecorded),
    ("store_good_token", AsRecorded),
    ("get_after_store", AsRecorded),
    ("unknown_method", AsRecorded),
    ("missing_arg", AsRecorded),
    ("extra_arg", AsRecorded),
    ("short_tid", AsRecorded),
    ("no_id", AsRecorded),
    ("short_id", Modern(Error(204))),
    ("target_short", Modern(Error(204))),
    ("key_short_store", Modern(Error(204))),
    ("value_int", Modern(Error(204))),
    ("extra_top_level_key", AsRecorded),
    ("unsorted_keys", AsRecorded),
    ("garbage", AsRecorded),
    ("empty_dict", AsRecorded),
    ("trailing", AsRecorded),
    ("unicode_type", Modern(Silence)),
    ("arg_not_dict", AsRecorded),
    ("y_unknown", AsRecorded),
    // Clamped to 64 bits: more than there are.
    ("big_int", Modern(AllValues)),
    ("neg_zero", AsRecorded),
    ("lead_zero", AsRecorded),
    ("dispatch_private", AsRecorded),
];

/// The keys of the recording.
const FEW: Id = Id([0xcb; 20]);
const MANY: Id = Id([0xdd; 20]);
const LONG: Id = Id([0xee; 20]);

#[test]
fn every_probe_is_answered_as_in_2008_or_better() {
    let probes = probes();
    let names: BTreeSet<&str> = probes.iter().map(|probe| &probe.name[..]).collect();
    let expected = BTreeMap::from(EXPECTED);
    assert_eq!(names, expected.keys().copied().collect(), "the table names each probe");
    assert_eq!(probes.len(), names.len(), "no two probes have one name");

    let mut network = Network::as_recorded(&probes);
    let mut tokens = None;
    for probe in &probes {
        let request = with_token(&probe.request, tokens.as_ref());
        let reply = network.ask(network.prober, &request);
        if probe.name == "find_node" {
            tokens = Some([token(probe.reply.as_deref().unwrap()), token(reply.as_deref().unwrap())]);
        }
        if probe.name == "store_good_token" {
            network.held.entry(FEW).or_default().insert(b"abc".to_vec());
        }
        check(&network, probe, expected[&probe.name[..]], reply.as_deref());
    }
}

/// The request with our token where the recorded one has its own: tokens as [recorded, ours].
fn with_token(request: &[u8], tokens: Option<&[Vec<u8>; 2]>) -> Vec<u8> {
    let Some([recorded, ours]) = tokens else {
        return request.to_vec();
    };
    let encoded = |token: &[u8]| [format!("{}:", token.len()).as_bytes(), token].concat();
    let (recorded, ours) = (encoded(recorded), encoded(ours));
    match request.windows(recorded.len()).position(|window| window == recorded) {
        Some(at) => [&request[..at], &ours, &request[at + recorded.len()..]].concat(),
        None => request.to_vec(),
    }
}

fn token(reply: &[u8]) -> Vec<u8> {
    in_response(reply, "token").unwrap().bytes().unwrap().to_vec()
}

fn check(network: &Network, probe: &Probe, expected: Expected, reply: Option<&[u8]>) {
    let Probe { name, note, .. } = probe;
    let ours = reply.map(|reply| comparable(network, reply));
    let recorded = probe.reply.as_deref().map(|reply| comparable(network, reply));
    let context = || format!("{name}: {ours:?}\nrecorded: {recorded:?}\nnote: {note}");
    match expected {
        AsRecorded => assert_eq!(ours, recorded, "{name}: {note}"),
        SomeAsRecorded => {
            let counts = [reply, probe.reply.as_deref()].map(|reply| {
                let values = values(reply.unwrap());
                assert!(network.held.values().any(|held| values.is_subset(held)), "{}", context());
                values.len()
            });
            assert_eq!(counts[0], counts[1], "{}", context());
        }
        Modern(Silence) => assert_eq!(reply, None, "{}", context()),
        Modern(Error(code)) => {
            let mut error = Tree::read(reply.unwrap_or_else(|| panic!("{}", context()))).unwrap();
            let error =
                error.get_mut("e").and_then(Tree::list_mut).unwrap_or_else(|| panic!("{}", context()));
            assert_eq!(error[0], Tree::Integer(code), "{}", context());
            assert!(matches!(error[1..], [Tree::Bytes(_)]), "{}", context());
        }
        Modern(AllValues) => assert_eq!(values(reply.unwrap()), network.held[&FEW], "{}", context()),
    }
    if let (Modern(_), Some(ours), Some(recorded)) = (expected, &ours, &recorded) {
        assert_ne!(ours, recorded, "{name} is answered as recorded: say so in the table");
    }
}

/// The distinct values of a response.
fn values(reply: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut values = in_response(reply, "values").unwrap();
    let values = values.list_mut().unwrap();
    let distinct: BTreeSet<Vec<u8>> = values.iter().map(|value| value.bytes().unwrap().to_vec()).collect();
    assert_eq!(distinct.len(), values.len(), "no value comes twice");
    distinct
}

/// A message without what may differ: ids, tokens, the order of values, the texts of errors, `ip`
/// and `nodes6`. And the prober, a contact of ours since it answered our ping, had answered none
/// when this was recorded.
fn comparable(network: &Network, datagram: &[u8]) -> Tree {
    let mut message = Tree::read(datagram).unwrap();
    if let Some(response) = message.get_mut("r") {
        let id = response.take("id").unwrap();
        assert_eq!(id.bytes().unwrap().len(), Id::LEN);
        response.take("ip");
        response.take("nodes6");
        if let Some(token) = response.get_mut("token") {
            assert!(!token.bytes().unwrap().is_empty());
            *token = Tree::Bytes(b"a token".to_vec());
        }
        if let Some(values) = response.get_mut("values").and_then(Tree::list_mut) {
            values.sort();
        }
        if let Some(nodes) = response.get_mut("nodes").and_then(Tree::list_mut) {
            nodes.retain(|node| !node.bytes().unwrap().starts_with(&network.prober.id.0));
        }
    }
    if let Some(error) = message.get_mut("e").and_then(Tree::list_mut) {
        error[1] = Tree::Bytes(b"a text".to_vec());
    }
    message
}
