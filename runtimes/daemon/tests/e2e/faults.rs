//! Installing through one daemon, when something goes wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::apt::{Apt, Via};
use crate::archive::{Archive, NOTABLE, Package, SMALL, architecture, names, pool_path};
use crate::daemon::Machine;
use crate::mirror::{Fault, Mirror};

const TWENTY: &[Package] = NOTABLE.split_at(3).1.split_at(1).0;
const EIGHTY: &[Package] = NOTABLE.split_at(4).1.split_at(1).0;

fn setting() -> (Mirror, Machine) {
    let mirror = Mirror::serve(Archive::shared().www());
    let machine = Machine::new("127.0.0.1", mirror.address(), &[]);
    (mirror, machine)
}

#[test]
fn an_interrupted_apt_resumes() {
    let (mirror, machine) = setting();
    let daemon = machine.start();
    let apt = Apt::new(mirror.address(), Via::Proxy(daemon.proxy()));
    apt.update().expect_success();

    mirror.fault("orbit-eighty", usize::MAX, Fault::Rate(30_000_000));
    let run = apt.start_install(&names(EIGHTY));
    let began = Instant::now();
    while apt.partial(&EIGHTY[0]) < 5_000_000 {
        assert!(began.elapsed() < Duration::from_secs(30), "nothing arrives while the mirror sends");
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill();
    let partial = apt.partial(&EIGHTY[0]);
    assert!(partial < EIGHTY[0].size, "interrupted too late");
    let text = apt.install(&names(EIGHTY)).expect_success();
    assert!(!text.contains("Ign:"), "{text}");
    apt.verify(EIGHTY);
    assert_eq!(
        mirror.sent("orbit-eighty"),
        EIGHTY[0].size,
        "the daemon went on alone, and asked for nothing twice"
    );
    let left = daemon.count("/apt/bytes_from_cache") + daemon.count("/apt/bytes_from_mirror");
    assert!(left < 2 * EIGHTY[0].size, "apt was sent the whole file again");
}

#[test]
fn a_cut_at_the_mirror_is_not_seen_by_apt() {
    let (mirror, machine) = setting();
    let daemon = machine.start();
    let mut apt = Apt::new(mirror.address(), Via::Proxy(daemon.proxy()));
    apt.update().expect_success();
    mirror.fault("orbit-twenty", 2, Fault::Cut(3_000_000));
    apt.option("Acquire::Retries=0");
    apt.install(&names(TWENTY)).expect_success();
    apt.verify(TWENTY);
    assert_eq!(mirror.sent("orbit-twenty"), TWENTY[0].size, "resumed, not begun again");
}

#[test]
fn what_is_transient_at_the_mirror_does_not_fail_apt() {
    let (mirror, machine) = setting();
    let daemon = machine.start();
    let mut apt = Apt::new(mirror.address(), Via::Proxy(daemon.proxy()));
    apt.option("Acquire::Retries=0");
    mirror.fault("InRelease", 1, Fault::Status(503));
    apt.update().expect_success();
    mirror.fault("orbit-one", 1, Fault::Status(503));
    mirror.fault("orbit-three", 1, Fault::Status(429));
    mirror.fault("orbit-exact", 1, Fault::Silence);
    let wanted = ["orbit-one", "orbit-exact", "orbit-three"];
    apt.install(&wanted).expect_success();
    apt.verify(&NOTABLE[..3]);
    for name in wanted {
        assert_eq!(mirror.requests(name).len(), 2, "{name}: one failure, one success");
    }
    // apt would reconnect once by itself, whatever it is told about retries.
    assert_eq!(daemon.count("/apt/cut"), 0, "{:#}", daemon.status());
}

#[test]
fn a_package_that_the_mirror_has_not_is_apts_to_report() {
    let (mirror, machine) = setting();
    let daemon = machine.start();
    let apt = Apt::new(mirror.address(), Via::Proxy(daemon.proxy()));
    apt.update().expect_success();
    mirror.fault("orbit-one", usize::MAX, Fault::Status(404));
    let text = apt.install(&["orbit-one"]).expect_failure();
    assert!(text.contains("404"), "{text}");
}

#[test]
fn a_wrong_byte_of_the_mirror_is_not_kept() {
    let (mirror, machine) = setting();
    let daemon = machine.start();
    let apt = Apt::new(mirror.address(), Via::Proxy(daemon.proxy()));
    apt.update().expect_success();
    mirror.fault("orbit-twenty", 1, Fault::Alter);
    let text = apt.install(&names(TWENTY)).expect_failure();
    assert!(text.contains("Hash Sum mismatch"), "{text}");
    apt.forget_debs();
    apt.install(&names(TWENTY)).expect_success();
    apt.verify(TWENTY);
}

#[test]
fn a_wrong_length_of_the_mirror_costs_a_try() {
    let (mirror, machine) = setting();
    let daemon = machine.start();
    let apt = Apt::new(mirror.address(), Via::Proxy(daemon.proxy()));
    apt.update().expect_success();
    // Straight from the mirror, apt would give up at once.
    mirror.fault("orbit-one", 1, Fault::Promise(5));
    apt.install(&["orbit-one"]).expect_success();
    apt.verify(&NOTABLE[..1]);
}

#[test]
fn apt_outlives_a_daemon_that_is_killed_and_started_again() {
    let (mirror, machine) = setting();
    let daemon = machine.start();
    let apt = Apt::new(mirror.address(), Via::Proxy(daemon.proxy()));
    apt.update().expect_success();
    mirror.fault("orbit-eighty", 1, Fault::Rate(5_000_000));
    let run = apt.start_install(&names(EIGHTY));
    mirror.wait("orbit-eighty", "a megabyte flow", |requests| {
        requests.iter().any(|request| request.sent > 1_000_000)
    });
    daemon.kill();
    let _daemon = machine.start();
    run.wait().expect_success();
    apt.verify(EIGHTY);
}

/// The index that the mirror serves lists two packages' hashes in place of each
/// other, and so does the pool hold them. Nothing but the signed Release tells.
#[test]
fn an_altered_index_is_passed_on_but_teaches_no_hash() {
    let (mirror, machine) = setting();
    let daemon = machine.start();
    let apt = Apt::with_suite(mirror.address(), Via::Proxy(daemon.proxy()), "plain");
    let www = Archive::shared().www();
    let index = format!("dists/plain/main/binary-{}/Packages", architecture());
    let honest = std::fs::read_to_string(www.join("debian").join(&index)).unwrap();
    let [one, other] = [&SMALL[0], &SMALL[1]];
    let altered = swap_hashes(&honest, one, other);
    assert_eq!(altered.len(), honest.len());
    mirror.fault("/binary-", usize::MAX, Fault::Replace(Arc::from(altered.into_bytes())));
    let bytes = std::fs::read(Archive::shared().deb(other)).unwrap();
    mirror.fault(&pool_path(one), usize::MAX, Fault::Replace(Arc::from(bytes.clone())));

    let text = apt.update().expect_failure();
    assert!(text.contains("Hash Sum mismatch"), "{text}");
    // Had the daemon learnt the hash, the second of these would be out of its cache.
    for times in 1..=2 {
        assert!(apt.download(&pool_path(one)) == bytes, "passed on as the mirror has it");
        assert_eq!(mirror.requests(&pool_path(one)).len(), times);
    }

    // The mirror is honest again: what the index teaches is used.
    mirror.forgive();
    apt.update().expect_success();
    let before = mirror.requests(&pool_path(one)).len();
    apt.install(&[one.name]).expect_success();
    apt.verify(&SMALL[..1]);
    apt.forget_debs();
    apt.install(&[one.name]).expect_success();
    assert_eq!(mirror.requests(&pool_path(one)).len(), before + 1);
}

fn swap_hashes(index: &str, one: &Package, other: &Package) -> String {
    let hash = |package: &Package| {
        let paragraph =
            index.split("\n\n").find(|text| text.contains(&format!("Package: {}\n", package.name)));
        let line = paragraph.unwrap().lines().find_map(|line| line.strip_prefix("SHA256: "));
        line.unwrap().to_owned()
    };
    let (first, second) = (hash(one), hash(other));
    assert_ne!(first, second);
    index.replace(&first, "HELD").replace(&second, &first).replace("HELD", &second)
}

#[test]
fn the_cache_is_there_after_a_kill() {
    let (mirror, machine) = setting();
    let daemon = machine.start();
    let apt = Apt::new(mirror.address(), Via::Proxy(daemon.proxy()));
    apt.update().expect_success();
    let wanted = ["orbit-one", "orbit-three", "orbit-twenty"];
    apt.install(&wanted).expect_success();
    // Bytes reach apt before they are synced: wait until the daemon has them all.
    daemon.wait("/downloads/in_progress", |count| count == 0);
    // One more is on its way when the power goes.
    mirror.fault("orbit-eighty", 1, Fault::Rate(2_000_000));
    let run = apt.start_install(&names(EIGHTY));
    mirror.wait("orbit-eighty", "a megabyte flow", |requests| {
        requests.iter().any(|request| request.sent > 1_000_000)
    });
    daemon.kill();
    run.kill();

    let daemon = machine.start();
    apt.forget_debs();
    let before = mirror.requests("/pool/").len();
    apt.install(&wanted).expect_success();
    for index in [0, 2, 3] {
        apt.verify(&NOTABLE[index..=index]);
    }
    assert_eq!(mirror.requests("/pool/").len(), before, "the mirror was asked for what is cached");
    apt.install(&names(EIGHTY)).expect_success();
    apt.verify(EIGHTY);
    daemon.stop();
}

#[test]
fn cached_packages_install_while_the_mirror_is_down() {
    let (mirror, machine) = setting();
    let daemon = machine.start();
    let apt = Apt::new(mirror.address(), Via::Prefix(daemon.proxy()));
    apt.update().expect_success();
    apt.install(&names(&NOTABLE)).expect_success();
    daemon.wait("/downloads/in_progress", |count| count == 0);
    mirror.stop();
    apt.forget_debs();
    apt.install(&names(&NOTABLE)).expect_success();
    apt.verify(&NOTABLE);
}
