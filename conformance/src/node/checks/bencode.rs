//! What is malformed and what is not (section 1).

use super::super::message::{Query, random_id};
use super::super::target::Target;
use super::{
    Check, answered, answered_as, dropped, otherwise, proved_answer, recorded, refused, same,
    shown_otherwise, some_value, store,
};
use crate::check::{In2008, Outcome};
use crate::tree::Tree;

const SPACES: In2008 = otherwise("spaces and a plus pass", 1);
const ROW_SIGN: &str = "a plus before digits, or any sign in a length";
const ROW_SPACE: &str = "a space (2008 lets spaces and a plus pass)";
const ROW_CUT: &str = "cut short: a length past the end, or a missing end or value";
const ROW_TYPES: &str = "types that only the 2008 codec has; nothing on the wire uses them";
const SILENT: &str = "A malformed datagram gets no answer at all.";
const ONE_ENCODING: &str = "Every value has exactly one encoding, and a decoder accepts no other.";
const RANGE: &str =
    "One beyond the range of the decoder is taken as the nearest end of that range, never wrapped.";

/// A `get_value` whose `num` is written like this.
fn num(target: &Target, written: &str) -> Outcome {
    dropped(target, &Query::get_value(&random_id(), 0).with(b"i0e", written.as_bytes()))
}

/// A ping with this in place of that.
fn ping(target: &Target, from: &str, to: &str) -> Outcome {
    dropped(target, &Query::ping().with(from.as_bytes(), to.as_bytes()))
}

/// A ping with a key beside the others, as it is written: the last of the dictionary, or before `y`.
fn beside(target: &Target, written: &str) -> Outcome {
    ping(target, "1:y1:qe", &format!("{written}1:y1:qe"))
}

