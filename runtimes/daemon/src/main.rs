//! `khashmir`: the command.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use async_signal::{Signal, Signals};
use clap::Parser as _;
use khashmir_daemon::cli::{Action, Cli, Greeting, say};
use khashmir_daemon::config::{Config, LogLevel};
use khashmir_daemon::{Daemon, StartError};
use smol::future::FutureExt as _;
use smol::stream::StreamExt as _;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What the daemon may take to end cleanly.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The command line or the configuration is wrong, as clap has it.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    match Cli::parse().action() {
        Err(error) => fail(USAGE, &error),
        Ok(Action::CheckConfig(config)) => match toml::to_string(&config) {
            Ok(text) => {
                say(&text);
                ExitCode::SUCCESS
            }
            Err(error) => fail(1, &error),
        },
        Ok(Action::Ask(config, ask)) => match ask.run(&config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(1, &*error),
        },
        Ok(Action::Run(config)) => {
            log(config.log.level);
            match smol::block_on(run(*config)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error @ StartError::Config(_)) => fail(USAGE, &error),
                Err(error) => fail(1, &error),
            }
        }
    }
}

async fn run(config: Config) -> Result<(), StartError> {
    let mut signals = Signals::new([Signal::Term, Signal::Int]).map_err(StartError::Runtime)?;
    let bootstrap = config.dht.bootstrap.clone();
    let starting = async { Some(Daemon::start(config).await) };
    let interrupted = async {
        signals.next().await;
        None
    };
    let Some(daemon) = starting.or(interrupted).await.transpose()? else { return Ok(()) };
    let greeting = Greeting {
        proxy: daemon.proxy_address(),
        peers: daemon.peers_address(),
        data_dir: daemon.data_dir(),
        bootstrap: &bootstrap,
        restored_contacts: daemon.restored_contacts(),
    };
    say(&greeting.to_string());

    signals.next().await;
    tracing::info!("stopping; a second signal stops at once");
    let stop = async {
        daemon.stop().await;
        tracing::info!("stopped");
    };
    let late = async {
        smol::Timer::after(STOP_TIMEOUT).await;
        tracing::warn!("stopped before everything was at rest");
    };
    let again = async {
        signals.next().await;
        tracing::warn!("stopped at once");
    };
    stop.or(late).or(again).await;
    Ok(())
}

/// Our own messages from `level` on, and others' warnings.
fn log(level: LogLevel) {
    let own = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let filter = Targets::new().with_default(own.min(LevelFilter::WARN)).with_target("khashmir", own);
    // Colours are for eyes, not for files and journals.
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry().with(lines).with(filter).init();
}

fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "khashmir: {error}");
    ExitCode::from(code)
}
