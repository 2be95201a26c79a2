//! The checks, a file for each topic, and the words that they share.

mod amplification;
mod bencode;
mod contacts;
mod errors;
mod find;
mod framing;
mod join;
mod limits;
mod lookup;
mod ping;
mod store;
mod values;

use super::message::{Answer, Id, Query, random_id};
use super::target::Target;
use crate::check::{In2008, Outcome, Source, Unmet};
use crate::tree::Tree;

/// A check of a node.
type Check = crate::check::Check<Target>;

/// All of them, group by group.
pub fn all() -> Vec<&'static Check> {
    let groups = [
        bencode::CHECKS,
        framing::CHECKS,
        errors::CHECKS,
        ping::CHECKS,
        join::CHECKS,
        find::NODE,
        find::VALUE,
        values::CHECKS,
        store::CHECKS,
        contacts::CHECKS,
        amplification::CHECKS,
        limits::CHECKS,
        lookup::CHECKS,
    ];
    groups.into_iter().flatten().collect()
}

/// What is wrong with a request that has to be answered with error 204.
const MALFORMED: &str =
    "malformed request: an argument is missing, unknown, of the wrong type, or of the wrong length";

/// As a probe shows.
const fn recorded(probe: &'static str) -> In2008 {
    In2008::Same(Source::Probe(probe))
}

/// As a section of the page says.
const fn same(section: u8) -> In2008 {
    In2008::Same(Source::Page(section))
}

/// Otherwise, as a section of the page says.
const fn otherwise(instead: &'static str, section: u8) -> In2008 {
    In2008::Differs { instead, source: Source::Page(section) }
}

/// Otherwise, as a probe shows.
const fn shown_otherwise(instead: &'static str, probe: &'static str) -> In2008 {
    In2008::Differs { instead, source: Source::Probe(probe) }
}

/// A stranger sends `bytes`: nothing comes back, and the node still lives.
fn dropped(target: &Target, bytes: &[u8]) -> Outcome {
    let mut peer = target.stranger()?;
    peer.send(target, bytes)?;
    target.settle()?;
    peer.listen(target, target.manners.quiet);
    match peer.heard.first() {
        None => Ok(()),
        Some(heard) => {
            let came = heard.method().map_or("an answer".to_owned(), |method| format!("a query: {method}"));
            Err(Unmet::failed("nothing at all", came).with("sent", bytes).with("received", &heard.bytes[..]))
        }
    }
}

/// A stranger's query is answered with error `code`.
fn refused(target: &Target, query: Query, code: i64) -> Outcome {
    target.stranger()?.ask(target, query)?.refused(code)
}

/// A stranger's query is answered with a response.
fn answered(target: &Target, query: Query) -> Result<Answer, Unmet> {
    let answer = target.stranger()?.ask(target, query)?;
    answer.response()?;
    Ok(answer)
}

/// A stranger's bytes, which hold `query` in another form, are answered with a response.
fn answered_as(target: &Target, query: &Query, bytes: &[u8]) -> Outcome {
    let mut peer = target.stranger()?;
    peer.send(target, bytes)?;
    let answer = peer.await_answer(target, query, bytes)?;
    answer.response().map(drop)
}

/// What somebody who has proved its address gets for `query`.
fn proved_answer(target: &Target, query: Query) -> Result<Answer, Unmet> {
    target.proved()?.ask(target, query)
}

/// Stores `values` under `key`, three from each IP.
fn store(target: &Target, key: &Id, values: &[Vec<u8>]) -> Outcome {
    for some in values.chunks(3) {
        let mut peer = target.stranger()?;
        let token = token(target, &mut peer, key)?;
        for value in some {
            peer.ask(target, Query::store_value(key, value, &token))?.response()?;
        }
    }
    Ok(())
}

/// The token that the node gives `peer` for `key`.
fn token(target: &Target, peer: &mut super::peer::Peer, key: &Id) -> Result<Vec<u8>, Unmet> {
    Ok(peer.ask(target, Query::find_node(key))?.bytes_of("token")?.to_vec())
}

/// The values that the node gives for `key` to somebody who has proved its address.
fn values_of(target: &Target, key: &Id) -> Result<(Answer, Vec<Vec<u8>>), Unmet> {
    let answer = proved_answer(target, Query::get_value(key, 0))?;
    let values = answer.strings_of("values")?.into_iter().map(<[u8]>::to_vec).collect();
    Ok((answer, values))
}

/// How many values the node says that it holds for `key`.
fn count_of(target: &Target, key: &Id) -> Result<i64, Unmet> {
    answered(target, Query::find_value(key))?.integer_of("num")
}

/// A value of `len` bytes that no other is like.
fn some_value(len: usize) -> Vec<u8> {
    let mut value: Vec<u8> = random_id().into();
    value.resize_with(len.max(1), || fastrand::u8(..));
    value.truncate(len);
    value
}

/// `bytes`, as a byte string.
fn string(bytes: &[u8]) -> Tree {
    Tree::Bytes(bytes.to_vec())
}
