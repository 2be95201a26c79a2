//! Nodes of ours in a model.

use super::terrain::{exponential, micros};
use super::{Kind, Model, Terrain};
use crate::{Network, NodeIndex, Operation, stream};
use core::cmp::Reverse;
use core::time::Duration;
use khashmir::rng::{Purpose, Rng};
use khashmir::{Config, Event, Id, Instant};
use std::collections::{BTreeMap, BinaryHeap};

/// One run of nodes of ours in a model.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Where.
    pub model: Model,
    /// What all randomness comes from.
    pub seed: u64,
    /// How the nodes behave.
    pub config: Config,
    /// How many of them are slow; `None`: as it is drawn.
    pub slow_nodes: Option<usize>,
    /// Whether nodes hear at once that a datagram of theirs goes to one who is slow, or whom it cannot
    /// reach: what could be had at best.
    pub oracle: bool,
    /// Whether the laws of the engine are checked after every step.
    pub checked: bool,
}

/// How long lookups took, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// What came of a [`Trial`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Slow nodes that there were.
    pub slow_nodes: usize,
    /// Nodes that knew nobody at the end; they are left out of all that follows.
    pub never_joined: usize,
    /// Of each node's own mean.
    pub all: Times,
    /// Share of the nodes whose own mean falls into each second; the last bin has all that is longer.
    pub share_per_second: [f64; BINS],
    /// Of the lookups of nodes that are not slow.
    pub healthy: Times,
    /// Lookups of nodes that are not slow.
    pub lookups: usize,
    /// Share of those whose result has the closest node that is healthy.
    pub hit_share: f64,
    /// Contacts in a routing table at the end, the empty tables of nodes that never joined counted.
    pub contacts: f64,
    /// Share of those that are slow or behind a NAT.
    pub bad_share: f64,
    /// Share of those that are behind a NAT.
    pub natted_share: f64,
    /// Datagrams that all nodes sent.
    pub datagrams: u64,
    /// SHA-1 of all datagrams that arrived.
    pub digest: [u8; 20],
}

/// Bins of one second, as the paper's figure has them.
pub const BINS: usize = 30;

/// Longer than any model runs.
const NEVER: Duration = Duration::from_secs(1 << 30);

/// What a node does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Start,
    LookUp,
}

/// A measured lookup.
struct Lookup {
    key: Id,
    operation: Operation,
}

impl Trial {
    /// A trial with as many slow nodes as are drawn.
    pub fn new(model: Model, seed: u64, mut config: Config) -> Trial {
        // Who could not join is not to try again.
        config.upkeep.rejoin_after = NEVER;
        Trial { model, seed, config, slow_nodes: None, oracle: false, checked: false }
    }

    /// Lets the network live for as long as the model says.
    pub fn run(&self) -> Measured {
        let terrain = Terrain::draw(&self.model, self.seed, self.slow_nodes);
        let kinds: Vec<Kind> = terrain.sites().iter().map(|site| site.kind).collect();
        let mut network = Network::on(terrain, self.seed);
        network.set_checked(self.checked);
        network.set_oracle(self.oracle);
        let lookups = self.live(&mut network);
        self.measure(&mut network, &kinds, &lookups)
    }

    /// Starts the nodes and their lookups. Returns those that count.
    fn live(&self, network: &mut Network) -> Vec<Lookup> {
        let Trial { model, config, .. } = self;
        let mut rng = stream(self.seed, Purpose::Sample);
        let mut lookups = Vec::new();
        let starts = (0..model.nodes).map(|node| {
            let at = Instant::ORIGIN + Duration::from_secs(2 * node as u64);
            Reverse((at, NodeIndex(node), Act::Start))
        });
        let mut agenda: BinaryHeap<_> = starts.collect();
        let (measured_from, end) = (Instant::ORIGIN + model.warm_up, Instant::ORIGIN + model.run);
        while let Some(Reverse((at, node, act))) = agenda.pop() {
            if at >= end {
                continue;
            }
            network.run_until(at);
            match act {
                Act::Start => {
                    network.add_node(config.clone());
                    let bootstrap = network.addresses(NodeIndex(0)).to_vec();
                    if node != NodeIndex(0) {
                        network.join(node, &bootstrap);
                    }
                }
                Act::LookUp => {
                    let key = Id(rng.bytes());
                    let operation = network.find_node(node, key);
                    if at >= measured_from {
                        lookups.push(Lookup { key, operation });
                    }
                }
            }
            let next = at + interval(&mut rng, model.lookup_interval);
            agenda.push(Reverse((next, node, Act::LookUp)));
        }
        network.run_until(end);
        lookups
    }

