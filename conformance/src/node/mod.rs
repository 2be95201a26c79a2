//! Checks for nodes: peers played over UDP.

mod checks;
mod message;
mod peer;
mod swarm;
mod target;

pub use message::Id;
pub use swarm::Bootstrap;
pub use target::{Manners, Target};

use crate::check::Check;
use crate::cli::{RunArgs, Unusable};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// Checks a running node by playing peers over UDP, whatever wrote it.
///
/// Most checks ask from loopback addresses, each in a /24 of its own, so run the node on this
/// machine, at 127.0.0.1. It must take peers at 127.0.0.0/8 for real ones, and count addresses as it
/// always does.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The node's address and UDP port
    #[arg(required_unless_present = "list")]
    addr: Option<SocketAddr>,
    /// Where to listen as the bootstrap contact of the node, which has to be told so. Without it,
    /// what a node does when it joins is not checked
    #[arg(long, value_name = "ADDR")]
    bootstrap: Option<SocketAddr>,
    /// How long to wait for the node to answer at all, and to join
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    wait: u64,
    /// How long the node may take to answer a query; half way the query is sent once more
    #[arg(long, value_name = "MS", default_value_t = 3000)]
    patience: u64,
    /// How long nothing has to come before silence is believed
    #[arg(long, value_name = "MS", default_value_t = 300)]
    quiet: u64,
    /// Datagrams a second that go to the node, from all peers together
    #[arg(long, value_name = "N", default_value_t = 1000)]
    rate: u32,
    #[command(flatten)]
    run: RunArgs,
}

const EXAMPLES: &str = "\
How to start a node for this:
  its bootstrap contact is what --bootstrap says; private networks that it trusts are 127.0.0.0/8
  and no other; no rule is lifted for loopback. The reference daemon, in a data directory of its own:
    khashmir --listen 127.0.0.1:9978 --local-network 127.0.0.0/8 \\
        --bootstrap 127.0.0.1:7777

Examples:
  khashmir-conformance node 127.0.0.1:9978 --bootstrap 127.0.0.1:7777
      Everything. Start this first: it waits for the node
  khashmir-conformance node 127.0.0.1:9978 --only bencode --only 'ping/*' --verbose
      Two groups, and each check by name
  khashmir-conformance node 127.0.0.1:7001 --dialect 2008
      A node of 2008, or one that is meant to be like it
  khashmir-conformance node 127.0.0.1:9978 --format junit --output report.xml --strict
      For a build server: any failure counts
  khashmir-conformance node --list --level hardening
      What there is";

/// All checks for nodes.
pub fn checks() -> Vec<&'static Check<Target>> {
    checks::all()
}

/// Runs them as the command line says.
pub fn main(args: &Args) -> Result<ExitCode, Unusable> {
    let checks = checks();
    if args.run.listed(&checks)? {
        return Ok(ExitCode::SUCCESS);
    }
    // Clap has made sure of it.
    let Some(addr) = args.addr else { return Err(Unusable("which node?".to_owned())) };
    let wait = Duration::from_secs(args.wait);
    let bind = |addr| {
        Bootstrap::bind(addr, wait).map_err(|error| Unusable(format!("cannot listen at {addr}: {error}")))
    };
    let bootstrap = args.bootstrap.map(bind).transpose()?;
    let manners = Manners {
        patience: Duration::from_millis(args.patience),
        quiet: Duration::from_millis(args.quiet),
        rate: args.rate,
    };
    let mut target = Target::find(addr, manners, wait)?;
    target.bootstrap = bootstrap;
    args.run.run("node", addr.to_string(), &checks, target)
}
