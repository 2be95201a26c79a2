//! Every check can fail: each required and each hardening check does, on a node with a fault.

use crate::mutated::{
    Datagram, Memory, Mutation, at, bytes_at, change, kind, lists, method, queries, response, responses,
    start,
};
use crate::trial::{config, names, told, try_checks};
use khashmir::config::Admission;
use khashmir_conformance::report::{CheckReport, Status};
use khashmir_conformance::{Level, Tree};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const NONE: Mutation = Mutation::NONE;

/// Faults of the wire.
const ON_THE_WIRE: &[Mutation] = &[
    Mutation {
        what: "answers whatever comes",
        fails: &[
            "bencode/integer-with*",
            "bencode/negative-integer-with-leading-zero",
            "bencode/negative-zero",
            "bencode/length-*",
            "bencode/keys-out-of-order*",
            "bencode/key-*",
            "bencode/bytes-after-the-message",
            "bencode/two-messages-in-a-datagram",
            "bencode/*-without-end",
            "bencode/type-*",
            "bencode/no*",
            "bencode/list-for-a-message",
            "bencode/empty-dictionary",
            "framing/short-transaction-id",
            "framing/long-transaction-id",
            "framing/empty-transaction-id",
            "framing/*-is-an-integer",
            "framing/no-*",
            "framing/unknown-kind",
            "framing/kind-of-two-letters",
            "framing/arguments-are-a-list",
            "framing/*-that-nobody-waits-for",
            "limits/seventeen-levels",
            "limits/more-than-512-tokens",
        ],
        outgoing: |_, came, out| {
            if let Some((from, _)) = came
                && !out.iter().any(|(to, _)| to == from)
            {
                out.push((*from, response(&[b'T'; 20], Tree::dictionary([("id", [1; 20].into())]))));
            }
        },
        ..NONE
    },
    Mutation {
        what: "gives the next error code",
        fails: &[
            "bencode/negative-integer-of-thirty-digits",
            "*/*-is-missing",
            "*/*-is-short",
            "*/*-is-long",
            "ping/id-is-*",
            "*/unknown-argument",
            "ping/argument-of-another-method",
            "find_node/target-is-a-list",
            "find_node/key-for-a-target",
            "find_value/key-is-an-integer",
            "get_value/negative-num",
            "get_value/num-is-text",
            "store_value/*-is-an-integer",
            "errors/unknown-method*",
            "errors/method*",
            "errors/an-error-does-no-harm",
        ],
        outgoing: |_, _, out| {
            for (_, bytes) in out {
                change(bytes, b'e', |message| {
                    if let Some([Tree::Integer(code), _]) =
                        message.get_mut("e").and_then(|e| e.list_mut()).map(|e| &mut e[..])
                    {
                        *code += 1;
                    }
                });
            }
        },
        ..NONE
    },
    Mutation {
        what: "confirms a store whatever the token",
        fails: &[
            "store_value/no-token-of-ours",
            "store_value/empty-token",
            "store_value/token-with-a-bit-flipped",
            "store_value/token-with-a-byte-missing",
            "store_value/token-of-another-ip",
        ],
        outgoing: |_, _, out| {
            for (_, bytes) in out {
                if at(bytes, &["e"]).and_then(|e| e.list()?[0].integer()) == Some(205) {
                    let t = bytes_at(bytes, &["t"]).unwrap();
                    *bytes = response(&t, Tree::dictionary([("id", [1; 20].into())]));
                }
            }
        },
        ..NONE
    },
    Mutation {
        what: "gives no text with an error",
        fails: &["errors/code-and-text", "framing/errors-repeat-the-transaction-id"],
        outgoing: |_, _, out| {
            for (_, bytes) in out {
                change(bytes, b'e', |message| {
                    message.get_mut("e").and_then(Tree::list_mut).unwrap().truncate(1);
                });
            }
        },
        ..NONE
    },
    Mutation {
        what: "repeats a transaction id up to its first zero",
        fails: &["framing/transaction-id-of-any-bytes"],
        outgoing: |_, _, out| {
            for (_, bytes) in out {
                change(bytes, b'r', |message| {
                    let t = message.get("t").unwrap().bytes().unwrap().to_vec();
                    message.insert("t", t.split(|byte| *byte == 0).next().unwrap().into());
                });
            }
        },
        ..NONE
    },
    Mutation {
        what: "drops a query with a key that it does not know",
        fails: &[
            "bencode/empty-key",
            "bencode/keys-compare-as-raw-bytes",
            "bencode/sixteen-levels",
            "bencode/five-hundred-and-twelve-tokens",
            "framing/unknown-key-*",
            "framing/query-of-2048-bytes",
        ],
        incoming: |_, datagram| {
            let Ok(Tree::Dictionary(items)) = Tree::read(&datagram.1) else { return Some(datagram) };
            items
                .keys()
                .all(|key| [b"a", b"e", b"q", b"r", b"t", b"y"].iter().any(|known| key == known))
                .then_some(datagram)
        },
        ..NONE
    },
    Mutation {
        what: "drops numbers that 64 bits do not hold",
        fails: &["bencode/*-of-thirty-digits"],
        incoming: |_, datagram| {
            (!datagram.1.windows(20).any(|window| window == [b'9'; 20])).then_some(datagram)
        },
        ..NONE
    },
    Mutation {
        what: "ends every datagram with a line's end",
        fails: &["bencode/answers-are-canonical"],
        // Not from the start: nothing would be checked.
        outgoing: |memory, _, out| {
            memory.count += out.len();
            out.iter_mut().filter(|_| memory.count > 3).for_each(|(_, bytes)| bytes.push(b'\n'));
        },
        ..NONE
    },
    Mutation {
        what: "answers no query twice",
        fails: &["framing/every-transmission-is-answered"],
        incoming: |memory, datagram| {
            memory.by_bytes.insert(datagram.1.clone(), Vec::new()).is_none().then_some(datagram)
        },
        ..NONE
    },
    Mutation {
        what: "has another id each time",
        fails: &["framing/responses-have-the-id"],
        outgoing: |memory, _, out| {
            memory.count += 1;
            responses(out, |r| r.insert("id", [memory.count as u8; 20].into()));
        },
        ..NONE
    },
    Mutation {
        what: "has an id of zeros",
        fails: &["framing/the-id-is-not-zeros"],
        outgoing: |_, _, out| responses(out, |r| r.insert("id", [0; 20].into())),
        ..NONE
    },
    Mutation {
        what: "asks with short transaction ids",
        fails: &["framing/own-transaction-ids-have-20-bytes"],
        outgoing: |_, _, out| {
            queries(out, |query| {
                let t = query.get("t").unwrap().bytes().unwrap()[..4].to_vec();
                query.insert("t", t.into());
            });
        },
        ..NONE
    },
    Mutation {
        what: "counts its transactions in the last bytes",
        fails: &["framing/own-transaction-ids-are-random"],
        outgoing: |memory, _, out| {
            queries(out, |query| {
                memory.count += 1;
                let mut t = [b't'; 20];
                t[16..].copy_from_slice(&(memory.count as u32).to_be_bytes());
                query.insert("t", t.into());
            });
        },
        ..NONE
    },
    Mutation {
        what: "says nothing more to who has had an error",
        fails: &["errors/an-error-does-no-harm"],
        outgoing: |memory, _, out| {
            out.retain(|(to, _)| !memory.by_addr.contains_key(to));
            memory.by_addr.extend(out.iter().filter(|(_, bytes)| kind(bytes) == Some(b'e')).cloned());
        },
        ..NONE
    },
];

