//! One machine's apt, in a folder of its own.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::archive::Archive;
use crate::check::Unmet;

/// How long one run of apt-get may take.
const LIMIT: Duration = Duration::from_secs(40);

/// Its root.
#[derive(Debug)]
pub(super) struct Root(tempfile::TempDir);

/// A run that has ended.
#[derive(Debug)]
pub(super) struct Run {
    success: bool,
    /// Standard output and standard error.
    text: String,
}

/// A run that goes on.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    output: [JoinHandle<String>; 2],
}

impl Root {
    /// One source at `uri`, through `proxy`, which is a URL or `DIRECT`.
    pub(super) fn new(archive: &Archive, uri: &str, proxy: &str) -> io::Result<Self> {
        let root = tempfile::Builder::new().prefix("apt").tempdir()?;
        let at = |path: &str| root.path().join(path);
        for folder in [
            "etc/apt/apt.conf.d",
            "etc/apt/preferences.d",
            "etc/apt/sources.list.d",
            "etc/apt/trusted.gpg.d",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
            "var/lib/dpkg",
            "var/log/apt",
        ] {
            fs::create_dir_all(at(folder))?;
        }
        fs::write(at("var/lib/dpkg/status"), "")?;
        fs::write(at("archive.gpg"), &archive.keyring)?;
        let (path, architecture) = (root.path().display(), &archive.architecture);
        let source = format!(
            "Types: deb\nURIs: {uri}\nSuites: stable\nComponents: main\nSigned-By: {path}/archive.gpg\n"
        );
        fs::write(at("etc/apt/sources.list.d/archive.sources"), source)?;
        // Read before, and in place of, the machine's configuration.
        let configuration = format!(
            "Dir \"{path}/\";\n\
             Dir::State::status \"{path}/var/lib/dpkg/status\";\n\
             Dir::Etc::sourcelist \"/dev/null\";\n\
             APT::Architecture \"{architecture}\";\n\
             APT::Architectures {{ \"{architecture}\"; }};\n\
             APT::Sandbox::User \"\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::http::Proxy \"{proxy}\";\n\
             Dpkg::Use-Pty \"false\";\n"
        );
        fs::write(at("isolated.conf"), configuration)?;
        Ok(Self(root))
    }

    /// Runs apt-get to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<Run, Unmet> {
        self.start(arguments)?.wait()
    }

    /// Starts apt-get.
    pub(super) fn start(&self, arguments: &[&str]) -> Result<Running, Unmet> {
        let mut command = Command::new("apt-get");
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .env("HOME", self.0.path())
            .env("APT_CONFIG", self.0.path().join("isolated.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| Unmet::skipped(format!("apt-get: {error}")))?;
        let output = [collect(child.stdout.take()), collect(child.stderr.take())];
        Ok(Running { child, output })
    }

    /// A package's file as it was downloaded; `path` is where the archive has it.
    pub(super) fn deb(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.archives().join(file_name(path))).ok()
    }

    /// Bytes of it that a run that goes on, or was killed, has so far.
    pub(super) fn partial(&self, path: &str) -> u64 {
        let file = self.archives().join("partial").join(file_name(path));
        fs::metadata(file).map_or(0, |data| data.len())
    }

    fn archives(&self) -> PathBuf {
        self.0.path().join("var/cache/apt/archives")
    }
}

fn file_name(path: &str) -> &Path {
    Path::new(path.rsplit('/').next().unwrap_or_default())
}

impl Run {
    /// Itself if apt succeeded; else a failure with its words.
    pub(super) fn succeeded(self, what: &str) -> Result<Self, Unmet> {
        if self.success {
            return Ok(self);
        }
        let faults: Vec<&str> =
            self.text.lines().filter(|line| line.starts_with("E: ") || line.starts_with("Err:")).collect();
        Err(Unmet::failed(format!("{what} succeeds"), faults.join(" | "))
            .with("apt said", self.text.as_bytes()))
    }
}

impl Running {
    fn wait(mut self) -> Result<Run, Unmet> {
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
                _ => break None,
            }
        };
        if status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let text: String = self.output.map(|thread| thread.join().unwrap_or_default()).concat();
        match status {
            Some(status) => Ok(Run { success: status.success(), text }),
            None => Err(Unmet::failed("an end of apt-get", format!("none within {} s", LIMIT.as_secs()))
                .with("apt said", text)),
        }
    }

    /// Ends it in the middle.
    pub(super) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
