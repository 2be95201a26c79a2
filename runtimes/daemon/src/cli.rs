//! The command line.

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError, HostPort, LogLevel, Network, RecordingConfig};

mod bars;
mod explain;
mod get;
mod greeting;
mod share;
mod status;
mod text;
mod walk;

pub use greeting::Greeting;

/// Fetches apt's packages from other machines that have them, and from the
/// mirror where none has.
///
/// Without a command, runs the daemon in the foreground until SIGTERM or
/// SIGINT (Ctrl-C).
#[derive(Debug, Parser)]
#[command(name = "khashmir", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// Read this configuration [default: /etc/khashmir/khashmir.toml for root,
    /// else ~/.config/khashmir/khashmir.toml, if it exists]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    /// Keep data here [default: /var/lib/khashmir for root, else
    /// ~/.local/share/khashmir]
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,

    #[command(flatten)]
    run: RunOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon (what happens without a command)
    Run(RunOptions),
    #[command(flatten)]
    Ask(Ask),
}

/// The commands that ask the running daemon. What each does stands where it is done.
#[derive(Debug, PartialEq, Subcommand)]
pub enum Ask {
    Status(status::Options),
    Explain(explain::Options),
    Get(get::Options),
    Share(share::Options),
    Walk(walk::Options),
}

impl Ask {
    /// Asks the daemon that `config` names, and prints what it says.
    ///
    /// # Errors
    /// With a text that says what to do.
    pub fn run(&self, config: &Config) -> Result<(), Box<dyn Error>> {
        let data_dir = config.data_dir_or_default()?;
        match self {
            Self::Status(options) => options.run(&data_dir),
            Self::Explain(options) => options.run(&data_dir),
            Self::Get(options) => options.run(&data_dir),
            Self::Share(options) => options.run(&data_dir),
            Self::Walk(options) => options.run(config),
        }
    }
}

/// What running the daemon takes, before or after the word `run`.
#[derive(Debug, Default, PartialEq, Args)]
struct RunOptions {
    /// Print the configuration in effect, or what is wrong with it, and exit
    #[arg(long)]
    check_config: bool,

    /// Let apt in here [default: 127.0.0.1:9977]
    #[arg(long, value_name = "ADDRESS:PORT")]
    proxy: Option<SocketAddr>,

    /// Let other machines in here, by TCP and UDP [default: [::]:9978]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// Join other machines by way of this one (may be repeated)
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: Vec<HostPort>,

    /// Take nodes and peers of this private network, such as 192.168.0.0/16 (may
    /// be repeated)
    #[arg(long, value_name = "NETWORK")]
    local_network: Vec<Network>,

    /// Record all that happens to the node in the hash table, for a replay; the
    /// file holds secrets
    #[arg(long, value_name = "FILE", conflicts_with = "record_blinded")]
    record: Option<PathBuf>,

    /// The same as text that hides addresses, ids, keys and values, for a bug
    /// report
    #[arg(long, value_name = "FILE")]
    record_blinded: Option<PathBuf>,

    /// Write what is at least so severe to standard error [default: warn]
    #[arg(long, value_name = "LEVEL")]
    log: Option<LogLevel>,
}

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Run the daemon.
    Run(Box<Config>),
    /// Print this configuration.
    CheckConfig(Box<Config>),
    /// Ask the daemon that this configuration names.
    Ask(Box<Config>, Ask),
}

/// Writes to standard output. Whoever closed it does not want to know.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

impl Cli {
    /// Reads the configuration, puts the command line's options in its place,
    /// and says what is to be done.
    pub fn action(self) -> Result<Action, ConfigError> {
        let Self { command, config, data_dir, run } = self;
        let file = config.or_else(Config::default_file);
        let mut config = file.as_deref().map_or_else(|| Ok(Config::default()), Config::load)?;
        if let Some(dir) = data_dir {
            config.data_dir = Some(dir);
        }
        let data_dir = config.data_dir_or_default()?;
        let data_dir = std::path::absolute(&data_dir).unwrap_or(data_dir);
        config.data_dir = Some(data_dir);
        let mut options = run;
        match command {
            Some(Command::Ask(ask)) if options == RunOptions::default() => {
                return Ok(Action::Ask(Box::new(config), ask));
            }
            Some(Command::Ask(_)) => return Err(ConfigError::RunOptionElsewhere),
            Some(Command::Run(after)) => options.extend(after),
            None => {}
        }
        let check_config = options.check_config;
        options.apply(&mut config);
        Ok(match check_config {
            true => Action::CheckConfig(Box::new(config)),
            false => Action::Run(Box::new(config)),
        })
    }
}

