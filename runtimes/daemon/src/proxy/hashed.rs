//! Files that are known by their hash.

use std::sync::Arc;

use khashmir_apt::Sha256;
use khashmir_apt::archive::DistsPath;
use khashmir_apt::http::{Method, RequestHead, Validators};
use khashmir_apt::url::Upstream;

use super::Proxy;
use crate::fetch::{Kept, Obtained, Wanted};
use crate::listener::{Answer, Content, Growing, Message};

impl Proxy {
    /// Answers from the cache, or from the fetch that the request starts or joins.
    pub(super) async fn answer_hashed(&self, request: RequestHead, url: Upstream, wanted: Wanted) -> Answer {
        let validators = validators(wanted.newest.sha256);
        if request.is_not_modified(&validators) {
            return Answer::Message(Message::of_file(&request, &validators, 0, |_| Content::None));
        }
        if request.method == Method::Head {
            return self.answer_head(request, url, wanted).await;
        }
        // Taken before the client can know the index, so that its next request waits.
        let lesson =
            DistsPath::parse(&url.path).filter(|_| wanted.from_index).map(|_| self.teacher.begin(&url));
        let obtained = match self.fetches.obtain(wanted).await {
            Ok(obtained) => obtained,
            // The client does not need it to be kept.
            Err(error) => {
                tracing::warn!(%url, %error, "a file cannot be kept; it is passed on");
                return self.pass(&request, url).await;
            }
        };
        match obtained {
            Obtained::Cached(Kept { verified, file }) => {
                if let Some(lesson) = lesson {
                    lesson.learn_index(verified, Arc::clone(&file));
                }
                Answer::Message(Message::of_file(&request, &validators, verified.len(), |range| {
                    Content::Cached(verified.sha256(), file, range)
                }))
            }
            Obtained::Fetching(fetch) => {
                if let Some(lesson) = lesson {
                    lesson.learn_when_complete(Arc::clone(&fetch));
                }
                Answer::Growing(Growing { request, fetch, validators })
            }
        }
    }

    /// A file that is not here is asked for at the mirror, which knows whether it
    /// still has it.
    async fn answer_head(&self, request: RequestHead, url: Upstream, wanted: Wanted) -> Answer {
        let sha256 = wanted.newest.sha256;
        if let Some(len) = self.fetches.known_len(sha256).await {
            let omitted = |_| Content::Omitted(Some(len));
            let message = Message::of_file(&request, &validators(sha256), len, omitted);
            return Answer::Message(message);
        }
        match self.pass(&request, url).await {
            Answer::Message(theirs) if theirs.status == 200 => {
                let omitted = |_| theirs.content;
                let mut message = Message::of_file(&request, &validators(sha256), 0, omitted);
                if let Some(size) = wanted.newest.size {
                    message.content = Content::Omitted(Some(size));
                }
                Answer::Message(message)
            }
            other => other,
        }
    }
}

/// A date that every daemon gives this content, so that a client may resume at any.
fn validators(sha256: Sha256) -> Validators {
    Validators { etag: None, last_modified: Some(sha256.last_modified()) }
}
