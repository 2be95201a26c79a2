//! The machine's own apt sources, and which hosts may be dialled because of
//! them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use khashmir_apt::sources::{SourceKind, Sources as Parsed};
use khashmir_apt::url::Upstream as Url;

use crate::catalog::Suite;
use crate::config::Upstream;

pub use public::is_public;

mod public;

/// What the machine's apt uses, and which mirrors the daemon may connect to.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Hosts and ports that apt's sources name.
    named: HashSet<(String, u16)>,
    /// What the configuration adds.
    allowed: Vec<Upstream>,
    /// The components of the suites that the machine installs from.
    components: HashMap<Suite, BTreeSet<String>>,
}

/// A longer file of sources is not read.
const MAX_SOURCES_BYTES: u64 = 4 << 20;

impl Sources {
    /// Reads `sources.list` and `sources.list.d` below `apt_dir`. What cannot
    /// be read or understood is logged and left out: apt is the judge of it.
    ///
    /// A source behind our own proxy's prefix (`http://127.0.0.1:9977/mirror`)
    /// counts as what it stands for.
    pub fn read(apt_dir: &Path, own_proxy: SocketAddr, allowed: &[Upstream]) -> Self {
        let mut sources = Self { allowed: allowed.to_vec(), ..Self::default() };
        for file in source_files(apt_dir) {
            match read_bounded(&file) {
                Ok(text) => sources.add(&file, &text, own_proxy),
                Err(error) => {
                    tracing::warn!(file = %file.display(), %error, "cannot read a file of apt sources");
                }
            }
        }
        sources
    }

    /// Whether to connect to `host` (a name in lower case, or an address
    /// without brackets) at `port`, now that it resolved to `resolved`:
    /// always if apt's sources or the configuration name it, else if the
    /// address is public.
    pub fn may_dial(&self, host: &str, port: u16, resolved: IpAddr) -> bool {
        is_public(resolved)
            || self.named.contains(&(host.to_owned(), port))
            || self.allowed.iter().any(|upstream| match upstream {
                Upstream::Network(network) => network.contains(resolved),
                Upstream::Host { host: allowed, port: allowed_port } => {
                    allowed == host && allowed_port.is_none_or(|allowed| allowed == port)
                }
            })
    }

    /// Whether apt's sources or the configuration name this host, by what port ever: a
    /// name as it stands there, or an address, also one in a network that the
    /// configuration lists. What a name resolves to does not matter.
    pub fn names(&self, host: &str) -> bool {
        let address = host.parse::<IpAddr>().ok();
        self.named.iter().any(|(named, _)| named == host)
            || self.allowed.iter().any(|upstream| match upstream {
                Upstream::Network(network) => address.is_some_and(|address| network.contains(address)),
                Upstream::Host { host: allowed, .. } => allowed == host,
            })
    }

    /// The components that the machine installs from, if its sources name
    /// this suite.
    pub fn components(&self, suite: &Suite) -> Option<&BTreeSet<String>> {
        self.components.get(suite)
    }

    fn add(&mut self, file: &Path, text: &str, own_proxy: SocketAddr) {
        let parsed = match file.extension() == Some(OsStr::new("sources")) {
            true => Parsed::parse_deb822(text),
            false => Parsed::parse_list(text),
        };
        for problem in &parsed.problems {
            tracing::info!(file = %file.display(), %problem, "left out an apt source");
        }
        for source in parsed.sources {
            let Some(archive) = behind_own_prefix(source.archive, own_proxy) else { continue };
            self.named.insert((archive.host.clone(), archive.port));
            if source.kind == SourceKind::Binary && !source.components.is_empty() {
                let suite = Suite {
                    site: archive.site(),
                    dir: format!(
                        "{}/dists/{}",
                        archive.path.trim_end_matches('/'),
                        source.suite.trim_end_matches('/')
                    ),
                };
                self.components.entry(suite).or_default().extend(source.components);
            }
        }
    }
}

/// What a source stands for: itself, or what follows our own address in it.
fn behind_own_prefix(archive: Url, own_proxy: SocketAddr) -> Option<Url> {
    let address: Option<IpAddr> = archive.host.parse().ok();
    let is_own_host = archive.host == "localhost"
        || address.is_some_and(|address| address.is_loopback() || address == own_proxy.ip());
    if !is_own_host || archive.port != own_proxy.port() {
        return Some(archive);
    }
    match archive.behind_prefix() {
        Ok(behind) => Some(behind),
        Err(error) => {
            tracing::warn!(path = archive.path, %error, "an apt source names this proxy but no mirror behind it");
            None
        }
    }
}

/// The files that apt would read (sources.list(5)), in its order.
fn source_files(apt_dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = match fs::read_dir(apt_dir.join("sources.list.d")) {
        Ok(entries) => entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| {
                path.extension().is_some_and(|extension| extension == "list" || extension == "sources")
            })
            .collect(),
        Err(_) => Vec::new(),
    };
    files.sort();
    files.insert(0, apt_dir.join("sources.list"));
    files.retain(|file| file.is_file());
    files
}

fn read_bounded(file: &Path) -> io::Result<String> {
    let len = fs::metadata(file)?.len();
    if len > MAX_SOURCES_BYTES {
        return Err(io::Error::other(format!(
            "{len} bytes are too many, {MAX_SOURCES_BYTES} are read at most"
        )));
    }
    fs::read_to_string(file)
}

/// The architecture that this machine's packages are built for, in Debian's
/// words: what dpkg says, else what this program was built for.
pub fn native_architecture() -> String {
    let asked = Command::new("dpkg").arg("--print-architecture").output();
    let answer = asked.ok().filter(|output| output.status.success());
    let name = answer.and_then(|output| String::from_utf8(output.stdout).ok());
    match name.as_deref().map(str::trim) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => debian_name(std::env::consts::ARCH).to_owned(),
    }
}

