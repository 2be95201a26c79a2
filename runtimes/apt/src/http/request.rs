//! The head of a request (RFC 9112, sections 2 to 3).

use std::fmt;

use httpdate::HttpDate;

use super::{ByteRange, IfRange};

/// The longest head that is read, request line and empty line included, in bytes.
pub const MAX_HEAD: usize = 16 * 1024;
/// The most header fields that are read.
pub const MAX_HEADERS: usize = 64;

/// What a server needs of a request.
///
/// Fields that may stand once and whose value is malformed or given twice are treated as
/// absent where the RFCs let a server ignore them, and refused where a mistake would
/// make two readers disagree about the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// What to do.
    pub method: Method,
    /// The request target as it was sent; see [`crate::url::Target`]. For `CONNECT` it
    /// is host and port.
    pub target: String,
    /// The client's version of HTTP.
    pub version: Version,
    /// Whether the client wants to send another request on this connection
    /// (RFC 9112, section 9.3).
    pub keep_alive: bool,
    /// Whether a body follows, however framed. The reader of bodies that this crate does
    /// not have would be needed to find the next request: refuse it, and close.
    pub has_body: bool,
    /// `Host`. Always there in HTTP/1.1.
    pub host: Option<String>,
    /// `Range`, if there is one good range and the method is `GET`.
    pub range: Option<ByteRange>,
    /// `If-Range`; means nothing without a range.
    pub if_range: Option<IfRange>,
    /// `If-Modified-Since`, if it is a date.
    pub if_modified_since: Option<HttpDate>,
    /// `If-None-Match`: `*` or a list of entity tags.
    pub if_none_match: Option<String>,
}

/// The methods that the daemon tells apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `CONNECT`
    Connect,
    /// Any other, as it was sent.
    Other(String),
}

/// The versions that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0: no chunked encoding, closes unless asked not to.
    Http10,
    /// HTTP/1.1
    Http11,
}

impl RequestHead {
    /// Reads a head from the start of `buffer`: the head and its length in bytes, or
    /// `None` if more bytes are needed. Empty lines before the request line are part of
    /// the head (RFC 9112, section 2.2).
    ///
    /// The result does not depend on how many bytes beyond the head the buffer has.
    ///
    /// # Errors
    /// See [`HeadError`]; the connection cannot be used further.
    pub fn parse(buffer: &[u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let window = buffer.get(..MAX_HEAD).unwrap_or(buffer);
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut fields);
        let len = match request.parse(window) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if window.len() < MAX_HEAD => return Ok(None),
            Ok(httparse::Status::Partial) => return Err(HeadError::TooLong),
            Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooManyHeaders),
            Err(httparse::Error::Version) => return Err(HeadError::Version),
            Err(error) => return Err(HeadError::Malformed(error)),
        };
        Ok(Some((Self::from_parsed(&request)?, len)))
    }

    fn from_parsed(request: &httparse::Request<'_, '_>) -> Result<Self, HeadError> {
        let fields = Fields(request.headers);
        let method = Method::from(request.method.unwrap_or_default());
        let version = match request.version {
            Some(0) => Version::Http10,
            _ => Version::Http11,
        };
        let host = fields.host()?;
        if host.is_none() && version == Version::Http11 {
            return Err(HeadError::NoHost);
        }
        Ok(Self {
            target: request.path.unwrap_or_default().to_owned(),
            keep_alive: fields.keep_alive(version),
            has_body: fields.has_body(),
            host,
            range: fields
                .single("range")
                .filter(|_| method == Method::Get)
                .and_then(|value| ByteRange::parse(value.as_bytes())),
            if_range: fields.if_range(),
            if_modified_since: fields.single("if-modified-since").and_then(|value| value.parse().ok()),
            if_none_match: fields.if_none_match(),
            method,
            version,
        })
    }
}

