//! What a file is, where it came from, and why.

use std::io;
use std::sync::Arc;

use khashmir::claim::{file_key, v6_key};
use khashmir_apt::Sha256;
use khashmir_apt::archive::DistsPath;
use khashmir_apt::url::Target;
use serde::{Deserialize, Serialize};

use super::message::Teller;
use super::{Answering, Fetching};
use crate::Context;
use crate::database::DatabaseError;
use crate::history::{About, Record, name_in};

/// Files that are told of at most: as many as one URL may mean, and some.
const MAX_FILES: usize = 16;

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The file with this hash, in hexadecimal.
    Sha256(String),
    /// What a mirror has here, as apt asks for it.
    Url(String),
    /// Files with this name: the last part of a URL.
    Name(String),
}

/// All that is known about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// What the daemon does about such a URL, where one was asked about.
    pub url: Option<UrlKind>,
    /// The files that it may be, the most likely first.
    pub files: Vec<KnownFile>,
}

/// What the daemon does about a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UrlKind {
    /// An index tells its hash, or the URL does: it comes from the cache, peers, or the mirror.
    Hashed,
    /// It changes under its name: the mirror is asked each time.
    Document,
    /// Nothing that was read tells its hash: it comes from the mirror, and is not shared.
    Unknown,
}

/// What is known about one file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KnownFile {
    /// Its hash.
    pub sha256: String,
    /// Its length in bytes, if anything told it.
    pub size: Option<u64>,
    /// The keys under which it is looked up: of machines with IPv4, and of those without.
    pub keys: [String; 2],
    /// Where archives have it, and which suite lists it.
    pub listed: Vec<(String, String)>,
    /// Whether it is in the cache.
    pub is_cached: bool,
    /// Whether other machines may have it from there.
    pub is_for_peers: bool,
    /// Where a person shares it from.
    pub shared_at: Vec<String>,
    /// The download that runs.
    pub running: Option<Fetching>,
    /// Those that have ended, the latest first.
    pub past: Vec<Record>,
}

impl Answering {
    /// Tells what is known about something.
    pub(super) async fn explain(&self, subject: Subject, teller: &mut Teller) -> io::Result<()> {
        let running: Vec<Fetching> =
            self.fetches.in_progress().iter().map(|fetch| Fetching::from(&**fetch)).collect();
        let context = Arc::clone(&self.context);
        match smol::unblock(move || explain(&context, &subject, &running)).await {
            Ok(explanation) => teller.finish(&explanation).await,
            Err(error) => teller.refuse(&error).await,
        }
    }
}

fn explain(context: &Context, subject: &Subject, running: &[Fetching]) -> Result<Explanation, String> {
    let text = |error: DatabaseError| error.to_string();
    let (url, mut hashes) = match subject {
        Subject::Sha256(sha256) => {
            let sha256 = sha256.parse().map_err(|_| format!("{sha256} is no SHA-256"))?;
            (None, vec![sha256])
        }
        Subject::Url(url) => {
            let (kind, hashes) = of_url(context, url)?;
            (Some(kind), hashes)
        }
        Subject::Name(_) => (None, Vec::new()),
    };
    // What was fetched from there, or under that name, whatever is expected now.
    let name = match subject {
        Subject::Sha256(_) => "",
        Subject::Url(url) => name_in(url),
        Subject::Name(name) => name,
    };
    if hashes.is_empty() && !name.is_empty() {
        let mut records: Vec<Record> = running.iter().map(|fetching| fetching.record.clone()).collect();
        records.retain(|record| record.name() == name);
        records.extend(context.history.find(About::Name(name)).map_err(text)?);
        hashes.extend(records.iter().filter_map(|record| record.sha256.parse::<Sha256>().ok()));
    }
    let mut explanation = Explanation { url, files: Vec::new() };
    for sha256 in hashes {
        let hex = sha256.to_string();
        if explanation.files.len() < MAX_FILES && explanation.files.iter().all(|file| file.sha256 != hex) {
            explanation.files.push(known(context, &sha256, running).map_err(text)?);
        }
    }
    Ok(explanation)
}

/// What the daemon does about a URL, and what the file there may be.
fn of_url(context: &Context, url: &str) -> Result<(UrlKind, Vec<Sha256>), String> {
    let target = Target::parse(url).map_err(|error| format!("{url}: {error}"))?.upstream;
    // In the prefix style, as a browser would have it.
    let target = match target.behind_prefix() {
        Ok(behind) if is_own(&target.host) => behind,
        _ => target,
    };
    let below_dists = DistsPath::parse(&target.path);
    if below_dists.is_some_and(|path| path.suite_of_release().is_some()) {
        return Ok((UrlKind::Document, Vec::new()));
    }
    let found = context.catalog.lookup(&target.site(), &target.path);
    let mut hashes: Vec<Sha256> =
        found.map_err(|error| error.to_string())?.iter().map(|expected| expected.sha256).collect();
    if let Some(khashmir_apt::archive::ByHash::Sha256(sha256)) = khashmir_apt::archive::by_hash(&target.path)
    {
        hashes = vec![sha256];
    }
    let kind = if hashes.is_empty() { UrlKind::Unknown } else { UrlKind::Hashed };
    Ok((kind, hashes))
}

fn is_own(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

fn known(context: &Context, sha256: &Sha256, running: &[Fetching]) -> Result<KnownFile, DatabaseError> {
    let hex = sha256.to_string();
    let key = file_key(&sha256.0);
    let listings = context.catalog.listings(sha256)?;
    let shared: Vec<_> = context.shares.list()?.into_iter().filter(|share| share.sha256 == *sha256).collect();
    let past = context.history.find(About::Hash(sha256))?;
    let running = running.iter().find(|fetching| fetching.record.sha256 == hex).cloned();
    let cached = context.cache.contains(sha256);
    let size = cached
        .or(listings.first().map(|listing| listing.size))
        .or(shared.first().map(|share| share.len))
        .or(running.as_ref().and_then(|fetching| fetching.len))
        .or(past.first().and_then(|record| record.size));
    Ok(KnownFile {
        sha256: hex,
        size,
        keys: [key.to_string(), v6_key(&key).to_string()],
        listed: listings.into_iter().map(|listing| (listing.place, listing.suite)).collect(),
        is_cached: cached.is_some(),
        is_for_peers: context.cache.is_from_index(sha256),
        shared_at: shared.iter().map(|share| share.path.display().to_string()).collect(),
        running,
        past,
    })
}
