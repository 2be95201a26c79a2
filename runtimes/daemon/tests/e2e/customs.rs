//! What apt asks for beside packages: all of it arrives, and is kept and shared as its hash
//! allows.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::apt::{Apt, Via};
use crate::archive::{
    Archive, NOTABLE, SOURCE, architecture, ftparchive, output, pool_path, run, sum, write,
};
use crate::daemon::{Daemon, Machine};
use crate::mirror::Mirror;

/// An archive with the packages of the shared one, and indexes as each story needs.
struct Customs {
    folder: tempfile::TempDir,
    mirror: Mirror,
}

/// Which lists of hashes stand in a Release.
#[derive(Clone, Copy)]
enum Hashes {
    Md5AndSha1,
    Sha256,
    Sha512,
}

impl Customs {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let debian = folder.path().join("debian");
        fs::create_dir(&debian).unwrap();
        let pool = Archive::shared().www().join("debian/pool");
        std::os::unix::fs::symlink(pool, debian.join("pool")).unwrap();
        let mirror = Mirror::serve(folder.path().to_owned());
        Self { folder, mirror }
    }

    fn suite(&self, name: &str) -> PathBuf {
        self.folder.path().join("debian/dists").join(name)
    }

    /// Writes a file of a suite.
    fn write(&self, suite: &str, path: &str, text: &str) {
        write(&self.suite(suite).join(path), text.as_bytes());
    }

    /// The same, and beside it packed by `tool`.
    fn write_packed(&self, suite: &str, path: &str, text: &str, tool: &str) {
        self.write(suite, path, text);
        run(std::process::Command::new(tool).arg("-kf").arg(self.suite(suite).join(path)));
    }

    /// Lists what was written in the suite's Release, the `day`th.
    fn release(&self, suite: &str, hashes: Hashes, day: u64) {
        let folder = self.suite(suite);
        let (wanted, by_hash) = match hashes {
            Hashes::Md5AndSha1 => (&["MD5", "SHA1"][..], "SHA1"),
            Hashes::Sha256 => (&["MD5", "SHA256"][..], "SHA256"),
            Hashes::Sha512 => (&["SHA512"][..], "SHA512"),
        };
        let mut command = ftparchive();
        for hash in ["MD5", "SHA1", "SHA256", "SHA512"] {
            command.arg("-o").arg(format!("APT::FTPArchive::{hash}={}", wanted.contains(&hash)));
        }
        for (key, value) in [
            ("Origin", "Khashmir"),
            ("Suite", suite),
            ("Components", "main"),
            ("Architectures", &architecture()),
            ("Acquire-By-Hash", "true"),
        ] {
            command.arg("-o").arg(format!("APT::FTPArchive::Release::{key}={value}"));
        }
        let release = output(command.args(["release", "."]).current_dir(&folder));
        write(&folder.join("Release"), &release);
        let modified = UNIX_EPOCH + Duration::from_secs(1_735_689_600 + 86_400 * day);
        touch(&folder.join("Release"), modified);
        let tool = format!("{}sum", by_hash.to_lowercase());
        let text = String::from_utf8(release).unwrap();
        for path in text.lines().filter_map(|line| line.strip_prefix(' ')?.split_whitespace().nth(2)) {
            let file = folder.join(path);
            let by_hash = file.parent().unwrap().join("by-hash").join(by_hash);
            fs::create_dir_all(&by_hash).unwrap();
            fs::copy(&file, by_hash.join(sum(&tool, &file))).unwrap();
        }
    }

    /// A suite with the usual indexes of a few packages.
    fn usual_suite(&self, suite: &str, hashes: Hashes) {
        self.write_packed(suite, &packages_path(), &packages(&[0, 5], hashes), "xz");
        self.release(suite, hashes, 0);
    }

    fn apt(&self, daemon: &Daemon, types: &str, suites: &str) -> Apt {
        let apt = Apt::new(self.mirror.address(), Via::Proxy(daemon.proxy()));
        apt.use_sources(&source(self.mirror.address(), types, suites));
        apt
    }
}

fn source(mirror: SocketAddr, types: &str, suites: &str) -> String {
    format!(
        "Types: {types}\nURIs: http://{mirror}/debian\nSuites: {suites}\nComponents: main\n\
         Trusted: yes\nAllow-Weak: yes\n"
    )
}

fn touch(file: &Path, modified: SystemTime) {
    fs::File::options().append(true).open(file).unwrap().set_modified(modified).unwrap();
}

fn packages_path() -> String {
    format!("main/binary-{}/Packages", architecture())
}

/// The stanzas of some notable packages, with the hashes of this kind alone.
fn packages(wanted: &[usize], hashes: Hashes) -> String {
    let stanza = |index: &usize| {
        let package = &NOTABLE[*index];
        let deb = Archive::shared().deb(package);
        let sums = match hashes {
            Hashes::Md5AndSha1 => {
                format!("MD5sum: {}\nSHA1: {}", sum("md5sum", &deb), sum("sha1sum", &deb))
            }
            Hashes::Sha256 => format!("SHA256: {}", sum("sha256sum", &deb)),
            Hashes::Sha512 => format!("SHA512: {}", sum("sha512sum", &deb)),
        };
        format!(
            "Package: {}\nVersion: {}\nArchitecture: all\nMaintainer: Archive <archive@test.invalid>\n\
             Description: something to carry\nFilename: {}\nSize: {}\n{sums}\n\n",
            package.name,
            package.version,
            pool_path(package),
            package.size,
        )
    };
    wanted.iter().map(stanza).collect()
}

