//! What a policy achieves while datagrams are lost: put, then get.
//!
//! A [`Row`] is exact: the same on every machine. So a table of them, kept in a file, shows every
//! change of what a policy does as a difference.

use crate::{Link, Network, NodeIndex, Operation, stream};
use core::fmt;
use core::time::Duration;
use khashmir::config::LookupPolicy;
use khashmir::rng::{Purpose, Rng};
use khashmir::{Config, Event, Id};

/// What is tried.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What the policy is called.
    pub policy: &'static str,
    /// How the nodes behave.
    pub config: Config,
    /// How many there are.
    pub nodes: usize,
    /// How many of a hundred datagrams are lost.
    pub loss_percent: u8,
    /// Values that are put, and then looked for.
    pub values: usize,
    /// What all randomness comes from.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What the policy is called.
    pub policy: &'static str,
    /// How many nodes there were.
    pub nodes: usize,
    /// How many of a hundred datagrams were lost.
    pub loss_percent: u8,
    /// Values that were put, at one node at least.
    pub puts: usize,
    /// Values that were found.
    pub found: usize,
    /// Datagrams that all nodes sent while it was tried, upkeep included.
    pub datagrams: u64,
    /// From a get to its end, in milliseconds: the mean.
    pub get_mean_ms: u64,
    /// The same: the 99th percentile.
    pub get_p99_ms: u64,
}

/// A node joins so long after the one before it.
const JOIN_PAUSE: Duration = Duration::from_millis(500);

/// From the last join to the first put: joins are over then, those included that had to be tried again.
const SETTLING: Duration = Duration::from_secs(900);

/// Puts and gets begin so long after each other.
const PAUSE: Duration = Duration::from_millis(250);

/// Longer than any operation takes.
const LONG: Duration = Duration::from_secs(61);

impl Row {
    /// The names of the columns.
    pub const COLUMNS: &str = "policy,nodes,loss_percent,puts,found,datagrams,get_mean_ms,get_p99_ms";
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { policy, nodes, loss_percent, puts, found, datagrams, get_mean_ms, get_p99_ms } = self;
        write!(f, "{policy},{nodes},{loss_percent},{puts},{found},{datagrams},{get_mean_ms},{get_p99_ms}")
    }
}

/// The policies that are worth comparing, with their names: those of 2008, and ours.
pub fn policies() -> [(&'static str, Config); 6] {
    let with = |lookup| Config { lookup, ..Config::default() };
    [
        ("ORIGINAL", with(LookupPolicy::ORIGINAL)),
        ("RETRANSMIT", with(LookupPolicy::RETRANSMIT)),
        ("LEAPFROG", with(LookupPolicy::LEAPFROG)),
        ("ABORT_EARLY", with(LookupPolicy::ABORT_EARLY)),
        ("KHASHMIR_2008", with(LookupPolicy::KHASHMIR_2008)),
        ("default", Config::default()),
    ]
}

impl Fault {
    /// Tries it.
    pub fn run(&self) -> Row {
        let link = Link { loss_percent: self.loss_percent, ..Link::GOOD };
        let mut network = Network::new(self.seed, link);
        network.set_checked(false);
        let nodes = self.grow(&mut network);
        let mut choice = stream(self.seed, Purpose::Sample);
        let mut any = move || nodes[choice.below(nodes.len() as u64) as usize];
        let sent_before = network.traffic().sent;

        let mut keys = stream(self.seed, Purpose::Download);
        let keys: Vec<Id> = (0..self.values).map(|_| Id(keys.bytes())).collect();
        let puts = each(&mut network, &keys, |network, key| network.put(any(), *key, &key.0));
        let copies =
            puts.into_iter().map(|put| match network.take_outcome(put).map(|outcome| outcome.event) {
                Some(Event::PutFinished { copies, .. }) => copies,
                other => panic!("a put ends as a put: {other:?}"),
            });
        let copies: Vec<usize> = copies.collect();

        let gets = each(&mut network, &keys, |network, key| network.get(any(), *key, 1));
        let (mut found, mut took_ms) = (0, Vec::new());
        for (get, key) in gets.into_iter().zip(&keys) {
            let Some(outcome) = network.take_outcome(get) else { panic!("a get ends") };
            found += usize::from(outcome.values == [&key.0[..]]);
            took_ms.push(outcome.took.as_millis() as u64);
        }
        took_ms.sort_unstable();
        Row {
            policy: self.policy,
            nodes: self.nodes,
            loss_percent: self.loss_percent,
            puts: copies.iter().filter(|copies| **copies > 0).count(),
            found,
            datagrams: network.traffic().sent - sent_before,
            get_mean_ms: took_ms.iter().sum::<u64>() / took_ms.len().max(1) as u64,
            get_p99_ms: took_ms.get(took_ms.len() * 99 / 100).copied().unwrap_or_default(),
        }
    }

    /// Each joins through one that was there before it.
    fn grow(&self, network: &mut Network) -> Vec<NodeIndex> {
        let mut choice: Rng = stream(self.seed, Purpose::Refresh);
        let mut nodes = Vec::<NodeIndex>::new();
        for _ in 0..self.nodes {
            let node = network.add_node(self.config.clone());
            if !nodes.is_empty() {
                let through = nodes[choice.below(nodes.len() as u64) as usize];
                let bootstrap = network.addresses(through).to_vec();
                network.join(node, &bootstrap);
            }
            nodes.push(node);
            network.run_for(JOIN_PAUSE);
        }
        network.run_for(SETTLING);
        nodes
    }
}

/// Begins an operation for each key, and waits until all are over.
fn each(
    network: &mut Network,
    keys: &[Id],
    mut begin: impl FnMut(&mut Network, &Id) -> Operation,
) -> Vec<Operation> {
    let begun = keys.iter().map(|key| {
        let operation = begin(network, key);
        network.run_for(PAUSE);
        operation
    });
    let begun = begun.collect();
    network.run_for(LONG);
    begun
}
