//! From a request target, in either style that apt is pointed at a proxy, to the
//! mirror and path that it means.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::path::{self, PathError};

/// What a request target asks for, and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where to fetch it.
    pub upstream: Upstream,
    /// How apt is pointed at us.
    pub style: Style,
}

/// How a client is pointed at the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `http://host/path`, as of `Acquire::http::Proxy` (RFC 9112, section 3.2.2).
    Proxy,
    /// `/host/path`: the proxy's own address stands before the mirror's in the sources.
    Prefix,
}

/// The scheme to speak with the mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain HTTP, port 80.
    Http,
    /// HTTP over TLS, port 443.
    Https,
}

/// A file at a mirror. Two that are equal name one file, however they were spelt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Upstream {
    /// The scheme.
    pub scheme: Scheme,
    /// A name in lower case, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The port, the scheme's own if none was given; not 0.
    pub port: u16,
    /// Begins with `/`; canonical, see [`crate::path`].
    pub path: String,
    /// What stands behind `?`, as it was sent.
    pub query: Option<String>,
}

impl Target {
    /// Reads the target of a request that is not `CONNECT`.
    ///
    /// Knows `http://host[:port]/path`, `/host[:port]/path`, `https://` in the first
    /// form, and in both the spelling `HTTPS///host` for a mirror that is to be asked
    /// over TLS though apt speaks plain HTTP with us.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn parse(target: &str) -> Result<Self, UrlError> {
        let (upstream, style) = match target.strip_prefix('/') {
            Some(rest) => (Upstream::from_authority(Scheme::Http, rest)?, Style::Prefix),
            None => (Upstream::parse(target)?, Style::Proxy),
        };
        Ok(Self { upstream, style })
    }
}

impl Upstream {
    /// Reads an absolute URL: `http://` or `https://`, host, port and path.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::NotAbsolute)?;
        let scheme = match scheme {
            s if s.eq_ignore_ascii_case("http") => Scheme::Http,
            s if s.eq_ignore_ascii_case("https") => Scheme::Https,
            _ => return Err(UrlError::Scheme),
        };
        Self::from_authority(scheme, rest)
    }

    /// Reads the target of a `CONNECT`: host and port, neither left out (RFC 9112,
    /// section 3.2.3). What is spoken in the tunnel is TLS, so the URL is `https://` and
    /// has no path.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn parse_connect(target: &str) -> Result<Self, UrlError> {
        let (host, port) = host_and_port(target)?;
        let port = port.ok_or(UrlError::Port)?;
        Ok(Self { scheme: Scheme::Https, host, port, path: "/".to_owned(), query: None })
    }

    /// Reads this URL's path as the prefix style: what `http://proxy/host/path` means
    /// if `proxy` is ours.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn behind_prefix(&self) -> Result<Self, UrlError> {
        let rest = self.path.strip_prefix('/').unwrap_or(&self.path);
        // A canonical path escapes the brackets of an IPv6 address.
        let (https, rest) = match rest.split_once("///") {
            Some((name, rest)) if name.eq_ignore_ascii_case("https") => ("HTTPS///", rest),
            _ => ("", rest),
        };
        let rest = match rest.starts_with("%5B") {
            true => rest.replacen("%5B", "[", 1).replacen("%5D", "]", 1),
            false => rest.to_owned(),
        };
        let mut behind = Self::from_authority(Scheme::Http, &format!("{https}{rest}"))?;
        behind.query.clone_from(&self.query);
        Ok(behind)
    }

    /// The origin-form to send to the mirror (RFC 9112, section 3.2.1), spelt as apt
    /// would.
    #[must_use]
    pub fn origin_form(&self) -> String {
        let mut target = path::as_apt_sends(&self.path);
        if let Some(query) = &self.query {
            target.push('?');
            target.push_str(query);
        }
        target
    }

    /// The mirror's name in keys: its [`authority`](Self::authority), after `https://` if
    /// that is how it is asked. What somebody on the way can change in a plain answer is
    /// thus never taken for what the same host said over TLS.
    #[must_use]
    pub fn site(&self) -> String {
        match self.scheme {
            Scheme::Http => self.authority(),
            Scheme::Https => format!("https://{}", self.authority()),
        }
    }

    /// The `Host` to send: the port only if it is not the scheme's own, IPv6 addresses in
    /// brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        let host = &self.host;
        match self.port == self.scheme.port() {
            true => format!("{open}{host}{close}"),
            false => format!("{open}{host}{close}:{}", self.port),
        }
    }

    /// The same mirror, another file. `path` is canonical and begins with `/`.
    #[must_use]
    pub fn with_path(&self, path: impl Into<String>) -> Self {
        Self { path: path.into(), query: None, ..self.clone() }
    }

    /// `rest` is what stands behind `http://`, or behind the `/` of the prefix style.
    fn from_authority(scheme: Scheme, rest: &str) -> Result<Self, UrlError> {
        if scheme == Scheme::Http
            && let Some((name, rest)) = rest.split_once("///")
            && name.eq_ignore_ascii_case("https")
        {
            return Self::from_authority(Scheme::Https, rest);
        }
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        if query.is_some_and(|query| !query.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(UrlError::Query);
        }
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        let (host, port) = host_and_port(authority)?;
        let path = path::canonical(path.as_bytes()).map_err(UrlError::Path)?;
        // Printed, this would read as the spelling above.
        if scheme == Scheme::Http && host == "https" && path.starts_with("///") {
            return Err(UrlError::Host);
        }
        Ok(Self { scheme, host, port: port.unwrap_or(scheme.port()), path, query: query.map(str::to_owned) })
    }
}