/// Two machines and their daemons, the second of which knows the first and waits for it.
fn two_machines(mirror: SocketAddr) -> [(Daemon, Machine); 2] {
    let first = Machine::new("127.0.0.1", mirror, &[]);
    let daemon = first.start();
    let second = Machine::new("127.0.0.2", mirror, &[daemon.peers()]).patient();
    [(daemon, first), (second.start(), second)]
}

/// Waits until what the first has is announced, and the second can find it.
fn announced(first: &Daemon, second: &Daemon, files: u64) {
    first.wait("/downloads/in_progress", |count| count == 0);
    first.wait("/dht/publications", |count| count >= files);
    first.wait("/dht/keys", |count| count >= files);
    second.wait("/dht/contacts", |count| count >= 1);
}

#[test]
fn every_index_that_a_release_lists_is_shared() {
    let customs = Customs::new();
    let architecture = architecture();
    let sources =
        output(ftparchive().args(["sources", "pool"]).current_dir(customs.folder.path().join("debian")));
    let indexes = [
        (packages_path(), packages(&[0], Hashes::Sha256), "xz"),
        ("main/source/Sources".to_owned(), String::from_utf8(sources).unwrap(), "xz"),
        (
            "main/i18n/Translation-en".to_owned(),
            "Package: orbit-one\nDescription-md5: d41d8cd98f00b204e9800998ecf8427e\nDescription-en: one\n"
                .to_owned(),
            "xz",
        ),
        (format!("main/Contents-{architecture}"), "usr/share/orbit misc/orbit-one\n".repeat(99), "gzip"),
        (format!("main/dep11/Components-{architecture}.yml"), "---\nFile: DEP-11\n".repeat(9), "gzip"),
    ];
    for (path, text, tool) in &indexes {
        customs.write_packed("sid", path, text, tool);
    }
    customs.release("sid", Hashes::Sha256, 0);

    let [(first, _one), (second, _other)] = two_machines(customs.mirror.address());
    let files = indexes.len() as u64 + 2;
    for daemon in [&first, &second] {
        let mut apt = customs.apt(daemon, "deb deb-src", "sid");
        apt.option("Acquire::Languages=en");
        for (target, key) in [
            ("Contents", "$(COMPONENT)/Contents-$(ARCHITECTURE)"),
            ("DEP-11", "$(COMPONENT)/dep11/Components-$(NATIVE_ARCHITECTURE).yml"),
        ] {
            for (name, value) in [("MetaKey", key), ("ShortDescription", target), ("Description", target)] {
                apt.option(&format!("Acquire::IndexTargets::deb::{target}::{name}={value}"));
            }
        }
        apt.update().expect_success();
        for (path, text, _) in &indexes {
            assert_eq!(apt.list(path), *text, "{path}");
        }
        apt.source(SOURCE).expect_success();
        if daemon.proxy() == first.proxy() {
            announced(&first, &second, files);
        }
    }
    let by_hash = customs.mirror.requests("/by-hash/");
    assert_eq!(by_hash.len(), indexes.len(), "each once, by the first: {by_hash:#?}");
    let pool = customs.mirror.requests("/pool/");
    assert_eq!(pool.len(), 2, ".dsc and .tar.gz once: {pool:#?}");
}

