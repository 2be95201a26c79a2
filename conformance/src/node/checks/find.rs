//! `find_node` and `find_value` (section 2).

use super::super::message::{Query, distance, random_id};
use super::super::target::Target;
use super::{
    Check, MALFORMED, answered, count_of, otherwise, proved_answer, recorded, refused, same, shown_otherwise,
    some_value, store,
};
use crate::check::{In2008, Outcome, Source, Unmet};
use crate::tree::Tree;

const ENTRIES: &str = "list of up to 8 strings of 26 bytes";
const CLOSEST_FIRST: &str = "IPv4 contacts, closest first";
const NEVER_ITSELF: &str = "The responder never lists itself.";
const HAS_NODES: &str = "`nodes` is there even when it is empty.";
const SESSION: In2008 = In2008::Same(Source::Session);

type Ask = fn(&super::Id) -> Query;

/// Entries of 26 bytes, eight at most, each once, whatever is asked for.
fn entries(target: &Target, ask: Ask) -> Outcome {
    let neighbours = target.neighbours(9)?;
    let answer = proved_answer(target, ask(&neighbours[0].id))?;
    let contacts = answer.contacts()?;
    let distinct: std::collections::BTreeSet<_> = contacts.iter().collect();
    answer.expect(contacts.len() <= 8, "eight contacts at most", || format!("{}", contacts.len()))?;
    answer.expect(!contacts.is_empty(), "contacts: nine have answered its pings", || "none".to_owned())?;
    answer.expect(distinct.len() == contacts.len(), "each once", || "one twice".to_owned())
}

/// The contacts closest to where we ask, and no farther one before a closer one.
fn closest_first(target: &Target, ask: Ask) -> Outcome {
    let neighbours = target.neighbours(5)?;
    for wanted in [&neighbours[0].id, &neighbours[3].id, &target.id, &random_id()] {
        let answer = proved_answer(target, ask(wanted))?;
        let contacts = answer.contacts()?;
        let distances: Vec<_> = contacts.iter().map(|(id, _)| distance(id, wanted)).collect();
        answer.expect(distances.is_sorted(), "closest first", || {
            "a farther one before a closer one".to_owned()
        })?;
        let farthest = distances.last().filter(|_| distances.len() == 8);
        let missing = neighbours.iter().filter(|peer| {
            let closer = farthest.is_none_or(|farthest| distance(&peer.id, wanted) < *farthest);
            closer && !contacts.iter().any(|(id, _)| *id == peer.id)
        });
        let missing = missing.count();
        let expected = "every contact that is closer than the last one listed";
        answer.expect(missing == 0, expected, || format!("{missing} are missing"))?;
    }
    Ok(())
}

fn never_itself(target: &Target, ask: Ask) -> Outcome {
    let answer = proved_answer(target, ask(&target.id))?;
    let listed = answer.contacts()?.iter().any(|(id, _)| *id == target.id);
    answer.expect(!listed, "others", || "the node's own id".to_owned())
}

fn lists_the_querier(target: &Target, ask: Ask) -> Outcome {
    let mut peer = target.proved_as(target.near(target.depth()?))?;
    let answer = peer.ask(target, ask(&peer.id))?;
    let listed = answer.contacts()?.iter().any(|(id, addr)| (id, addr) == (&peer.id, &peer.addr));
    answer.expect(listed, "the querier, a contact of the node's, first", || "it is not listed".to_owned())
}

fn ipv6_entries(target: &Target, ask: Ask) -> Outcome {
    let answer = proved_answer(target, ask(&random_id()))?;
    if answer.response()?.get("nodes6").is_none() {
        return Ok(());
    }
    let nodes = answer.strings_of("nodes6")?;
    let right = nodes.len() <= 8 && nodes.iter().all(|node| node.len() == 38);
    answer.expect(right, "up to 8 strings of 38 bytes in nodes6", || {
        format!("{} of other lengths", nodes.len())
    })
}

