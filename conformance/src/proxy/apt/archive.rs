//! A small signed archive, made with the tools that Debian's own archives are made with.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::super::suite::{noise, sha256};

/// Packages and the bytes that each carries; more than apt's pipeline is deep.
pub(super) const DEBS: [(&str, usize); 14] = [
    ("speck-01", 21_000),
    ("speck-02", 400_000),
    ("speck-03", 1_000),
    ("speck-04", 23_000),
    ("speck-05", 24_000),
    ("speck-06", 25_000),
    ("speck-07", 26_000),
    ("speck-08", 27_000),
    ("speck-09", 28_000),
    ("speck-10", 29_000),
    ("speck-11", 30_000),
    ("speck-12", 31_000),
    ("speck-13", 32_000),
    ("speck-14", 900_000),
];
/// One whose file's name apt escapes.
pub(super) const ODD: &str = "orbit-c++";
/// One that takes a while.
pub(super) const BIG: &str = "orbit-big";
/// One that only the later state of the archive has.
pub(super) const LATER: &str = "orbit-later";

/// Dates of what is made, so that the same is made each time.
const EPOCH: &str = "1735689600";

const TOOLS: [&str; 6] = ["apt-get", "dpkg", "dpkg-deb", "apt-ftparchive", "gpg", "xz"];

/// Files below the archive's root, by their paths.
type Files = Vec<(String, Vec<u8>)>;

/// An archive in two states, one after the other.
#[derive(Debug)]
pub(super) struct Archive {
    /// All packages.
    pub(super) pool: Files,
    pub(super) before: Suite,
    pub(super) after: Suite,
    /// The public key.
    pub(super) keyring: Vec<u8>,
    /// The machine's, such as `amd64`.
    pub(super) architecture: String,
}

/// Release and indexes of one state.
#[derive(Debug)]
pub(super) struct Suite {
    pub(super) files: Files,
}

impl Archive {
    /// The one of this process, made when it is first wanted. That takes a second or two.
    ///
    /// # Errors
    /// A text that says what is missing, or what a tool said.
    pub(super) fn shared() -> Result<&'static Self, String> {
        static ARCHIVE: OnceLock<Result<Archive, String>> = OnceLock::new();
        ARCHIVE.get_or_init(Self::make).as_ref().map_err(String::clone)
    }

    /// In a temporary folder, which is gone afterwards.
    fn make() -> Result<Self, String> {
        let missing: Vec<&str> = TOOLS.into_iter().filter(|tool| !is_installed(tool)).collect();
        if !missing.is_empty() {
            return Err(format!("the real apt is not tried: {} missing", missing.join(", ")));
        }
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        make(folder.path()).map_err(|error| format!("the archive for the real apt cannot be made: {error}"))
    }

    /// The path and content of a package's file.
    pub(super) fn deb(&self, name: &str) -> (String, &Vec<u8>) {
        let named =
            |path: &str| path.rsplit('/').next().is_some_and(|file| file.starts_with(&format!("{name}_")));
        let found = self.pool.iter().find(|(path, _)| named(path));
        static NONE: Vec<u8> = Vec::new();
        found.map_or((String::new(), &NONE), |(path, content)| (path.clone(), content))
    }
}

fn is_installed(tool: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).chain(["/usr/bin".into()]).any(|path| path.join(tool).is_file())
}

fn make(folder: &Path) -> io::Result<Archive> {
    let root = folder.join("debian");
    let debs = DEBS.into_iter().chain([(ODD, 40_000), (BIG, 6_000_000), (LATER, 20_000)]);
    for (seed, (name, len)) in debs.enumerate() {
        let version = if name == ODD { "1.0+b1~rc2" } else { "1.0" };
        build_deb(folder, &root, name, version, &noise(2_000 + seed as u64, len))?;
    }
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = String::from_utf8_lossy(&architecture).trim().to_owned();
    let all = output(ftparchive().args(["packages", "pool"]).current_dir(&root))?;
    let all = String::from_utf8_lossy(&all).into_owned();
    let first: String = all
        .split_inclusive("\n\n")
        .filter(|paragraph| !paragraph.contains(&format!("Package: {LATER}\n")))
        .collect();
    let gnupg = Gnupg::new()?;
    let user = "Conformance <conformance@test.invalid>";
    output(gnupg.command().args(["--quick-generate-key", user, "ed25519", "sign", "never"]))?;
    let keyring = output(gnupg.command().arg("--export"))?;
    let before = suite(&folder.join("before"), &first, &architecture, "2025-01-01 UTC", &gnupg)?;
    let after = suite(&folder.join("after"), &all, &architecture, "2025-01-02 UTC", &gnupg)?;
    let pool = files(&root, "pool")?;
    Ok(Archive { pool, before, after, keyring, architecture })
}

