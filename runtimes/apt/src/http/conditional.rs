//! Preconditions (RFC 9110, section 13): what to answer to whom who has something already.

use std::ops::Range;

use httpdate::HttpDate;

use super::{Method, RequestHead, Resolved};

/// What tells one version of a file from another (RFC 9110, section 8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// The entity tag as it stands in the field, with its quotes and `W/` if weak.
    pub etag: Option<String>,
    /// The date of the last change.
    pub last_modified: Option<HttpDate>,
}

/// `If-Range`: send the range only if the file is still this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfRange {
    /// An entity tag, with its quotes.
    Tag(String),
    /// A `Last-Modified` that the client was given.
    Date(HttpDate),
    /// Neither: it matches nothing, so the whole file is sent.
    Malformed,
}

/// What to answer to a `GET` or `HEAD` of a file that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 304, no body: the client has this version.
    NotModified,
    /// 200 and all of it.
    Whole,
    /// 206 and these bytes: not empty, within the file.
    Partial(Range<u64>),
    /// 416 with `Content-Range: bytes */length`.
    Unsatisfiable,
}

impl RequestHead {
    /// Weighs the request's preconditions and range against the file that would be
    /// sent, in the order of RFC 9110, section 13.2.2. `len` is in bytes.
    #[must_use]
    pub fn outcome(&self, file: &Validators, len: u64) -> Outcome {
        if self.is_not_modified(file) {
            return Outcome::NotModified;
        }
        match self.range.filter(|_| self.range_applies(file)).map(|range| range.resolve(len)) {
            None | Some(Resolved::Whole) => Outcome::Whole,
            Some(Resolved::Partial(bytes)) => Outcome::Partial(bytes),
            Some(Resolved::Unsatisfiable) => Outcome::Unsatisfiable,
        }
    }

    /// Whether 304 is the answer, also where the length is not known yet.
    #[must_use]
    pub fn is_not_modified(&self, file: &Validators) -> bool {
        if !matches!(self.method, Method::Get | Method::Head) {
            return false;
        }
        // Section 13.1.3: If-Modified-Since is ignored where If-None-Match is given.
        if let Some(tags) = &self.if_none_match {
            return file.matches_any(tags);
        }
        // Only the very date that we gave: one made from a hash tells versions apart but
        // has no order, so "not later" would call a new version the old one.
        self.if_modified_since.is_some() && self.if_modified_since == file.last_modified
    }

    /// Whether the range is to be honoured (section 13.1.5): no `If-Range`, or one that
    /// is exactly this version's.
    fn range_applies(&self, file: &Validators) -> bool {
        match &self.if_range {
            None => true,
            Some(IfRange::Date(date)) => file.last_modified == Some(*date),
            Some(IfRange::Tag(tag)) => !tag.starts_with("W/") && file.etag.as_ref() == Some(tag),
            Some(IfRange::Malformed) => false,
        }
    }
}

impl IfRange {
    pub(super) fn parse(value: &str) -> Self {
        let tag = value.strip_prefix("W/").unwrap_or(value);
        if tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"') {
            return Self::Tag(value.to_owned());
        }
        match value.parse() {
            Ok(date) => Self::Date(date),
            Err(_) => Self::Malformed,
        }
    }
}

impl Validators {
    /// Weak comparison with the list of an `If-None-Match` (sections 13.1.2 and 8.8.3.2).
    fn matches_any(&self, list: &str) -> bool {
        if list.trim() == "*" {
            return true;
        }
        let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
        let Some(ours) = self.etag.as_deref().map(opaque) else { return false };
        tags(list).any(|tag| tag == ours)
    }
}

/// The entity tags of a list, without `W/`. A tag may have a comma inside.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let open = rest.find('"')?;
        let close = open + 1 + rest[open + 1..].find('"')?;
        let tag = &rest[open..=close];
        rest = &rest[close + 1..];
        Some(tag)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn file() -> Validators {
        Validators { etag: Some("\"a,b\"".to_owned()), last_modified: Some(DATE.parse().unwrap()) }
    }

    fn outcome(method: &str, fields: &[&str], file: &Validators) -> Outcome {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let text = format!("{method} /h/x HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        RequestHead::parse(text.as_bytes()).unwrap().unwrap().0.outcome(file, 10)
    }

    fn get(fields: &[&str]) -> Outcome {
        outcome("GET", fields, &file())
    }

    #[test]
    fn a_resumed_download_gets_the_rest_only_of_the_same_version() {
        let resume = |if_range: &str| get(&["Range: bytes=4-", &format!("If-Range: {if_range}")]);
        assert_eq!(resume(DATE), Outcome::Partial(4..10));
        assert_eq!(resume("\"a,b\""), Outcome::Partial(4..10));
        for other in [LATER, "Sun, 06 Nov 1994 08:49:36 GMT", "\"b\"", "W/\"a,b\"", "x", "\""] {
            assert_eq!(resume(other), Outcome::Whole, "{other}");
        }
        // A weak tag never says that the bytes are the same.
        let weak = Validators { etag: Some("W/\"a\"".to_owned()), last_modified: None };
        let fields = ["Range: bytes=4-", "If-Range: W/\"a\""];
        assert_eq!(outcome("GET", &fields, &weak), Outcome::Whole);
        // Without a validator of our own nothing is the same version.
        let fields = ["Range: bytes=4-", &format!("If-Range: {DATE}")];
        assert_eq!(outcome("GET", &fields, &Validators::default()), Outcome::Whole);
    }

    #[test]
    fn a_complete_partial_file_gets_416() {
        assert_eq!(get(&["Range: bytes=10-", &format!("If-Range: {DATE}")]), Outcome::Unsatisfiable);
    }

    #[test]
    fn an_unchanged_file_is_not_sent_again() {
        let since = |date| get(&[&format!("If-Modified-Since: {date}")]);
        assert_eq!(since(DATE), Outcome::NotModified);
        assert_eq!(since(LATER), Outcome::Whole);
        assert_eq!(since("Sun, 06 Nov 1994 08:49:36 GMT"), Outcome::Whole);
        assert_eq!(since("yesterday"), Outcome::Whole);
        assert_eq!(outcome("HEAD", &[&format!("If-Modified-Since: {DATE}")], &file()), Outcome::NotModified);
    }

    #[test]
    fn tags_go_before_dates() {
        let none_match =
            |tags: &str| get(&[&format!("If-None-Match: {tags}"), &format!("If-Modified-Since: {DATE}")]);
        assert_eq!(none_match("\"x\", W/\"a,b\""), Outcome::NotModified);
        assert_eq!(none_match("*"), Outcome::NotModified);
        assert_eq!(none_match("\"a\", \"b\""), Outcome::Whole);
        assert_eq!(none_match("a,b"), Outcome::Whole);
    }

    #[test]
    fn a_range_is_for_get_alone() {
        assert_eq!(outcome("HEAD", &["Range: bytes=4-"], &file()), Outcome::Whole);
        assert_eq!(outcome("POST", &["Range: bytes=4-"], &file()), Outcome::Whole);
    }
}
