//! A machine as a peer, measured by the kit that measures any.

use std::sync::Arc;
use std::time::Duration;

use khashmir_apt::Sha256;
use khashmir_conformance::check::{Runner, Selection};
use khashmir_conformance::peer::{Target, checks};
use khashmir_conformance::report::Status;

use super::archive::{Archive, content};
use super::machine::Setup;
use super::mirror::Mirror;

#[test]
fn it_passes_every_check_for_peers() {
    // The hash has both a byte that is a space and one that need not be escaped.
    let shows_all = |content: &Vec<u8>| [b' ', b'/'].iter().all(|byte| Sha256::of(content).0.contains(byte));
    let package = (1..).map(|seed| content(seed, 1_048_676)).find(shows_all).unwrap();
    let archive = Archive::of(&[("p.deb", &package)]);
    let mirror = Mirror::of(&archive, |_| None);
    let machine = Setup::at("127.0.0.1").start(&mirror);
    let other = Setup::at("127.0.0.2").joining(&machine).start(&mirror);
    machine.update(&mirror, &archive);
    machine.install(&mirror, "p.deb");
    // Its piece hashes are there, too.
    machine.wait_announced(2);

    let target = Target::new(machine.peers(), &Sha256::of(&package).0, Duration::from_secs(10)).unwrap();
    let runner = Runner {
        selection: Selection::default(),
        jobs: 4,
        timeout: Duration::from_secs(45),
        dialect_2008: false,
    };
    let reports = runner.run(&checks(), &Arc::new(target), |_| {});
    let not_passed: Vec<_> = reports
        .iter()
        .filter(|report| report.status != Status::Passed)
        .map(|report| (report.name, report.level, &report.failure, &report.reason))
        .collect();
    assert!(not_passed.is_empty(), "{not_passed:#?}");
    drop(other);
}