    fn measure(&self, network: &mut Network, kinds: &[Kind], lookups: &[Lookup]) -> Measured {
        let joined: Vec<NodeIndex> =
            network.nodes().filter(|node| network.node(*node).contacts().next().is_some()).collect();
        let good: Vec<Id> = joined
            .iter()
            .filter(|node| kinds[node.0] == Kind::Healthy)
            .map(|node| network.node(*node).id())
            .collect();
        let mut by_node = BTreeMap::<NodeIndex, Vec<f64>>::new();
        let mut healthy = Vec::new();
        let mut hits = 0;
        for Lookup { key, operation } in lookups {
            let node = operation.node;
            let Some(outcome) = network.take_outcome(*operation) else { continue };
            if !joined.contains(&node) {
                continue;
            }
            let secs = outcome.took.as_secs_f64();
            by_node.entry(node).or_default().push(secs);
            if kinds[node.0] != Kind::Slow {
                healthy.push(secs);
                let Event::FindNodeFinished { closest, .. } = outcome.event else { continue };
                let own_id = network.node(node).id();
                let closest_good = good.iter().min_by_key(|id| id.distance(key));
                let hit = |id: &Id| *id == own_id || closest.iter().any(|contact| contact.id == *id);
                hits += usize::from(closest_good.is_some_and(hit));
            }
        }
        let mean = |all: &Vec<f64>| all.iter().sum::<f64>() / all.len() as f64;
        let means: Vec<f64> = by_node.values().map(mean).collect();
        let contacts = joined.iter().flat_map(|node| network.node(*node).contacts());
        let contacts: Vec<Kind> =
            contacts.map(|contact| kinds[network.by_ip[&contact.addr.ip()].0]).collect();
        let share = |bad: &dyn Fn(&Kind) -> bool| {
            contacts.iter().filter(|kind| bad(kind)).count() as f64 / contacts.len().max(1) as f64
        };
        Measured {
            slow_nodes: kinds.iter().filter(|kind| **kind == Kind::Slow).count(),
            never_joined: kinds.len() - joined.len(),
            share_per_second: share_per_second(&means),
            all: Times::of(means),
            lookups: healthy.len(),
            hit_share: hits as f64 / healthy.len().max(1) as f64,
            healthy: Times::of(healthy),
            contacts: contacts.len() as f64 / kinds.len().max(1) as f64,
            bad_share: share(&|kind| *kind != Kind::Healthy),
            natted_share: share(&|kind| *kind == Kind::Natted),
            datagrams: network.traffic().sent,
            digest: network.trace_digest(),
        }
    }
}

fn share_per_second(means: &[f64]) -> [f64; BINS] {
    let mut shares = [0.0; BINS];
    for mean in means {
        shares[(*mean as usize).min(BINS - 1)] += 1.0 / means.len() as f64;
    }
    shares
}

fn interval(rng: &mut Rng, mean: Duration) -> Duration {
    micros(exponential(rng, mean.as_secs_f64()))
}

impl Times {
    fn of(mut secs: Vec<f64>) -> Times {
        secs.sort_by(f64::total_cmp);
        let at = |share: f64| secs.get((secs.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
        Times {
            mean: secs.iter().sum::<f64>() / secs.len() as f64,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
        }
    }
}
