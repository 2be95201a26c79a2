//! A small signed archive, built with the tools that Debian's own archives are
//! built with: `dpkg-deb`, `apt-ftparchive`, `gpg`.
//!
//! Sizes are what the stories are about, so each package says how many bytes its
//! file has, and gets exactly those. The content is incompressible, from a fixed
//! seed, and the same on every machine.
//!
//! Two suites share one pool: `stable`, with indexes as `xz`, `gz` and plain, and
//! `plain`, whose only index is uncompressed, for stories that alter one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The unit in which peers exchange files, in bytes (protocol, section 6).
pub const PIECE: u64 = 524_288;

/// One binary package and the size of its file in bytes.
#[derive(Debug)]
pub struct Package {
    pub name: &'static str,
    pub version: &'static str,
    pub size: u64,
}

const fn package(name: &'static str, version: &'static str, size: u64) -> Package {
    Package { name, version, size }
}

/// The packages whose size or name is their point.
pub const NOTABLE: [Package; 6] = [
    package("orbit-one", "1.0", 300_000),
    package("orbit-exact", "1.0", PIECE),
    package("orbit-three", "1.0", 2 * PIECE + 12_346),
    package("orbit-twenty", "1.0", 19 * PIECE + 2),
    package("orbit-eighty", "1.0", 80 * PIECE),
    package("orbit-c++", "1.0+b1~rc2", 40_000),
];

/// Twelve small packages: more than apt's pipeline is deep.
pub const SMALL: [Package; 12] = [
    package("speck-01", "1.0", 21_000),
    package("speck-02", "1.0", 21_000),
    package("speck-03", "1.0", 22_000),
    package("speck-04", "1.0", 23_000),
    package("speck-05", "1.0", 24_000),
    package("speck-06", "1.0", 25_000),
    package("speck-07", "1.0", 26_000),
    package("speck-08", "1.0", 27_000),
    package("speck-09", "1.0", 28_000),
    package("speck-10", "1.0", 29_000),
    package("speck-11", "1.0", 30_000),
    package("speck-12", "1.0", 31_000),
];

/// The names of `packages`, as apt wants them.
pub fn names(packages: &[Package]) -> Vec<&'static str> {
    packages.iter().map(|package| package.name).collect()
}

/// The one source package: `orbit_1.0.dsc` and its archive of three pieces.
pub const SOURCE: &str = "orbit";

/// 2025-01-01, the date of all that is packed.
const EPOCH: &str = "1735689600";

/// An archive on disk. Nothing changes it once it is built.
#[derive(Debug)]
pub struct Archive {
    directory: PathBuf,
}

