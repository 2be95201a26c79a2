//! Files that change under their names: kept, and revalidated at the mirror each time. One that is
//! kept is better than none: it is served as it is while the mirror cannot be asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED,
};
use khashmir_apt::http::{RequestHead, Validators};
use khashmir_apt::url::Upstream;
use smol::future::FutureExt as _;
use smol::lock::OnceCell;

use super::Proxy;
use crate::Context;
use crate::database::{Document, MAX_DOCUMENT_BYTES};
use crate::listener::{Answer, Content, Message};
use crate::upstream::{Client, Fault, Rejection, Request};

/// What one round to the mirror came to, for everyone who waited for it.
#[derive(Debug, Clone)]
enum Refreshed {
    /// The document as the mirror has it now.
    Document(Arc<Kept>),
    /// The mirror has none.
    Rejected(Arc<Rejection>),
    /// The mirror could not be asked.
    Failed(Fault),
}

/// A document with its body ready to be sent to many.
#[derive(Debug)]
struct Kept {
    document: Document,
    body: bytes::Bytes,
    /// Whether the mirror has just sent it.
    is_new: bool,
}

/// Rounds to mirrors that are under way, one for each URL.
#[derive(Debug)]
pub(super) struct Documents {
    context: Arc<Context>,
    client: Arc<Client>,
    rounds: Mutex<HashMap<String, Round>>,
}

type Round = Arc<OnceCell<Refreshed>>;

impl Proxy {
    /// Answers with what the mirror has now; a client that has it already is told so.
    pub(super) async fn answer_document(&self, request: &RequestHead, url: &Upstream) -> Answer {
        match self.documents.refreshed(url, self).await {
            Refreshed::Document(kept) => {
                let message = answer(request, &kept);
                if let (Content::Bytes(bytes), 200 | 206) = (&message.content, message.status) {
                    let counters = &self.context.stats.apt;
                    let counter = match kept.is_new {
                        true => &counters.bytes_from_mirror,
                        false => &counters.bytes_from_cache,
                    };
                    counter.add(bytes.len() as u64);
                }
                Answer::Message(message)
            }
            Refreshed::Rejected(rejection) => Answer::Message(Message::from(&*rejection)),
            Refreshed::Failed(fault) => Answer::from(&fault),
        }
    }
}

fn answer(request: &RequestHead, kept: &Kept) -> Message {
    let Document { last_modified, etag, content_type, .. } = &kept.document;
    let validators = Validators {
        etag: etag.clone(),
        last_modified: last_modified.as_ref().and_then(|date| date.parse().ok()),
    };
    let mut message = Message::of_file(request, &validators, kept.body.len() as u64, |range| {
        // Within the body, whose length fits in memory.
        Content::Bytes(kept.body.slice(range.start as usize..range.end as usize))
    });
    if let (Some(content_type), 200 | 206) = (content_type, message.status) {
        message.set(CONTENT_TYPE, content_type);
    }
    message
}

impl Kept {
    fn new(document: Document, is_new: bool) -> Self {
        let body = bytes::Bytes::from(document.body.clone());
        Self { document, body, is_new }
    }
}

impl Documents {
    pub(super) fn new(context: Arc<Context>, client: Arc<Client>) -> Self {
        Self { context, client, rounds: Mutex::default() }
    }

    /// Asks the mirror, once for all who ask meanwhile.
    async fn refreshed(&self, url: &Upstream, proxy: &Proxy) -> Refreshed {
        let key = url.to_string();
        let waiting = Waiting {
            documents: self,
            round: Arc::clone(self.rounds().entry(key.clone()).or_default()),
            key,
        };
        let round = async {
            let refreshed = self.refresh(url, &waiting.key).await;
            if let Refreshed::Document(kept) = &refreshed {
                proxy.teacher.learn_release(url, kept.body.clone()).await;
            }
            // Who asks from now on gets a round of their own.
            self.rounds().remove(&waiting.key);
            refreshed
        };
        waiting.round.get_or_init(|| round).await.clone()
    }