fn debian_name(architecture: &str) -> &str {
    match architecture {
        "x86_64" => "amd64",
        "x86" => "i386",
        "aarch64" => "arm64",
        "arm" => "armhf",
        "powerpc64" => "ppc64el",
        "loongarch64" => "loong64",
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PROXY: &str = "127.0.0.1:9977";
    const PRIVATE: &str = "192.168.7.7";

    fn read(files: &[(&str, &str)], allowed: &[&str]) -> Sources {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sources.list.d")).unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let allowed: Vec<Upstream> = allowed.iter().map(|text| text.parse().unwrap()).collect();
        Sources::read(dir.path(), PROXY.parse().unwrap(), &allowed)
    }

    fn may_dial(sources: &Sources, host: &str, port: u16, resolved: &str) -> bool {
        sources.may_dial(host, port, resolved.parse().unwrap())
    }

    #[test]
    fn what_apt_names_is_dialled_wherever_it_is() {
        let sources = read(
            &[
                ("sources.list", "deb [arch=amd64] http://Old.example:8080/debian bookworm main\n"),
                (
                    "sources.list.d/new.sources",
                    "Types: deb\nURIs: http://new.example/debian\nSuites: bookworm\nComponents: main\n",
                ),
                ("sources.list.d/off.sources.disabled", "deb http://off.example/debian x main\n"),
            ],
            &[],
        );
        assert!(may_dial(&sources, "old.example", 8080, PRIVATE));
        assert!(!may_dial(&sources, "old.example", 80, PRIVATE));
        assert!(may_dial(&sources, "new.example", 80, PRIVATE));
        assert!(!may_dial(&sources, "off.example", 80, PRIVATE));
    }

    #[test]
    fn others_are_dialled_at_public_addresses_only() {
        let sources = read(&[], &[]);
        assert!(may_dial(&sources, "any.example", 80, "151.101.2.132"));
        assert!(!may_dial(&sources, "any.example", 80, PRIVATE));
        assert!(!may_dial(&sources, "any.example", 80, "127.0.0.1"));
        assert!(!may_dial(&sources, "any.example", 80, "::ffff:127.0.0.1"));
    }

    #[test]
    fn what_the_configuration_lists_is_dialled_wherever_it_is() {
        let sources = read(&[], &["in.example", "port.example:81", "10.1.0.0/16"]);
        assert!(may_dial(&sources, "in.example", 8080, PRIVATE));
        assert!(may_dial(&sources, "port.example", 81, PRIVATE));
        assert!(!may_dial(&sources, "port.example", 80, PRIVATE));
        assert!(may_dial(&sources, "whatever.example", 80, "10.1.2.3"));
        assert!(!may_dial(&sources, "whatever.example", 80, "10.2.2.3"));
    }

    #[test]
    fn a_host_is_named_by_its_name() {
        let sources = read(
            &[(
                "sources.list",
                "deb http://HTTPS///tls.example/debian sid main\ndeb http://a.example:81/ sid main\n",
            )],
            &["in.example", "port.example:81", "10.1.0.0/16"],
        );
        for host in ["tls.example", "a.example", "in.example", "port.example", "10.1.2.3"] {
            assert!(sources.names(host), "{host}");
        }
        for host in ["b.example", "sub.a.example", "10.2.0.1", "::1", "127.0.0.1"] {
            assert!(!sources.names(host), "{host}");
        }
    }

    #[test]
    fn what_apt_asks_over_tls_is_another_site() {
        let sources = read(
            &[(
                "sources.list",
                "deb http://HTTPS///a.example/debian sid main\ndeb https://b.example:8443/debian sid main\n\
                 deb http://127.0.0.1:9977/HTTPS///c.example/debian sid main\n",
            )],
            &[],
        );
        assert!(may_dial(&sources, "a.example", 443, PRIVATE));
        assert!(may_dial(&sources, "b.example", 8443, PRIVATE));
        assert!(may_dial(&sources, "c.example", 443, PRIVATE));
        assert!(!may_dial(&sources, "a.example", 80, PRIVATE));
        for (site, is_known) in
            [("https://a.example", true), ("https://b.example:8443", true), ("a.example", false)]
        {
            let suite = Suite { site: site.to_owned(), dir: "/debian/dists/sid".to_owned() };
            assert_eq!(sources.components(&suite).is_some(), is_known, "{site}");
        }
    }

    #[test]
    fn behind_our_own_prefix_the_host_that_follows_counts() {
        let sources = read(
            &[(
                "sources.list",
                "deb http://127.0.0.1:9977/mirror.example/debian bookworm main contrib\n\
                 deb http://localhost:9977/other.example:8080/debian bookworm main\n",
            )],
            &[],
        );
        assert!(may_dial(&sources, "mirror.example", 80, PRIVATE));
        assert!(may_dial(&sources, "other.example", 8080, PRIVATE));
        assert!(!may_dial(&sources, "127.0.0.1", 9977, "127.0.0.1"), "that would be ourselves");
        let suite = Suite { site: "mirror.example".to_owned(), dir: "/debian/dists/bookworm".to_owned() };
        let components = sources.components(&suite).unwrap();
        assert_eq!(components.iter().collect::<Vec<_>>(), ["contrib", "main"]);
    }

    #[test]
    fn a_machine_without_apt_has_no_sources() {
        let none = Sources::read(Path::new("/nonexistent"), PROXY.parse().unwrap(), &[]);
        assert!(none.named.is_empty());
    }
}
