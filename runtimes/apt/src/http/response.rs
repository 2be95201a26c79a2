//! The head of a response (RFC 9112, section 4).

use std::fmt::Display;
use std::io::Write as _;
use std::ops::Range;

use httpdate::HttpDate;

/// Writes a head, line by line, at the end of a buffer.
///
/// What was written so far may be sent before the head is finished: a client waits for
/// the empty line that only [`finish`](Self::finish) writes.
///
/// Nothing in a name or value can end its line: CR, LF and NUL are written as spaces
/// (RFC 9110, section 5.5), so that a mirror cannot add lines to our answers.
#[derive(Debug)]
#[must_use = "a head without its empty line keeps the client waiting"]
pub struct ResponseHead<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> ResponseHead<'a> {
    /// Writes the status line. `status` has three digits; the reason is
    /// [`reason_phrase`]'s.
    pub fn new(out: &'a mut Vec<u8>, status: u16) -> Self {
        Self::with_reason(out, status, reason_phrase(status))
    }

    /// As [`new`](Self::new), with a reason that says more than the usual one: apt shows
    /// it to its user. Only its first 300 bytes are sent, since apt has room for 359, and
    /// what is not printable ASCII as `?` (RFC 9112, section 4, leaves its meaning open).
    pub fn with_reason(out: &'a mut Vec<u8>, status: u16, reason: &str) -> Self {
        const MAX_REASON: usize = 300;
        let start = out.len();
        // Writing into memory does not fail.
        let _ = write!(out, "HTTP/1.1 {status:03} ");
        let printable = |byte| if matches!(byte, b' '..=b'~') { byte } else { b'?' };
        out.extend(reason.bytes().take(MAX_REASON).map(printable));
        end_line(out, start);
        Self { out }
    }

    /// Goes on with a head of which the lines so far are written elsewhere.
    pub fn resume(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Writes any header field.
    pub fn header(mut self, name: &str, value: impl Display) -> Self {
        self.line(format_args!("{name}: {value}"));
        self
    }

    /// Writes a header field whose value need not be text, as a mirror sent it.
    pub fn header_bytes(self, name: &str, value: &[u8]) -> Self {
        let start = self.out.len();
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        self.out.extend_from_slice(value);
        end_line(self.out, start);
        self
    }

    /// Writes `Content-Length`, in bytes of the body that follows (or, in answer to
    /// `HEAD`, would follow).
    pub fn content_length(self, len: u64) -> Self {
        self.header("Content-Length", len)
    }

    /// Writes `Content-Range` of a 206. `bytes` is not empty, `len` that of the file.
    pub fn content_range(self, bytes: &Range<u64>, len: u64) -> Self {
        let last = bytes.end.saturating_sub(1);
        self.header("Content-Range", format_args!("bytes {}-{last}/{len}", bytes.start))
    }

    /// Writes `Content-Range` of a 416. apt takes it as "you have all of it" if `len` is
    /// what it has.
    pub fn unsatisfied_range(self, len: u64) -> Self {
        self.header("Content-Range", format_args!("bytes */{len}"))
    }

    /// Writes `Last-Modified`.
    pub fn last_modified(self, date: HttpDate) -> Self {
        self.header("Last-Modified", date)
    }

    /// Writes `Connection: close`.
    pub fn close(self) -> Self {
        self.header("Connection", "close")
    }

    /// Writes the empty line: the body may follow.
    pub fn finish(self) {
        self.out.extend_from_slice(b"\r\n");
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let start = self.out.len();
        // Writing into memory fails only if the value's own `Display` does.
        let _ = self.out.write_fmt(line);
        end_line(self.out, start);
    }
}

fn end_line(out: &mut Vec<u8>, start: usize) {
    for byte in &mut out[start..] {
        if matches!(byte, b'\r' | b'\n' | 0) {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The usual words for a status (RFC 9110, section 15), or nothing, which is allowed.
#[must_use]
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        501 => "Not Implemented",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use khashmir_testing::quickcheck;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn heads_are_written_exactly() {
        let date: HttpDate = "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap();
        let text = written(|out| {
            let head = ResponseHead::new(out, 416).unsatisfied_range(7).content_length(0);
            head.last_modified(date).close().finish();
        });
        assert_eq!(
            text,
            "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */7\r\n\
             Content-Length: 0\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Connection: close\r\n\r\n"
        );
        assert_eq!(written(|out| ResponseHead::new(out, 499).finish()), "HTTP/1.1 499 \r\n\r\n");
    }

    #[test]
    fn a_reason_is_one_short_line() {
        let text = |reason: &str| written(|out| ResponseHead::with_reason(out, 403, reason).finish());
        assert_eq!(text("so\r\nX: \u{7f}"), "HTTP/1.1 403 so??X: ?\r\n\r\n");
        assert_eq!(text(&"x".repeat(400)).len(), "HTTP/1.1 403 \r\n\r\n".len() + 300);
    }

    #[test]
    fn a_head_may_be_sent_in_parts() {
        let text = written(|out| {
            let _ = ResponseHead::new(out, 200).content_length(3);
            out.extend_from_slice(b"X-Wait: ..\r\n");
            ResponseHead::resume(out).header("A", 1).finish();
        });
        assert_eq!(text, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Wait: ..\r\nA: 1\r\n\r\n");
    }

    quickcheck! {
        fn no_value_ends_the_head(value: Vec<u8>) -> bool {
            let mut value = value;
            value.extend_from_slice(b"\r\n\r\nX: y\0");
            let mut out = Vec::new();
            ResponseHead::new(&mut out, 200).header_bytes("A", &value).finish();
            let mut fields = [httparse::EMPTY_HEADER; 2];
            let mut response = httparse::Response::new(&mut fields);
            match response.parse(&out) {
                Ok(httparse::Status::Complete(len)) => len == out.len() && response.headers.len() == 1,
                Ok(httparse::Status::Partial) => false,
                // Other control characters are not for us to mend; clients refuse them.
                Err(_) => out.iter().filter(|&&b| b == b'\n').count() == 3,
            }
        }
    }
}
