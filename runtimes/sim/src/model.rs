//! Four modelled networks, in which the code of 2008 was run too.
//!
//! A [`Model`] says how many nodes there are, how they are connected and how often they look
//! something up. [`Trial::run`] lets nodes of ours live in one and measures their lookups;
//! [`figures_of_2008`] are what the code of 2008 achieved there.
//!
//! All that is random is drawn with the seed, by arithmetic that is the same everywhere: the
//! logarithm is libm's, not the platform's.

mod recorded;
mod terrain;
mod trial;

pub use recorded::{Recorded, figures_of_2008};
pub use terrain::{Kind, Site, Terrain};
pub use trial::{BINS, Measured, Times, Trial};

use core::time::Duration;

/// A network and what its nodes do in it.
///
/// Node 0 is the bootstrap contact, always healthy. Node `i` starts at 2·`i` s: it joins through
/// node 0 and looks up its own neighbourhood. From its start on, it looks up random keys, at
/// intervals that are exponentially distributed. A join that fails is not tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Model {
    /// What it is called.
    pub name: &'static str,
    /// How many nodes there are.
    pub nodes: usize,
    /// How long it runs.
    pub run: Duration,
    /// Lookups that begin later than this are measured.
    pub warm_up: Duration,
    /// Mean interval between two lookups of a node.
    pub lookup_interval: Duration,
    /// Share of the nodes that are behind a NAT.
    pub natted: f64,
    /// Share of the nodes that are slow.
    pub slow: f64,
    /// Share of the datagrams to a slow node that it drops.
    pub slow_drops: f64,
    /// How much later, in the mean, a slow node sees the others; exponentially distributed.
    pub slow_delay: Duration,
    /// Share of all datagrams that are lost on their way.
    pub loss: f64,
}

impl Model {
    /// The network that the paper found when it walked the real one: some 50 users, half of them
    /// behind NATs.
    pub const DEPLOYMENT: Model = Model {
        name: "deployment",
        nodes: 50,
        run: Duration::from_secs(4 * 3600),
        warm_up: Duration::from_secs(3600),
        lookup_interval: Duration::from_secs(300),
        natted: 0.5,
        slow: 0.05,
        slow_drops: 0.5,
        slow_delay: Duration::from_secs(5),
        loss: 0.01,
    };

    /// The overloaded PlanetLab nodes of the paper's figure.
    pub const PLANETLAB: Model = Model {
        name: "planetlab",
        nodes: 300,
        run: Duration::from_secs(5400),
        warm_up: Duration::from_secs(1800),
        lookup_interval: Duration::from_secs(60),
        natted: 0.0,
        slow: 0.15,
        slow_drops: 0.7,
        slow_delay: Duration::from_secs(5),
        loss: 0.01,
    };

    /// Everybody is there, but one datagram in ten is lost.
    pub const LOSSY: Model = Model {
        name: "lossy",
        run: Duration::from_secs(3600),
        slow: 0.0,
        slow_drops: 0.0,
        slow_delay: Duration::ZERO,
        loss: 0.1,
        ..Model::PLANETLAB
    };

    /// Nothing is wrong at all.
    pub const CLEAN: Model = Model { name: "clean", loss: 0.0, ..Model::LOSSY };

    /// All of them.
    pub const ALL: [Model; 4] = [Model::DEPLOYMENT, Model::PLANETLAB, Model::LOSSY, Model::CLEAN];

    /// How long a NAT remembers whom its node has sent something to.
    pub const NAT_TIMEOUT: Duration = Duration::from_secs(60);
}
