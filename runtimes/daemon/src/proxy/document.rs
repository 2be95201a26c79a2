//! Files that change under their names: kept, and revalidated at the mirror each time. One that is
//! kept is better than none: it is served as it is while the mirror cannot be asked.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use event_listener::Event;
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED,
};
use khashmir_apt::http::{Method, RequestHead, Validators};
use khashmir_apt::url::Upstream;
use smol::future::FutureExt as _;
use smol::lock::OnceCell;

use super::Proxy;
use crate::Context;
use crate::database::{Document, MAX_DOCUMENT_BYTES};
use crate::listener::{Answer, Content, Later, Message};
use crate::problems::Kind;
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
    rounds: Mutex<HashMap<String, Arc<Round>>>,
}

/// One round to the mirror.
#[derive(Debug, Default)]
struct Round {
    outcome: OnceCell<Refreshed>,
    /// Clients that wait for it.
    waiting: AtomicUsize,
    /// What the mirror sends, once it has begun: without its body, and how long that will be.
    coming: Mutex<Option<(Document, u64)>>,
    began: Event,
}

impl Round {
    /// The mirror begins to send a document.
    fn begin(&self, document: Document, len: u64) {
        *self.coming() = Some((document, len));
        self.began.notify(usize::MAX);
    }

    /// Waits until the mirror has begun.
    async fn begun(&self) {
        loop {
            let began = self.began.listen();
            if self.coming().is_some() {
                return;
            }
            began.await;
        }
    }

    fn coming(&self) -> MutexGuard<'_, Option<(Document, u64)>> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proxy {
    /// Answers with what the mirror has now; a client that has it already is told so. Once the mirror
    /// has begun to send, however slowly, the client's answer has begun, too.
    pub(super) async fn answer_document(self: &Arc<Self>, request: RequestHead, url: Upstream) -> Answer {
        let round = self.documents.round(&url);
        let promised: Arc<OnceLock<Validators>> = Arc::default();
        let mut settled = {
            let (proxy, request, round, promised) =
                (Arc::clone(self), request.clone(), Arc::clone(&round), Arc::clone(&promised));
            Box::pin(async move {
                let refreshed = proxy.documents.refreshed(&url, round, &proxy).await;
                match (&refreshed, promised.get()) {
                    // Its client would take the one for the other when it asks next.
                    (Refreshed::Document(kept), Some(promised))
                        if validators(&kept.document) != *promised =>
                    {
                        Answer::Cut(
                            "the mirror has another document than the one it had begun to send".into(),
                        )
                    }
                    _ => proxy.answer_refreshed(&request, refreshed),
                }
            })
        };
        if request.method == Method::Head {
            return settled.await;
        }
        let begun = async {
            round.begun().await;
            None
        };
        if let Some(answer) = async { Some((&mut settled).await) }.or(begun).await {
            return answer;
        }
        let promise = move || {
            let coming = round.coming();
            let (document, len) = coming.as_ref()?;
            let validators = validators(document);
            let omitted = |range: Range<u64>| Content::Omitted(Some(range.end - range.start));
            let message = answer(&request, document, *len, omitted);
            let has_content = matches!(message.content, Content::Omitted(_));
            // The first is what the client is told.
            has_content.then(|| promised.set(validators).ok().map(|_| message)).flatten()
        };
        Answer::Later(Later { promise: Box::new(promise), settled })
    }

    fn answer_refreshed(&self, request: &RequestHead, refreshed: Refreshed) -> Answer {
        match refreshed {
            Refreshed::Document(kept) => {
                let message = answer(request, &kept.document, kept.body.len() as u64, |range| {
                    // Within the body, whose length fits in memory.
                    Content::Bytes(kept.body.slice(range.start as usize..range.end as usize))
                });
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

/// The answer to a client for a document of `len` bytes.
fn answer(
    request: &RequestHead,
    document: &Document,
    len: u64,
    content: impl FnOnce(Range<u64>) -> Content,
) -> Message {
    let mut message = Message::of_file(request, &validators(document), len, content);
    if let (Some(content_type), 200 | 206) = (&document.content_type, message.status) {
        message.set(CONTENT_TYPE, content_type);
    }
    message
}

fn validators(document: &Document) -> Validators {
    Validators {
        etag: document.etag.clone(),
        last_modified: document.last_modified.as_ref().and_then(|date| date.parse().ok()),
    }
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

    /// The round that is under way, or a new one.
    fn round(&self, url: &Upstream) -> Arc<Round> {
        Arc::clone(self.rounds().entry(url.to_string()).or_default())
    }

    /// Asks the mirror, once for all who ask meanwhile.
    async fn refreshed(&self, url: &Upstream, round: Arc<Round>, proxy: &Proxy) -> Refreshed {
        let waiting = Waiting::new(self, round, url.to_string());
        let round = async {
            let refreshed = self.refresh(url, &waiting.key, &waiting.round).await;
            if let Refreshed::Document(kept) = &refreshed {
                proxy.teacher.learn_release(url, kept.body.clone()).await;
            }
            // Who asks from now on gets a round of their own.
            waiting.end_round();
            refreshed
        };
        waiting.round.outcome.get_or_init(|| round).await.clone()
    }

    /// One round: conditional if the document was had before.
    async fn refresh(&self, url: &Upstream, key: &str, round: &Round) -> Refreshed {
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
        let problems = &self.context.problems;
        let mut patience = self.client.patience();
        let fault = loop {
            let fault = match self.ask(&request, known.as_ref(), until, round).await {
                Ok((document, is_new)) => {
                    if is_new {
                        self.keep(key, &document).await;
                    }
                    problems.end_with(Kind::Release, key);
                    return Refreshed::Document(Arc::new(Kept::new(document, is_new)));
                }
                Err(NotGiven::Rejected(rejection)) => {
                    problems.end_with(Kind::Release, key);
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
                let text =
                    format!("{url}, of {of}, is served as it is kept: its mirror cannot be asked: {fault}");
                problems.begin_with(Kind::Release, key, text);
                self.context.stats.apt.releases_unconfirmed.increment();
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
        round: &Round,
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
                let mut document = Document { last_modified, etag, content_type, body: Vec::new() };
                if let Some(len) = response.content_length() {
                    round.begin(document.clone(), len);
                }
                let body = response.body.read_to_end(MAX_DOCUMENT_BYTES).await?;
                self.client.count_bytes(body.len());
                document.body = body.into();
                Ok((document, true))
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

    fn rounds(&self) -> MutexGuard<'_, HashMap<String, Arc<Round>>> {
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
    round: Arc<Round>,
}

impl<'a> Waiting<'a> {
    fn new(documents: &'a Documents, round: Arc<Round>, key: String) -> Self {
        round.waiting.fetch_add(1, Ordering::Relaxed);
        Self { documents, key, round }
    }

    /// Who asks from now on gets another round.
    fn end_round(&self) {
        let mut rounds = self.documents.rounds();
        if rounds.get(&self.key).is_some_and(|round| Arc::ptr_eq(round, &self.round)) {
            rounds.remove(&self.key);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.round.waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.end_round();
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