fn build_deb(folder: &Path, root: &Path, name: &str, version: &str, content: &[u8]) -> io::Result<()> {
    let tree = folder.join("tree");
    write(&tree.join("usr/share").join(name), content)?;
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: all\nSection: misc\nPriority: optional\n\
         Maintainer: Conformance <conformance@test.invalid>\nDescription: {} bytes\n",
        content.len()
    );
    write(&tree.join("DEBIAN/control"), control.as_bytes())?;
    let initial = name.get(..1).unwrap_or_default();
    let deb = root.join(format!("pool/main/{initial}/{name}/{name}_{version}_all.deb"));
    fs::create_dir_all(deb.parent().unwrap_or(root))?;
    let mut command = Command::new("dpkg-deb");
    command.args(["-Znone", "--root-owner-group", "--build"]).args([&tree, &deb]);
    output(command.env("SOURCE_DATE_EPOCH", EPOCH))?;
    fs::remove_dir_all(&tree)
}

/// apt-ftparchive with the hashes that Debian's archive names: apt asks by the strongest.
fn ftparchive() -> Command {
    let mut command = Command::new("apt-ftparchive");
    for hash in ["SHA1", "SHA512"] {
        command.arg("-o").arg(format!("APT::FTPArchive::{hash}=false"));
    }
    command
}

/// The signed release of a suite, its index, and that under its hash.
fn suite(folder: &Path, packages: &str, architecture: &str, date: &str, gnupg: &Gnupg) -> io::Result<Suite> {
    let place = folder.join("dists/stable");
    let index = place.join(format!("main/binary-{architecture}/Packages"));
    write(&index, packages.as_bytes())?;
    output(Command::new("xz").arg("-k").arg(&index))?;
    let mut command = ftparchive();
    for (key, value) in [
        ("Origin", "Conformance"),
        ("Suite", "stable"),
        ("Codename", "stable"),
        ("Components", "main"),
        ("Architectures", architecture),
        ("Acquire-By-Hash", "true"),
        ("Date", date),
    ] {
        command.arg("-o").arg(format!("APT::FTPArchive::Release::{key}={value}"));
    }
    let release = output(command.args(["release", "."]).current_dir(&place))?;
    for name in ["Packages", "Packages.xz"] {
        let content = fs::read(index.with_file_name(name))?;
        write(&index.with_file_name("by-hash/SHA256").join(sha256(&content)), &content)?;
    }
    write(&place.join("Release"), &release)?;
    let (signed, plain) = (place.join("InRelease"), place.join("Release"));
    output(gnupg.command().arg("--output").arg(signed).arg("--clearsign").arg(plain))?;
    Ok(Suite { files: files(folder, "dists")? })
}

/// All files below a folder of `root`, with their paths relative to that.
fn files(root: &Path, below: &str) -> io::Result<Files> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = format!("{below}/{}", entry.file_name().to_string_lossy());
        match entry.file_type()?.is_dir() {
            true => found.extend(files(root, &path)?),
            false => found.push((path, fs::read(entry.path())?)),
        }
    }
    Ok(found)
}

/// A key ring of our own, away from the user's.
struct Gnupg(tempfile::TempDir);

impl Gnupg {
    fn new() -> io::Result<Self> {
        tempfile::Builder::new().prefix("gpg").tempdir().map(Self)
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
        let mut stop = Command::new("gpgconf");
        let _ = stop.arg("--homedir").arg(self.0.path()).args(["--kill", "gpg-agent"]).output();
    }
}

fn write(path: &PathBuf, content: &[u8]) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    fs::File::create(path)?.write_all(content)
}

/// What a tool printed; its failure with its words.
fn output(command: &mut Command) -> io::Result<Vec<u8>> {
    let result = command.env("LC_ALL", "C").stdin(Stdio::null()).output()?;
    if result.status.success() {
        return Ok(result.stdout);
    }
    let said = String::from_utf8_lossy(&result.stderr).into_owned();
    Err(io::Error::other(format!("{}: {said}", command.get_program().to_string_lossy())))
}
