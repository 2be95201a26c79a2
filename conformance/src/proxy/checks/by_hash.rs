//! Indexes asked for by their hash, which never change.

use sha2::{Digest as _, Sha512};

use super::{Rows, hardening, recommended, required};
use crate::check::Outcome;
use crate::http::judge::{ensure, whole, whole_or_cut};
use crate::proxy::Target;
use crate::proxy::reply::{Doc, NEW, OLD};
use crate::proxy::suite::{PACKAGES, RELEASE, Suite, noise};

pub(super) const CHECKS: Rows = &[
    required(
        "by-hash/served",
        "APT.md, section 4",
        "`by-hash/SHA256/` and the hash, for every index",
        served,
    ),
    recommended("by-hash/once", "APT.md, section 4", "What lies under a hash never changes", once),
    required("by-hash/sha512", "APT.md, section 4", "by the strongest hash that the release has", sha512),
    required(
        "by-hash/old-generation",
        "APT.md, section 4",
        "the index before the last is there as well",
        old_generation,
    ),
    hardening("by-hash/wrong-not-kept", "APT.md, section 3", "one wrong byte is fatal", wrong_not_kept),
];

fn suite(n: u64, date: &str) -> Suite {
    let content = noise(700 + n, 1_000);
    let path = format!("pool/main/o/orbit/orbit_1.{n}_all.deb");
    Suite::of(&[(&path, &content)], date)
}

fn served(target: &Target) -> Outcome {
    let (scene, suite) = (target.scene(), suite(0, OLD));
    scene.publish(&suite, OLD);
    scene.update(&suite)?;
    scene.update(&suite)
}

fn once(target: &Target) -> Outcome {
    let (scene, suite) = (target.scene(), suite(1, OLD));
    scene.publish(&suite, OLD);
    for _ in 0..3 {
        scene.update(&suite)?;
    }
    let sent = scene.sent(&suite.packages_by_hash()) + scene.sent(PACKAGES);
    ensure(sent == suite.packages.len(), "the mirror sends it once", format!("it sent {sent} bytes"))
}

fn sha512(target: &Target) -> Outcome {
    let (scene, suite) = (target.scene(), suite(2, OLD));
    let hash = hex::encode(Sha512::digest(&suite.packages));
    let path = PACKAGES.replace("Packages", &format!("by-hash/SHA512/{hash}"));
    let list = format!("SHA512:\n {hash} {} main/binary-pdp11/Packages\n", suite.packages.len());
    let release = [suite.release.as_slice(), list.as_bytes()].concat();
    scene.serve(RELEASE, &Doc::new(release.clone()));
    scene.serve(&path, &Doc::new(suite.packages.clone()));
    whole(&scene.get(RELEASE, &[])?, &release)?;
    for _ in 0..2 {
        whole(&scene.get(&path, &[])?, &suite.packages)?;
    }
    Ok(())
}

/// A machine updates while the mirror changes: it has the old release, and asks for what that names.
fn old_generation(target: &Target) -> Outcome {
    let (scene, before, after) = (target.scene(), suite(3, OLD), suite(4, NEW));
    scene.publish(&before, OLD);
    whole(&scene.get(RELEASE, &[])?, &before.release)?;
    scene.publish(&after, NEW);
    scene.update(&after)?;
    whole(&scene.get(&before.packages_by_hash(), &[])?, &before.packages)?;
    whole(&scene.get(&after.packages_by_hash(), &[])?, &after.packages)
}

fn wrong_not_kept(target: &Target) -> Outcome {
    let (scene, suite) = (target.scene(), suite(5, OLD));
    scene.publish(&suite, OLD);
    whole(&scene.get(RELEASE, &[])?, &suite.release)?;
    let path = suite.packages_by_hash();
    let (right, mut wrong) = (Doc::new(suite.packages.clone()), suite.packages.clone());
    wrong.iter_mut().take(1).for_each(|byte| *byte ^= 1);
    let altered = Doc::new(wrong.clone());
    scene.script(&path, move |asked| if asked.nth == 0 { altered.whole() } else { right.answer(asked) });
    let first = scene.try_get(&path, &[])?;
    if !first.as_ref().is_ok_and(|answer| answer.body == wrong) {
        whole_or_cut(first, &suite.packages)?;
    }
    whole(&scene.get(&path, &[])?, &suite.packages)
}
