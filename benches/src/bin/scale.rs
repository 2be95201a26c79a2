//! Networks of many nodes: what a node takes, how far a lookup walks, and how long it all takes.
//!
//!     cargo run --release -p khashmir-benches --bin scale -- 100 1000 10000 100000
//!     cargo run --release -p khashmir-benches --bin scale -- --hour 10000
//!
//! Prints a line of CSV for each size. All nodes join within a few virtual minutes, each through one
//! that was there before it; then random ones look random keys up. With `--hour` all of them live for
//! an hour after that: each looks a key up every five minutes, in the mean, and every tenth publishes a
//! value, which others get.

use khashmir::rng::{Purpose, Rng};
use khashmir::{Config, Event, Id, Instant, Node};
use khashmir_benches::counting::{Counting, bytes_in_use};
use khashmir_sim::{Link, Network, NodeIndex, Operation};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use std::error::Error;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SEED: u64 = 1;
const LOOKUPS: usize = 400;
/// Nodes that are dropped in order to see what each had allocated.
const WEIGHED: usize = 200;
/// How many times its size a network grows by in ten seconds, at most.
const GROWTH: Duration = Duration::from_secs(10);
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
/// After it, a node has given back the room that it needed for joining.
const SETTLING: Duration = Duration::from_secs(420);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let lives_an_hour = arguments.iter().any(|argument| argument == "--hour");
    let sizes: Vec<usize> = arguments
        .iter()
        .filter(|argument| *argument != "--hour")
        .map(|n| n.parse())
        .collect::<Result<_, _>>()?;
    if sizes.is_empty() {
        return Err("name one size or more, such as 1000 10000".into());
    }
    println!(
        "nodes,log2_nodes,hops_mean,hops_max,lookup_mean_s,lookup_p99_s,found_closest,engine_heap_mean_bytes,\
         engine_heap_max_bytes,node_struct_bytes,simulator_bytes_per_node,datagrams,virtual_s,cpu_s,values_found"
    );
    for size in sizes {
        Run::new(size).all(lives_an_hour)?;
    }
    Ok(())
}

struct Run {
    network: Network,
    nodes: Vec<NodeIndex>,
    choice: Rng,
    cpu_before: f64,
    bytes_before: i64,
    size: usize,
    /// Gets of values that are there, and how many of them found theirs.
    gets: (usize, usize),
}

impl Run {
    fn new(size: usize) -> Run {
        let (cpu_before, bytes_before) = (cpu_seconds(), bytes_in_use());
        let mut network = Network::new(SEED, Link::GOOD);
        // At these sizes it would take most of the time.
        network.set_checked(false);
        let choice = Rng::new([SEED as u8; 32], Purpose::Sample);
        Run { network, nodes: Vec::new(), choice, cpu_before, bytes_before, size, gets: (0, 0) }
    }

    fn all(mut self, lives_an_hour: bool) -> Result<(), Box<dyn Error>> {
        self.grow();
        if lives_an_hour {
            self.live();
        }
        let (mut hops, mut secs, mut found) = (Vec::new(), Vec::new(), 0);
        let mut ids: Vec<Id> = self.nodes.iter().map(|node| self.network.node(*node).id()).collect();
        ids.sort();
        for _ in 0..LOOKUPS {
            let (node, target) = (self.any(), Id(self.choice.bytes()));
            let (outcome, steps) = self.network.find_node_and_count(node, target);
            let Event::FindNodeFinished { closest, .. } = outcome.event else { continue };
            let own_id = self.network.node(node).id();
            let closest_of_all = ids.iter().filter(|id| **id != own_id).min_by_key(|id| id.distance(&target));
            found += usize::from(closest.first().map(|contact| contact.id) == closest_of_all.copied());
            hops.extend(steps);
            secs.push(outcome.took.as_secs_f64());
        }
        let bytes = (bytes_in_use() - self.bytes_before) / self.size as i64;
        let weights = self.weigh();
        let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
        secs.sort_by(f64::total_cmp);
        let steps: Vec<f64> = hops.iter().map(|steps| f64::from(*steps)).collect();
        println!(
            "{},{:.3},{:.3},{},{:.4},{:.4},{:.4},{:.0},{},{},{bytes},{},{:.0},{:.1},{}",
            self.size,
            (self.size as f64).log2(),
            mean(&steps),
            hops.iter().max().ok_or("no lookup found anybody")?,
            mean(&secs),
            secs[secs.len() * 99 / 100],
            found as f64 / LOOKUPS as f64,
            weights.iter().sum::<i64>() as f64 / weights.len() as f64,
            weights.iter().max().ok_or("nobody stores nothing")?,
            size_of::<Node>(),
            self.network.traffic().sent,
            self.network.now().saturating_duration_since(Instant::ORIGIN).as_secs_f64(),
            cpu_seconds() - self.cpu_before,
            match self.gets {
                (0, _) => String::new(),
                (all, found) => format!("{:.4}", found as f64 / all as f64),
            },
        );
        Ok(())
    }