/// Faults of what it answers.
const IN_ANSWERS: &[Mutation] = &[
    Mutation {
        what: "answers pings with an error, but for the first",
        fails: &["ping/is-answered"],
        outgoing: |memory, came, out| {
            let Some((from, bytes)) = came.filter(|(_, bytes)| method(bytes).as_deref() == Some("ping"))
            else {
                return;
            };
            memory.count += 1;
            if memory.count > 1 {
                *out = vec![(*from, error(bytes))];
            }
        },
        ..NONE
    },
    Mutation {
        what: "knows only ids that look like its own",
        fails: &["ping/any-other-id-will-do"],
        incoming: |_, datagram| {
            (bytes_at(&datagram.1, &["a", "id"]) != Some(vec![0xff; 20])).then_some(datagram)
        },
        ..NONE
    },
    Mutation {
        what: "tells everybody the same address",
        fails: &["join/says-the-ip-as-text", "join/says-the-port"],
        outgoing: |_, _, out| {
            responses(out, |r| {
                if r.get("port").is_some() {
                    r.insert("ip_addr", b"127.0.0.1".into());
                    r.insert("port", 9977.into());
                }
            });
        },
        ..NONE
    },
    Mutation {
        what: "leaves nodes out",
        fails: &["find_*/has-nodes"],
        outgoing: |_, _, out| responses(out, |r| drop(r.take("nodes"))),
        ..NONE
    },
    Mutation {
        what: "gives contacts without their port",
        fails: &["find_*/entries"],
        outgoing: |_, _, out| {
            lists(out, "nodes", |nodes| {
                nodes.iter_mut().for_each(|node| *node = node.bytes().unwrap()[..24].into())
            });
        },
        ..NONE
    },
    Mutation {
        what: "sorts contacts farthest first",
        fails: &["find_*/closest-first"],
        outgoing: |_, _, out| lists(out, "nodes", |nodes| nodes.reverse()),
        ..NONE
    },
    Mutation {
        what: "lists itself",
        fails: &["find_*/never-itself"],
        outgoing: |_, _, out| {
            responses(out, |r| {
                let own = [r.get("id").unwrap().bytes().unwrap(), &[127, 0, 0, 1, 9, 9]].concat();
                r.get_mut("nodes")
                    .and_then(Tree::list_mut)
                    .into_iter()
                    .for_each(|nodes| nodes.push(own.clone().into()));
            });
        },
        ..NONE
    },
    Mutation {
        what: "leaves the querier out",
        fails: &["find_node/lists-the-querier"],
        outgoing: |_, came, out| {
            let Some((SocketAddr::V4(from), _)) = came else { return };
            lists(out, "nodes", |nodes| {
                nodes.retain(|node| node.bytes().unwrap()[20..24] != from.ip().octets())
            });
        },
        ..NONE
    },
    Mutation {
        what: "gives no token",
        fails: &["find_node/has-a-token"],
        outgoing: |_, _, out| responses(out, |r| drop(r.take("token"))),
        ..NONE
    },
    Mutation {
        what: "takes zeros for no target",
        fails: &["find_node/any-target-will-do"],
        incoming: |_, datagram| {
            (bytes_at(&datagram.1, &["a", "target"]) != Some(vec![0; 20])).then_some(datagram)
        },
        ..NONE
    },
    Mutation {
        what: "gives a token with find_value, and counts wrong",
        fails: &["find_value/no-token", "find_value/num-*", "framing/a-repeated-store-stores-once"],
        outgoing: |_, _, out| {
            responses(out, |r| {
                if let Some(num) = r.get("num").and_then(Tree::integer) {
                    r.insert("num", (num + 1).into());
                    r.insert("token", b"token".into());
                }
            });
        },
        ..NONE
    },
    Mutation {
        what: "takes num 0 for 1, and every other for one less or more",
        fails: &["get_value/all-*", "get_value/some-with-a-smaller-num"],
        incoming: |_, mut datagram| {
            change(&mut datagram.1, b'q', |query| {
                if let Some(Tree::Integer(num)) = query.get_mut("a").and_then(|a| a.get_mut("num")) {
                    *num = match *num {
                        0 => 1,
                        2 => 3,
                        _ => 5,
                    };
                }
            });
            Some(datagram)
        },
        ..NONE
    },
    Mutation {
        what: "gives the same values in the same order each time",
        fails: &["get_value/one-of-many-is-random", "get_value/values-that-do-not-fit-come-in-random-order"],
        outgoing: |memory, came, out| {
            let Some(arguments) = came.and_then(|(_, bytes)| at(bytes, &["a"])) else { return };
            responses(out, |r| {
                let asked = [arguments.get("key"), arguments.get("num")]
                    .map(|tree| tree.map(Tree::to_bytes).unwrap_or_default());
                let Some(values) = r.get("values").filter(|values| !values.list().unwrap().is_empty()) else {
                    return;
                };
                let first = memory.by_bytes.entry(asked.concat()).or_insert_with(|| values.to_bytes());
                r.insert("values", Tree::read(first).unwrap());
            });
        },
        ..NONE
    },
    Mutation {
        what: "leaves a value out that would fit",
        fails: &["get_value/as-many-as-fit", "get_value/some-num-that-does-not-fit"],
        outgoing: |_, _, out| lists(out, "values", |values| drop(values.pop())),
        ..NONE
    },
    Mutation {
        what: "sends datagrams of any length",
        fails: &["get_value/no-longer-than-a-datagram"],
        config: |config| config.limits.datagram_ipv4 = 9000,
        ..NONE
    },
    Mutation {
        what: "answers an error where there are no values",
        fails: &["errors/no-values-is-no-error"],
        outgoing: |_, came, out| {
            for (_, bytes) in out {
                if at(bytes, &["r", "values"]).is_some_and(|values| values.list() == Some(&[])) {
                    *bytes = error(&came.unwrap().1);
                }
            }
        },
        ..NONE
    },
    Mutation {
        what: "answers a store with an error",
        fails: &["store_value/is-confirmed"],
        outgoing: |_, came, out| {
            let Some((from, bytes)) =
                came.filter(|(_, bytes)| method(bytes).as_deref() == Some("store_value"))
            else {
                return;
            };
            *out = vec![(*from, error(bytes))];
        },
        ..NONE
    },
    Mutation {
        what: "notes with each value when it came",
        fails: &[
            "store_value/what-is-stored-comes-back",
            "store_value/any-bytes",
            "store_value/one-byte",
            "store_value/the-longest-claim",
            "store_value/many-values-under-a-key",
            "store_value/the-same-from-two-ips-is-one",
            "framing/a-repeated-store-stores-once",
            "find_value/num-counts-distinct-values",
        ],
        incoming: |memory, mut datagram| {
            memory.count += 1;
            change(&mut datagram.1, b'q', |query| {
                if let Some(Tree::Bytes(value)) = query.get_mut("a").and_then(|a| a.get_mut("value")) {
                    value.extend_from_slice(&memory.count.to_be_bytes());
                }
            });
            Some(datagram)
        },
        ..NONE
    },
    Mutation {
        what: "stores short values only, and one under a key",
        fails: &["store_value/1391-bytes", "store_value/many-values-under-a-key"],
        config: |config| (config.limits.value_len, config.limits.values_per_key) = (1300, 1),
        ..NONE
    },
    Mutation {
        what: "binds a token to the port",
        fails: &["store_value/token-from-another-port"],
        incoming: |memory, mut datagram| {
            if method(&datagram.1).as_deref() == Some("find_node") {
                memory.by_addr.insert(datagram.0, Vec::new());
            } else if !memory.by_addr.contains_key(&datagram.0) {
                spoil_token(&mut datagram);
            }
            Some(datagram)
        },
        ..NONE
    },
    Mutation {
        what: "takes a token but once",
        fails: &["store_value/token-is-good-more-than-once"],
        incoming: |memory, mut datagram| {
            if let Some(token) = bytes_at(&datagram.1, &["a", "token"])
                && memory.by_bytes.insert(token, Vec::new()).is_some()
            {
                spoil_token(&mut datagram);
            }
            Some(datagram)
        },
        ..NONE
    },
    Mutation {
        what: "takes a token only until the next is asked for",
        fails: &["store_value/an-older-token-stays-good"],
        incoming: |memory, mut datagram| {
            if method(&datagram.1).as_deref() == Some("find_node") {
                memory.by_addr.entry(datagram.0).or_default().push(1);
            } else if memory.by_addr.get(&datagram.0).is_some_and(|asked| asked.len() > 1) {
                spoil_token(&mut datagram);
            }
            Some(datagram)
        },
        ..NONE
    },
    Mutation {
        what: "tells keys apart by their first 19 bytes",
        fails: &["store_value/keys-are-apart"],
        incoming: |_, mut datagram| {
            change(&mut datagram.1, b'q', |query| {
                let Some(a) = query.get_mut("a") else { return };
                for key in ["key", "target"] {
                    if let Some(Tree::Bytes(key)) = a.get_mut(key)
                        && let Some(last) = key.get_mut(19)
                    {
                        *last = 0;
                    }
                }
            });
            Some(datagram)
        },
        ..NONE
    },
];