/// The header fields of one request.
struct Fields<'a>(&'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    /// The values of all fields of this name, without blanks around.
    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let fields = self.0.iter();
        fields.filter(move |f| f.name.eq_ignore_ascii_case(name)).map(|f| f.value.trim_ascii())
    }

    /// The value of the only field of this name, if it is text.
    fn single(&self, name: &'static str) -> Option<&'a str> {
        let mut values = self.all(name);
        let value = values.next().filter(|_| values.next().is_none())?;
        std::str::from_utf8(value).ok()
    }

    /// RFC 9112, section 3.2: exactly one in HTTP/1.1, at most one ever.
    fn host(&self) -> Result<Option<String>, HeadError> {
        match self.all("host").count() {
            0 => Ok(None),
            1 => self.single("host").map(|host| Some(host.to_owned())).ok_or(HeadError::Host),
            _ => Err(HeadError::Host),
        }
    }

    fn keep_alive(&self, version: Version) -> bool {
        let lists = |token: &str| {
            let mut tokens = self.all("connection").flat_map(|value| value.split(|&b| b == b','));
            tokens.any(|t| t.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
        };
        !lists("close") && (version == Version::Http11 || lists("keep-alive"))
    }

    /// Anything but "no bytes" counts, also what is malformed: who refuses and closes
    /// cannot be led to take a body for a request.
    fn has_body(&self) -> bool {
        self.all("transfer-encoding").next().is_some()
            || self.all("content-length").any(|value| value != b"0")
    }

    /// Unlike a missing one, an unusable `If-Range` forbids the range.
    fn if_range(&self) -> Option<IfRange> {
        self.all("if-range").next()?;
        Some(self.single("if-range").map_or(IfRange::Malformed, IfRange::parse))
    }

    /// A list may come in several fields (RFC 9110, section 5.3).
    fn if_none_match(&self) -> Option<String> {
        self.all("if-none-match").next()?;
        let values: Vec<_> = self.all("if-none-match").map(String::from_utf8_lossy).collect();
        Some(values.join(", "))
    }
}

impl From<&str> for Method {
    fn from(method: &str) -> Self {
        match method {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "CONNECT" => Self::Connect,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// Why a head cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// It is longer than [`MAX_HEAD`].
    TooLong,
    /// It has more fields than [`MAX_HEADERS`].
    TooManyHeaders,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// Not HTTP.
    Malformed(httparse::Error),
    /// HTTP/1.1 without `Host`.
    NoHost,
    /// More than one `Host`, or one that is not text.
    Host,
}

impl HeadError {
    /// The status to answer with before the connection is closed.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            // RFC 6585, section 5.
            Self::TooLong | Self::TooManyHeaders => 431,
            // RFC 9110, section 15.6.6, has 505 for the version; a client that speaks
            // another is not apt, and 4xx says whose fault it is.
            Self::Version | Self::Malformed(_) | Self::NoHost | Self::Host => 400,
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the request head is longer than {MAX_HEAD} bytes"),
            Self::TooManyHeaders => write!(f, "the request has more than {MAX_HEADERS} headers"),
            Self::Version => f.write_str("only HTTP/1.0 and HTTP/1.1 are spoken here"),
            Self::Malformed(error) => write!(f, "not an HTTP request: {error}"),
            Self::NoHost => f.write_str("an HTTP/1.1 request needs a Host header"),
            Self::Host => f.write_str("a request has one Host header, in ASCII"),
        }
    }
}

impl std::error::Error for HeadError {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use khashmir_testing::quickcheck;
    use quickcheck::TestResult;

    fn head(text: &str) -> RequestHead {
        let (head, len) = RequestHead::parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(len, text.len());
        head
    }

    fn with(version: &str, fields: &[&str]) -> RequestHead {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        head(&format!("GET /h/x HTTP/{version}\r\nHost: h\r\n{fields}\r\n"))
    }

    #[test]
    fn what_apt_sends_is_read() {
        let head = head(
            "GET http://m.example/d/pool/g%2b%2b.deb HTTP/1.1\r\nHost: m.example\r\n\
             Range: bytes=1024-\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             User-Agent: Debian APT-HTTP/1.3 (2.6.1)\r\n\r\n",
        );
        assert_eq!(head.method, Method::Get);
        assert_eq!(head.target, "http://m.example/d/pool/g%2b%2b.deb");
        assert_eq!(head.host.as_deref(), Some("m.example"));
        assert_eq!(head.range, Some(ByteRange::From(1024)));
        assert!(matches!(head.if_range, Some(IfRange::Date(_))));
        assert!(head.keep_alive && !head.has_body);
    }

    #[test]
    fn the_next_request_of_a_pipeline_is_left_alone() {
        let one = b"\r\nGET /a/1 HTTP/1.1\r\nHost: a\r\n\r\n";
        let two = [one.as_slice(), b"GET /a/2 HT"].concat();
        let (head, len) = RequestHead::parse(&two).unwrap().unwrap();
        assert_eq!((head.target.as_str(), len), ("/a/1", one.len()));
        assert_eq!(RequestHead::parse(&two[len..]), Ok(None));
    }

    #[test]
    fn connections_are_kept_as_the_versions_say() {
        assert!(with("1.1", &[]).keep_alive);
        assert!(!with("1.1", &["Connection: x, Close"]).keep_alive);
        assert!(!with("1.1", &["Connection: keep-alive", "Connection: close"]).keep_alive);
        assert!(!with("1.0", &[]).keep_alive);
        assert!(with("1.0", &["connection: Keep-Alive"]).keep_alive);
    }

    #[test]
    fn every_sign_of_a_body_is_seen() {
        assert!(!with("1.1", &["Content-Length: 0"]).has_body);
        for field in [
            "Content-Length: 1",
            "Content-Length: -1",
            "Content-Length: 0, 5",
            "Content-Length:",
            "Transfer-Encoding: chunked",
            "Transfer-Encoding: identity",
        ] {
            assert!(with("1.1", &[field]).has_body, "{field}");
        }
        assert!(with("1.1", &["Content-Length: 0", "Content-Length: 5"]).has_body);
    }

    #[test]
    fn fields_given_twice_or_malformed_are_safe() {
        assert_eq!(with("1.1", &["Range: bytes=1-", "Range: bytes=2-"]).range, None);
        let dates = ["If-Range: \"a\"", "If-Range: \"b\""];
        assert_eq!(with("1.1", &dates).if_range, Some(IfRange::Malformed));
        assert_eq!(with("1.1", &["If-Modified-Since: soon"]).if_modified_since, None);
        let tags = ["If-None-Match: \"a\"", "If-None-Match: \"b\""];
        assert_eq!(with("1.1", &tags).if_none_match.as_deref(), Some("\"a\", \"b\""));
    }

    #[test]
    fn bad_heads_are_refused_with_the_reason() {
        let error = |text: &str| RequestHead::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error("GET / HTTP/1.1\r\n\r\n"), HeadError::NoHost);
        assert_eq!(error("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), HeadError::Host);
        assert_eq!(error("GET / HTTP/1.1\r\nHost: \u{e9}\u{0}\r\n\r\n").status(), 400);
        assert_eq!(error("GET / HTTP/2.0\r\n\r\n"), HeadError::Version);
        assert!(matches!(error("\x16\x03\x01\x02"), HeadError::Malformed(_)));
        let fields = "A: b\r\n".repeat(MAX_HEADERS);
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        assert_eq!(error(&many), HeadError::TooManyHeaders);
        assert_eq!(error(&many).status(), 431);
    }

    #[test]
    fn a_head_of_the_greatest_length_is_read_and_no_longer_one() {
        let text = |len: usize| {
            let frame = "GET / HTTP/1.1\r\nHost: a\r\nA: \r\n\r\n".len();
            format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", "x".repeat(len - frame))
        };
        assert!(RequestHead::parse(text(MAX_HEAD).as_bytes()).unwrap().is_some());
        let long = text(MAX_HEAD + 1);
        assert_eq!(RequestHead::parse(&long.as_bytes()[..MAX_HEAD - 1]), Ok(None));
        assert_eq!(RequestHead::parse(long.as_bytes()), Err(HeadError::TooLong));
        assert_eq!(RequestHead::parse(&b"\r\n".repeat(MAX_HEAD)), Err(HeadError::TooLong));
    }

    /// Pieces of which heads are made, so that random choices often are nearly heads.
    const PARTS: [&[u8]; 16] = [
        b"GET /a/b HTTP/1.1\r\n",
        b"HEAD * HTTP/1.0\r\n",
        b"Host: a\r\n",
        b"Range: bytes=1-\r\n",
        b"\r\n",
        b"\n",
        b"GET",
        b" ",
        b"HTTP/1.1",
        b"Host:",
        b":",
        b"\0",
        b"Content-Length: 5\r\n",
        b"If-Range: \"a\"\r\n",
        b"Connection: close\r\n",
        b"\xff",
    ];

    fn assemble(choices: &[u8]) -> Vec<u8> {
        choices.iter().flat_map(|c| PARTS[usize::from(c % 16)]).copied().collect()
    }

    quickcheck! {
        fn how_the_bytes_arrive_does_not_matter(choices: Vec<u8>) -> TestResult {
            let bytes = assemble(&choices);
            let whole = RequestHead::parse(&bytes);
            let first = (0..=bytes.len())
                .map(|len| RequestHead::parse(&bytes[..len]))
                .find(|result| *result != Ok(None));
            // A mistake may be seen before or after another one, but it is seen.
            TestResult::from_bool(match (whole, first.unwrap_or(Ok(None))) {
                (Err(_), Err(_)) => true,
                (whole, first) => whole == first,
            })
        }

        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) -> bool {
            let _ = RequestHead::parse(&bytes);
            let _ = RequestHead::parse(&[b"GET / HTTP/1.1\r\nHost: ", bytes.as_slice()].concat());
            true
        }
    }
}
