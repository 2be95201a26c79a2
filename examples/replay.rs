//! What happened to a recorded node, step by step.
//!
//!     cargo run -p khashmir-examples --example blocking -- --record node.khashmir
//!     cargo run -p khashmir-examples --example replay -- node.khashmir
//!     cargo run -p khashmir-examples --example replay -- --verify node.khashmir
//!
//! The engine does again what it did then, so you can look into the node at any step, with a debugger
//! too: run it to the step before the one that puzzles you, and set a breakpoint.

use khashmir_recording::{Replay, Teller, Verdict};
use std::error::Error;
use std::fs::File;
use std::io::BufReader;
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
Prints what happened to a recorded node, and what it said to that.

usage: replay [OPTIONS] RECORDING

  --steps N        stop after N steps
  --until SECONDS  stop at that time, counted from the start of the recording
  --only WORD      print only steps with that word in them, such as get, find or an address
  --node           print what the node has in it where the replay stops
  --blind          print pseudonyms for addresses, ids, keys, values and tokens
  --verify         print only whether it is the same, bit for bit, or where it differs
";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("replay: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all was as it was recorded.
fn run() -> Result<bool, Box<dyn Error>> {
    let mut arguments = pico_args::Arguments::from_env();
    if arguments.contains(["-h", "--help"]) {
        print!("{HELP}");
        return Ok(true);
    }
    let most: u64 = arguments.opt_value_from_str("--steps")?.unwrap_or(u64::MAX);
    let until = arguments.opt_value_from_str("--until")?.map(Duration::try_from_secs_f64).transpose()?;
    let only: String = arguments.opt_value_from_str("--only")?.unwrap_or_default();
    let shows_node = arguments.contains("--node");
    let verifies = arguments.contains("--verify");
    let blinds = arguments.contains("--blind");
    let rest = arguments.finish();
    let [path] = &rest[..] else { return Err(HELP.into()) };
    let path = path.to_string_lossy();
    if path.starts_with('-') {
        return Err(format!("what is {path}?\n\n{HELP}").into());
    }

    let file = File::open(&*path).map_err(|error| format!("{path}: {error}"))?;
    let mut replay = Replay::open(BufReader::new(file)).map_err(|error| format!("{path}: {error}"))?;
    let start = replay.start().now;
    let teller = if blinds { Teller::blinded(replay.start()) } else { Teller::new(replay.start()) };
    if !verifies && only.is_empty() {
        print!("{}", teller.heading(replay.start()));
    }
    let (mut steps, mut differs, mut damage) = (0, None, None);
    while steps < most
        && let Some(step) = replay.next()
    {
        let step = match step {
            Ok(step) if until.is_none_or(|until| step.at <= start + until) => step,
            Ok(_) => break,
            Err(error) => {
                damage = Some(error);
                break;
            }
        };
        steps += 1;
        let text = teller.step(&step);
        if !verifies && text.contains(&only) {
            print!("{text}");
        }
        if let Verdict::Differs(what) = step.verdict {
            differs.get_or_insert((what, text));
        }
    }
    if shows_node {
        println!("{:#?}", replay.node().stats());
    }
    match &differs {
        Some((what, text)) => print!("of {steps} steps, this is the first that differs, in {what}:\n{text}"),
        None => println!("{steps} steps, identical"),
    }
    match damage {
        Some(error) => Err(format!("{path}: {error}").into()),
        None => Ok(differs.is_none()),
    }
}