/// Faults of who it believes.
const IN_BELIEF: &[Mutation] = &[
    Mutation {
        what: "pings nobody",
        fails: &["contacts/a-querier-is-pinged", "amplification/the-ping-goes-first"],
        outgoing: |_, _, out| out.retain(|(_, bytes)| method(bytes).as_deref() != Some("ping")),
        ..NONE
    },
    Mutation {
        what: "asks in another's name",
        fails: &["contacts/the-ping-is-well-formed"],
        outgoing: |_, _, out| queries(out, |query| query.get_mut("a").unwrap().insert("id", [9; 20].into())),
        ..NONE
    },
    Mutation {
        what: "hears no answers",
        fails: &["contacts/an-answer-makes-a-contact", "amplification/a-pong-lifts-the-budget"],
        incoming: |_, datagram| (kind(&datagram.1) != Some(b'r')).then_some(datagram),
        ..NONE
    },
    Mutation {
        what: "takes whoever asks for a contact",
        fails: &["contacts/a-query-alone-makes-none"],
        config: |config| config.lookup.admission = Admission::Query,
        ..NONE
    },
    Mutation {
        what: "drops answers with keys that it does not know",
        fails: &["contacts/unknown-keys-in-an-answer"],
        incoming: |_, datagram| at(&datagram.1, &["r", "zz"]).is_none().then_some(datagram),
        ..NONE
    },
    Mutation {
        what: "takes anything from the IP for the answer to its ping",
        fails: &[
            "contacts/an-answer-with-*",
            "contacts/an-answer-from-another-port",
            "contacts/an-error-is-no-answer",
            "contacts/an-answer-without-an-id",
        ],
        incoming: |memory, datagram| {
            let (from, bytes) = &datagram;
            if kind(bytes) == Some(b'q') {
                memory
                    .by_bytes
                    .insert(from.ip().to_string().into(), bytes_at(bytes, &["a", "id"]).unwrap_or_default());
                return Some(datagram);
            }
            let id = memory.by_bytes.get(from.ip().to_string().as_bytes())?.clone();
            let (pinged, t) = memory.by_addr.iter().find(|(addr, _)| addr.ip() == from.ip())?;
            Some((*pinged, response(t, Tree::dictionary([("id", id.into())]))))
        },
        outgoing: |memory, _, out| {
            for (to, bytes) in out {
                if kind(bytes) == Some(b'q') {
                    memory.by_addr.insert(*to, bytes_at(bytes, &["t"]).unwrap());
                }
            }
        },
        ..NONE
    },
    Mutation {
        what: "takes the latest answer of an address for who is there",
        fails: &["contacts/a-second-answer-changes-nothing"],
        incoming: |memory, datagram| {
            if let (SocketAddr::V4(from), Some(id)) = (datagram.0, bytes_at(&datagram.1, &["r", "id"])) {
                memory.by_bytes.insert(from.ip().octets().into(), id);
            }
            Some(datagram)
        },
        outgoing: |memory, _, out| {
            lists(out, "nodes", |nodes| {
                for node in nodes {
                    let addr = &node.bytes().unwrap()[20..];
                    if let Some(id) = memory.by_bytes.get(&addr[..4]) {
                        *node = [&id[..], addr].concat().into();
                    }
                }
            });
        },
        ..NONE
    },
    Mutation {
        what: "takes an id to be where it last asked from",
        fails: &["contacts/a-stranger-cannot-take-one-over", "contacts/not-even-one-that-answers"],
        incoming: |memory, datagram| {
            if let (SocketAddr::V4(from), Some(id)) = (datagram.0, bytes_at(&datagram.1, &["a", "id"])) {
                let addr = [&from.ip().octets()[..], &from.port().to_be_bytes()].concat();
                memory.by_bytes.insert(id, addr);
            }
            Some(datagram)
        },
        outgoing: |memory, _, out| {
            lists(out, "nodes", |nodes| {
                for node in nodes {
                    let id = &node.bytes().unwrap()[..20];
                    if let Some(addr) = memory.by_bytes.get(id) {
                        *node = [id, addr].concat().into();
                    }
                }
            });
        },
        ..NONE
    },
];

