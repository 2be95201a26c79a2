//! The mirror as a source of a fetch's bytes.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use http::header::RANGE;
use http::{HeaderValue, StatusCode};
use khashmir_apt::archive::DistsPath;
use khashmir_apt::url::Upstream;

use super::file::{Fetch, MAX_LEN, Origin};
use super::line::Lines;
use crate::upstream::{Client, Fault, Rejection, Request};

/// Where a mirror has one file.
#[derive(Debug, Clone)]
pub struct Mirror {
    client: Arc<Client>,
    lines: Arc<Lines>,
    url: Option<Upstream>,
    /// Of the URL.
    authority: String,
}

/// Why a mirror did not give what was asked of it.
#[derive(Debug)]
pub enum MirrorError {
    /// It answered something else than the file: a 404, say.
    Rejected(Box<Rejection>),
    /// It has a file of another length at this URL than the `wanted` one.
    OtherFile {
        /// The length in bytes that was asked for.
        wanted: u64,
    },
    /// It gave no answer that could be used.
    Fault(Fault),
}

impl From<Fault> for MirrorError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl fmt::Display for MirrorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => write!(f, "the mirror answered {}", rejection.status),
            Self::OtherFile { wanted } => {
                write!(f, "the mirror has another file, not one of {wanted} bytes")
            }
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for MirrorError {}

impl Mirror {
    /// The file at `url`; without one there is no mirror, and whatever is asked of it is refused.
    #[must_use]
    pub(super) fn new(client: Arc<Client>, lines: Arc<Lines>, url: Option<Upstream>) -> Self {
        let authority = url.as_ref().map(Upstream::authority).unwrap_or_default();
        Self { client, lines, url, authority }
    }

    /// What the mirror gives in all, in bytes a second, if that is known.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        self.lines.rate(&self.authority)
    }

    /// Whether there is one.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.url.is_some()
    }

    /// Fetches all bytes that `fetch` lacks of `within`, and goes on where it stopped
    /// after every transient fault, as long as patience lasts.
    ///
    /// # Errors
    /// [`MirrorError`], with what arrived until then in `fetch`.
    pub async fn fill(&self, fetch: &Arc<Fetch>, within: Range<u64>) -> Result<(), MirrorError> {
        let mut patience = self.client.patience();
        while let Some(gap) = fetch.first_gap(&within) {
            match self.send_range(fetch, gap, None, |_| patience.renew()).await {
                Err(MirrorError::Fault(fault)) => patience.bear(fault).await?,
                other => other?,
            }
        }
        Ok(())
    }

    /// Asks once for `range`, and writes it to `fetch` as it comes; `progress` hears after
    /// each write how many of its bytes have come. Where bytes stand already, those stay.
    ///
    /// With a `whole_len` the file must be that long, or nothing is written.
    ///
    /// # Errors
    /// [`MirrorError`], with what arrived until then in `fetch`.
    pub async fn send_range(
        &self,
        fetch: &Arc<Fetch>,
        range: Range<u64>,
        whole_len: Option<u64>,
        mut progress: impl FnMut(u64),
    ) -> Result<(), MirrorError> {
        let Some(url) = self.url.clone() else {
            return Err(Fault::Refused("no peer gave what is missing, and there is no mirror".into()).into());
        };
        let is_index = DistsPath::parse(&url.path).is_some();
        let mut request = Request { in_turn: true, ..Request::get(url) };
        if let Some(header) = range_header(fetch, &range) {
            request.headers.insert(RANGE, header);
        }
        let mut response = self.client.send(&request).await?;
        let (mut at, len) = match response.status {
            // A mirror may ignore a Range; its bytes are as good.
            StatusCode::OK => (0, response.content_length()),
            StatusCode::PARTIAL_CONTENT => match response.content_range() {
                Some((start, len)) if start == range.start => (start, len),
                _ => return Err(Fault::transient("the mirror sent another range").into()),
            },
            StatusCode::RANGE_NOT_SATISFIABLE => {
                return Err(Fault::transient("the mirror's file ends before this range").into());
            }
            status if status.is_success() => {
                return Err(Fault::transient(format!("the mirror answered {status}")).into());
            }
            _ => {
                let rejection = response.into_rejection().await;
                return Err(MirrorError::Rejected(Box::new(rejection)));
            }
        };
        let len = len.or(fetch.promised_len());
        if let Some(wanted) = whole_len
            && len != whole_len
        {
            // That of an older generation stays; any other may be right the next time.
            let known = is_index || fetch.expected().iter().any(|older| older.size == len);
            return Err(match (known, len) {
                (false, Some(len)) => wrong_len(len).into(),
                _ => MirrorError::OtherFile { wanted },
            });
        }
        if let Some(len) = len {
            settle_len(fetch, len, is_index)?;
        }
        let end = range.end.min(fetch.progress().len.unwrap_or(MAX_LEN));
        let mut stream = self.lines.stream(&self.authority, fetch);
        while at < end {
            stream.turn().await;
            let Some(bytes) = response.body.chunk().await? else { break };
            self.client.count_bytes(bytes.len());
            stream.received(bytes.len() as u64);
            let chunk = at..at + bytes.len() as u64;
            at = chunk.end;
            // Of an answer to no range, what was there before is passed over.
            let fresh = chunk.start.max(range.start)..chunk.end.min(end);
            if fresh.is_empty() {
                continue;
            }
            let part = bytes.slice((fresh.start - chunk.start) as usize..(fresh.end - chunk.start) as usize);
            fetch
                .write_at(fresh.start, part, Origin::Mirror)
                .await
                .map_err(|error| Fault::Local(format!("cannot write what arrives: {error}")))?;
            progress(fresh.end - range.start);
        }
        match fetch.progress().len {
            Some(_) if at < end => Err(Fault::transient("the mirror's answer was too short").into()),
            Some(_) => {
                // Not waited for: the file is there.
                smol::spawn(response.body.drain()).detach();
                Ok(())
            }
            None => Ok(settle_len(fetch, at, is_index)?),
        }
    }
}

/// Takes the length that the mirror tells, if it is one that apt would accept.
///
/// A wrong length is fatal to apt's whole run, so it is cut off rather; only of
/// index files is what the mirror has passed on whatever it is.
fn settle_len(fetch: &Fetch, len: u64, is_index: bool) -> Result<(), Fault> {
    let may_be = |size: Option<u64>| size.is_none_or(|size| size == len);
    if !is_index && !fetch.expected().iter().any(|expected| may_be(expected.size)) {
        return Err(wrong_len(len));
    }
    fetch.settle_len(len).map_err(Fault::transient)
}

fn wrong_len(len: u64) -> Fault {
    Fault::transient(format!("the mirror's file has {len} bytes, not what the index says"))
}

/// `Range` for some bytes; none for the whole file.
fn range_header(fetch: &Fetch, range: &Range<u64>) -> Option<HeaderValue> {
    let open = range.end >= fetch.progress().len.or(fetch.promised_len()).unwrap_or(MAX_LEN);
    let text = match (range.start, open) {
        (0, true) => return None,
        (start, true) => format!("bytes={start}-"),
        (start, false) => format!("bytes={start}-{}", range.end - 1),
    };
    HeaderValue::from_str(&text).ok()
}
