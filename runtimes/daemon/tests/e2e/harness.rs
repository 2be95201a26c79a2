//! apt-get straight to the mirror. Where these fail, the harness is wrong, not the
//! daemon; they also say what the other stories may rely on.

use crate::apt::{Apt, Via};
use crate::archive::{Archive, NOTABLE, PIECE, SMALL, SOURCE, names, pool_path};
use crate::mirror::{Fault, Mirror};

fn direct() -> (Mirror, Apt) {
    let mirror = Mirror::serve(Archive::shared().www());
    let apt = Apt::new(mirror.address(), Via::Direct);
    (mirror, apt)
}

#[test]
fn packages_have_the_sizes_that_they_say() {
    let archive = Archive::shared();
    for package in NOTABLE.iter().chain(&SMALL) {
        assert_eq!(std::fs::metadata(archive.deb(package)).unwrap().len(), package.size, "{}", package.name);
    }
    let pieces = NOTABLE.iter().map(|package| package.size.div_ceil(PIECE)).collect::<Vec<_>>();
    assert_eq!(pieces, [1, 1, 3, 20, 80, 1]);
}

#[test]
fn apt_installs_from_the_mirror() {
    let (mirror, apt) = direct();
    apt.update().expect_success();
    apt.install(&names(&NOTABLE)).expect_success();
    apt.verify(&NOTABLE);
    apt.source(SOURCE).expect_success();
    for package in &NOTABLE {
        assert_eq!(mirror.sent(&pool_path(package)), package.size, "{}", package.name);
    }
    let escaped = mirror.requests("orbit-c++_1.0+b1~rc2_all.deb");
    assert_eq!(escaped.len(), 1);
    let by_hash = mirror.requests("/by-hash/SHA256/");
    assert_eq!(by_hash.len(), 2, "{by_hash:#?}");

    // Up to date, apt asks for nothing but the signed Release.
    let before = mirror.requests("").len();
    apt.update().expect_success();
    let after = mirror.requests("").split_off(before);
    assert_eq!(after.iter().map(|request| request.status).collect::<Vec<_>>(), [Some(304)]);
}

#[test]
fn apt_resumes_where_the_mirror_cut() {
    let (mirror, apt) = direct();
    let twenty = &NOTABLE[3..4];
    apt.update().expect_success();
    mirror.fault("orbit-twenty", 1, Fault::Cut(3_000_000));
    apt.install(&names(twenty)).expect_success();
    apt.verify(twenty);
    let requests = mirror.requests("orbit-twenty");
    assert_eq!(requests.iter().map(|request| request.status).collect::<Vec<_>>(), [Some(200), Some(206)]);
    assert_eq!(mirror.sent("orbit-twenty"), twenty[0].size);
}

#[test]
fn apt_fails_at_a_wrong_byte_a_503_and_a_wrong_length() {
    for (fault, complaint) in [
        (Fault::Alter, "Hash Sum mismatch"),
        (Fault::Status(503), "503"),
        (Fault::Promise(5), "unexpected size"),
    ] {
        let (mirror, apt) = direct();
        apt.update().expect_success();
        mirror.fault("orbit-one", 1, fault);
        let text = apt.install(&["orbit-one"]).expect_failure();
        assert!(text.contains(complaint), "{text}");
    }
}

#[test]
fn apt_has_a_pipeline_of_ten() {
    let (mirror, apt) = direct();
    apt.update().expect_success();
    let gate = mirror.withhold("/pool/", 1);
    let run = apt.start_install(&names(&SMALL));
    let seen = mirror.wait("/pool/", "ten requests outstanding", |requests| {
        requests.iter().any(|request| request.outstanding == 10)
    });
    assert!(seen.iter().all(|request| request.outstanding <= 10));
    gate.open();
    run.wait().expect_success();
    apt.verify(&SMALL);
}

#[test]
fn apt_cannot_install_when_the_mirror_is_down() {
    let (mirror, mut apt) = direct();
    apt.update().expect_success();
    mirror.stop();
    apt.option("Acquire::Retries=0");
    apt.install(&["orbit-one"]).expect_failure();
}
