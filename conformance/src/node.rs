//! Checks for nodes: peers played over UDP.

use crate::check::Check;
use crate::cli::{RunArgs, Unusable};
use std::net::SocketAddr;
use std::process::ExitCode;

/// What the checks are tried on.
#[derive(Debug)]
pub struct Target;

/// Checks a running node over UDP.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The node's address
    #[arg(required_unless_present = "list")]
    addr: Option<SocketAddr>,
    #[command(flatten)]
    run: RunArgs,
}

/// All checks for nodes.
pub fn checks() -> Vec<&'static Check<Target>> {
    Vec::new()
}

/// Runs them as the command line says.
pub fn main(args: &Args) -> Result<ExitCode, Unusable> {
    let checks = checks();
    if args.run.listed(&checks)? {
        return Ok(ExitCode::SUCCESS);
    }
    let name = args.addr.map(|addr| addr.to_string()).unwrap_or_default();
    args.run.run("node", name, &checks, Target)
}