/// Limits that are switched off.
const OF_LIMITS: &[Mutation] = &[
    Mutation {
        what: "counts no IPs and no prefixes",
        fails: &["contacts/one-of-*", "lookup/one-of-an-ip-in-a-response"],
        config: |config| config.limits.counted_networks_lifted = true,
        ..NONE
    },
    Mutation {
        what: "answers strangers in full",
        fails: &["amplification/find_*", "amplification/get_value*", "amplification/a-proof-is-for-one-port"],
        config: |config| config.limits.amplification = 0,
        ..NONE
    },
    Mutation {
        what: "repeats its pings",
        fails: &["amplification/ping", "amplification/join", "amplification/the-ping-is-not-repeated"],
        outgoing: |memory, _, out| {
            for datagram in out.iter().filter(|(_, bytes)| method(bytes).as_deref() == Some("ping")) {
                let again = [1, 2, 3]
                    .map(|seconds| (Instant::now() + Duration::from_secs(seconds), datagram.clone()));
                memory.later.extend(again);
            }
        },
        ..NONE
    },
    Mutation {
        what: "explains errors at length",
        fails: &["amplification/an-error"],
        outgoing: |_, _, out| {
            for (_, bytes) in out {
                change(bytes, b'e', |message| {
                    message.get_mut("e").and_then(Tree::list_mut).unwrap()[1] = vec![b'?'; 500].into();
                });
            }
        },
        ..NONE
    },
    Mutation {
        what: "answers before it pings",
        fails: &["amplification/the-ping-goes-first"],
        outgoing: |_, _, out| out.reverse(),
        ..NONE
    },
    Mutation {
        what: "pings for every query",
        fails: &["amplification/one-ping-while-one-is-pending"],
        outgoing: |memory, came, out| {
            memory.by_addr.extend(out.iter().filter(|(_, bytes)| kind(bytes) == Some(b'q')).cloned());
            let Some((from, _)) = came else { return };
            if let Some(ping) = memory.by_addr.get(from) {
                out.push((*from, ping.clone()));
            }
        },
        ..NONE
    },
    Mutation {
        what: "lets any number wait for a pong",
        fails: &["amplification/no-more-than-64-wait"],
        config: |config| config.limits.waiting_for_proof = 1000,
        ..NONE
    },
    Mutation {
        what: "lets nobody wait for a pong",
        fails: &["amplification/get_value-waits-for-the-pong"],
        config: |config| config.limits.waiting_for_proof = 0,
        ..NONE
    },
    Mutation {
        what: "decodes a length that goes backwards",
        fails: &["limits/a-length-that-goes-backwards"],
        incoming: |memory, datagram| {
            memory.is_dead = datagram.1 == b"l4:i1eed-8:";
            Some(datagram)
        },
        ..NONE
    },
    Mutation {
        what: "recurses on what is closed again",
        fails: &["limits/lists-within-lists"],
        incoming: |memory, datagram| {
            memory.is_dead = datagram.1.starts_with(&[b'l'; 1000]) && datagram.1.ends_with(b"e");
            Some(datagram)
        },
        ..NONE
    },
    Mutation {
        what: "recurses before it knows that nothing is closed",
        fails: &["limits/lists-without-end"],
        incoming: |memory, datagram| {
            memory.is_dead = datagram.1.starts_with(&[b'l'; 1000]) && datagram.1.ends_with(b"l");
            Some(datagram)
        },
        ..NONE
    },
    Mutation {
        what: "serves any number of queries",
        fails: &["limits/queries-of-an-ip"],
        config: |config| config.limits.queries_per_second_and_source = 0,
        ..NONE
    },
    Mutation {
        what: "confirms a value without bytes",
        fails: &["store_value/an-empty-value"],
        outgoing: |_, came, out| {
            let Some((from, bytes)) =
                came.filter(|(_, bytes)| bytes_at(bytes, &["a", "value"]) == Some(Vec::new()))
            else {
                return;
            };
            *out = vec![(
                *from,
                response(&bytes_at(bytes, &["t"]).unwrap(), Tree::dictionary([("id", [1; 20].into())])),
            )];
        },
        ..NONE
    },
    Mutation {
        what: "stores values of any length",
        fails: &["store_value/1392-bytes"],
        config: |config| config.limits.value_len = 60_000,
        ..NONE
    },
    Mutation {
        what: "stores any number of values of an IP",
        fails: &["store_value/four-values-*"],
        config: |config| config.limits.values_per_key_and_source = 100,
        ..NONE
    },
    Mutation {
        what: "stores any number of values under a key",
        fails: &["store_value/256-values-of-a-key"],
        config: |config| config.limits.values_per_key = 1000,
        ..NONE
    },
    Mutation {
        what: "uses every contact of a response",
        fails: &["lookup/eight-contacts-of-a-response"],
        config: |config| config.limits.contacts_per_response = 64,
        ..NONE
    },
    Mutation {
        what: "lets one prefix be all of the closest",
        fails: &["lookup/two-of-a-prefix"],
        config: |config| config.limits.closest_per_prefix = 8,
        ..NONE
    },
    Mutation {
        what: "asks any number in a lookup",
        fails: &["lookup/sixty-four-queries"],
        config: |config| config.limits.lookup_queries = 1000,
        ..NONE
    },
    Mutation {
        what: "does not know its own id in a response",
        fails: &["lookup/not-ourselves"],
        incoming: |_, mut datagram| {
            change(&mut datagram.1, b'r', |message| {
                let Some(nodes) = message.get_mut("r").and_then(|r| r.get_mut("nodes")?.list_mut()) else {
                    return;
                };
                // Only its own id differs from the others in the bytes before the last eight.
                if let [.., Tree::Bytes(last)] = &mut nodes[..]
                    && last.len() == 26
                {
                    last[18] ^= 1;
                }
            });
            Some(datagram)
        },
        ..NONE
    },
];