impl RunOptions {
    fn extend(&mut self, later: Self) {
        self.check_config |= later.check_config;
        self.proxy = later.proxy.or(self.proxy);
        self.listen = later.listen.or(self.listen);
        self.log = later.log.or(self.log);
        if later.record.is_some() || later.record_blinded.is_some() {
            (self.record, self.record_blinded) = (later.record, later.record_blinded);
        }
        self.bootstrap.extend(later.bootstrap);
        self.local_network.extend(later.local_network);
    }

    fn apply(self, config: &mut Config) {
        config.proxy.listen = self.proxy.unwrap_or(config.proxy.listen);
        config.peers.listen = self.listen.unwrap_or(config.peers.listen);
        config.log.level = self.log.unwrap_or(config.log.level);
        let is_blinded = self.record_blinded.is_some();
        if let Some(file) = self.record.or(self.record_blinded) {
            config.recording = RecordingConfig { file: Some(file), blinded: is_blinded, ..config.recording };
        }
        config.dht.bootstrap.extend(self.bootstrap);
        config.dht.local_networks.extend(self.local_network);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn options_override_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("k.toml");
        std::fs::write(
            &file,
            "data_dir = '/from/file'\n[proxy]\nlisten = '127.0.0.1:1'\n[dht]\nbootstrap = ['a.example:1']\n",
        )
        .unwrap();
        let cli = Cli::try_parse_from([
            "khashmir",
            "--config",
            file.to_str().unwrap(),
            "--data-dir",
            "/from/option",
            "--proxy",
            "127.0.0.1:2",
            "--bootstrap",
            "b.example:2",
            "--bootstrap",
            "[::1]:3",
            "--log",
            "debug",
        ])
        .unwrap();
        let Action::Run(config) = cli.action().unwrap() else { panic!("runs") };
        assert_eq!(config.data_dir, Some(PathBuf::from("/from/option")));
        assert_eq!(config.proxy.listen, "127.0.0.1:2".parse().unwrap());
        assert_eq!(config.log.level, LogLevel::Debug);
        let bootstrap: Vec<String> = config.dht.bootstrap.iter().map(HostPort::to_string).collect();
        assert_eq!(bootstrap, ["a.example:1", "b.example:2", "[::1]:3"]);
    }

    #[test]
    fn options_of_run_stand_before_or_after_it() {
        let bootstrap = ["khashmir", "--bootstrap", "a.example:1", "run", "--bootstrap", "b.example:2"];
        let line = bootstrap.into_iter().chain(["--proxy", "127.0.0.1:2", "--local-network", "10.0.0.0/8"]);
        let Action::Run(config) = Cli::try_parse_from(line).unwrap().action().unwrap() else {
            panic!("runs")
        };
        assert_eq!(config.proxy.listen, "127.0.0.1:2".parse().unwrap());
        let bootstrap: Vec<String> = config.dht.bootstrap.iter().map(HostPort::to_string).collect();
        assert_eq!(bootstrap, ["a.example:1", "b.example:2"]);
        assert_eq!(config.dht.local_networks, ["10.0.0.0/8".parse().unwrap()]);
    }

    #[test]
    fn an_option_that_would_do_nothing_is_refused() {
        let line = ["khashmir", "--proxy", "127.0.0.1:2", "status"];
        let error = Cli::try_parse_from(line).unwrap().action().unwrap_err();
        assert!(matches!(error, ConfigError::RunOptionElsewhere), "{error}");
        assert!(Cli::try_parse_from(["khashmir", "status", "--log", "info"]).is_err());
    }

    #[test]
    fn a_recording_is_named_by_one_option() {
        let config = |line: &[&str]| {
            let cli = Cli::try_parse_from(["khashmir"].iter().chain(line)).unwrap();
            let Action::Run(config) = cli.action().unwrap() else { panic!("runs") };
            config.recording
        };
        let recording = config(&["--record", "a"]);
        assert_eq!((recording.file, recording.blinded), (Some("a".into()), false));
        let recording = config(&["--record", "a", "run", "--record-blinded", "b"]);
        assert_eq!((recording.file, recording.blinded), (Some("b".into()), true));
        assert_eq!(config(&[]), RecordingConfig::default());
        assert!(Cli::try_parse_from(["khashmir", "--record", "a", "--record-blinded", "b"]).is_err());
    }

    #[test]
    fn status_takes_the_data_directory_on_either_side() {
        for line in [["--data-dir", "/d", "status", "--json"], ["status", "--json", "--data-dir", "/d"]] {
            let cli = Cli::try_parse_from(["khashmir"].into_iter().chain(line)).unwrap();
            let action = cli.action().unwrap();
            let ask = Ask::Status(status::Options { json: true, watch: false });
            let Action::Ask(config, asked) = action else { panic!("asks") };
            assert_eq!((asked, config.data_dir), (ask, Some(PathBuf::from("/d"))));
        }
    }
}
