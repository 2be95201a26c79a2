//! `khashmir walk`.

use std::error::Error;
use std::fmt::Write as _;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use khashmir::config::AddressFamilies;
use khashmir::{Contact, Id};

use super::bars::alone;
use super::say;
use super::text::plural;
use crate::config::{Config, HostPort, Network};
use crate::control::{AskError, Conversation, MAX_PER_SECOND, Request};
use crate::walk::{Advance, Reach, Report, walk};

const EXAMPLES: &str = "\
Examples:
  khashmir walk                                  from the running daemon's contacts on
  khashmir walk --bootstrap node.example:9978    without a daemon
  khashmir walk --rate 5 --time 600 --nodes      gently, for ten minutes, with a list";

/// Find all nodes of the network, and count them
///
/// Finds all nodes of the network: asks each that it hears of whom it knows, until it hears of no
/// more. Prints how many can be reached by anyone, how many are behind NATs, and the software
/// versions that their ids show.
///
/// It begins with the contacts of the running daemon's node; or, with --bootstrap or where no daemon
/// runs, with the nodes that are named. Either way it asks from a socket of its own, as a stranger,
/// and answers nobody, so that it joins no table and counts nobody as reachable for being acquainted.
///
/// A node that is named by several others and does not answer is counted as behind a NAT; one that
/// only one other names, as gone. Neither is certain: a node may have ended a minute ago.
#[derive(Debug, PartialEq, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Options {
    /// Begin with this node, without the daemon (may be repeated)
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) bootstrap: Vec<HostPort>,

    /// With --bootstrap: ask nodes of this private network, too, such as 192.168.0.0/16 (may be
    /// repeated; beside those in the configuration)
    #[arg(long, value_name = "NETWORK", requires = "bootstrap")]
    pub(super) local_network: Vec<Network>,

    /// Datagrams sent in a second, to all nodes together
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PER_SECOND)))]
    pub(super) rate: u32,

    /// End it after so many seconds, and show what was found until then
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) time: u64,

    /// List the nodes, too, those who answer first
    #[arg(long)]
    pub(super) nodes: bool,

    /// Print all that was found as JSON, the nodes among it
    #[arg(long)]
    pub(super) json: bool,
}

impl Options {
    pub(super) fn run(&self, config: &Config) -> Result<(), Box<dyn Error>> {
        let report = self.report(config)?;
        if self.json {
            say(&format!("{}\n", serde_json::to_string(&report)?));
        } else {
            say(&render(&report, self.nodes));
        }
        Ok(())
    }

    fn report(&self, config: &Config) -> Result<Report, Box<dyn Error>> {
        if !self.bootstrap.is_empty() {
            return self.walk_from(&self.bootstrap, config);
        }
        let request = Request::Walk { per_second: self.rate, at_most_s: self.time };
        match Conversation::begin(&config.data_dir_or_default()?, &request) {
            Err(AskError::NotRunning(_)) if !config.dht.bootstrap.is_empty() => {
                self.walk_from(&config.dht.bootstrap, config)
            }
            Err(error @ AskError::NotRunning(_)) => {
                Err(format!("{error}; or name a node to begin with: --bootstrap HOST:PORT").into())
            }
            Err(error) => Err(error.into()),
            Ok(mut conversation) => {
                let bar = alone("walking");
                let report = conversation.finish(|advance: Advance| show(&bar, advance));
                bar.finish_and_clear();
                Ok(report?)
            }
        }
    }

    /// Walks without the daemon.
    fn walk_from(&self, nodes: &[HostPort], config: &Config) -> Result<Report, Box<dyn Error>> {
        let mut engine = config.dht.engine(AddressFamilies::Both);
        engine.local_networks.extend(self.local_network.iter().map(|network| network.to_ipnet()));
        let mut seeds = Vec::new();
        for HostPort { host, port } in nodes {
            let found: Vec<SocketAddr> = (host.as_str(), *port)
                .to_socket_addrs()
                .map_err(|error| format!("{host}: {error}"))?
                .map(khashmir_driver::canonical)
                .collect();
            if let Some(private) = found.iter().find(|address| !engine.allows(&address.ip())) {
                return Err(format!(
                    "{private} is a private address; if it is in your network, say so with --local-network NETWORK"
                )
                .into());
            }
            seeds.extend(found.into_iter().map(|addr| Contact { id: Id::ZERO, addr }));
        }
        let bar = alone("walking");
        let tell = |advance| show(&bar, advance);
        let walk = walk(engine, &seeds, self.rate, Duration::from_secs(self.time), tell);
        let report = smol::block_on(walk)?;
        bar.finish_and_clear();
        if report.reachable == 0 {
            let names: Vec<String> = nodes.iter().map(HostPort::to_string).collect();
            return Err(format!(
                "no answer from {}; is a daemon running there, and its UDP port open?",
                names.join(", ")
            )
            .into());
        }
        Ok(report)
    }
}

fn show(bar: &ProgressBar, Advance { found, reachable, waiting }: Advance) {
    bar.set_message(format!(
        "{} found, {reachable} of them reachable; {} to ask",
        plural(found, "node", "nodes"),
        plural(waiting, "question", "questions")
    ));
    bar.tick();
}

fn render(report: &Report, with_nodes: bool) -> String {
    let mut text = String::new();
    let all = report.reachable + report.behind_nats;
    let _ = writeln!(
        text,
        "{} in {:.1} s, with {}",
        plural(all, "node", "nodes"),
        report.took_ms as f64 / 1000.0,
        plural(report.datagrams_sent, "datagram", "datagrams")
    );
    let mut row = |name: &str, count: u64, note: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<13}{count:>6}  {note}");
    };
    let trip = report.round_trip_ms.map_or(String::new(), |ms| format!("median round trip {ms:.1} ms"));
    row("reachable", report.reachable, trip);
    row("behind NATs", report.behind_nats, "others know them, and they answer no stranger".to_owned());
    if report.gone > 0 {
        row("gone", report.gone, "only one other knows them, and they do not answer".to_owned());
    }
    if report.not_asked > 0 {
        row("not asked", report.not_asked, "the time was up; see --time and --rate".to_owned());
    }
    if report.not_allowed > 0 {
        row(
            "ignored",
            report.not_allowed,
            "at private addresses that are not among the local networks".to_owned(),
        );
    }
    for (version, [reachable, behind_nats]) in &report.versions {
        let _ = writeln!(text, "version {version:<11}{reachable} reachable, {behind_nats} behind NATs");
    }
    for node in report.nodes.iter().filter(|_| with_nodes) {
        let reach = match (node.reach, node.round_trip_ms) {
            (Reach::Reachable, Some(ms)) => format!("{ms:.1} ms"),
            (Reach::Reachable, None) => "reachable".to_owned(),
            (Reach::BehindNat, _) => "behind a NAT".to_owned(),
            (Reach::Gone, _) => "gone".to_owned(),
            (Reach::NotAsked, _) => "not asked".to_owned(),
        };
        let _ = writeln!(text, "{}  {:<21} {:<4} {reach}", node.id, node.address.to_string(), node.version);
    }
    text
}