    fn any(&mut self) -> NodeIndex {
        self.nodes[self.choice.below(self.nodes.len() as u64) as usize]
    }

    /// All nodes join, ever faster, but none before those that it joins through.
    fn grow(&mut self) {
        while self.nodes.len() < self.size {
            let node = self.network.add_node(Config::default());
            if !self.nodes.is_empty() {
                let through = self.any();
                let bootstrap = self.network.addresses(through).to_vec();
                self.network.join(node, &bootstrap);
            }
            self.nodes.push(node);
            self.network.run_for((GROWTH / self.nodes.len() as u32).max(SHORTEST_PAUSE));
        }
        self.network.run_for(SETTLING);
    }

    /// An hour of lookups, publications and gets.
    fn live(&mut self) {
        let end = self.network.now() + Duration::from_secs(3600);
        let pause = Duration::from_secs(300) / self.size as u32;
        let mut published: Vec<(Id, Instant)> = Vec::new();
        let mut running: Vec<(Operation, bool)> = Vec::new();
        while self.network.now() < end {
            let (node, key) = (self.any(), Id(self.choice.bytes()));
            let is_stored = |(_, at): &&(Id, Instant)| *at + Duration::from_secs(60) < self.network.now();
            let stored = published.iter().filter(is_stored).count();
            match self.choice.below(10) {
                0 if published.len() < self.size / 10 => {
                    self.network.publish(node, key, b"here");
                    published.push((key, self.network.now()));
                }
                1..=3 if stored > 0 => {
                    let key = published[self.choice.below(stored as u64) as usize].0;
                    running.push((self.network.get(node, key, 1), true));
                }
                _ => running.push((self.network.find_node(node, key), false)),
            }
            self.network.run_for(pause);
            if running.len() > 10_000 {
                self.take(&mut running);
            }
        }
        self.network.run_for(Duration::from_secs(120));
        self.take(&mut running);
    }

    fn take(&mut self, running: &mut Vec<(Operation, bool)>) {
        running.retain(|(operation, is_get)| {
            let Some(outcome) = self.network.take_outcome(*operation) else { return true };
            if *is_get {
                self.gets.0 += 1;
                self.gets.1 += usize::from(!outcome.values.is_empty());
            }
            false
        });
    }

    /// What nodes that store nothing have allocated, each.
    fn weigh(&mut self) -> Vec<i64> {
        let mut weights = Vec::new();
        let step = (self.nodes.len() / WEIGHED).max(1);
        for node in self.nodes.iter().step_by(step) {
            if self.network.node(*node).stats().values == 0 {
                let engine = self.network.crash(*node);
                let before = bytes_in_use();
                drop(engine);
                weights.push(before - bytes_in_use());
            }
        }
        weights
    }
}

/// Processor time of this process until now.
fn cpu_seconds() -> f64 {
    getrusage(UsageWho::RUSAGE_SELF)
        .map_or(f64::NAN, |usage| (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
}
