//! The real apt-get in a root of its own: nothing of the machine's apt is read or
//! written, and no rights are needed.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::archive::{self, Archive, Package};

/// How long one run of apt-get may take.
const PATIENCE: Duration = Duration::from_secs(170);

/// How apt reaches the mirror.
#[derive(Clone, Copy, Debug)]
pub enum Via {
    /// Straight.
    Direct,
    /// Through `Acquire::http::Proxy`: absolute URIs.
    Proxy(SocketAddr),
    /// Through a prefix in the source's URI: `http://PROXY/MIRROR/debian`.
    Prefix(SocketAddr),
    /// As `Proxy`, which asks the mirror over https: `http://HTTPS///MIRROR/debian`.
    Https(SocketAddr),
    /// As `Prefix`, and over https.
    HttpsPrefix(SocketAddr),
    /// Through a tunnel of the proxy: `https://MIRROR/debian`.
    Tunnel(SocketAddr),
}

/// One machine's apt.
#[derive(Debug)]
pub struct Apt {
    root: tempfile::TempDir,
    uri: String,
    options: Vec<String>,
}

/// A run of apt-get or apt-helper that has ended.
#[derive(Debug)]
pub struct Outcome {
    pub success: bool,
    /// Standard output and standard error.
    pub text: String,
}

impl Outcome {
    /// Ends the test with apt's words unless it succeeded.
    #[track_caller]
    pub fn expect_success(self) -> String {
        assert!(self.success, "apt failed:\n{}", self.text);
        self.text
    }

    /// Ends the test with apt's words unless it failed.
    #[track_caller]
    pub fn expect_failure(self) -> String {
        assert!(!self.success, "apt should have failed:\n{}", self.text);
        self.text
    }
}

/// A run of apt-get that goes on.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: [JoinHandle<String>; 2],
}

impl Apt {
    /// A machine whose one source is the shared archive at `mirror`.
    pub fn new(mirror: SocketAddr, via: Via) -> Apt {
        Self::with_suite(mirror, via, "stable")
    }

    pub fn with_suite(mirror: SocketAddr, via: Via, suite: &str) -> Apt {
        let root = tempfile::Builder::new().prefix("apt").tempdir().unwrap();
        for directory in [
            "etc/apt/apt.conf.d",
            "etc/apt/preferences.d",
            "etc/apt/sources.list.d",
            "etc/apt/trusted.gpg.d",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
            "var/lib/dpkg",
            "var/log/apt",
            "work",
        ] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        fs::write(root.path().join("var/lib/dpkg/status"), "").unwrap();
        let mut apt = Apt { root, uri: String::new(), options: Vec::new() };
        apt.route(mirror, via, suite);
        apt
    }

    /// The same machine, with its lists and packages, now reaches the mirror so.
    pub fn route(&mut self, mirror: SocketAddr, via: Via, suite: &str) {
        let (uri, proxy) = match via {
            Via::Direct => (format!("http://{mirror}/debian"), "DIRECT".to_owned()),
            Via::Proxy(proxy) => (format!("http://{mirror}/debian"), format!("http://{proxy}")),
            Via::Prefix(proxy) => (format!("http://{proxy}/{mirror}/debian"), "DIRECT".to_owned()),
            Via::Https(proxy) => (format!("http://HTTPS///{mirror}/debian"), format!("http://{proxy}")),
            Via::HttpsPrefix(proxy) => {
                (format!("http://{proxy}/HTTPS///{mirror}/debian"), "DIRECT".to_owned())
            }
            Via::Tunnel(proxy) => (format!("https://{mirror}/debian"), format!("http://{proxy}")),
        };
        let keyring = Archive::shared().keyring();
        fs::write(
            self.path("etc/apt/sources.list.d/archive.sources"),
            format!(
                "Types: deb{}\nURIs: {uri}\nSuites: {suite}\nComponents: main\nSigned-By: {}\n",
                if suite == "stable" { " deb-src" } else { "" },
                keyring.display(),
            ),
        )
        .unwrap();
        self.uri = uri;
        let root = self.root.path().display();
        let architecture = archive::architecture();
        // Read before, and in place of, the machine's configuration.
        fs::write(
            self.path("etc/apt/isolated.conf"),
            format!(
                "Dir \"{root}/\";\n\
                 Dir::State::status \"{root}/var/lib/dpkg/status\";\n\
                 Dir::Etc::sourcelist \"/dev/null\";\n\
                 APT::Architecture \"{architecture}\";\n\
                 APT::Architectures {{ \"{architecture}\"; }};\n\
                 APT::Sandbox::User \"\";\n\
                 Acquire::Languages \"none\";\n\
                 Acquire::http::Proxy \"{proxy}\";\n\
                 Dpkg::Use-Pty \"false\";\n"
            ),
        )
        .unwrap();
    }

    /// Has these sources (sources.list(5), deb822) in place of the shared archive.
    pub fn use_sources(&self, sources: &str) {
        fs::write(self.path("etc/apt/sources.list.d/archive.sources"), sources).unwrap();
    }