    /// One round: conditional if the document was had before.
    async fn refresh(&self, url: &Upstream, key: &str) -> Refreshed {
        let (context, kept_key) = (Arc::clone(&self.context), key.to_owned());
        let known = smol::unblock(move || context.database.document(&kept_key)).await;
        let known = known.unwrap_or_else(|error| {
            tracing::error!(%error, "a kept document cannot be read");
            None
        });
        let mut request = Request::get(url.clone());
        request.headers = conditions(known.as_ref());
        let limit = Duration::from_secs(self.context.config.mirror.kept_release_after_seconds);
        let until = known.as_ref().map(|_| Instant::now() + limit);
        let unconfirmed = &self.context.stats.releases.unconfirmed;
        let mut patience = self.client.patience();
        let fault = loop {
            let fault = match self.ask(&request, known.as_ref(), until).await {
                Ok((document, is_new)) => {
                    if is_new {
                        self.keep(key, &document).await;
                    }
                    unconfirmed.remove(key);
                    return Refreshed::Document(Arc::new(Kept::new(document, is_new)));
                }
                Err(NotGiven::Rejected(rejection)) => {
                    unconfirmed.remove(key);
                    return Refreshed::Rejected(Arc::new(rejection));
                }
                Err(NotGiven::Fault(fault)) => fault,
            };
            match before(until, patience.bear(fault.clone())).await {
                Some(Ok(())) => {}
                Some(Err(_)) | None => break fault,
            }
        };
        match known {
            Some(document) if matches!(fault, Fault::Transient { .. }) => {
                let of = document.last_modified.as_deref().unwrap_or("an unknown date");
                tracing::warn!(%url, %fault, of, "the mirror cannot be asked: served as it is kept");
                self.context.stats.releases.served_unconfirmed.increment();
                unconfirmed.insert(key, &fault.to_string());
                Refreshed::Document(Arc::new(Kept::new(document, false)))
            }
            _ => {
                tracing::warn!(%url, %fault, "a document cannot be had");
                Refreshed::Failed(fault)
            }
        }
    }

    /// Asks once, and waits until then for an answer to begin; also tells whether the document
    /// differs from the known one.
    async fn ask(
        &self,
        request: &Request,
        known: Option<&Document>,
        until: Option<Instant>,
    ) -> Result<(Document, bool), NotGiven> {
        let in_vain = || Fault::transient("no answer in time");
        let response = before(until, self.client.send(request)).await.ok_or_else(in_vain)??;
        match (response.status, known) {
            (StatusCode::NOT_MODIFIED, Some(known)) => {
                response.body.drain().await;
                Ok((known.clone(), false))
            }
            (StatusCode::OK, _) => {
                let text = |name| {
                    let value = response.headers.get(name)?.to_str().ok()?;
                    Some(value.to_owned())
                };
                let (last_modified, etag) = (text(LAST_MODIFIED), text(ETAG));
                let content_type = text(CONTENT_TYPE);
                let body = response.body.read_to_end(MAX_DOCUMENT_BYTES).await?;
                self.client.count_bytes(body.len());
                Ok((Document { last_modified, etag, content_type, body: body.into() }, true))
            }
            (status, _) if status.is_success() || status == StatusCode::NOT_MODIFIED => {
                Err(Fault::transient(format!("the mirror answered {status}")).into())
            }
            _ => Err(NotGiven::Rejected(response.into_rejection().await)),
        }
    }

    async fn keep(&self, key: &str, document: &Document) {
        let (context, key, document) = (Arc::clone(&self.context), key.to_owned(), document.clone());
        let stored = smol::unblock(move || context.database.store_document(&key, &document));
        if let Err(error) = stored.await {
            tracing::error!(%error, "a document cannot be kept");
        }
    }

    fn rounds(&self) -> MutexGuard<'_, HashMap<String, Round>> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a future gives, unless it takes until then.
async fn before<T>(until: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    let late = async {
        match until {
            Some(until) => drop(smol::Timer::at(until).await),
            None => smol::future::pending().await,
        }
        None
    };
    async { Some(future.await) }.or(late).await
}

/// Why one round brought no document.
enum NotGiven {
    Rejected(Rejection),
    Fault(Fault),
}

impl From<Fault> for NotGiven {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A client that waits for a round; the last to give up takes the round away.
struct Waiting<'a> {
    documents: &'a Documents,
    key: String,
    round: Round,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut rounds = self.documents.rounds();
        let is_last = Arc::strong_count(&self.round) == 2;
        if is_last && rounds.get(&self.key).is_some_and(|round| Arc::ptr_eq(round, &self.round)) {
            rounds.remove(&self.key);
        }
    }
}

/// Asks to be told only of a change; a cache on the way must ask its origin, too.
fn conditions(known: Option<&Document>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=0"));
    let mut set = |name: HeaderName, value: Option<&String>| {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    };
    set(IF_MODIFIED_SINCE, known.and_then(|document| document.last_modified.as_ref()));
    set(IF_NONE_MATCH, known.and_then(|document| document.etag.as_ref()));
    headers
}
