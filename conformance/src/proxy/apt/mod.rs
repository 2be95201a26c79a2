//! The real apt-get around the proxy, where it is installed.
//!
//! Each check has an apt of its own, in a root of its own: nothing of the machine's apt is read or
//! written, and no rights are needed.

mod archive;
mod root;

use std::time::{Duration, Instant};

use super::reply::{Doc, NEW, OLD, Reply, Step};
use super::scene::Scene;
use super::{Target, suite::sha256};
use crate::check::{Check, Outcome, Unmet};
use crate::http::judge::ensure;
use archive::{Archive, BIG, DEBS, ODD, Suite};
use root::{Root, Run};

pub(super) const CHECKS: &[Check<Target>] = &[
    row(
        Check::required(
            "apt/update",
            0,
            "the release by its path, and then the indexes that it names",
            update,
        ),
        "APT.md, section 4",
    ),
    row(
        Check::required("apt/by-hash", 0, "`by-hash/SHA256/` and the hash, for every index", by_hash),
        "APT.md, section 4",
    ),
    row(
        Check::required("apt/install", 0, "up to 10 requests ahead of the answers", install),
        "APT.md, section 2",
    ),
    row(
        Check::required("apt/escapes", 0, "`+` is sent as `%2b` and `~` as `%7e`", escapes),
        "APT.md, section 1",
    ),
    row(
        Check::required("apt/again", 0, "the second update asks with `If-Modified-Since`", again),
        "APT.md, section 4",
    ),
    row(
        Check::required("apt/changed", 0, "the second update asks with `If-Modified-Since`", changed),
        "APT.md, section 4",
    ),
    row(
        Check::required("apt/killed", 0, "a cut is resumed with `Range` and `If-Range`", killed),
        "APT.md, section 3",
    ),
    row(
        Check::required("apt/cut-at-the-mirror", 0, "a cut is resumed with `Range` and `If-Range`", cut),
        "APT.md, section 3",
    ),
    row(
        Check::recommended("apt/busy-mirror", 0, "a 5xx ends the run, or costs a try", busy),
        "APT.md, section 3",
    ),
    row(
        Check::recommended("apt/prefix", 0, "the mirror's address as the first part of the path", prefix),
        "APT.md, section 1",
    ),
    row(Check::required("apt/two-at-once", 0, "several apts at once", two), "APT.md, section 2"),
];

const fn row(check: Check<Target>, place: &'static str) -> Check<Target> {
    check.resting_on(place)
}

/// An archive at the mirror, and an apt that has it as its only source.
struct Story<'a> {
    scene: Scene<'a>,
    archive: &'a Archive,
    apt: Root,
}

impl<'a> Story<'a> {
    fn new(target: &'a Target) -> Result<Self, Unmet> {
        Self::through(target, |scene| (scene.root_url(), format!("http://{}", scene.target.proxy)))
    }

    /// With the URI of the source, and the proxy that apt is told.
    fn through(target: &'a Target, route: impl Fn(&Scene) -> (String, String)) -> Result<Self, Unmet> {
        let archive = Archive::shared().map_err(Unmet::skipped)?;
        let scene = target.scene();
        let (uri, proxy) = route(&scene);
        let apt = Root::new(archive, &uri, &proxy).map_err(|error| Unmet::skipped(error.to_string()))?;
        let story = Self { scene, archive, apt };
        story.publish(&archive.before, OLD);
        Ok(story)
    }

    /// The mirror has this state of the archive from now on.
    fn publish(&self, suite: &Suite, modified: &'static str) {
        for (path, content) in suite.files.iter().chain(&self.archive.pool) {
            self.scene.serve(path, &Doc::new(content.clone()).modified(modified));
        }
    }

    fn update(&self) -> Result<Run, Unmet> {
        self.apt.run(&["update", "--error-on=any"])?.succeeded("apt-get update")
    }

    /// Has apt download packages, and looks at each of them.
    fn install(&self, names: &[&str]) -> Result<Run, Unmet> {
        let mut arguments = vec!["install", "--download-only", "--no-install-recommends", "-y"];
        arguments.extend(names);
        let run = self.apt.run(&arguments)?.succeeded("apt-get install")?;
        self.verify(names)?;
        Ok(run)
    }

    fn verify(&self, names: &[&str]) -> Outcome {
        for name in names {
            let (path, content) = self.archive.deb(name);
            let got = self.apt.deb(&path);
            let same = got.as_ref().is_some_and(|got| got == content);
            let came =
                got.map_or("no file".to_owned(), |got| format!("{} bytes, {}", got.len(), sha256(&got)));
            ensure(same, format!("{name} with the {} bytes of the mirror", content.len()), came)?;
        }
        Ok(())
    }
}

