//! Counts the instructions and allocations of reading and writing each datagram, with each codec.
//!
//! It runs itself under callgrind, which notes what every call of [`measured`] takes and calls, prints a
//! table, and fails unless ours takes fewer instructions than every other codec on every datagram.

mod codecs;
mod messages;

use codecs::{Codec, Visitor, visit_all};
use messages::Sample;
use std::hint::black_box;
use std::process::{Command, ExitCode};

const UNDER_CALLGRIND: &str = "KHASHMIR_CODEC_UNDER_CALLGRIND";

/// What one message costs.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    instructions: u64,
    allocations: u64,
}

/// Each sample with each codec, in a fixed order: `None` where a codec can't.
#[derive(Default)]
struct Table {
    codecs: Vec<&'static str>,
    decode: Vec<Vec<Option<Cost>>>,
    encode: Vec<Vec<Option<Cost>>>,
}

/// Visits the codecs in the process that callgrind runs, and, to learn which numbers are whose, in the one
/// that reads what it noted.
struct Measure<'a> {
    samples: &'a [Sample],
    table: Table,
    /// Takes one measurement.
    take: &'a mut dyn FnMut(&mut dyn FnMut()) -> Cost,
}

/// Callgrind notes what was done before this, and what it does. What it takes itself is subtracted.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

impl Visitor for Measure<'_> {
    /// Dropping what was read is not measured: ours has nothing to free.
    fn visit<C: Codec>(&mut self) {
        let decode = |sample: &Sample, take: &mut dyn FnMut(&mut dyn FnMut()) -> Cost| {
            C::decode(&sample.datagram).is_ok().then(|| {
                let mut message = None;
                let cost = take(&mut || message = Some(C::decode(black_box(&sample.datagram))));
                black_box(&message);
                cost
            })
        };
        let encode = |sample: &Sample, take: &mut dyn FnMut(&mut dyn FnMut()) -> Cost| {
            C::writable(&sample.datagram).map(|message| {
                let mut out = C::buffer();
                let cost = take(&mut || C::encode(black_box(&message), &mut out));
                black_box(&out);
                cost
            })
        };
        self.table.codecs.push(C::NAME);
        self.table.decode.push(self.samples.iter().map(|sample| decode(sample, self.take)).collect());
        self.table.encode.push(self.samples.iter().map(|sample| encode(sample, self.take)).collect());
    }
}

fn measure(samples: &[Sample], take: &mut dyn FnMut(&mut dyn FnMut()) -> Cost) -> Table {
    let nothing = take(&mut || {}).instructions;
    let mut take_more = |work: &mut dyn FnMut()| {
        let cost = take(work);
        Cost { instructions: cost.instructions.saturating_sub(nothing), ..cost }
    };
    let mut measure = Measure { samples, table: Table::default(), take: &mut take_more };
    visit_all(&mut measure);
    measure.table
}

fn main() -> ExitCode {
    let shapes = messages::shapes();
    let shown = shapes.len();
    let samples: Vec<Sample> =
        shapes.into_iter().chain(messages::session()).chain(messages::probes()).collect();
    if std::env::var_os(UNDER_CALLGRIND).is_some() {
        measure(&samples, &mut |work| {
            measured(work);
            Cost::default()
        });
        return ExitCode::SUCCESS;
    }
    let mut costs = callgrind().into_iter();
    let table = measure(&samples, &mut |_| costs.next().expect("a measurement for every call"));
    assert!(costs.next().is_none(), "a call for every measurement");
    let decode = report("decode", &samples, shown, &table.codecs, &table.decode);
    let encode = report("encode", &samples, shown, &table.codecs, &table.encode);
    if decode && encode { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What each call of [`measured`] takes, in a run of this program.
fn callgrind() -> Vec<Cost> {
    let out = std::env::temp_dir().join(format!("khashmir-codec-{}.callgrind", std::process::id()));
    let status = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--combine-dumps=yes"])
        .args(["--compress-strings=no", "--dump-before=*::measured", "--dump-after=*::measured"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().expect("the path of this program"))
        .env(UNDER_CALLGRIND, "1")
        .status()
        .expect("valgrind is needed");
    assert!(status.success(), "valgrind: {status}");
    let text = std::fs::read(&out).expect("what callgrind wrote");
    std::fs::remove_file(&out).expect("it is ours");
    // Names of functions may be anything.
    read(&String::from_utf8_lossy(&text))
}

/// Reads callgrind's format: parts, one before and one for each call of [`measured`], and a last one.
fn read(text: &str) -> Vec<Cost> {
    let mut costs: Vec<Cost> = Vec::new();
    let mut allocates = false;
    for line in text.lines() {
        if line.starts_with("part: ") {
            costs.push(Cost::default());
        }
        let Some(cost) = costs.last_mut() else { continue };
        if let Some(sum) = line.strip_prefix("summary: ") {
            cost.instructions = sum.trim().parse().expect("a number");
        } else if let Some(called) = line.strip_prefix("cfn=") {
            allocates = matches!(called, "malloc" | "calloc" | "realloc" | "posix_memalign");
        } else if let Some(calls) = line.strip_prefix("calls=")
            && std::mem::take(&mut allocates)
        {
            let number = calls.split(' ').next().unwrap_or_default();
            cost.allocations += number.parse::<u64>().expect("a number");
        }
    }
    costs.into_iter().skip(1).step_by(2).collect()
}

/// Prints the table; whether ours, the first, takes the fewest instructions everywhere.
fn report(
    direction: &str,
    samples: &[Sample],
    shown: usize,
    codecs: &[&str],
    costs: &[Vec<Option<Cost>>],
) -> bool {
    println!("\n| {direction} | {} |", codecs.join(" | "));
    println!("|---|{}", "---|".repeat(codecs.len()));
    for (row, sample) in samples.iter().enumerate().take(shown) {
        let cell = |costs: &Vec<Option<Cost>>| match costs[row] {
            Some(Cost { instructions, allocations: 0 }) => grouped(instructions),
            Some(Cost { instructions, allocations }) => format!("{} ({allocations})", grouped(instructions)),
            None => "–".into(),
        };
        println!("| {} | {} |", sample.name, costs.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    let instructions = |codec: usize, row: usize| costs[codec][row].map(|cost| cost.instructions);
    let mut fewer = 0;
    let mut ratios = Vec::new();
    for (row, sample) in samples.iter().enumerate() {
        let others = (1..codecs.len()).filter_map(|codec| Some((instructions(codec, row)?, codec)));
        match (instructions(0, row), others.min()) {
            (Some(ours), Some((best, codec))) => {
                ratios.push((best as f64 / ours.max(1) as f64, codec, row));
                if ours < best {
                    fewer += 1;
                } else {
                    println!("{}: ours {ours}, {} {best}", sample.name, codecs[codec]);
                }
            }
            (Some(_), None) => fewer += 1,
            // Read as malformed, and not written again as it came.
            (None, _) => {}
        }
    }
    let possible = costs[0].iter().flatten().count();
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    if let (Some((least, codec, row)), Some((median, ..))) = (ratios.first(), ratios.get(ratios.len() / 2)) {
        println!(
            "\nThe best other takes {least:.2} times ours at least ({}, {}), {median:.2} times in the median.",
            samples[*row].name, codecs[*codec]
        );
    }
    println!("{direction}: fewer instructions than every other on {fewer} of {possible} datagrams");
    fewer == possible
}

/// With commas between thousands.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
