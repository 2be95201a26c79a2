//! Every example does what it says: each is built and run for real. What it prints is shown with
//! `cargo test -p khashmir-examples -- --show-output`.

#![allow(clippy::unwrap_used)]

mod blocking;
mod c;
mod dht;
mod mio_loop;
mod replay;
mod running;
mod user_space_stack;

use std::env;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

/// An example, ready to be run.
fn example(name: &str, arguments: &[&str]) -> Command {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    let mut example = Command::new(PLACE.get_or_init(build).join(name));
    example.args(arguments);
    example
}

/// Has cargo build all examples, if it has not, as it built this test. Returns where they are.
fn build() -> PathBuf {
    let test = env::current_exe().unwrap();
    let built = test.ancestors().nth(2).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--examples", "-p", "khashmir-examples"]);
    cargo.args(built.ends_with("release").then_some("--release"));
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    built.join("examples")
}

fn run(name: &str, arguments: &[&str]) -> Output {
    output(&mut example(name, arguments))
}

/// Runs a program to its end, and repeats what it printed.
fn output(program: &mut Command) -> Output {
    let output = program.output().unwrap();
    println!("$ {program:?}");
    for printed in [&output.stdout, &output.stderr] {
        print!("{}", String::from_utf8_lossy(printed));
    }
    output
}

/// What an example that succeeds prints.
fn lines(name: &str, arguments: &[&str]) -> Vec<String> {
    let output = run(name, arguments);
    assert!(output.status.success(), "{name} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// How an example that fails explains it.
fn complaint(name: &str, arguments: &[&str]) -> String {
    let output = run(name, arguments);
    assert_eq!(output.status.code(), Some(1), "{name} {arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}
