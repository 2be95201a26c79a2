//! A client that says exactly what it is told, and reads answers strictly.

use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// No answer takes longer.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// A connection to the proxy.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// An answer, read to its end.
#[derive(PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// What stands behind it in the first line.
    pub reason: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, reason, headers, body } = self;
        write!(f, "{status} {reason}, {headers:?} and {} bytes", body.len())
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body, if the status is 200 and the length was told.
    #[track_caller]
    pub fn ok(self) -> Vec<u8> {
        assert_eq!(self.status, 200, "{:?}", self.headers);
        assert_eq!(self.header("content-length"), Some(self.body.len().to_string().as_str()));
        self.body
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// A connection from this address of the machine, any port.
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&socket, &SocketAddr::new(source, 0)).unwrap();
        connect(&socket, &address).unwrap();
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Sends a GET with these further header lines.
    pub fn ask(&mut self, url: &str, headers: &[&str]) {
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        self.send(&format!("GET {url} HTTP/1.1\r\nHost: mirror\r\n{headers}\r\n"));
    }

    /// Asks and reads the answer.
    pub fn get(&mut self, url: &str, headers: &[&str]) -> Answer {
        self.ask(url, headers);
        self.read().expect("an answer, not a cut")
    }

    /// Reads one answer to a GET; `None` if the connection is cut before its end.
    pub fn read(&mut self) -> Option<Answer> {
        let (line, headers) = self.read_lines()?;
        let (status, reason) = (line[9..12].parse().unwrap(), line[13..].to_owned());
        let find = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let mut body = Vec::new();
        if status == 304 {
        } else if let Some(len) = find("content-length") {
            body.resize(len.parse().unwrap(), 0);
            self.stream.read_exact(&mut body).ok()?;
        } else if find("transfer-encoding").as_deref() == Some("chunked") {
            loop {
                let len = usize::from_str_radix(&self.line()?, 16).unwrap();
                let start = body.len();
                body.resize(start + len, 0);
                self.stream.read_exact(&mut body[start..]).ok()?;
                assert_eq!(self.line()?, "");
                if len == 0 {
                    break;
                }
            }
        } else {
            self.stream.read_to_end(&mut body).ok()?;
        }
        Some(Answer { status, reason, headers, body })
    }

    /// Reads a head; `None` if the connection is cut in it.
    pub fn read_head(&mut self) -> Option<(u16, Vec<(String, String)>)> {
        let (line, headers) = self.read_lines()?;
        Some((line[9..12].parse().unwrap(), headers))
    }

    fn read_lines(&mut self) -> Option<(String, Vec<(String, String)>)> {
        let first = self.line()?;
        assert!(first.starts_with("HTTP/1.1 "), "{first:?}");
        assert!((200..500).contains(&first[9..12].parse().unwrap()), "apt takes no {first}");
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some((first, headers));
            }
            let (name, value) = line.split_once(':').unwrap();
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Reads a line without its end; `None` if the connection ends first.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(_) => Some(line.strip_suffix("\r\n")?.to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// Reads this many bytes; `None` if the connection ends first.
    pub fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    /// What the tunnel that was opened leads to. Nothing may have come through it yet.
    pub fn into_stream(self) -> TcpStream {
        assert!(self.stream.buffer().is_empty());
        self.stream.into_inner()
    }

    /// Whether the connection ends now.
    pub fn is_at_end(&mut self) -> bool {
        matches!(self.stream.fill_buf(), Ok([]) | Err(_))
    }
}
