//! Release files, when the mirror cannot be reached or is slow.

use crate::apt::{Apt, Via};
use crate::archive::{Archive, NOTABLE, names};
use crate::daemon::{Daemon, Machine};
use crate::mirror::{Fault, Gate, Mirror};

fn setting() -> (Mirror, Machine) {
    let mirror = Mirror::serve(Archive::shared().www());
    let machine = Machine::new("127.0.0.1", mirror.address(), &[])
        .with("mirror", "kept_release_after_seconds = 1")
        .with("proxy", "drip_interval_seconds = 1");
    (mirror, machine)
}

/// What `khashmir status` says of Release files that it cannot ask for.
fn unconfirmed(daemon: &Daemon) -> Vec<String> {
    let status = daemon.status();
    let problems = status["problems"].as_array().unwrap().iter();
    let releases = problems.filter(|problem| problem["kind"] == "release");
    releases.map(|release| release["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn are_served_as_kept_while_the_mirror_cannot_be_reached() {
    let (mirror, machine) = setting();
    let daemon = machine.start();
    let apt = Apt::new(mirror.address(), Via::Proxy(daemon.proxy()));
    apt.update().expect_success();
    apt.install(&names(&NOTABLE[..1])).expect_success();
    daemon.wait("/downloads/in_progress", |count| count == 0);
    let url = format!("http://{}/debian/dists/stable/InRelease", mirror.address());
    let says = "served as it is kept";
    assert!(unconfirmed(&daemon).is_empty() && !daemon.output().contains(says));

    // It takes connections, and that is all.
    mirror.fault("", usize::MAX, Fault::Withhold(Gate::default()));
    let text = apt.update().expect_success();
    assert!(text.contains("Hit:1"), "{text}");
    assert_eq!(unconfirmed(&daemon), std::slice::from_ref(&url));
    let line = daemon.output().lines().find(|line| line.contains(says)).unwrap().to_owned();
    assert!(line.contains("WARN") && line.contains(&url), "{line}");

    // It is back, and then gone for good.
    mirror.forgive();
    apt.update().expect_success();
    assert!(unconfirmed(&daemon).is_empty());
    mirror.stop();
    let second = Apt::new(mirror.address(), Via::Proxy(daemon.proxy()));
    second.update().expect_success();
    assert_eq!(unconfirmed(&daemon), [url]);
    assert_eq!(daemon.count("/apt/releases_unconfirmed"), 2);
    // What is cached can be installed on a new machine.
    second.install(&names(&NOTABLE[..1])).expect_success();
    second.verify(&NOTABLE[..1]);
    assert_eq!(daemon.count("/apt/cut"), 0);
}

#[test]
fn that_come_slowly_keep_apt_waiting() {
    let (mirror, machine) = setting();
    let daemon = machine.start();
    let mut apt = Apt::new(mirror.address(), Via::Proxy(daemon.proxy()));
    for option in ["Acquire::Retries=0", "Acquire::http::Timeout=3"] {
        apt.option(option);
    }
    let release = Archive::shared().www().join("debian/dists/stable/InRelease");
    let len = release.metadata().unwrap().len();
    mirror.fault("InRelease", usize::MAX, Fault::Rate(len / 8));
    apt.update().expect_success();
    assert_eq!((daemon.count("/apt/cut"), mirror.requests("InRelease").len()), (0, 1));
}
