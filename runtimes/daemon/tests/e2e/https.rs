//! Installing from a mirror that speaks https.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::apt::{Apt, Via};
use crate::archive::{Archive, NOTABLE, names, pool_path};
use crate::daemon::{Daemon, Machine};
use crate::mirror::Mirror;
use crate::tls::{Authority, front};

/// A mirror, TLS before it, and who vouches for that.
struct Setting {
    mirror: Mirror,
    tls: SocketAddr,
    authority: PathBuf,
    _folder: tempfile::TempDir,
}

impl Setting {
    fn new() -> Self {
        let mirror = Mirror::serve(Archive::shared().www());
        let authority = Authority::new("ours");
        let tls = front(mirror.address(), authority.vouch("127.0.0.1"));
        let folder = tempfile::tempdir().unwrap();
        Self { mirror, tls, authority: authority.write(folder.path()), _folder: folder }
    }

    fn machine(&self) -> Machine {
        Machine::new("127.0.0.1", self.tls, &[]).trusting(&self.authority)
    }

    fn apt(&self, via: Via) -> Apt {
        let mut apt = Apt::new(self.tls, via);
        apt.option(&format!("Acquire::https::CAInfo={}", self.authority.display()));
        apt
    }
}

fn total() -> u64 {
    NOTABLE.iter().map(|package| package.size).sum()
}

fn installs_once(setting: &Setting, daemon: &Daemon, vias: &[Via]) {
    for via in vias {
        let apt = setting.apt(*via);
        apt.update().expect_success();
        apt.install(&names(&NOTABLE)).expect_success();
        apt.verify(&NOTABLE);
        daemon.wait("/downloads/in_progress", |count| count == 0);
    }
    for package in &NOTABLE {
        assert_eq!(setting.mirror.sent(&pool_path(package)), package.size, "{}", package.name);
    }
}

#[test]
fn over_https_in_both_styles_and_kept() {
    let setting = Setting::new();
    let machine = setting.machine();
    let daemon = machine.start();
    installs_once(&setting, &daemon, &[Via::Https(daemon.proxy()), Via::HttpsPrefix(daemon.proxy())]);
    assert!(daemon.count("/apt/bytes_from_cache") >= total());
    daemon.stop();
}

#[test]
fn an_https_source_goes_through_a_tunnel() {
    let setting = Setting::new();
    let machine = setting.machine();
    let daemon = machine.start();
    installs_once(&setting, &daemon, &[Via::Tunnel(daemon.proxy())]);
    assert!(daemon.count("/apt/bytes_tunnelled") > total());
    assert_eq!(daemon.count("/downloads/completed"), 0, "what is in a tunnel is not ours to see");
    daemon.wait("/apt/tunnels", |count| count == 0);
}

#[test]
fn apt_says_why_a_mirror_is_not_trusted() {
    let setting = Setting::new();
    let machine = Machine::new("127.0.0.1", setting.tls, &[]);
    let daemon = machine.start();
    let apt = setting.apt(Via::Https(daemon.proxy()));
    let text = apt.update().expect_failure();
    assert!(text.contains("its authority is not known here") && text.contains("`ca_file`"), "{text}");
    assert!(setting.mirror.requests("").is_empty());
}

#[test]
fn apt_says_why_there_is_no_tunnel() {
    let setting = Setting::new();
    let elsewhere = SocketAddr::from(([127, 0, 0, 9], setting.tls.port()));
    let machine = Machine::new("127.0.0.1", elsewhere, &[]);
    let daemon = machine.start();
    let mut apt = setting.apt(Via::Tunnel(daemon.proxy()));
    apt.option("Acquire::Retries=0");
    let text = apt.update().expect_failure();
    assert!(text.contains("no tunnel to 127.0.0.1") && text.contains("`allowed_upstreams`"), "{text}");
    assert!(setting.mirror.requests("").is_empty());
}
