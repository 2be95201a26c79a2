//! Where the nodes of a model are, and how a datagram fares between them.

use super::Model;
use crate::{Nat, stream};
use core::time::Duration;
use khashmir::rng::{Purpose, Rng};

/// What is wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Healthy,
    /// It is overloaded: much of what it is sent it does not see, the rest late.
    Slow,
    /// It is behind a NAT.
    Natted,
}

/// A node's place in the unit square.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Site {
    /// From left to right.
    pub x: f64,
    /// From top to bottom.
    pub y: f64,
    /// What is wrong with the node there.
    pub kind: Kind,
}

/// The sites of a model's nodes.
#[derive(Clone, Debug)]
pub struct Terrain {
    model: Model,
    sites: Vec<Site>,
}

impl Terrain {
    /// Draws the sites of a model's nodes. `slow_nodes`: exactly so many of them are slow, as if it
    /// had been drawn until it came out like that.
    pub fn draw(model: &Model, seed: u64, slow_nodes: Option<usize>) -> Terrain {
        let mut rng = stream(seed, Purpose::Refresh);
        let mut site = |at| {
            let (x, y, chance) = (unit(&mut rng), unit(&mut rng), unit(&mut rng));
            let kind = match chance {
                _ if at == 0 => Kind::Healthy,
                // Whom the slow ones are drawn from below, with the share that natted nodes have there.
                chance if slow_nodes.is_some() && chance < model.natted / (1.0 - model.slow) => Kind::Natted,
                _ if slow_nodes.is_some() => Kind::Healthy,
                chance if chance < model.natted => Kind::Natted,
                chance if chance < model.natted + model.slow => Kind::Slow,
                _ => Kind::Healthy,
            };
            Site { x, y, kind }
        };
        let mut sites: Vec<Site> = (0..model.nodes).map(&mut site).collect();
        if let Some(slow_nodes) = slow_nodes {
            let mut others: Vec<usize> = (1..model.nodes).collect();
            rng.partial_shuffle(&mut others, slow_nodes);
            others.iter().take(slow_nodes).for_each(|&at| sites[at].kind = Kind::Slow);
        }
        Terrain { model: *model, sites }
    }

    /// The sites, in the order of the nodes.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// What stands before a node.
    pub(crate) fn nat(&self, node: usize) -> Option<Nat> {
        (self.sites[node].kind == Kind::Natted).then(|| Nat::new(Model::NAT_TIMEOUT))
    }

    /// After how long a datagram arrives; `None`: never.
    pub(crate) fn delay(&self, from: usize, to: usize, rng: &mut Rng) -> Option<Duration> {
        let Terrain { model, sites } = self;
        if unit(rng) < model.loss {
            return None;
        }
        let (from, to) = (sites[from], sites[to]);
        let (dx, dy) = (from.x - to.x, from.y - to.y);
        let mut secs = 0.010 + 0.100 * libm::sqrt(dx * dx + dy * dy) + exponential(rng, 0.005);
        if to.kind == Kind::Slow {
            if unit(rng) < model.slow_drops {
                return None;
            }
            secs += exponential(rng, model.slow_delay.as_secs_f64());
        }
        Some(micros(secs))
    }
}

/// To the microsecond.
pub(super) fn micros(secs: f64) -> Duration {
    Duration::from_micros((secs * 1e6) as u64)
}

/// From 0 to less than 1, evenly.
fn unit(rng: &mut Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Exponentially distributed with this mean.
pub(super) fn exponential(rng: &mut Rng, mean: f64) -> f64 {
    -mean * libm::log(1.0 - unit(rng))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_drawn_in_their_shares_and_the_first_node_is_healthy() {
        let model = Model { nodes: 10_000, ..Model::DEPLOYMENT };
        let count = |terrain: &Terrain, kind| terrain.sites.iter().filter(|site| site.kind == kind).count();
        let drawn = Terrain::draw(&model, 1, None);
        assert!((4800..5200).contains(&count(&drawn, Kind::Natted)));
        assert!((400..600).contains(&count(&drawn, Kind::Slow)));
        let fixed = Terrain::draw(&model, 1, Some(700));
        assert_eq!(count(&fixed, Kind::Slow), 700);
        assert!((4700..5100).contains(&count(&fixed, Kind::Natted)), "{}", count(&fixed, Kind::Natted));
        for seed in 0..50 {
            assert_eq!(Terrain::draw(&Model::DEPLOYMENT, seed, Some(49)).sites[0].kind, Kind::Healthy);
        }
    }

    #[test]
    fn datagrams_take_as_long_as_the_model_says() {
        let corner = |x, kind| Site { x, y: 0.0, kind };
        let sites = vec![corner(0.0, Kind::Healthy), corner(1.0, Kind::Healthy), corner(1.0, Kind::Slow)];
        let terrain = Terrain { model: Model::PLANETLAB, sites };
        let mut rng = stream(1, Purpose::Jitter);
        let mut mean = |from, to| {
            let delays: Vec<f64> = (0..20_000)
                .filter_map(|_| terrain.delay(from, to, &mut rng))
                .map(|d| d.as_secs_f64())
                .collect();
            (delays.len() as f64 / 20_000.0, delays.iter().sum::<f64>() / delays.len() as f64)
        };
        let close = |(share, secs): (f64, f64), (wanted_share, wanted_secs): (f64, f64)| {
            (share - wanted_share).abs() < 0.01 && (secs / wanted_secs - 1.0).abs() < 0.05
        };
        assert!(close(mean(0, 1), (0.99, 0.115)), "10 ms, 100 ms for the way, 5 ms");
        assert!(close(mean(0, 2), (0.99 * 0.3, 5.115)), "to a slow node");
        assert!(close(mean(2, 0), (0.99, 0.115)), "from a slow node");
    }
}