fn update(target: &Target) -> Outcome {
    Story::new(target)?.update().map(drop)
}

/// Under its name the mirror has the next index already, as in the middle of its own update: only by
/// its hash apt gets the one that its release names.
fn by_hash(target: &Target) -> Outcome {
    let story = Story::new(target)?;
    for (path, content) in story.archive.after.files.iter().filter(|(path, _)| path.contains("/Packages")) {
        story.scene.serve(path, &Doc::new(content.clone()).modified(NEW));
    }
    story.update()?;
    story.install(&[ODD]).map(drop)
}

fn install(target: &Target) -> Outcome {
    let story = Story::new(target)?;
    story.update()?;
    let names: Vec<&str> = DEBS.iter().map(|(name, _)| *name).collect();
    story.install(&names).map(drop)
}

fn escapes(target: &Target) -> Outcome {
    let story = Story::new(target)?;
    story.update()?;
    story.install(&[ODD]).map(drop)
}

/// Nothing has changed: apt is told so, or gets the same again; then packages install as before.
fn again(target: &Target) -> Outcome {
    let story = Story::new(target)?;
    story.update()?;
    story.update()?;
    story.install(&[ODD]).map(drop)
}

fn changed(target: &Target) -> Outcome {
    let story = Story::new(target)?;
    story.update()?;
    story.publish(&story.archive.after, NEW);
    story.update()?;
    // Only the new index has it.
    story.install(&[archive::LATER]).map(drop)
}

/// Whoever watches apt loses patience in the middle of a file, and starts it again.
fn killed(target: &Target) -> Outcome {
    let story = Story::new(target)?;
    story.update()?;
    let (path, content) = story.archive.deb(BIG);
    let (doc, half) = (Doc::new(content.clone()), content.len() / 2);
    let step = Step::Pause(Duration::from_millis(700));
    story.scene.script(&path, move |asked| doc.answer(asked).with_step_at(half, &step));
    let run = story.apt.start(&["install", "--download-only", "-y", BIG])?;
    let deadline = Instant::now() + target.patience;
    while story.apt.partial(&path) == 0 && story.apt.deb(&path).is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill();
    story.install(&[BIG]).map(drop)
}

fn cut(target: &Target) -> Outcome {
    let story = Story::new(target)?;
    story.update()?;
    let (path, content) = story.archive.deb(BIG);
    let (doc, half) = (Doc::new(content.clone()), content.len() / 2);
    story.scene.script(&path, move |asked| match asked.nth {
        0 => doc.answer(asked).cut_after(half),
        _ => doc.answer(asked),
    });
    story.install(&[BIG]).map(drop)
}

fn busy(target: &Target) -> Outcome {
    let story = Story::new(target)?;
    story.update()?;
    let (path, content) = story.archive.deb(ODD);
    let doc = Doc::new(content.clone());
    story.scene.script(&path, move |asked| match asked.nth {
        0 => Reply::status_with(503, &["Retry-After: 1"]),
        _ => doc.answer(asked),
    });
    let arguments = ["-o", "Acquire::Retries=0", "install", "--download-only", "-y", ODD];
    story.apt.run(&arguments)?.succeeded("apt-get install without a try to spare")?;
    story.verify(&[ODD])
}

fn prefix(target: &Target) -> Outcome {
    target.needs_prefix()?;
    let route = |scene: &Scene| {
        let path = target.prefixed(&scene.path(""));
        (format!("http://{}{}", target.proxy, path.trim_end_matches('/')), "DIRECT".to_owned())
    };
    let story = Story::through(target, route)?;
    story.update()?;
    story.install(&[DEBS[0].0, ODD]).map(drop)
}

fn two(target: &Target) -> Outcome {
    let first = Story::new(target)?;
    let (uri, proxy) = (first.scene.root_url(), format!("http://{}", target.proxy));
    let apt = Root::new(first.archive, &uri, &proxy).map_err(|error| Unmet::skipped(error.to_string()))?;
    let second = Story { scene: first.scene.clone(), archive: first.archive, apt };
    let names: Vec<&str> = DEBS.iter().map(|(name, _)| *name).collect();
    std::thread::scope(|threads| {
        let both = [&first, &second].map(|story| {
            let names = &names;
            threads.spawn(move || {
                story.update()?;
                story.install(names).map(drop)
            })
        });
        both.into_iter().try_for_each(super::checks::joined)
    })
}