impl Archive {
    /// The archive that all stories share. Built once, and again when this file
    /// changed; kept with the build's other products.
    pub fn shared() -> &'static Archive {
        static ARCHIVE: OnceLock<Archive> = OnceLock::new();
        ARCHIVE.get_or_init(|| {
            let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
            // Another test process may want it at the same time.
            let lock = File::create(home.join("archive.lock")).unwrap();
            lock.lock().unwrap();
            let archive = Archive { directory: home.join("archive") };
            let stamp = archive.directory.join("stamp");
            let recipe = include_str!("archive.rs");
            if fs::read_to_string(&stamp).ok().as_deref() != Some(recipe) {
                let _ = fs::remove_dir_all(&archive.directory);
                archive.build();
                fs::write(&stamp, recipe).unwrap();
            }
            archive
        })
    }

    /// The directory that a mirror serves; the archive is `/debian` in it.
    pub fn www(&self) -> PathBuf {
        self.directory.join("www")
    }

    /// The public key that signed the Releases.
    pub fn keyring(&self) -> PathBuf {
        self.directory.join("archive-keyring.gpg")
    }

    /// The file of a package, as the mirror has it.
    pub fn deb(&self, package: &Package) -> PathBuf {
        self.www().join("debian").join(pool_path(package))
    }

    fn build(&self) {
        let debian = self.www().join("debian");
        for (seed, package) in NOTABLE.iter().chain(&SMALL).enumerate() {
            self.build_deb(package, seed as u64);
        }
        self.build_source();

        let stable = debian.join("dists/stable/main");
        let binary = stable.join(format!("binary-{}", architecture()));
        let source = stable.join("source");
        let packages = output(ftparchive().args(["packages", "pool"]).current_dir(&debian));
        let sources = output(ftparchive().args(["sources", "pool"]).current_dir(&debian));
        write(&binary.join("Packages"), &packages);
        write(&source.join("Sources"), &sources);
        for index in [binary.join("Packages"), source.join("Sources")] {
            run(Command::new("gzip").args(["-9nk"]).arg(&index));
            run(Command::new("xz").arg("-k").arg(&index));
        }
        let plain = debian.join("dists/plain/main").join(binary.file_name().unwrap());
        write(&plain.join("Packages"), &packages);

        // gpg's sockets do not bear long paths, so not below the build directory.
        let gnupg = Gnupg::new();
        run(gnupg.command().args([
            "--quick-generate-key",
            "Archive <archive@test.invalid>",
            "ed25519",
            "sign",
            "never",
        ]));
        write(&self.keyring(), &output(gnupg.command().arg("--export")));
        for suite in ["stable", "plain"] {
            release(&debian.join("dists").join(suite), suite, &gnupg);
        }
    }

    fn build_deb(&self, package: &Package, seed: u64) {
        let tree = self.directory.join("tree").join(package.name);
        let data = tree.join("usr/share/orbit").join(package.name);
        // Room for the two tar files' heads and padding; the rest is filled below.
        write(&data, &noise(seed, package.size.saturating_sub(32_768)));
        let control = format!(
            "Package: {}\nVersion: {}\nArchitecture: all\nSection: misc\nPriority: optional\n\
             Maintainer: Archive <archive@test.invalid>\nDescription: {} bytes to carry\n",
            package.name, package.version, package.size,
        );
        write(&tree.join("DEBIAN/control"), control.as_bytes());
        let deb = self.deb(package);
        fs::create_dir_all(deb.parent().unwrap()).unwrap();
        run(Command::new("dpkg-deb")
            .args(["-Znone", "--root-owner-group", "--build"])
            .args([&tree, &deb])
            .env("SOURCE_DATE_EPOCH", EPOCH));
        fill(&deb, package.size, seed);
        fs::remove_dir_all(&tree).unwrap();
    }

    fn build_source(&self) {
        let tree = self.directory.join("tree");
        let pool = self.www().join("debian/pool/main/o").join(SOURCE);
        fs::create_dir_all(&pool).unwrap();
        write(&tree.join("orbit-1.0/noise"), &noise(1_000, 2 * PIECE + 100));
        let tar = pool.join("orbit_1.0.tar.gz");
        run(Command::new("tar")
            .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime"])
            .arg(format!("@{EPOCH}"))
            .arg("-czf")
            .arg(&tar)
            .arg("-C")
            .arg(&tree)
            .arg("orbit-1.0"));
        fs::remove_dir_all(&tree).unwrap();
        let size = fs::metadata(&tar).unwrap().len();
        let dsc = format!(
            "Format: 3.0 (native)\nSource: {SOURCE}\nBinary: orbit-one\nArchitecture: all\nVersion: 1.0\n\
             Maintainer: Archive <archive@test.invalid>\n\
             Checksums-Sha256:\n {} {size} orbit_1.0.tar.gz\nFiles:\n {} {size} orbit_1.0.tar.gz\n",
            sum("sha256sum", &tar),
            sum("md5sum", &tar),
        );
        write(&pool.join("orbit_1.0.dsc"), dsc.as_bytes());
    }
}

/// The path of a package's file below the archive's root, with `+` and `~` as they are.
pub fn pool_path(package: &Package) -> String {
    let initial = &package.name[..1];
    format!("pool/main/{initial}/{0}/{0}_{1}_all.deb", package.name, package.version)
}