#[test]
fn patches_of_an_index_are_shared() {
    let customs = Customs::new();
    let old = packages(&[0, 1, 2, 3, 4], Hashes::Sha256);
    customs.write_packed("sid", &packages_path(), &old, "xz");
    let old_sum = sum("sha256sum", &customs.suite("sid").join(packages_path()));
    customs.release("sid", Hashes::Sha256, 0);

    let [(first, _one), (second, _other)] = two_machines(customs.mirror.address());
    let apts = [&first, &second].map(|daemon| {
        let apt = customs.apt(daemon, "deb", "sid");
        apt.update().expect_success();
        apt
    });

    // The next day's: one package more.
    let more = packages(&[5], Hashes::Sha256);
    let new = format!("{old}{more}");
    customs.write_packed("sid", &packages_path(), &new, "xz");
    let lines = old.lines().count();
    let folder = format!("{}.diff", packages_path());
    customs.write_packed("sid", &format!("{folder}/T-1-F-0"), &format!("{lines}a\n{more}.\n"), "gzip");
    let entry = |name: &str| {
        let file = customs.suite("sid").join(&folder).join(name);
        format!(" {} {} {name}\n", sum("sha256sum", &file), fs::metadata(&file).unwrap().len())
    };
    let index = format!(
        "SHA256-Current: {} {}\nSHA256-History:\n {old_sum} {} T-1-F-0\nSHA256-Patches:\n{}SHA256-Download:\n{}",
        sum("sha256sum", &customs.suite("sid").join(packages_path())),
        new.len(),
        old.len(),
        entry("T-1-F-0"),
        entry("T-1-F-0.gz"),
    );
    customs.write("sid", &format!("{folder}/Index"), &index);
    customs.release("sid", Hashes::Sha256, 1);

    let before = first.count("/dht/publications");
    for (apt, daemon) in apts.iter().zip([&first, &second]) {
        let text = apt.update().expect_success();
        assert!(text.contains("T-1-F-0"), "apt took the patch: {text}");
        assert_eq!(apt.list(&packages_path()), new);
        if daemon.proxy() == first.proxy() {
            // The Index and the patch, and the whole new index, which the daemon needs.
            announced(&first, &second, before + 3);
        }
    }
    let asked = customs.mirror.requests(".diff/");
    assert_eq!(asked.len(), 2, "Index and patch once, by the first: {asked:#?}");
    // A package that only the new index lists is known by its hash.
    for _ in 0..2 {
        apts[0].forget_debs();
        apts[0].install(&[NOTABLE[5].name]).expect_success();
        apts[0].verify(&NOTABLE[5..]);
        first.wait("/downloads/in_progress", |count| count == 0);
    }
    assert_eq!(customs.mirror.requests(NOTABLE[5].name).len(), 1);
}

#[test]
fn a_changelog_passes() {
    let customs = Customs::new();
    customs.usual_suite("sid", Hashes::Sha256);
    let text = "orbit-one (1.0) sid; urgency=low\n\n  * It goes round.\n";
    write(
        &customs.folder.path().join("changelogs/main/o/orbit-one/orbit-one_1.0_changelog"),
        text.as_bytes(),
    );
    let machine = Machine::new("127.0.0.1", customs.mirror.address(), &[]);
    let daemon = machine.start();
    let mut apt = customs.apt(&daemon, "deb", "sid");
    apt.option(&format!(
        "Acquire::Changelogs::URI::Origin::Khashmir=http://{}/changelogs/@CHANGEPATH@_changelog",
        customs.mirror.address()
    ));
    apt.update().expect_success();
    for times in 1..=2 {
        assert_eq!(apt.changelog(NOTABLE[0].name), text);
        assert_eq!(customs.mirror.requests("_changelog").len(), times, "no hash is known: it passes");
    }
}

#[test]
fn two_suites_and_two_mirrors_share_one_copy() {
    let customs = Customs::new();
    customs.usual_suite("one", Hashes::Sha256);
    customs.usual_suite("two", Hashes::Sha256);
    let other = Mirror::serve(customs.folder.path().to_owned());
    let machine = Machine::new("127.0.0.1", customs.mirror.address(), &[]).also_asking(other.address());
    let daemon = machine.start();
    for (mirror, suite) in [(&customs.mirror, "one"), (&customs.mirror, "two"), (&other, "one")] {
        let apt = Apt::new(mirror.address(), Via::Proxy(daemon.proxy()));
        apt.use_sources(&source(mirror.address(), "deb", suite));
        apt.update().expect_success();
        apt.install(&[NOTABLE[0].name, NOTABLE[5].name]).expect_success();
        apt.verify(&NOTABLE[..1]);
        apt.verify(&NOTABLE[5..]);
        daemon.wait("/downloads/in_progress", |count| count == 0);
    }
    assert_eq!(customs.mirror.requests("/pool/").len(), 2);
    assert_eq!(customs.mirror.requests("/by-hash/").len(), 1, "the two suites have the same index");
    assert_eq!(other.requests("/pool/").len() + other.requests("/by-hash/").len(), 0);
    assert_eq!(daemon.count("/downloads/completed"), 3);
}

#[test]
fn what_has_only_weak_hashes_passes_and_is_not_shared() {
    passes_unshared(Hashes::Md5AndSha1);
}

#[test]
fn what_has_only_sha512_passes_and_is_not_shared() {
    passes_unshared(Hashes::Sha512);
}

fn passes_unshared(hashes: Hashes) {
    let customs = Customs::new();
    customs.usual_suite("sid", hashes);
    let machine = Machine::new("127.0.0.1", customs.mirror.address(), &[]);
    let daemon = machine.start();
    for times in 1..=2 {
        let mut apt = customs.apt(&daemon, "deb", "sid");
        if matches!(hashes, Hashes::Md5AndSha1) {
            // apt installs nothing by such hashes unless it is told to.
            apt.option("Acquire::ForceHash=SHA1");
        }
        apt.update().expect_success();
        apt.install(&[NOTABLE[0].name, NOTABLE[5].name]).expect_success();
        apt.verify(&NOTABLE[..1]);
        apt.verify(&NOTABLE[5..]);
        assert_eq!(customs.mirror.requests("/pool/").len(), 2 * times);
        assert_eq!(customs.mirror.requests("/by-hash/").len(), times);
    }
    assert_eq!(daemon.count("/downloads/completed"), 0);
    assert_eq!(daemon.count("/dht/publications"), 0);
}
