//! Answering queries, without sockets: a window from 64 clients at a time. What each costs in
//! instructions says `benches/engine-instructions`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use khashmir_benches::scene::{Asked, Scene, WINDOW};
use std::hint::black_box;

fn engine(criterion: &mut Criterion) {
    let mut scene = Scene::new();
    let mut group = criterion.benchmark_group("answer");
    group.throughput(Throughput::Elements(WINDOW as u64));
    for asked in Asked::ALL {
        // Many, so that keys differ.
        let windows: Vec<_> = (0..64).map(|_| scene.window(asked)).collect();
        let mut next = windows.iter().cycle();
        group.bench_function(asked.name(), |bencher| {
            bencher.iter(|| next.next().map(|window| scene.answer(black_box(window))));
        });
    }
    group.finish();
}

criterion_group!(benches, engine);
criterion_main!(benches);