impl fmt::Display for Upstream {
    /// An absolute URL with the canonical path; a key where a string is needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority(), self.path)?;
        match &self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

impl Scheme {
    /// The port if the URL gives none.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// RFC 3986, section 3.2, without user information.
fn host_and_port(authority: &str) -> Result<(String, Option<u16>), UrlError> {
    if authority.contains('@') {
        return Err(UrlError::UserInfo);
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or(UrlError::Host)?;
            let address: Ipv6Addr = address.parse().map_err(|_| UrlError::Host)?;
            let port = match after {
                "" => None,
                after => Some(after.strip_prefix(':').ok_or(UrlError::Host)?),
            };
            (address.to_string(), port)
        }
        None => {
            let (host, port) = match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            };
            (name_or_ipv4(host)?, port)
        }
    };
    Ok((host, port.map(parse_port).transpose()?))
}

fn name_or_ipv4(host: &str) -> Result<String, UrlError> {
    // RFC 1035, section 2.3.4: a name has at most 253 characters in text.
    const MAX_NAME: usize = 253;
    // "a.example." is "a.example" said with more force.
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if host.len() > MAX_NAME || !host.bytes().all(plain) || host.split('.').any(str::is_empty) {
        return Err(UrlError::Host);
    }
    // Resolvers read "127.1" and "2130706433" as addresses too: only the spelling that
    // nobody can mistake for a name is one.
    let numeric = host.rsplit('.').next().is_some_and(|label| {
        let hex = label.strip_prefix("0x").or(label.strip_prefix("0X"));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        digits(label) || hex.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
    });
    if numeric && host.parse::<IpAddr>().is_err() {
        return Err(UrlError::Host);
    }
    Ok(host.to_ascii_lowercase())
}

fn parse_port(port: &str) -> Result<u16, UrlError> {
    // `u16::from_str` takes a sign.
    match port.parse() {
        Ok(number) if number != 0 && !port.starts_with('+') => Ok(number),
        _ => Err(UrlError::Port),
    }
}

/// Why a target or URL cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// Neither an absolute URL nor a path.
    NotAbsolute,
    /// A scheme other than `http` and `https`.
    Scheme,
    /// A name and perhaps a password stand before the host.
    UserInfo,
    /// There is no host.
    NoHost,
    /// The host is neither a name of letters, digits, `-`, `_` and `.`, nor an address.
    Host,
    /// The port is not a number from 1 to 65535.
    Port,
    /// A `#`: fragments are never sent.
    Fragment,
    /// The query has a character that is not printable ASCII.
    Query,
    /// The path has no canonical spelling.
    Path(PathError),
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => {
                "neither http://host/path nor /host/path: use the proxy's address as \
                 Acquire::http::Proxy, or put it before the mirror's in the sources"
            }
            Self::Scheme => "the scheme is neither http nor https",
            Self::UserInfo => "user names and passwords in URLs are not passed on: remove them",
            Self::NoHost => "no host: a path here begins with the mirror's, as in /host/debian",
            Self::Host => "the host is neither a name nor an address",
            Self::Port => "the port is not a number from 1 to 65535",
            Self::Fragment => "\"#\" has no place in a request: send it as %23",
            Self::Query => "the query has a character that must be percent-encoded",
            Self::Path(error) => return error.fmt(f),
        })
    }
}