/// The machine's Debian architecture, such as `amd64`.
pub fn architecture() -> String {
    let name = output(Command::new("dpkg").arg("--print-architecture"));
    String::from_utf8(name).unwrap().trim().to_owned()
}

/// Lengthens a .deb to exactly `size` bytes by an `ar` member, which readers skip
/// after `data.tar` (deb(5)).
fn fill(deb: &Path, size: u64, seed: u64) {
    const HEAD: u64 = 60;
    let built = fs::metadata(deb).unwrap().len();
    let rest = size
        .checked_sub(built + HEAD)
        .unwrap_or_else(|| panic!("{} is {built} bytes already, {size} wanted", deb.display()));
    assert!(rest.is_multiple_of(2), "ar members are padded to even sizes");
    let mut file = File::options().append(true).open(deb).unwrap();
    writeln!(file, "{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", "_padding", 0, 0, 0, 100_644, rest).unwrap();
    file.write_all(&noise(seed + 10_000, rest)).unwrap();
}

/// apt-ftparchive, told to name the hashes that Debian's archive names: apt asks by
/// the strongest, and would ask by SHA-512 if there were one.
pub fn ftparchive() -> Command {
    let mut command = Command::new("apt-ftparchive");
    for hash in ["SHA1", "SHA512"] {
        command.arg("-o").arg(format!("APT::FTPArchive::{hash}=false"));
    }
    command
}

/// The Release of a suite, its signed form, and the by-hash names of its indexes.
fn release(suite: &Path, name: &str, gnupg: &Gnupg) {
    let mut command = ftparchive();
    for (key, value) in [
        ("Origin", "Khashmir"),
        ("Suite", name),
        ("Codename", name),
        ("Components", "main"),
        ("Architectures", &architecture()),
        ("Acquire-By-Hash", "true"),
    ] {
        command.arg("-o").arg(format!("APT::FTPArchive::Release::{key}={value}"));
    }
    let release = output(command.args(["release", "."]).current_dir(suite));
    write(&suite.join("Release"), &release);
    run(gnupg
        .command()
        .arg("--output")
        .arg(suite.join("InRelease"))
        .arg("--clearsign")
        .arg(suite.join("Release")));
    for folder in fs::read_dir(suite.join("main")).unwrap() {
        let folder = folder.unwrap().path();
        for index in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>() {
            let by_hash = folder.join("by-hash/SHA256");
            fs::create_dir_all(&by_hash).unwrap();
            fs::copy(&index, by_hash.join(sum("sha256sum", &index))).unwrap();
        }
    }
}

/// A key ring of our own, away from the user's.
struct Gnupg(tempfile::TempDir);

impl Gnupg {
    fn new() -> Self {
        // TempDir makes it readable to its owner alone, as gpg demands.
        Self(tempfile::Builder::new().prefix("gpg").tempdir().unwrap())
    }

    fn command(&self) -> Command {
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(self.0.path());
        command.args(["--batch", "--quiet", "--no-tty", "--passphrase", "", "--pinentry-mode", "loopback"]);
        command
    }
}

impl Drop for Gnupg {
    fn drop(&mut self) {
        // The agent that gpg left running for this key ring, no other.
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.0.path())
            .args(["--kill", "gpg-agent"])
            .output();
    }
}

fn noise(seed: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

pub fn sum(tool: &str, file: &Path) -> String {
    let text = String::from_utf8(output(Command::new(tool).arg(file))).unwrap();
    text.split_whitespace().next().unwrap().to_owned()
}

pub fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

pub fn run(command: &mut Command) {
    output(command);
}

/// What a tool printed; its failure, or its absence, ends the test with its words.
pub fn output(command: &mut Command) -> Vec<u8> {
    let result = command.env("LC_ALL", "C").output();
    let result = result.unwrap_or_else(|error| panic!("{command:?}: {error}; .ci/test installs the tools"));
    assert!(
        result.status.success(),
        "{command:?}: {}\n{}",
        result.status,
        String::from_utf8_lossy(&result.stderr)
    );
    result.stdout
}