/// Faults of how it looks others up.
const IN_LOOKUPS: &[Mutation] = &[
    Mutation {
        what: "joins nobody",
        fails: &["lookup/join-goes-to-the-bootstrap-contact"],
        outgoing: |_, _, out| out.retain(|(_, bytes)| method(bytes).as_deref() != Some("join")),
        ..NONE
    },
    Mutation {
        what: "makes a new query of a repeated one",
        fails: &["lookup/join-is-repeated"],
        outgoing: |memory, _, out| {
            queries(out, |query| {
                memory.count += 1;
                query.insert("v", memory.count.to_string().into_bytes().into());
            });
        },
        ..NONE
    },
    Mutation {
        what: "asks but once",
        fails: &["lookup/find_node-is-repeated"],
        outgoing: |memory, _, out| {
            out.retain(|(_, bytes)| {
                let is_find = method(bytes).as_deref() == Some("find_node");
                !is_find || memory.by_bytes.insert(bytes.clone(), Vec::new()).is_none()
            });
        },
        ..NONE
    },
    Mutation {
        what: "looks up its own id",
        fails: &["lookup/own-id-plus-one"],
        outgoing: |_, _, out| {
            queries(out, |query| {
                let a = query.get_mut("a").unwrap();
                if a.get("target").is_some() {
                    let id = a.get("id").unwrap().clone();
                    a.insert("target", id);
                }
            });
        },
        ..NONE
    },
    Mutation {
        what: "uses no contacts of a response",
        fails: &["lookup/contacts-of-a-response-are-asked"],
        incoming: |_, mut datagram| {
            change(&mut datagram.1, b'r', |message| {
                if let Some(r) = message.get_mut("r").filter(|r| r.get("nodes").is_some()) {
                    r.insert("nodes", Tree::List(Vec::new()));
                }
            });
            Some(datagram)
        },
        ..NONE
    },
    Mutation {
        what: "asks with an argument that the method does not have",
        fails: &["lookup/queries-are-well-formed"],
        outgoing: |_, _, out| queries(out, |query| query.get_mut("a").unwrap().insert("want", b"n6".into())),
        ..NONE
    },
    Mutation {
        what: "asks everybody in the same transaction",
        fails: &["lookup/transaction-ids-are-not-used-twice"],
        incoming: |memory, mut datagram| {
            let Some(t) = memory.by_addr.get(&datagram.0) else { return Some(datagram) };
            change(&mut datagram.1, b'r', |message| message.insert("t", t.clone().into()));
            Some(datagram)
        },
        outgoing: |memory, _, out| {
            for (to, bytes) in out {
                change(bytes, b'q', |query| {
                    memory.by_addr.insert(*to, query.get("t").unwrap().bytes().unwrap().into());
                    query.insert("t", [b't'; 20].into());
                });
            }
        },
        ..NONE
    },
    Mutation {
        what: "pads its queries",
        fails: &["lookup/queries-fit-a-datagram"],
        outgoing: |_, _, out| queries(out, |query| query.insert("v", vec![b'v'; 1400].into())),
        ..NONE
    },
    Mutation {
        what: "forgets who answers a lookup",
        fails: &["lookup/who-answers-is-a-contact"],
        incoming: |memory, datagram| {
            // Who answers a join is let through.
            if at(&datagram.1, &["r", "ip_addr"]).is_some() {
                memory.by_addr.insert(datagram.0, Vec::new());
            }
            let is_found = at(&datagram.1, &["r", "nodes"]).is_some();
            (!is_found || memory.by_addr.contains_key(&datagram.0)).then_some(datagram)
        },
        ..NONE
    },
    Mutation {
        what: "drops responses with other keys than it expects",
        fails: &["lookup/unknown-keys-in-a-response", "lookup/a-response-without-a-token"],
        incoming: |_, datagram| {
            let is_found = at(&datagram.1, &["r", "nodes"]).is_some();
            let count = match at(&datagram.1, &["r"]) {
                Some(Tree::Dictionary(items)) => items.len(),
                _ => 0,
            };
            (!is_found || count == 3).then_some(datagram)
        },
        ..NONE
    },
    Mutation {
        what: "takes whom it asked for a contact, whatever comes",
        fails: &[
            "lookup/who-is-silent-is-none",
            "lookup/an-error-is-a-failure",
            "lookup/a-response-without-nodes",
            "lookup/an-entry-of-25-bytes",
            "lookup/a-response-without-an-id",
            "lookup/a-response-with-another-id",
            "lookup/a-response-with-another-transaction-id",
            "lookup/a-response-from-another-port",
        ],
        incoming: believe,
        outgoing: |memory, _, out| {
            for (to, bytes) in out.iter().filter(|(_, bytes)| method(bytes).as_deref() == Some("find_node")) {
                let t = bytes_at(bytes, &["t"]).unwrap();
                if let Some(reply) = as_if_found(memory, to, &t) {
                    memory.later.push((Instant::now() + Duration::from_millis(800), (*to, reply)));
                }
                memory.by_addr.insert(*to, t);
            }
        },
        ..NONE
    },
];

