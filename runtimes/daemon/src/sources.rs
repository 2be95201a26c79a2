//! The machine's own apt sources, and which hosts may be dialled because of
//! them.

use std::net::IpAddr;

/// Which mirrors the daemon may connect to: those that the machine's apt
/// sources name and those that the configuration lists, wherever they are;
/// all others at public addresses only.
#[derive(Debug)]
pub struct Sources {}

impl Sources {
    /// Whether to connect to `host` (a name in lower case, or an address
    /// without brackets) at `port`, now that it resolved to `resolved`.
    pub fn may_dial(&self, host: &str, port: u16, resolved: IpAddr) -> bool {
        let _ = (host, port, resolved);
        true
    }
}
