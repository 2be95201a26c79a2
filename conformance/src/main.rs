//! `khashmir-conformance`: the command.

use std::process::ExitCode;

fn main() -> ExitCode {
    khashmir_conformance::cli::main()
}
