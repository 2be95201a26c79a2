//! Reading and writing datagrams, by ours and by other people's codecs, in time.
//!
//! `benches/instructions` counts instructions and allocations of the same.

mod codecs;
mod messages;

use codecs::{Codec, Visitor, visit_all};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use messages::Sample;
use std::hint::black_box;
use std::time::Duration;

/// Reads all samples in turn. A codec that can't do them all is left out.
struct Decode<'a, 'c> {
    group: BenchmarkGroup<'c, WallTime>,
    samples: &'a [Sample],
}

/// Writes them likewise.
struct Encode<'a, 'c> {
    group: BenchmarkGroup<'c, WallTime>,
    samples: &'a [Sample],
}

impl Visitor for Decode<'_, '_> {
    fn visit<C: Codec>(&mut self) {
        let Self { group, samples } = self;
        if samples.iter().any(|sample| C::decode(&sample.datagram).is_err()) {
            return;
        }
        group.bench_function(C::NAME, |bencher| {
            bencher.iter(|| {
                for sample in &**samples {
                    black_box(C::decode(black_box(&sample.datagram)).ok());
                }
            });
        });
    }
}

impl Visitor for Encode<'_, '_> {
    fn visit<C: Codec>(&mut self) {
        let Self { group, samples } = self;
        let messages: Option<Vec<_>> = samples.iter().map(|sample| C::writable(&sample.datagram)).collect();
        let Some(messages) = messages else { return };
        let mut out = C::buffer();
        group.bench_function(C::NAME, |bencher| {
            bencher.iter(|| {
                for message in &messages {
                    C::encode(black_box(message), black_box(&mut out));
                }
            });
        });
    }
}

fn codec(criterion: &mut Criterion) {
    let shapes = messages::shapes().into_iter().map(|shape| vec![shape]);
    // Without the two errors in it, which librqbit-bencode can't read.
    let is_error = |sample: &Sample| sample.datagram.starts_with(b"d1:e");
    let session = messages::session().into_iter().filter(|sample| !is_error(sample)).collect();
    for samples in shapes.chain([session]) {
        let name = if samples.len() == 1 { &samples[0].name } else { "session" };
        let group = time(criterion, "decode", name, samples.len());
        visit_all(&mut Decode { group, samples: &samples });
        let group = time(criterion, "encode", name, samples.len());
        visit_all(&mut Encode { group, samples: &samples });
    }
}

fn time<'c>(
    criterion: &'c mut Criterion,
    direction: &str,
    name: &str,
    messages: usize,
) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(format!("{direction} {name}"));
    group.throughput(Throughput::Elements(messages as u64));
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group
}

criterion_group!(benches, codec);
criterion_main!(benches);