pub(super) static NODE: &[Check] = &[
    Check::required("find_node/has-nodes", 2, HAS_NODES, |t| {
        answered(t, Query::find_node(&random_id()))?.contacts().map(drop)
    })
    .in_2008(recorded("find_node")),
    Check::required("find_node/entries", 2, ENTRIES, |t| entries(t, Query::find_node)).in_2008(SESSION),
    Check::required("find_node/closest-first", 2, CLOSEST_FIRST, |t| closest_first(t, Query::find_node)),
    Check::required("find_node/never-itself", 2, NEVER_ITSELF, |t| never_itself(t, Query::find_node)),
    Check::required("find_node/lists-the-querier", 2, "It does not leave the querier out.", |t| {
        lists_the_querier(t, Query::find_node)
    }),
    Check::recommended("find_node/entries-of-ipv6", 2, "list of up to 8 strings of 38 bytes", |t| {
        ipv6_entries(t, Query::find_node)
    }),
    Check::required(
        "find_node/has-a-token",
        2,
        "| `find_node` | `id`, `target` | `nodes`, `token`; *ours:* `nodes6` |",
        |t| {
            let answer = answered(t, Query::find_node(&random_id()))?;
            let len = answer.bytes_of("token")?.len();
            answer.expect(len > 0, "a token", || "an empty one".to_owned())
        },
    )
    .in_2008(recorded("find_node")),
    Check::required("find_node/any-target-will-do", 2, "what is looked for", |t| {
        // Only an id must not be zeros.
        answered(t, Query::find_node(&[0; 20]))?;
        answered(t, Query::find_node(&[0xff; 20])).map(drop)
    }),
    Check::required("find_node/target-is-missing", 2, MALFORMED, |t| {
        refused(t, Query::find_node(&random_id()).without("target"), 204)
    })
    .in_2008(recorded("missing_arg")),
    Check::required("find_node/target-is-short", 2, MALFORMED, |t| {
        refused(t, Query::find_node(&random_id()).argument("target", b"abc"), 204)
    })
    .in_2008(shown_otherwise("error 201", "target_short")),
    Check::required("find_node/target-is-long", 2, MALFORMED, |t| {
        // A SHA-256 that nobody cut.
        refused(t, Query::find_node(&random_id()).argument("target", [b't'; 32]), 204)
    })
    .in_2008(otherwise("error 201", 2)),
    Check::required("find_node/target-is-a-list", 2, MALFORMED, |t| {
        refused(t, Query::find_node(&random_id()).argument("target", vec![Tree::Integer(1)]), 204)
    }),
    Check::required("find_node/key-for-a-target", 2, MALFORMED, |t| {
        refused(t, Query::new("find_node", [("key", random_id().into())]), 204)
    })
    .in_2008(same(2)),
    Check::required("find_node/unknown-argument", 2, MALFORMED, |t| {
        refused(t, Query::find_node(&random_id()).argument("want", b"n6"), 204)
    })
    .in_2008(same(2)),
];

pub(super) static VALUE: &[Check] = &[
    Check::required("find_value/has-nodes", 2, HAS_NODES, |t| {
        answered(t, Query::find_value(&random_id()))?.contacts().map(drop)
    })
    .in_2008(recorded("find_value")),
    Check::required("find_value/entries", 2, ENTRIES, |t| entries(t, Query::find_value)).in_2008(SESSION),
    Check::required("find_value/closest-first", 2, CLOSEST_FIRST, |t| closest_first(t, Query::find_value)),
    Check::required("find_value/never-itself", 2, NEVER_ITSELF, |t| never_itself(t, Query::find_value)),
    Check::required("find_value/no-token", 2, "`nodes`, `num`; *ours:* `nodes6`. No token.", |t| {
        let answer = answered(t, Query::find_value(&random_id()))?;
        answer.expect(answer.response()?.get("token").is_none(), "no token", || "a token".to_owned())
    })
    .in_2008(recorded("find_value")),
    Check::required(
        "find_value/num-of-an-unknown-key",
        2,
        "how many values the responder holds under the key",
        |t| {
            let answer = answered(t, Query::find_value(&random_id()))?;
            let num = answer.integer_of("num")?;
            answer.expect(num == 0, "num 0", || format!("num {num}"))
        },
    ),
    Check::required(
        "find_value/num-counts-distinct-values",
        2,
        "how many values the responder holds under the key",
        |t| {
            let key = random_id();
            let values = [some_value(20), some_value(20), some_value(20)];
            store(t, &key, &values)?;
            store(t, &key, &values[..1])?;
            match count_of(t, &key)? {
                3 => Ok(()),
                num => Err(Unmet::failed(
                    "num 3: three values were stored, one of them twice",
                    format!("num {num}"),
                )),
            }
        },
    )
    .in_2008(recorded("find_value")),
    Check::required("find_value/key-is-missing", 2, MALFORMED, |t| {
        refused(t, Query::find_value(&random_id()).without("key"), 204)
    })
    .in_2008(same(2)),
    Check::required("find_value/key-is-short", 2, MALFORMED, |t| {
        refused(t, Query::find_value(&random_id()).argument("key", b"abc"), 204)
    })
    .in_2008(otherwise("error 201", 2)),
    Check::required("find_value/key-is-an-integer", 2, MALFORMED, |t| {
        refused(t, Query::find_value(&random_id()).argument("key", 7), 204)
    }),
    Check::required("find_value/unknown-argument", 2, MALFORMED, |t| {
        refused(t, Query::find_value(&random_id()).argument("num", 0), 204)
    })
    .in_2008(same(2)),
];