    /// An index as apt has it now, unpacked, by its path below the suite.
    #[track_caller]
    pub fn list(&self, path: &str) -> String {
        let ending = path.replace('/', "_");
        let lists = fs::read_dir(self.path("var/lib/apt/lists")).unwrap();
        let names: Vec<_> = lists.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let name = names.iter().find(|name| name.ends_with(&ending));
        let name = name.unwrap_or_else(|| panic!("apt has no {path} in {names:?}"));
        fs::read_to_string(self.path("var/lib/apt/lists").join(name)).unwrap()
    }

    /// `apt-get changelog`, its text.
    pub fn changelog(&self, package: &str) -> String {
        self.get(&["changelog", "--download-only", package]).wait().expect_success();
        let file = self.path("work").join(format!("{package}.changelog"));
        let text = fs::read_to_string(&file).unwrap();
        fs::remove_file(file).unwrap();
        text
    }

    /// Adds an option as on apt's command line, such as `Acquire::Retries=0`.
    pub fn option(&mut self, option: &str) {
        self.options.push(option.to_owned());
    }

    /// `apt-get update`.
    pub fn update(&self) -> Outcome {
        // Without it a source that fails is a warning.
        self.get(&["update", "--error-on=any"]).wait()
    }

    /// `apt-get install --download-only`.
    pub fn install(&self, packages: &[&str]) -> Outcome {
        self.start_install(packages).wait()
    }

    /// The same, not waited for.
    pub fn start_install(&self, packages: &[&str]) -> Running {
        let mut arguments = vec!["install", "--download-only", "--no-install-recommends", "-y"];
        arguments.extend(packages);
        self.get(&arguments)
    }

    /// `apt-get source --download-only`.
    pub fn source(&self, package: &str) -> Outcome {
        self.get(&["source", "--download-only", package]).wait()
    }

    /// Downloads one path of the archive as apt does, with no hash expected, and
    /// gives the bytes.
    pub fn download(&self, path: &str) -> Vec<u8> {
        let target = self.path("work/download");
        let _ = fs::remove_file(&target);
        let url = format!("{}/{path}", self.uri);
        let helper = ["/usr/lib/apt/apt-helper", "/usr/libexec/apt/apt-helper"]
            .into_iter()
            .find(|helper| Path::new(helper).exists())
            .expect("apt-helper is part of apt");
        let target_text = target.to_str().unwrap();
        self.run(helper, &["download-file", &url, target_text]).wait().expect_success();
        fs::read(target).unwrap()
    }

    /// The package's file as downloaded, wherever apt has come with it.
    pub fn deb(&self, package: &Package) -> PathBuf {
        // apt escapes `:` and `_` in versions; ours have none.
        self.path("var/cache/apt/archives").join(format!("{}_{}_all.deb", package.name, package.version))
    }

    /// Bytes of the package's file that arrived so far in a run that goes on, or was
    /// interrupted.
    pub fn partial(&self, package: &Package) -> u64 {
        let name = self.deb(package).file_name().unwrap().to_owned();
        fs::metadata(self.path("var/cache/apt/archives/partial").join(name)).map_or(0, |data| data.len())
    }

    /// Ends the test unless every package's file is there, byte for byte.
    #[track_caller]
    pub fn verify(&self, packages: &[Package]) {
        for package in packages {
            let deb = self.deb(package);
            assert!(deb.exists(), "{} was not downloaded", package.name);
            let same = fs::read(&deb).unwrap() == fs::read(Archive::shared().deb(package)).unwrap();
            assert!(same, "{} differs from the mirror's", package.name);
        }
    }

    /// A file that `source` downloaded.
    pub fn source_file(&self, name: &str) -> Vec<u8> {
        fs::read(self.path("work").join(name)).unwrap()
    }

    /// Removes the packages' files, so that they are downloaded again.
    pub fn forget_debs(&self) {
        let archives = self.path("var/cache/apt/archives");
        fs::remove_dir_all(&archives).unwrap();
        fs::create_dir_all(archives.join("partial")).unwrap();
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    fn get(&self, arguments: &[&str]) -> Running {
        self.run("apt-get", arguments)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Running {
        let mut command = Command::new(program);
        for option in &self.options {
            command.args(["-o", option]);
        }
        command
            .args(arguments)
            .current_dir(self.path("work"))
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .env("HOME", self.root.path())
            .env("APT_CONFIG", self.path("etc/apt/isolated.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = [collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap())];
        Running { child, output }
    }
}

impl Running {
    /// Waits for the end, within a bound.
    pub fn wait(mut self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        let mut late = false;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline && !late {
                self.child.kill().unwrap();
                late = true;
            }
            thread::sleep(Duration::from_millis(10));
        };
        let [out, err] = self.output.map(|thread| thread.join().unwrap());
        let text = format!("{out}{err}");
        assert!(!late, "apt took longer than {PATIENCE:?}:\n{text}");
        Outcome { success: status.success(), text }
    }

    /// Kills it, as a user who loses patience would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
