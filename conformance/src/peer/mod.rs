//! Checks for peers: what section 6 of the protocol says of HTTP between them.

mod escapes;
mod files;
mod hardening;
mod hashes;
mod http;

use std::fmt;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use sha1::Digest as _;

use crate::check::{Check, Outcome, Unmet};
use crate::cli::{RunArgs, Unusable};
use crate::http::judge::next;
use crate::http::{Answer, Client};
use crate::proxy::address;

/// The unit in which peers exchange files, in bytes.
const PIECE: usize = 524_288;

/// Checks what a peer serves over HTTP to others
///
/// HASH is the hash of a file that the peer at URL has: 64 hexadecimal digits for a SHA-256, 40 for
/// a SHA-1. A file of several pieces (more than 524,288 bytes) has more to check, and one whose hash
/// has a byte 20 (a space) in it the most. The file is fetched whole a few times.
#[derive(clap::Args, Debug)]
#[command(after_help = "Exit status: see khashmir-conformance --help.")]
pub struct Args {
    /// Where the peer listens, like http://192.0.2.7:9978
    #[arg(required_unless_present = "list", value_name = "URL")]
    url: Option<String>,
    /// The hash of a file that it has, in hexadecimal
    #[arg(required_unless_present = "list", value_name = "HASH", value_parser = hash)]
    hash: Option<Hash>,
    /// How long silence may last before it is a failure
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    patience: u64,
    #[command(flatten)]
    run: RunArgs,
}

/// The hash of a file.
#[derive(Clone, Debug)]
pub struct Hash(Vec<u8>);

fn hash(text: &str) -> Result<Hash, String> {
    match hex::decode(text) {
        Ok(bytes) if [20, 32].contains(&bytes.len()) => Ok(Hash(bytes)),
        _ => Err("64 hexadecimal digits for a SHA-256, or 40 for a SHA-1".to_owned()),
    }
}

/// What the checks are tried on.
#[derive(Debug)]
pub struct Target {
    peer: SocketAddr,
    patience: Duration,
    hash: Vec<u8>,
    /// The file, as it came when it was asked for first.
    content: Vec<u8>,
}

impl Target {
    /// The peer at this address, and the hash of a file that it has.
    ///
    /// # Errors
    /// When it does not give the file, or one that has another hash.
    pub fn new(peer: SocketAddr, hash: &[u8], patience: Duration) -> Result<Self, Unusable> {
        let unusable = |error: &dyn fmt::Display| Unusable(format!("{peer} gives no such file: {error}"));
        let target = Self { peer, patience, hash: hash.to_vec(), content: Vec::new() };
        // Whoever reads only one of the two is told so by a check.
        let spellings = [target.path(), target.escaped(|byte| format!("%{byte:02X}"))];
        let mut answers = spellings.iter().map(|path| target.get(path, &[]));
        let is_there =
            |answer: &Result<Answer, Unmet>| answer.as_ref().is_ok_and(|answer| answer.status == 200);
        let answer = answers.find(is_there).unwrap_or_else(|| target.get(&target.path(), &[]));
        let answer = answer.map_err(|unmet| match unmet {
            Unmet::Failed(failure) => unusable(&failure.came),
            Unmet::Skipped(reason) => unusable(&reason),
        })?;
        if answer.status != 200 {
            return Err(unusable(&format!("status {}", answer.status)));
        }
        let found = match hash.len() {
            20 => sha1::Sha1::digest(&answer.body).to_vec(),
            _ => sha2::Sha256::digest(&answer.body).to_vec(),
        };
        if found != hash {
            return Err(unusable(&format!("its hash is {}", hex::encode(found))));
        }
        Ok(Self { content: answer.body, ..target })
    }

    /// Where the file is, escaped as the protocol does it.
    fn path(&self) -> String {
        path(&self.hash)
    }

    /// Where it is, escaped otherwise.
    fn escaped(&self, escape: impl Fn(u8) -> String) -> String {
        format!("/~/{}", self.hash.iter().map(|byte| escape(*byte)).collect::<String>())
    }

    fn client(&self) -> Result<Client, Unmet> {
        let client = Client::connect(self.peer, self.patience);
        client.map_err(|error| Unmet::failed("a connection", error.to_string()))
    }

    /// Asks on a connection.
    fn ask(&self, client: &mut Client, path: &str, lines: &[&str]) -> Outcome {
        let sent = client.ask(path, &self.peer.to_string(), lines);
        sent.map_err(|error| Unmet::failed("the request is read", error.to_string()))
    }

    /// Asks on a connection of its own.
    fn get(&self, path: &str, lines: &[&str]) -> Result<Answer, Unmet> {
        let mut client = self.client()?;
        self.ask(&mut client, path, lines)?;
        next(&mut client)
    }

    /// The content's pieces.
    fn pieces(&self) -> std::slice::Chunks<'_, u8> {
        self.content.chunks(PIECE)
    }

    /// `Ok` if the file has more than one.
    fn needs_pieces(&self) -> Outcome {
        match self.content.len() > PIECE {
            true => Ok(()),
            false => Err(Unmet::skipped("the file has only one piece; name one of more than 524,288 bytes")),
        }
    }
}

/// `/~/` and the bytes as forms escape them.
fn path(hash: &[u8]) -> String {
    let escape = |byte: &u8| match byte {
        b' ' => "+".to_owned(),
        byte if byte.is_ascii_alphanumeric() || b"-._".contains(byte) => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    format!("/~/{}", hash.iter().map(escape).collect::<String>())
}

/// All checks for peers.
#[must_use]
pub fn checks() -> Vec<&'static Check<Target>> {
    [files::CHECKS, hashes::CHECKS, escapes::CHECKS, http::CHECKS, hardening::CHECKS]
        .into_iter()
        .flatten()
        .collect()
}

/// Runs them as the command line says.
///
/// # Errors
/// When nothing can be checked.
pub fn main(args: &Args) -> Result<ExitCode, Unusable> {
    let checks = checks();
    if args.run.listed(&checks)? {
        return Ok(ExitCode::SUCCESS);
    }
    let url = args.url.clone().unwrap_or_default();
    let hash = args.hash.clone().map(|hash| hash.0).unwrap_or_default();
    let target = Target::new(address(&url)?, &hash, Duration::from_secs(args.patience.max(1)))?;
    // A peer takes a few connections of one address at a time, not as many as a proxy of its apt.
    let run = RunArgs { jobs: args.run.jobs.min(MAX_JOBS), ..args.run.clone() };
    run.run("peer", url, &checks, target)
}

/// Checks at a time.
const MAX_JOBS: usize = 4;
