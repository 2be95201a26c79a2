//! Files that nothing is known about: the mirror's answer as it comes.

use http::header::{
    HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE, VIA,
};
use khashmir_apt::http::{ByteRange, IfRange, Method, RequestHead};
use khashmir_apt::url::Upstream;

use super::Proxy;
use crate::listener::{Answer, Content, Message};
use crate::upstream::{Request, Response};

impl Proxy {
    /// Asks the mirror what the client asked, and passes on what it says.
    pub(super) async fn pass(&self, request: &RequestHead, url: Upstream) -> Answer {
        let head_only = request.method == Method::Head;
        let asked = Request { head_only, headers: conditions(request), ..Request::get(url) };
        match self.client.send_patiently(&asked).await {
            Ok(response) => Answer::Message(passed_on(response, head_only)),
            Err(fault) => {
                tracing::info!(url = %asked.target, %fault, "passed on nothing");
                Answer::from(&fault)
            }
        }
    }
}

/// A mirror's response as our answer.
fn passed_on(response: Response, head_only: bool) -> Message {
    let mut headers = response.end_to_end_headers();
    headers.append(VIA, HeaderValue::from_static("1.1 khashmir"));
    let len = response.content_length();
    let content = match response.status.as_u16() {
        204 | 304 => Content::None,
        _ if head_only => Content::Omitted(len),
        _ => Content::Stream(response.body, len),
    };
    Message { status: response.status.as_u16(), reason: None, headers, content }
}

/// The client's range and conditions, as the mirror is to weigh them.
fn conditions(request: &RequestHead) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: String| {
        // Values that arrived in a header can stand in one.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    if let Some(date) = request.if_modified_since {
        set(IF_MODIFIED_SINCE, date.to_string());
    }
    if let Some(tags) = &request.if_none_match {
        set(IF_NONE_MATCH, tags.clone());
    }
    let Some(range) = request.range else { return headers };
    match &request.if_range {
        // It matches nothing: the whole file is the answer.
        Some(IfRange::Malformed) => return headers,
        Some(IfRange::Tag(tag)) => set(IF_RANGE, tag.clone()),
        Some(IfRange::Date(date)) => set(IF_RANGE, date.to_string()),
        None => {}
    }
    set(
        RANGE,
        match range {
            ByteRange::From(first) => format!("bytes={first}-"),
            ByteRange::FromTo(first, last) => format!("bytes={first}-{last}"),
            ByteRange::Last(count) => format!("bytes=-{count}"),
        },
    );
    headers
}
