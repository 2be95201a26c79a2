//! What a person is told once the daemon is ready.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::config::HostPort;

/// What the daemon says of itself when it is ready, as text of a few lines.
///
/// The second is for programs too: `listening: proxy ADDRESS, peers ADDRESS`.
#[derive(Debug)]
pub struct Greeting<'a> {
    /// Where apt reaches it.
    pub proxy: SocketAddr,
    /// Where other machines reach it.
    pub peers: SocketAddr,
    /// Where it keeps its data.
    pub data_dir: &'a Path,
    /// The nodes that it was told to join by.
    pub bootstrap: &'a [HostPort],
    /// How many nodes it knows from its last run.
    pub restored_contacts: usize,
}

impl fmt::Display for Greeting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reached = self.proxy;
        if reached.ip().is_unspecified() {
            reached.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        writeln!(f, "khashmir {}", env!("CARGO_PKG_VERSION"))?;
        writeln!(f, "listening: proxy {}, peers {}", self.proxy, self.peers)?;
        writeln!(f, "data: {}", self.data_dir.display())?;
        writeln!(f, "{}", self.others())?;
        writeln!(f, "to point apt at it:")?;
        writeln!(
            f,
            "  echo 'Acquire::http::Proxy \"http://{reached}\";' | sudo tee /etc/apt/apt.conf.d/00khashmir"
        )
    }
}

impl Greeting<'_> {
    fn others(&self) -> String {
        let bootstrap: Vec<String> = self.bootstrap.iter().map(HostPort::to_string).collect();
        let bootstrap = bootstrap.join(", ");
        let nodes = match self.restored_contacts {
            1 => "1 node".to_owned(),
            several => format!("{several} nodes"),
        };
        match (self.bootstrap, self.restored_contacts) {
            ([], 0) => "no other node is known yet; name one with --bootstrap HOST:PORT".to_owned(),
            ([], _) => format!("joining others by way of {nodes} known from the last run"),
            (_, 0) => format!("joining others by way of {bootstrap}"),
            _ => format!("joining others by way of {bootstrap}, and of {nodes} known from the last run"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn greeting(proxy: &str, bootstrap: &[&str], restored_contacts: usize) -> String {
        let bootstrap: Vec<HostPort> = bootstrap.iter().map(|name| name.parse().unwrap()).collect();
        let greeting = Greeting {
            proxy: proxy.parse().unwrap(),
            peers: "[::]:9978".parse().unwrap(),
            data_dir: Path::new("/d"),
            bootstrap: &bootstrap,
            restored_contacts,
        };
        greeting.to_string()
    }

    #[test]
    fn it_says_what_to_do_next() {
        let text = greeting("127.0.0.1:9977", &[], 0);
        assert!(text.contains("listening: proxy 127.0.0.1:9977, peers [::]:9978\n"), "{text}");
        assert!(
            text.contains("echo 'Acquire::http::Proxy \"http://127.0.0.1:9977\";' | sudo tee /etc/apt/apt.conf.d/00khashmir"),
            "{text}"
        );
        let text = greeting("0.0.0.0:9977", &[], 0);
        assert!(text.contains("\"http://127.0.0.1:9977\""), "{text}");
    }

    #[test]
    fn it_asks_for_a_node_only_if_none_is_known() {
        let text = greeting("127.0.0.1:9977", &[], 0);
        assert!(text.contains("no other node is known yet; name one with --bootstrap HOST:PORT\n"), "{text}");
        for (bootstrap, restored, known) in [
            (&["a.example:1", "b.example:2"][..], 0, "by way of a.example:1, b.example:2\n"),
            (&[], 1, "by way of 1 node known from the last run\n"),
            (&["a.example:1"], 12, "by way of a.example:1, and of 12 nodes known from the last run\n"),
        ] {
            let text = greeting("127.0.0.1:9977", bootstrap, restored);
            assert!(text.contains(known) && !text.contains("--bootstrap"), "{text}");
        }
    }
}
