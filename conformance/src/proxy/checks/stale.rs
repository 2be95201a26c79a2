//! An archive that changes: what is new has to be seen, or apt finds hashes that do not fit.

use std::thread;
use std::time::{Duration, Instant};

use super::{Rows, recommended, required};
use crate::check::Outcome;
use crate::http::judge::whole;
use crate::proxy::Target;
use crate::proxy::reply::{Doc, NEW, OLD};
use crate::proxy::scene::DEB;
use crate::proxy::suite::{PACKAGES, RELEASE, Suite, noise};

pub(super) const CHECKS: Rows = &[
    required(
        "stale/index-by-name",
        "RFC 9111, section 5.2.1.1",
        "`max-age=0`: nothing older is wanted",
        index_by_name,
    ),
    required(
        "stale/new-deb",
        "APT.md, section 4",
        "the second update asks with `If-Modified-Since`",
        new_deb,
    ),
    required(
        "stale/older-date",
        "RFC 9110, section 8.8.2",
        "another date is another version, also an older one",
        older_date,
    ),
    recommended("stale/rebuilt", "APT.md, section 3", "one wrong byte is fatal", rebuilt),
];

/// How long a proxy may take to know what it was told.
const MOMENT: Duration = Duration::from_secs(2);

fn index_by_name(target: &Target) -> Outcome {
    let scene = target.scene();
    for (content, date) in [(noise(1_400, 1_000), OLD), (noise(1_401, 1_000), NEW)] {
        let suite = Suite::of(&[(DEB, &content)], date);
        scene.publish(&suite, date);
        whole(&scene.get(RELEASE, &[])?, &suite.release)?;
        whole(&scene.get(PACKAGES, &[])?, &suite.packages)?;
    }
    Ok(())
}

fn new_deb(target: &Target) -> Outcome {
    let (scene, first, second) = (target.scene(), noise(1_402, 5_000), noise(1_403, 6_000));
    let newer = "pool/main/o/orbit/orbit_1.1_all.deb";
    let before = Suite::of(&[(DEB, &first)], OLD);
    scene.serve(DEB, &Doc::new(first.clone()));
    scene.publish(&before, OLD);
    scene.update(&before)?;
    whole(&scene.get(DEB, &[])?, &first)?;
    let after = Suite::of(&[(newer, &second)], NEW);
    scene.serve(newer, &Doc::new(second.clone()));
    scene.publish(&after, NEW);
    scene.update(&after)?;
    whole(&scene.get(newer, &[])?, &second)
}

/// Another server of the same name, whose files were written before.
fn older_date(target: &Target) -> Outcome {
    let scene = target.scene();
    let (one, other) = (Suite::of(&[], NEW), Suite::of(&[(DEB, b"x")], NEW));
    scene.serve(RELEASE, &Doc::new(one.release.clone()).modified(NEW));
    whole(&scene.get(RELEASE, &[])?, &one.release)?;
    scene.serve(RELEASE, &Doc::new(other.release.clone()).modified(OLD));
    whole(&scene.get(RELEASE, &[])?, &other.release)
}

/// A file that changed under its name, as a private archive may have it. apt reads its new lists
/// before it asks for packages, so a proxy has a moment for that, too.
fn rebuilt(target: &Target) -> Outcome {
    let (scene, before, after) = (target.scene(), noise(1_404, 5_000), noise(1_405, 6_000));
    for (content, date) in [(before, OLD), (after, NEW)] {
        let suite = Suite::of(&[(DEB, &content)], date);
        scene.serve(DEB, &Doc::new(content.clone()).modified(date));
        scene.publish(&suite, date);
        scene.update(&suite)?;
        let deadline = Instant::now() + MOMENT;
        while whole(&scene.get(DEB, &[])?, &content).is_err() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(50));
        }
        whole(&scene.get(DEB, &[])?, &content)?;
    }
    Ok(())
}