impl std::error::Error for UrlError {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use khashmir_testing::quickcheck;

    fn target(text: &str) -> (String, Style) {
        let target = Target::parse(text).unwrap();
        (target.upstream.to_string(), target.style)
    }

    #[test]
    fn both_styles_name_the_same_file() {
        let want = "http://mirror.example/debian/dists/sid/InRelease";
        for (text, style) in [
            ("http://mirror.example/debian/dists/sid/InRelease", Style::Proxy),
            ("HTTP://Mirror.Example:80/debian/dists/sid/InRelease", Style::Proxy),
            ("/mirror.example/debian/dists/sid/InRelease", Style::Prefix),
            ("/mirror.example.:80/debian/./dists/s%69d/InRelease", Style::Prefix),
        ] {
            assert_eq!(target(text), (want.to_owned(), style), "{text}");
        }
    }

    #[test]
    fn https_is_recognised_in_every_form() {
        let want = "https://mirror.example/debian/";
        for (text, style) in [
            ("http://HTTPS///mirror.example/debian/", Style::Proxy),
            ("/HTTPS///mirror.example/debian/", Style::Prefix),
            ("https://mirror.example:443/debian/", Style::Proxy),
        ] {
            assert_eq!(target(text), (want.to_owned(), style), "{text}");
        }
    }

    #[test]
    fn hosts_and_ports() {
        let upstream = |text| Upstream::parse(text).unwrap();
        let six = upstream("http://[0:0::1]:8080");
        assert_eq!((six.host.as_str(), six.port, six.path.as_str()), ("::1", 8080, "/"));
        assert_eq!(six.authority(), "[::1]:8080");
        assert_eq!(upstream("http://10.0.0.1:443/").authority(), "10.0.0.1:443");
        assert_eq!(upstream("http://a_b-c.example/").authority(), "a_b-c.example");
    }

    #[test]
    fn a_mirror_asked_over_tls_is_another_site() {
        let site = |text| Upstream::parse(text).unwrap().site();
        assert_eq!(site("http://m.example:80/x"), "m.example");
        assert_eq!(site("http://m.example:443/x"), "m.example:443");
        assert_eq!(site("http://HTTPS///m.example/x"), "https://m.example");
        assert_eq!(site("https://[::1]:8443/x"), "https://[::1]:8443");
    }

    #[test]
    fn a_tunnel_names_host_and_port() {
        for (target, want) in [
            ("M.example:443", "https://m.example/"),
            ("10.0.0.1:8443", "https://10.0.0.1:8443/"),
            ("[::1]:443", "https://[::1]/"),
        ] {
            assert_eq!(Upstream::parse_connect(target).unwrap().to_string(), want);
        }
        for (target, error) in [
            ("m.example", UrlError::Port),
            ("m.example:0", UrlError::Port),
            ("m.example:443/x", UrlError::Port),
            ("https://m.example:443", UrlError::Port),
            ("m.example/:443", UrlError::Host),
            ("u@m.example:443", UrlError::UserInfo),
            (":443", UrlError::NoHost),
        ] {
            assert_eq!(Upstream::parse_connect(target), Err(error), "{target}");
        }
    }

    #[test]
    fn the_query_is_kept_and_the_path_sent_as_apt_does() {
        let upstream = Upstream::parse("http://m/g++_1~2%41.deb?a=%2b/../b").unwrap();
        assert_eq!(upstream.path, "/g++_1~2A.deb");
        assert_eq!(upstream.origin_form(), "/g%2b%2b_1%7e2A.deb?a=%2b/../b");
    }

