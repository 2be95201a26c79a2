//! How long the engine alone takes to answer: `engine [METHOD [QUERIES]]`.
//!
//! `benches/engine-instructions` runs it under callgrind.

use khashmir_benches::scene::{Asked, Scene, WINDOW};
use std::hint::black_box;
use std::time::Instant;

/// Windows that are made beforehand, so that keys differ.
const WINDOWS: usize = 64;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let methods = match arguments.next() {
        Some(name) => vec![Asked::from_name(&name).expect("the name of a method")],
        None => Asked::ALL.to_vec(),
    };
    let queries: usize = arguments.next().map_or(2_000_000, |n| n.parse().expect("a number of queries"));
    let rounds = queries.div_ceil(WINDOW * WINDOWS);
    let mut scene = Scene::new();
    let (contacts, values) = scene.sizes();
    println!("{contacts} contacts, {values} values, {} queries each", rounds * WINDOWS * WINDOW);
    for asked in methods {
        let windows: Vec<_> = (0..WINDOWS).map(|_| scene.window(asked)).collect();
        scene.answer(&windows[0]);
        let started = Instant::now();
        let mut bytes = 0;
        for window in (0..rounds).flat_map(|_| &windows) {
            let (answers, len) = scene.answer(black_box(window));
            assert_eq!(answers, WINDOW, "an answer each and nothing else");
            bytes += len;
        }
        let count = rounds * WINDOWS * WINDOW;
        let nanos = started.elapsed().as_nanos() as usize / count;
        println!("{:20} {nanos:6} ns, {:5} bytes a reply", asked.name(), bytes / count);
    }
}