/// Where the compact contact of someone who answered is remembered.
const WHO_ANSWERED: &[u8] = b"who answered";

/// A response that nobody sent, from someone whose id is known from others' responses; it names someone
/// who is there.
fn as_if_found(memory: &Memory, from: &SocketAddr, t: &[u8]) -> Option<Vec<u8>> {
    let id = memory.by_bytes.get(from.to_string().as_bytes())?.clone();
    let nodes = memory.by_bytes.get(WHO_ANSWERED).map(|node| Tree::Bytes(node.clone()));
    let nodes = Tree::List(nodes.into_iter().collect());
    let r = Tree::dictionary([("id", id.into()), ("nodes", nodes), ("token", b"t".into())]);
    Some(response(t, r))
}

/// Remembers who is said to be where, and makes a good response of every bad one.
fn believe(memory: &mut Memory, datagram: Datagram) -> Option<Datagram> {
    let (from, bytes) = &datagram;
    let nodes = at(bytes, &["r", "nodes"]).and_then(|nodes| Some(nodes.list()?.to_vec()));
    for node in nodes.iter().flatten().filter_map(|node| <[u8; 26]>::try_from(node.bytes()?).ok()) {
        let [.., a, b, c, d, high, low] = node;
        let addr = SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])));
        memory.by_bytes.insert(addr.to_string().into(), node[..20].into());
    }
    // The first who names anybody is the bootstrap contact, who has no fault.
    if let (Some([_, ..]), Some(id), IpAddr::V4(ip)) =
        (nodes.as_deref(), bytes_at(bytes, &["r", "id"]), from.ip())
    {
        let node = [&id[..], &ip.octets(), &from.port().to_be_bytes()].concat();
        memory.by_bytes.entry(WHO_ANSWERED.into()).or_insert(node);
    }
    let asked = memory.by_addr.iter().find(|(addr, _)| {
        addr.ip() == from.ip() && memory.by_bytes.contains_key(addr.to_string().as_bytes())
    });
    let Some((addr, t)) = asked.filter(|_| matches!(kind(bytes), Some(b'r' | b'e'))) else {
        return Some(datagram);
    };
    let known = memory.by_bytes.get(addr.to_string().as_bytes());
    let is_good = addr == from
        && bytes_at(bytes, &["t"]).as_ref() == Some(t)
        && bytes_at(bytes, &["r", "id"]).as_ref() == known
        && nodes
            .is_some_and(|nodes| nodes.iter().all(|node| node.bytes().is_some_and(|node| node.len() == 26)));
    if is_good { Some(datagram) } else { Some((*addr, as_if_found(memory, addr, t)?)) }
}