    #[test]
    fn a_sources_uri_behind_our_own_prefix_names_the_mirror() {
        let ours = Upstream::parse("http://127.0.0.1:9977/mirror.example:81/debian").unwrap();
        let behind = ours.behind_prefix().unwrap();
        assert_eq!(behind.to_string(), "http://mirror.example:81/debian");
        for (path, want) in
            [("[::1]:81/debian", "http://[::1]:81/debian"), ("HTTPS///[::1]", "https://[::1]/")]
        {
            let ours = Upstream::parse(&format!("http://127.0.0.1:9977/{path}")).unwrap();
            assert_eq!(ours.behind_prefix().unwrap().to_string(), want);
        }
        let ours = Upstream::parse("http://127.0.0.1:9977/HTTPS///m.example/debian").unwrap();
        assert_eq!(ours.behind_prefix().unwrap().to_string(), "https://m.example/debian");
    }

    #[test]
    fn what_cannot_be_fetched_is_refused_with_the_reason() {
        for (text, error) in [
            ("", UrlError::NotAbsolute),
            ("*", UrlError::NotAbsolute),
            ("ftp://m/x", UrlError::Scheme),
            ("/", UrlError::NoHost),
            ("http:///x", UrlError::NoHost),
            ("http://:80/x", UrlError::NoHost),
            ("http://user:word@m/x", UrlError::UserInfo),
            ("/user@m/x", UrlError::UserInfo),
            ("http://m:0/x", UrlError::Port),
            ("http://m:/x", UrlError::Port),
            ("http://m:+80/x", UrlError::Port),
            ("http://m:65536/x", UrlError::Port),
            ("http://[::1/x", UrlError::Host),
            ("http://[::1]80/x", UrlError::Host),
            ("http://a..b/x", UrlError::Host),
            ("http://HTTPS:80///m/x", UrlError::Host),
            ("http://HTTPS/.///m/x", UrlError::Host),
            ("http://a%2e/x", UrlError::Host),
            ("http://127.1/x", UrlError::Host),
            ("http://2130706433/x", UrlError::Host),
            ("http://0x7f000001/x", UrlError::Host),
            ("http://m/x#y", UrlError::Fragment),
            ("http://m/x?\u{e9}", UrlError::Query),
            ("http://m/../x", UrlError::Path(PathError::Parent)),
            ("/m/x%00", UrlError::Path(PathError::Control(2))),
        ] {
            assert_eq!(Target::parse(text), Err(error), "{text:?}");
        }
    }

    /// Of what random targets are made, so that many of them can be used.
    const PARTS: [&str; 24] = [
        "http://",
        "https://",
        "HTTPS///",
        "https",
        "/",
        "//",
        "/",
        ".",
        "..",
        "a",
        "M.example",
        ":80",
        ":443",
        ":8080",
        "[::1]",
        "127.0.0.1",
        "%2b",
        "+",
        "%7E",
        "%2f",
        "%2e",
        "?",
        "#",
        "@",
    ];

    fn assemble(choices: &[u8]) -> String {
        choices.iter().map(|&choice| PARTS[usize::from(choice) % PARTS.len()]).collect()
    }

    quickcheck! {
        fn a_parsed_target_parses_again_to_itself(choices: Vec<u8>) -> bool {
            ["http://a", "/a/", "http://", "/", ""].iter().all(|start| {
                match Target::parse(&format!("{start}{}", assemble(&choices))) {
                    Ok(Target { upstream, .. }) => {
                        let sent = format!("{}://{}{}", upstream.scheme, upstream.authority(), upstream.origin_form());
                        Upstream::parse(&upstream.to_string()).as_ref() == Ok(&upstream)
                            && Upstream::parse(&sent) == Ok(upstream)
                    }
                    Err(_) => true,
                }
            })
        }

        fn behind_the_prefix_is_what_the_prefix_style_means(choices: Vec<u8>) -> bool {
            let path = format!("/{}", assemble(&choices));
            let Ok(meant) = Target::parse(&path) else { return true };
            let Ok(ours) = Upstream::parse(&format!("http://127.0.0.1:9977{path}")) else { return true };
            ours.behind_prefix() == Ok(meant.upstream)
        }

        fn any_text_is_read_without_panic(text: String) -> bool {
            let _ = Target::parse(&text);
            let _ = Target::parse(&format!("http://{text}"));
            true
        }
    }
}
