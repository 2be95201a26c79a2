//! `get_value` (section 2).

use super::super::message::{Query, random_id};
use super::super::target::Target;
use super::{
    Check, MALFORMED, otherwise, proved_answer, recorded, refused, same, shown_otherwise, some_value, store,
    values_of,
};
use crate::check::Outcome;
use std::collections::BTreeSet;

const NUM: &str = "how many values are wanted: 0, or at least as many as the node holds, for all; else a random subset of that size";
const AS_MANY_AS_FIT: &str = "A `get_value` response holds as many of the wanted values as fit.";

/// Values of 44 bytes, of which a response over IPv4 holds 29.
const MANY: usize = 40;

/// Six values, and what a query for `num` of them gets: as many as `expected`, each one of them.
fn gets(target: &Target, num: i64, expected: usize) -> Outcome {
    let key = random_id();
    let held: Vec<_> = (0..6).map(|_| some_value(30)).collect();
    store(target, &key, &held)?;
    let answer = proved_answer(target, Query::get_value(&key, num))?;
    let got: BTreeSet<_> = answer.strings_of("values")?.into_iter().collect();
    let count = answer.strings_of("values")?.len();
    answer.expect(count == expected, &format!("{expected} values of 6"), || format!("{count}"))?;
    answer.expect(got.len() == count, "each once", || "one twice".to_owned())?;
    let all_held = got.iter().all(|value| held.iter().any(|other| other == value));
    answer.expect(all_held, "values that were stored", || "another value".to_owned())
}

pub(super) static CHECKS: &[Check] = &[
    Check::required("get_value/all-with-num-0", 2, NUM, |t| gets(t, 0, 6)).in_2008(recorded("get_value_all")),
    Check::required("get_value/all-with-the-number-held", 2, NUM, |t| gets(t, 6, 6)),
    Check::required("get_value/all-with-a-larger-num", 2, NUM, |t| gets(t, 7000, 6)),
    Check::required("get_value/some-with-a-smaller-num", 2, NUM, |t| gets(t, 2, 2))
        .in_2008(recorded("get_value_2")),
    Check::required("get_value/one-of-many-is-random", 2, "else a random subset of that size", |t| {
        let key = random_id();
        store(t, &key, &(0..6).map(|_| some_value(30)).collect::<Vec<_>>())?;
        let mut peer = t.proved()?;
        let mut got = BTreeSet::new();
        // The same one thirty times: by chance in one run of 10^23.
        for _ in 0..30 {
            let answer = peer.ask(t, Query::get_value(&key, 1))?;
            got.extend(answer.strings_of("values")?.into_iter().map(<[u8]>::to_vec));
            if got.len() > 1 {
                return Ok(());
            }
        }
        proved_answer(t, Query::get_value(&key, 1)).and_then(|answer| {
            answer.expect(false, "now this value and now that", || "the same one thirty times".to_owned())
        })
    })
    .in_2008(recorded("get_value_2")),
    Check::required("get_value/negative-num", 2, "also a negative `num`, and an `id` of zeros", |t| {
        refused(t, Query::get_value(&random_id(), -1), 204)
    })
    .in_2008(shown_otherwise("all values but one", "get_value_negative_num")),
    Check::required("get_value/as-many-as-fit", 2, AS_MANY_AS_FIT, |t| {
        let key = random_id();
        store(t, &key, &(0..MANY).map(|_| some_value(44)).collect::<Vec<_>>())?;
        let (answer, values) = values_of(t, &key)?;
        let room = max_datagram(t).saturating_sub(answer.bytes.len());
        // 47 bytes each, with its length and colon.
        let expected = "values until no other fits";
        answer.expect(room < 47, expected, || format!("{} values, with room for {room} bytes", values.len()))
    })
    .in_2008(recorded("get_value_60")),
    Check::required(
        "get_value/no-longer-than-a-datagram",
        2,
        "largest datagram that a node sends, in bytes of UDP payload",
        |t| {
            let key = random_id();
            store(t, &key, &(0..MANY).map(|_| some_value(44)).collect::<Vec<_>>())?;
            let (answer, _) = values_of(t, &key)?;
            let (len, max) = (answer.bytes.len(), max_datagram(t));
            answer.expect(len <= max, &format!("{max} bytes at most"), || format!("{len}"))
        },
    )
    .in_2008(recorded("get_value_60")),
    Check::required(
        "get_value/values-that-do-not-fit-come-in-random-order",
        2,
        "If any are left out, they come in random order, so that asking again reaches them all.",
        |t| {
            let key = random_id();
            store(t, &key, &(0..MANY).map(|_| some_value(44)).collect::<Vec<_>>())?;
            let mut peer = t.proved()?;
            let mut got = BTreeSet::new();
            // A value is left out with a chance of 11 in 40: never seen in twenty, one run of 10^10.
            for _ in 0..20 {
                let answer = peer.ask(t, Query::get_value(&key, 0))?;
                got.extend(answer.strings_of("values")?.into_iter().map(<[u8]>::to_vec));
            }
            let answer = peer.ask(t, Query::get_value(&key, 0))?;
            let expected = format!("{MANY} values in twenty responses");
            answer.expect(got.len() == MANY, &expected, || format!("{} of them", got.len()))
        },
    )
    .in_2008(recorded("get_value_60")),
    Check::required("get_value/some-num-that-does-not-fit", 2, AS_MANY_AS_FIT, |t| {
        // The wanted ones are a subset, and do not fit either.
        let key = random_id();
        store(t, &key, &(0..MANY).map(|_| some_value(44)).collect::<Vec<_>>())?;
        let answer = proved_answer(t, Query::get_value(&key, MANY as i64 - 2))?;
        let (len, max) = (answer.bytes.len(), max_datagram(t));
        let count = answer.strings_of("values")?.len();
        let fits = len <= max && max - len < 47;
        answer.expect(fits, "as many as fit", || format!("{count} in {len} bytes"))
    }),
    Check::required("get_value/key-is-missing", 2, MALFORMED, |t| {
        refused(t, Query::get_value(&random_id(), 0).without("key"), 204)
    })
    .in_2008(same(2)),
    Check::required("get_value/num-is-missing", 2, MALFORMED, |t| {
        refused(t, Query::get_value(&random_id(), 0).without("num"), 204)
    })
    .in_2008(same(2)),
    Check::required("get_value/key-is-short", 2, MALFORMED, |t| {
        refused(t, Query::get_value(&random_id(), 0).argument("key", b"abc"), 204)
    })
    .in_2008(otherwise("error 201", 2)),
    Check::required("get_value/num-is-text", 2, MALFORMED, |t| {
        refused(t, Query::get_value(&random_id(), 0).argument("num", b"0"), 204)
    }),
    Check::required("get_value/unknown-argument", 2, MALFORMED, |t| {
        refused(t, Query::get_value(&random_id(), 0).argument("zz", 1), 204)
    })
    .in_2008(same(2)),
];

/// The longest datagram that may come.
pub(super) fn max_datagram(target: &Target) -> usize {
    if target.addr.is_ipv4() { 1472 } else { 1452 }
}