/// Error 201 in answer to `query`.
fn error(query: &[u8]) -> Vec<u8> {
    let t = bytes_at(query, &["t"]).unwrap_or_default();
    let e = Tree::List(vec![201.into(), b"server error".into()]);
    Tree::dictionary([("e", e), ("t", t.into()), ("y", b"e".into())]).to_bytes()
}

fn spoil_token(datagram: &mut Datagram) {
    change(&mut datagram.1, b'q', |query| {
        if let Some(Tree::Bytes(token)) = query.get_mut("a").and_then(|a| a.get_mut("token")) {
            token.push(b'!');
        }
    });
}

fn all() -> impl Iterator<Item = &'static Mutation> {
    // Those that take longest first.
    [IN_LOOKUPS, OF_LIMITS, IN_BELIEF, IN_ANSWERS, ON_THE_WIRE].into_iter().flatten()
}

/// How many nodes run at a time.
const AT_A_TIME: usize = 16;

/// Required and hardening checks alike, so that each fault is tried once.
#[test]
fn every_required_and_every_hardening_check_fails_on_a_node_with_its_fault() {
    let waiting = Mutex::new(all());
    let done = Mutex::new(Vec::<(&Mutation, Vec<CheckReport>)>::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap().next();
                    let Some(mutation) = next else { return };
                    let joins = mutation.fails.iter().any(|name| name.starts_with("lookup"));
                    let try_them = || {
                        try_checks(mutation.fails, false, |bootstrap| {
                            start(*mutation, config(), joins.then_some(bootstrap))
                        })
                    };
                    let mut reports = try_them();
                    // On a busy machine a lookup may end before it comes to whom a check is about.
                    for _ in 0..2 {
                        if reports.iter().any(|report| report.status == Status::Skipped) {
                            reports = try_them();
                        }
                    }
                    done.lock().unwrap().push((mutation, reports));
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    assert_eq!(done.len(), all().count());
    let mut failed = BTreeSet::new();
    let mut wrong = String::new();
    for (mutation, reports) in &done {
        let others: Vec<_> = reports.iter().filter(|report| report.status != Status::Failed).collect();
        if !others.is_empty() || reports.is_empty() {
            wrong += &format!("a node that {}:\n{}", mutation.what, told(&others));
        }
        failed.extend(
            reports.iter().filter(|report| report.status == Status::Failed).map(|report| report.name),
        );
    }
    assert!(wrong.is_empty(), "these did not fail:\n{wrong}");
    let unbroken: Vec<_> =
        names(Level::Required).chain(names(Level::Hardening)).filter(|name| !failed.contains(name)).collect();
    assert!(unbroken.is_empty(), "no fault shows that these can fail: {unbroken:#?}");
}
