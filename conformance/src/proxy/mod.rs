//! Checks for proxies between apt and its mirror: a mirror and a client around one.
//!
//! The proxy is asked for files of a mirror that does exactly what each check says, by a client
//! that judges as apt would: a cut is resumed, a wrong byte, a wrong length, a 5xx and a 1xx are
//! fatal. What apt does is written down in `APT.md`.

mod apt;
mod checks;
mod mirror;
mod reply;
mod scene;
mod suite;

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use crate::check::{Check, Outcome, Unmet};
use crate::cli::{RunArgs, Unusable};
use crate::http::Client;
use mirror::Mirror;
use reply::Doc;
use scene::Scene;

/// How long a proxy that answers at all may take for something small.
const SOON: Duration = Duration::from_secs(10);

/// Checks an apt proxy with a mirror and a client of its own, and with the real apt-get where that
/// is installed
///
/// The checks ask the proxy at URL for files of a mirror that this command runs itself, and that
/// misbehaves exactly as each check wants it to. The proxy has to be allowed to reach that mirror:
/// a port of 127.0.0.1, or what --mirror says.
#[derive(clap::Args, Debug)]
#[command(after_help = CONFIGURE)]
pub struct Args {
    /// Where the proxy listens, like http://127.0.0.1:9977
    #[arg(required_unless_present = "list", value_name = "URL")]
    url: Option<String>,
    /// Where the mirror listens, at this port and the next; port 0: any two free ones. An address of
    /// this machine that the proxy can reach
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    mirror: SocketAddr,
    /// How long silence may last before it is a failure: apt's Acquire::http::Timeout
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    patience: u64,
    #[command(flatten)]
    run: RunArgs,
}

const CONFIGURE: &str = "\
Letting a proxy reach a mirror at 127.0.0.1:
  khashmir       in khashmir.toml:   [proxy]
                                     allowed_upstreams = [\"127.0.0.0/8\"]
  apt-cacher-ng  in acng.conf:       AllowUserPorts: 0
                                     (and --mirror with a port below 32768: it reaches no other)
  squid          in squid.conf:      acl checked dst 127.0.0.1
                                     http_access allow checked
                                     (before any line that denies to_localhost or ports)

Each run uses paths that no run before has used, so a full cache does no harm.

Exit status: see khashmir-conformance --help.";

/// What the checks are tried on.
#[derive(Debug)]
pub struct Target {
    proxy: SocketAddr,
    patience: Duration,
    mirror: Mirror,
    /// What the paths of this run begin with.
    run: String,
    scenes: AtomicUsize,
    has_prefix: OnceLock<bool>,
}

impl Target {
    /// A proxy at this address, and a new mirror at the other.
    ///
    /// # Errors
    /// When the mirror cannot listen there, or nothing answers at the proxy's.
    pub fn new(proxy: SocketAddr, mirror: SocketAddr, patience: Duration) -> Result<Self, Unusable> {
        let unusable = |what: &str, error: &dyn fmt::Display| Unusable(format!("{what}: {error}"));
        Client::connect(proxy, SOON).map_err(|error| unusable(&format!("no proxy at {proxy}"), &error))?;
        let mirror = Mirror::listen(mirror)
            .map_err(|error| unusable(&format!("the mirror cannot listen at {mirror}"), &error))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let target = Self {
            proxy,
            patience,
            mirror,
            run: format!("run-{:x}", now.as_nanos()),
            scenes: AtomicUsize::new(0),
            has_prefix: OnceLock::new(),
        };
        target.reaches_mirror().map_err(Unusable)?;
        Ok(target)
    }

    /// A place at the mirror that nobody has asked for anything yet.
    fn scene(&self) -> Scene<'_> {
        let n = self.scenes.fetch_add(1, Ordering::SeqCst);
        Scene::new(self, format!("/{}/{n}/debian", self.run))
    }

    /// The target of a request in the prefix style for a path of the mirror.
    fn prefixed(&self, path: &str) -> String {
        format!("/{}{path}", self.mirror.address)
    }

    /// `Ok` if the proxy has the prefix style.
    fn needs_prefix(&self) -> Outcome {
        let has = self.has_prefix.get_or_init(|| {
            let scene = self.scene();
            scene.serve(scene::DEB, &Doc::new(b"prefix".to_vec()));
            let answer = scene.try_get_url(&self.prefixed(&scene.path(scene::DEB)), &[]);
            matches!(answer, Ok(Ok(answer)) if answer.status == 200)
        });
        if *has {
            Ok(())
        } else {
            Err(Unmet::skipped("the proxy does not take /MIRROR/PATH for http://MIRROR/PATH"))
        }
    }

    /// Why nothing else need be tried, if so.
    fn reaches_mirror(&self) -> Result<(), String> {
        let scene = self.scene();
        scene.serve(scene::DEB, &Doc::new(b"reached".to_vec()));
        let came = match scene.try_get(scene::DEB, &[]) {
            Ok(Ok(answer)) if answer.status == 200 && answer.body == b"reached" => return Ok(()),
            Ok(Ok(answer)) => {
                let text = String::from_utf8_lossy(&answer.body).chars().take(300).collect::<String>();
                format!("status {}: {}", answer.status, text.trim())
            }
            Ok(Err(broken)) => broken.to_string(),
            Err(Unmet::Failed(failure)) => failure.came,
            Err(Unmet::Skipped(reason)) => reason,
        };
        let mirror = self.mirror.address;
        Err(format!(
            "the proxy gives nothing from a mirror at {mirror}; see proxy --help for its configuration\n{came}"
        ))
    }
}

/// All checks for proxies.
#[must_use]
pub fn checks() -> Vec<&'static Check<Target>> {
    checks::all().chain(apt::CHECKS).collect()
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
    let target = Target::new(address(&url)?, args.mirror, Duration::from_secs(args.patience.max(1)))?;
    args.run.run("proxy", url, &checks, target)
}

/// A mirror that has nothing, to see whether it is asked.
pub(crate) fn bait() -> std::io::Result<Mirror> {
    Mirror::listen(SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// The address in a URL without a path.
pub(crate) fn address(url: &str) -> Result<SocketAddr, Unusable> {
    let host = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let found = host.to_socket_addrs().map_err(|error| Unusable(format!("{url}: {error}")))?;
    let mut found: Vec<SocketAddr> = found.collect();
    // "localhost" may be two; what is checked listens at 127.0.0.1 mostly.
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied().ok_or_else(|| Unusable(format!("{url} has no address")))
}