pub(super) static CHECKS: &[Check] = &[
    Check::required("bencode/integer-with-leading-zero", 1, "leading zero", |t| num(t, "i01e"))
        .in_2008(recorded("lead_zero")),
    Check::required("bencode/negative-integer-with-leading-zero", 1, "`i01e`, `i-01e`, `01:a`", |t| {
        num(t, "i-01e")
    }),
    Check::required("bencode/negative-zero", 1, "zero has no sign", |t| num(t, "i-0e"))
        .in_2008(recorded("neg_zero")),
    Check::required("bencode/integer-with-plus", 1, ROW_SIGN, |t| num(t, "i+5e")).in_2008(SPACES),
    Check::required("bencode/integer-with-space", 1, ROW_SPACE, |t| num(t, "i 5e")).in_2008(SPACES),
    Check::required("bencode/integer-without-digits", 1, "| integer | `i`, decimal digits, `e` |", |t| {
        num(t, "ie")
    }),
    Check::required("bencode/integer-with-only-a-sign", 1, ONE_ENCODING, |t| num(t, "i-e")),
    Check::required("bencode/integer-with-fraction", 1, "There are four types:", |t| num(t, "i1.5e")),
    Check::required("bencode/length-with-plus", 1, "`i+5e`, `+1:a`, `-1:a`", |t| beside(t, "1:v+1:a"))
        .in_2008(SPACES),
    Check::required("bencode/length-with-minus", 1, "`i+5e`, `+1:a`, `-1:a`", |t| beside(t, "1:v-1:a")),
    Check::required("bencode/length-with-space", 1, ROW_SPACE, |t| beside(t, "1:v1 :a")).in_2008(SPACES),
    Check::required(
        "bencode/length-without-colon",
        1,
        "| byte string | length in decimal, `:`, the bytes |",
        |t| beside(t, "1:v1a"),
    ),
    Check::required("bencode/length-past-the-end", 1, ROW_CUT, |t| ping(t, "1:y1:qe", "1:y99:qe")),
    Check::required("bencode/length-that-wraps-at-64-bits", 1, ROW_CUT, |t| {
        // 2^64 + 1: one byte, to a decoder that wraps.
        ping(t, "1:y1:qe", "1:y18446744073709551617:qe")
    }),
    Check::required("bencode/keys-out-of-order", 1, "keys out of order, or twice", |t| {
        let query = Query::ping();
        let y_first = [b"d1:y1:q", &query.to_bytes()[1..]].concat();
        dropped(t, &[&y_first[..y_first.len() - 7], b"e"].concat())
    })
    .in_2008(recorded("unsorted_keys")),
    Check::required(
        "bencode/keys-out-of-order-within-arguments",
        1,
        "Keys of a dictionary ascend strictly, compared as raw bytes.",
        |t| {
            let query = Query::find_node(&random_id());
            let bytes = query.to_bytes();
            // `target` before `id`: 6:target20:… is 31 bytes, 2:id20:… is 27.
            let (id, target) = bytes[5..].split_at(27);
            dropped(t, &[&bytes[..5], &target[..31], id, &target[31..]].concat())
        },
    )
    .in_2008(recorded("unsorted_keys")),
    Check::required("bencode/key-twice", 1, "`d1:bi1e1:ai2ee`, `d1:ai1e1:ai2ee`", |t| {
        beside(t, "1:v1:a1:v1:a")
    }),
    Check::required(
        "bencode/key-that-is-an-integer",
        1,
        "| dictionary | `d`, pairs of byte string and value, `e` |",
        |t| ping(t, "d1:a", "di1e1:x1:a"),
    ),
    Check::required("bencode/bytes-after-the-message", 1, "bytes after the value", |t| {
        dropped(t, &[&Query::ping().to_bytes()[..], b"x"].concat())
    })
    .in_2008(recorded("trailing")),
    Check::required("bencode/two-messages-in-a-datagram", 2, "One UDP datagram is one dictionary:", |t| {
        dropped(t, &[Query::ping().to_bytes(), Query::ping().to_bytes()].concat())
    })
    .in_2008(recorded("trailing")),
    Check::required("bencode/dictionary-without-end", 1, "`5:abc`, `l`, `d1:ae`", |t| {
        ping(t, "1:y1:qe", "1:y1:q")
    }),
    Check::required("bencode/list-without-end", 1, "`5:abc`, `l`, `d1:ae`", |t| {
        // The dictionary's end closes the list.
        ping(t, "1:y1:qe", "1:y1:q1:zle")
    }),
    Check::required("bencode/key-without-value", 1, ROW_CUT, |t| ping(t, "1:y1:qe", "1:y1:q1:ze")),
    Check::required("bencode/type-u", 1, ROW_TYPES, |t| ping(t, "2:id20:", "2:idu20:"))
        .in_2008(shown_otherwise("error 201: it reads the text, which is no id", "unicode_type")),
    Check::required("bencode/type-t", 1, ROW_TYPES, |t| beside(t, "1:vt2008-05-01e"))
        .in_2008(otherwise("its codec knows the type, and an unknown key is ignored", 1)),
    Check::required("bencode/no-bencode", 1, SILENT, |t| dropped(t, b"hello")).in_2008(recorded("garbage")),
    Check::required("bencode/nothing", 1, "A message is one bencoded value.", |t| dropped(t, b"")),
    Check::required("bencode/list-for-a-message", 2, "One UDP datagram is one dictionary:", |t| {
        dropped(t, &[b"l", &Query::ping().to_bytes()[..], b"e"].concat())
    }),
    Check::required("bencode/empty-dictionary", 2, "a message that lacks one of the keys of its kind", |t| {
        dropped(t, b"de")
    })
    .in_2008(recorded("empty_dict")),
    Check::required(
        "bencode/empty-key",
        1,
        "| byte string | length in decimal, `:`, the bytes | `4:spam`, `0:` |",
        |t| answered(t, Query::ping().beside("", 1)).map(drop),
    ),
    Check::required(
        "bencode/keys-compare-as-raw-bytes",
        1,
        "Keys of a dictionary ascend strictly, compared as raw bytes.",
        |t| {
            // 0xff is the last, unless bytes have signs; `tt` follows `t`.
            let query = Query::ping().beside("tt", 1);
            answered_as(t, &query, &query.with(b"1:y1:qe", b"1:y1:q1:\xff1:ve"))
        },
    ),
    Check::required("bencode/integer-of-thirty-digits", 1, RANGE, |t| {
        let key = random_id();
        let values = [some_value(20), some_value(20)];
        store(t, &key, &values)?;
        let mut peer = t.proved()?;
        let query = Query::get_value(&key, 7);
        let bytes = query.with(b"i7e", b"i999999999999999999999999999999e");
        peer.send(t, &bytes)?;
        let answer = peer.await_answer(t, &query, &bytes)?;
        let count = answer.strings_of("values")?.len();
        answer.expect(count == 2, "both values: the number is more than are held", || format!("{count}"))
    })
    .in_2008(recorded("big_int")),
    Check::required("bencode/negative-integer-of-thirty-digits", 1, RANGE, |t| {
        let query = Query::get_value(&random_id(), 7);
        let bytes = query.with(b"i7e", b"i-999999999999999999999999999999e");
        let mut peer = t.stranger()?;
        peer.send(t, &bytes)?;
        peer.await_answer(t, &query, &bytes)?.refused(204)
    })
    .in_2008(otherwise("a num of −1 gives all values but one", 8)),
    Check::required(
        "bencode/sixteen-levels",
        1,
        "more than 16 lists and dictionaries within one another, in a datagram",
        |t| answered(t, Query::ping().beside("v", nested(15))).map(drop),
    ),
    Check::required(
        "bencode/five-hundred-and-twelve-tokens",
        1,
        "each integer, byte string, key, list and dictionary is one",
        |t| {
            // A ping has eleven; key and list are two more.
            answered(t, Query::ping().beside("v", items(499))).map(drop)
        },
    ),
    Check::required("bencode/answers-are-canonical", 1, ONE_ENCODING, |t| {
        // Whatever comes is read strictly; here is one of each kind, values and contacts among them.
        let key = random_id();
        store(t, &key, &[some_value(40)])?;
        for query in [
            Query::ping(),
            Query::join(),
            Query::find_node(&key),
            Query::find_value(&key),
            Query::get_value(&key, 0),
        ] {
            proved_answer(t, query)?.response()?;
        }
        refused(t, Query::new("frobnicate", []), 203)
    })
    .in_2008(same(1)),
];

/// Lists within one another.
pub(super) fn nested(levels: usize) -> Tree {
    (0..levels)
        .fold(None, |inner, _| Some(Tree::List(inner.into_iter().collect())))
        .unwrap_or(Tree::Integer(0))
}

/// A list of so many integers.
pub(super) fn items(count: usize) -> Tree {
    Tree::List(vec![Tree::Integer(1); count])
}
