//! Where a check plays: a place of its own at the mirror, and ways to ask for what is there.

use std::io;

use super::Target;
use super::mirror::Asked;
use super::reply::{Doc, Reply};
use super::suite::{PACKAGES, RELEASE, Suite};
use crate::check::{Outcome, Unmet};
use crate::http::judge::whole;
use crate::http::{Answer, Broken, Client};

/// A package's file, relative to the archive.
pub const DEB: &str = "pool/main/o/orbit/orbit_1.0_all.deb";

/// What apt sends with every request.
const AGENT: &str = "User-Agent: Debian APT-HTTP/1.3 (2.6.1)";
/// What it sends for what lies below `dists`, beside that.
const INDEX: [&str; 2] = ["Cache-Control: max-age=0", "Accept: text/*"];

/// An archive at the mirror that no other check knows.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    pub target: &'a Target,
    root: String,
}

impl<'a> Scene<'a> {
    pub(super) fn new(target: &'a Target, root: String) -> Self {
        Self { target, root }
    }

    /// The path at the mirror of what lies at `path` in the archive.
    pub fn path(&self, path: &str) -> String {
        format!("{}/{path}", self.root)
    }

    /// Its URL.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{}", self.target.mirror.address, self.path(path))
    }

    /// The URL of the archive, as a source of apt has it.
    pub fn root_url(&self) -> String {
        format!("http://{}{}", self.target.mirror.address, self.root)
    }

    /// The mirror has this file there from now on.
    pub fn serve(&self, path: &str, doc: &Doc) {
        let doc = doc.clone();
        self.script(path, move |asked| doc.answer(asked));
    }

    /// The mirror does this when asked for it from now on.
    pub fn script(&self, path: &str, script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) {
        self.target.mirror.script(&self.path(path), script);
    }

    /// The mirror has the release and index of this suite from now on.
    pub fn publish(&self, suite: &Suite, modified: &'static str) {
        self.serve(RELEASE, &Doc::new(suite.release.clone()).modified(modified));
        for path in [PACKAGES, &suite.packages_by_hash()] {
            self.serve(path, &Doc::new(suite.packages.clone()).modified(modified));
        }
    }

    /// Asks for release and index as `apt update` does.
    pub fn update(&self, suite: &Suite) -> Outcome {
        whole(&self.get(RELEASE, &[])?, &suite.release)?;
        whole(&self.get(&suite.packages_by_hash(), &[])?, &suite.packages)
    }

    /// The mirror has a package, and the proxy has seen an index that lists it.
    pub fn with_known_deb(&self, content: &[u8]) -> Outcome {
        self.serve(DEB, &Doc::new(content));
        let suite = Suite::of(&[(DEB, content)], super::reply::OLD);
        self.publish(&suite, super::reply::OLD);
        self.update(&suite)
    }

    pub fn client(&self) -> Result<Client, Unmet> {
        let client = Client::connect(self.target.proxy, self.target.patience);
        client.map_err(|error| broken("a connection to the proxy", &error))
    }

    /// Asks as apt would.
    pub fn ask(&self, client: &mut Client, path: &str, lines: &[&str]) -> Outcome {
        self.ask_for(client, &self.url(path), lines)
    }

    /// The same for a target that is spelt as it is here.
    pub fn ask_for(&self, client: &mut Client, target: &str, lines: &[&str]) -> Outcome {
        let mut all = if target.contains("/dists/") { INDEX.to_vec() } else { Vec::new() };
        all.push(AGENT);
        all.extend(lines);
        let host = self.target.mirror.address.to_string();
        client.ask(target, &host, &all).map_err(|error| broken("the request is read", &error))
    }

    /// One request on a connection of its own.
    pub fn try_get(&self, path: &str, lines: &[&str]) -> Result<Result<Answer, Broken>, Unmet> {
        self.try_get_url(&self.url(path), lines)
    }

    /// The same for a target that is spelt as it is here.
    pub fn try_get_url(&self, target: &str, lines: &[&str]) -> Result<Result<Answer, Broken>, Unmet> {
        let mut client = self.client()?;
        self.ask_for(&mut client, target, lines)?;
        Ok(client.read())
    }

    /// The same, where there has to be an answer.
    pub fn get(&self, path: &str, lines: &[&str]) -> Result<Answer, Unmet> {
        self.try_get(path, lines)?.map_err(|error| Unmet::failed("an answer", error.to_string()))
    }

    /// All requests for a path so far.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        self.target.mirror.asked(&self.path(path))
    }

    /// Bytes of content that the mirror has sent for a path.
    pub fn sent(&self, path: &str) -> usize {
        self.asked(path).iter().map(|asked| asked.sent).sum()
    }

    /// Waits until the mirror was asked so often for a path.
    pub fn wait_asked(&self, path: &str, times: usize) -> bool {
        let path = self.path(path);
        self.target.mirror.wait(self.target.patience, move |count| count(&path) >= times)
    }
}

fn broken(expected: &str, error: &io::Error) -> Unmet {
    Unmet::failed(expected, error.to_string())
}
