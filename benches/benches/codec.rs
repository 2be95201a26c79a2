//! Reading and writing the recorded datagrams of 2008, beside a maintained bencode crate.
//!
//! Ours gives a checked message: types, lengths and bounds. Theirs gives a struct of byte strings;
//! what they hold would still have to be checked. Both borrow from the datagram.

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use khashmir::krpc::{Body, Message};
use librqbit_bencode::{ByteBuf, bencode_serialize_to_writer, from_bytes};
use serde::{Deserialize, Serialize};
use std::hint::black_box;

/// A query or a response, for the other crate.
#[derive(Deserialize, Serialize)]
struct Datagram<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    a: Option<Arguments<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    q: Option<ByteBuf<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    r: Option<Answer<'a>>,
    #[serde(borrow)]
    t: ByteBuf<'a>,
    #[serde(borrow)]
    y: ByteBuf<'a>,
}

#[derive(Deserialize, Serialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    id: ByteBuf<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    key: Option<ByteBuf<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num: Option<i64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    target: Option<ByteBuf<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    token: Option<ByteBuf<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    value: Option<ByteBuf<'a>>,
}

#[derive(Deserialize, Serialize)]
struct Answer<'a> {
    #[serde(borrow)]
    id: ByteBuf<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    ip_addr: Option<ByteBuf<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    nodes: Option<Vec<ByteBuf<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<i64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    token: Option<ByteBuf<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    values: Option<Vec<ByteBuf<'a>>>,
}

fn ours(datagram: &[u8]) -> Message<'_> {
    Message::decode(datagram).expect("recorded datagrams are well-formed")
}

fn theirs(datagram: &[u8]) -> Datagram<'_> {
    from_bytes(datagram).expect("recorded datagrams are well-formed")
}

fn codec(criterion: &mut Criterion) {
    let session = khashmir_conformance::session();
    let payloads = session.into_iter().map(|datagram| datagram.payload);
    // The two errors in it are left out: the other crate does not find the end of such a list.
    let datagrams: Vec<Vec<u8>> =
        payloads.filter(|payload| !matches!(ours(payload).body, Body::Error(..))).collect();
    for datagram in &datagrams {
        let (mut our_bytes, mut their_bytes) = (BytesMut::new(), Vec::new());
        ours(datagram).encode(&mut our_bytes);
        bencode_serialize_to_writer(theirs(datagram), &mut their_bytes).expect("writing to memory");
        assert_eq!((&our_bytes[..], &their_bytes[..]), (&datagram[..], &datagram[..]), "both lose nothing");
    }

    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(datagrams.len() as u64));
    group.bench_function("khashmir", |bencher| {
        bencher.iter(|| {
            for datagram in &datagrams {
                black_box(ours(black_box(datagram)));
            }
        });
    });
    group.bench_function("librqbit-bencode", |bencher| {
        bencher.iter(|| {
            for datagram in &datagrams {
                black_box(theirs(black_box(datagram)));
            }
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(datagrams.len() as u64));
    group.bench_function("khashmir", |bencher| {
        let messages: Vec<Message<'_>> = datagrams.iter().map(|datagram| ours(datagram)).collect();
        let mut out = BytesMut::with_capacity(2048);
        bencher.iter(|| {
            for message in &messages {
                out.clear();
                black_box(message).encode(&mut out);
                black_box(&out);
            }
        });
    });
    group.bench_function("librqbit-bencode", |bencher| {
        let messages: Vec<Datagram<'_>> = datagrams.iter().map(|datagram| theirs(datagram)).collect();
        let mut out = Vec::with_capacity(2048);
        bencher.iter(|| {
            for message in &messages {
                out.clear();
                bencode_serialize_to_writer(black_box(message), &mut out).expect("writing to memory");
                black_box(&out);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
