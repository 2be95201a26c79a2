//! What is done with one request of apt.
//!
//! A file whose hash an index told, or the URL itself tells, is content-addressed: it
//! comes out of the cache or is fetched once (`hashed`). Release files change under
//! their names and are revalidated at the mirror each time (`document`). Everything
//! else passes through (`pass`), or through a `tunnel`. What goes by teaches the catalog
//! (`teacher`).

mod document;
mod hashed;
mod known;
mod pass;
mod teacher;
mod tunnel;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::ALLOW;
use khashmir_apt::archive::{ByHash, DistsPath, by_hash, patch};
use khashmir_apt::http::{Method, RequestHead};
use khashmir_apt::url::{Target, Upstream};
use smol::lock::Semaphore;

use crate::Context;
use crate::database::DatabaseError;
use crate::fetch::{Expectation, Fetches, Wanted};
use crate::listener::{Answer, Message};
use crate::upstream::Client;

use document::Documents;
use known::Known;
use teacher::Teacher;

/// The proxy: one for all clients.
#[derive(Debug)]
pub struct Proxy {
    context: Arc<Context>,
    client: Arc<Client>,
    fetches: Arc<Fetches>,
    documents: Documents,
    known: Known,
    teacher: Arc<Teacher>,
    tunnels: Arc<Semaphore>,
}

/// How a file is to be had.
enum Kind {
    /// By its hash.
    Hashed(Wanted),
    /// By its name, revalidated each time.
    Document,
    /// From the mirror as it comes.
    Unknown,
}

impl Proxy {
    /// A proxy over what `context` keeps and what `fetches` brings; mirrors are asked for all else
    /// through `client`.
    #[must_use]
    pub fn new(context: Arc<Context>, client: Arc<Client>, fetches: Arc<Fetches>) -> Arc<Self> {
        let tunnels = usize::try_from(context.config.proxy.max_tunnels).unwrap_or(usize::MAX);
        Arc::new(Self {
            known: Known::default(),
            documents: Documents::new(Arc::clone(&context), Arc::clone(&client)),
            teacher: Arc::new(Teacher::new(Arc::clone(&context), Arc::clone(&fetches))),
            context,
            client,
            fetches,
            tunnels: Arc::new(Semaphore::new(tunnels)),
        })
    }

    /// What the daemon's parts share.
    #[must_use]
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// The answer to one request that came in at our address `ours`.
    pub(crate) async fn answer(self: Arc<Self>, request: RequestHead, ours: SocketAddr) -> Answer {
        if request.method == Method::Connect {
            return self.answer_connect(&request).await;
        }
        let url = match target(&request, ours) {
            Ok(url) => url,
            Err(refusal) => {
                self.context.stats.apt.refused.increment();
                return Answer::Message(*refusal);
            }
        };
        match self.classify(&url).await {
            Ok(Kind::Hashed(wanted)) => self.answer_hashed(request, url, wanted).await,
            Ok(Kind::Document) => self.answer_document(request, url).await,
            Ok(Kind::Unknown) => self.pass(&request, url).await,
            Err(error) => {
                tracing::error!(%url, %error, "the catalog cannot be asked");
                self.pass(&request, url).await
            }
        }
    }

    async fn classify(&self, url: &Upstream) -> Result<Kind, DatabaseError> {
        // A query may change what the path means.
        if url.query.is_some() {
            return Ok(Kind::Unknown);
        }
        let below_dists = DistsPath::parse(&url.path);
        if below_dists.is_some_and(|path| path.suite_of_release().is_some()) {
            return Ok(Kind::Document);
        }
        // Noted first: something may be learnt while the catalog is asked.
        let mut steps = self.teacher.steps();
        let known = if below_dists.is_none() { self.known.find(url, steps) } else { None };
        let mut expected = match known {
            Some(known) => known,
            None => self.look_up(url, below_dists.is_some()).await?,
        };
        let in_index = below_dists.is_none() || patch(&url.path).is_some();
        while expected.is_empty() && in_index && self.teacher.has_more(url, steps).await {
            steps = self.teacher.steps();
            expected = self.look_up(url, false).await?;
        }
        self.known.remember(url, steps, &expected);
        let from_index = !expected.is_empty();
        // The URL's own hash is what the client wants, whatever an index says.
        if let Some(ByHash::Sha256(sha256)) = by_hash(&url.path) {
            let size = expected.iter().find(|e| e.sha256 == sha256).and_then(|e| e.size);
            let newest = Expectation { sha256, size };
            let from_index = size.is_some();
            let url = Some(url.clone());
            return Ok(Kind::Hashed(Wanted { url, newest, older: Vec::new(), from_index }));
        }
        Ok(match expected.split_first() {
            Some((newest, older)) => {
                let url = Some(url.clone());
                Kind::Hashed(Wanted { url, newest: *newest, older: older.to_vec(), from_index })
            }
            None => Kind::Unknown,
        })
    }

    /// What the catalog expects of the file; notes the wish if it may be an index.
    async fn look_up(&self, url: &Upstream, may_be_index: bool) -> Result<Vec<Expectation>, DatabaseError> {
        let context = Arc::clone(&self.context);
        let (site, path) = (url.site(), url.path.clone());
        let found = smol::unblock(move || {
            if may_be_index && let Err(error) = context.catalog.record_wanted(&site, &path) {
                tracing::warn!(%error, "an index that was asked for cannot be noted");
            }
            context.catalog.lookup(&site, &path)
        });
        Ok(found.await?.into_iter().map(Expectation::from).collect())
    }
}

/// The file that a GET or HEAD means, or why it is refused.
fn target(request: &RequestHead, ours: SocketAddr) -> Result<Upstream, Box<Message>> {
    let refuse = |status, text: &str| Err(Box::new(Message::text(status, text)));
    match &request.method {
        Method::Get | Method::Head => {}
        Method::Connect | Method::Other(_) => {
            let mut message = Message::text(405, "only GET, HEAD and CONNECT are answered here");
            message.set(ALLOW, "GET, HEAD, CONNECT");
            return Err(Box::new(message));
        }
    }
    if request.has_body {
        return refuse(413, "a request with a body is not for this proxy");
    }
    let mut url = match Target::parse(&request.target) {
        Ok(target) => target.upstream,
        Err(error) => return refuse(400, &format!("{}: {error}", request.target)),
    };
    // Sources in the prefix style, asked for through the proxy as well.
    if is_ours(&url, ours) {
        url = match url.behind_prefix() {
            Ok(behind) => behind,
            Err(error) => return refuse(400, &format!("{}: {error}", request.target)),
        };
    }
    if is_ours(&url, ours) {
        return refuse(400, "this is the proxy itself: after its address stands a mirror's");
    }
    Ok(url)
}

/// Whether a URL names the address at which the request came in.
fn is_ours(url: &Upstream, ours: SocketAddr) -> bool {
    let address = match url.host.as_str() {
        "localhost" => return url.port == ours.port() && ours.ip().to_canonical().is_loopback(),
        host => host.parse::<IpAddr>(),
    };
    url.port == ours.port() && address.is_ok_and(|ip| ip.to_canonical() == ours.ip().to_canonical())
}
