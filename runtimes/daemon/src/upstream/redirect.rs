//! Where a redirect leads.

use http::header::LOCATION;
use khashmir_apt::url::{Scheme, Upstream};

use super::{Fault, Response};

/// The target that a redirect names; `None` for every other response, which then passes as
/// it is.
///
/// # Errors
/// [`Fault::Refused`] if it leads away from TLS: who asks for https wants no less, and apt
/// itself does not follow such a one either.
pub(super) fn next(from: &Upstream, response: &Response) -> Result<Option<Upstream>, Fault> {
    if !matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers.get(LOCATION).and_then(|location| location.to_str().ok());
    let target = location.and_then(|location| resolve(from, location.trim()));
    match target {
        Some(to) if from.scheme == Scheme::Https && to.scheme == Scheme::Http => {
            Err(Fault::Refused(format!("{} redirects to {}, which is not https", from.site(), to.site())))
        }
        target => Ok(target),
    }
}

/// Resolves a reference against `from` (RFC 3986, section 5).
fn resolve(from: &Upstream, location: &str) -> Option<Upstream> {
    let location = location.split('#').next().unwrap_or_default();
    // A colon before any slash ends a scheme.
    let has_scheme = location.split('/').next().is_some_and(|first| first.contains(':'));
    let absolute = if has_scheme {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{}:{location}", from.scheme)
    } else if location.is_empty() {
        return None;
    } else {
        let folder = match location.starts_with('/') {
            true => "",
            false => from.path.rfind('/').and_then(|slash| from.path.get(..=slash))?,
        };
        format!("{}://{}{folder}{location}", from.scheme, from.authority())
    };
    Upstream::parse(&absolute).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn from() -> Upstream {
        Upstream::parse("http://a.example:8080/debian/pool/x.deb?q").unwrap()
    }

    #[track_caller]
    fn leads_to(location: &str, expected: &str) {
        assert_eq!(resolve(&from(), location).unwrap().to_string(), expected);
    }

    #[test]
    fn references_resolve_against_the_request() {
        leads_to("http://B.example/y", "http://b.example/y");
        leads_to("HTTP://b.example:81", "http://b.example:81/");
        leads_to("//b.example/y#part", "http://b.example/y");
        leads_to("/y?z", "http://a.example:8080/y?z");
        leads_to("y", "http://a.example:8080/debian/pool/y");
        leads_to("http://[::1]:9/y", "http://[::1]:9/y");
        leads_to("https://b.example/y", "https://b.example/y");
    }

    #[test]
    fn what_is_not_http_is_not_followed() {
        for location in ["ftp:y", "", "http://", "http://u@b.example/"] {
            assert_eq!(resolve(&from(), location), None, "{location}");
        }
    }
}
