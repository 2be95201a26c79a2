//! What apt would do: fetch a file, go on after a cut, and fail for good on anything else.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// apt gives up after so much silence.
const SILENCE: Duration = Duration::from_secs(30);
/// `Acquire::Retries`.
const RETRIES: usize = 3;

/// Why apt would not have the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was cut off so often that apt gave up, or nobody listens.
    Cut,
    /// An answer after which apt asks no more.
    Fatal(String),
}

/// Fetches a file through a proxy.
pub fn fetch(proxy: SocketAddr, url: &str) -> Result<Vec<u8>, Failure> {
    let (mut partial, mut date) = (Vec::new(), None);
    for _ in 0..=RETRIES {
        if attempt(proxy, url, &mut partial, &mut date)? {
            return Ok(partial);
        }
    }
    Err(Failure::Cut)
}

/// One attempt, after what is there already; false if it was cut off.
fn attempt(
    proxy: SocketAddr,
    url: &str,
    partial: &mut Vec<u8>,
    date: &mut Option<String>,
) -> Result<bool, Failure> {
    let fatal = |text: String| Err(Failure::Fatal(text));
    let Ok(mut stream) = TcpStream::connect(proxy) else { return Ok(false) };
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let resume = match (partial.len(), &date) {
        (1.., Some(date)) => format!("Range: bytes={}-\r\nIf-Range: {date}\r\n", partial.len()),
        _ => String::new(),
    };
    let request = format!("GET {url} HTTP/1.1\r\nHost: mirror\r\n{resume}\r\n");
    if stream.write_all(request.as_bytes()).is_err() {
        return Ok(false);
    }
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(_) if line == "\r\n" => break,
            Ok(_) if line.ends_with("\r\n") => lines.push(line.trim_end().to_owned()),
            _ => return Ok(false),
        }
    }
    let header = |name: &str| {
        lines.iter().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    match lines.first().and_then(|line| line.get(9..12)) {
        Some("206") if !resume.is_empty() => {}
        Some("200") => partial.clear(),
        _ => return fatal(format!("{lines:?}")),
    }
    *date = header("last-modified");
    let Some(len) = header("content-length").and_then(|len| len.parse::<usize>().ok()) else {
        return fatal(format!("no length: {lines:?}"));
    };
    let mut left = len;
    let mut chunk = vec![0; 1 << 16];
    while left > 0 {
        let most = left.min(chunk.len());
        match reader.read(&mut chunk[..most]) {
            Ok(read @ 1..) => {
                partial.extend_from_slice(&chunk[..read]);
                left -= read;
            }
            _ => return Ok(false),
        }
    }
    Ok(true)
}
