//! The example in C, built as a person would, and once more with the compiler's checks of memory and
//! of undefined behaviour, which make it fail on whatever the two sides get wrong about a pointer.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds it. Cargo builds the library in the directory that this test was built in.
fn build(name: &str, flags: &[&str]) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("c/build");
    let mut build = Command::new(script);
    build.arg(&program).args(flags).env("CARGO_TARGET_DIR", target);
    let output = build.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    program
}

fn runs(program: &Path) {
    let output = crate::output(&mut Command::new(program));
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told, "joined, contacts: 1\nput, copies: 2\nfound: hello from C\ngot, values: 1\n");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn two_nodes_exchange_a_value_under_poll() {
    runs(&build("khashmir-in-c", &[]));
}

#[test]
fn no_byte_is_touched_that_is_not_theirs_and_none_is_left() {
    runs(&build("khashmir-in-c-checked", &["-g", "-fsanitize=address,undefined"]));
}
