//! Load on every driver, and on a plain echo on the sockets of its runtime.
//!
//!     load [RUNTIMES...]      replies per second and CPU time per reply, and the ratios
//!     load memory [RUNTIME]   memory while ten million queries come from a million addresses
//!
//! `QUERIES=` and `ROUNDS=` change how much is measured. Servers are processes of their own, on one
//! processor; the generator is on another. All traffic is on loopback. The echo gets the same
//! `find_node` queries as a node and sends each back as it came, so that its replies are of their
//! length. Every round measures all of them in turn; what is printed are medians, ratios to the echo
//! that was measured just before, and the allocations of all rounds together.

mod child;
mod clients;
mod crowd;
mod memory;
mod server;

use child::{Server, Usage};
use clients::{Clients, Expected, Run};
use crowd::Crowd;
use khashmir_benches::counting::Counting;
use khashmir_benches::scene::{Asked, MANY, NETWORK, WINDOW};
use server::{Kind, Runtime, pin};
use std::error::Error;
use std::str::FromStr;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ASKED: [Asked; 6] = [
    Asked::Ping,
    Asked::FindNode,
    Asked::FindValue,
    Asked::FindValueOfMany,
    Asked::GetValue,
    Asked::GetValueOfMany,
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", name, kind] => {
            let kind = if kind == "echo" { Kind::Echo } else { Kind::Node };
            server::serve(runtime(name)?, kind)
        }
        ["memory"] => memory::memory(Runtime::Smol),
        ["memory", name] => memory::memory(runtime(name)?),
        [] => compare(&Runtime::ALL),
        ref names => compare(&names.iter().map(|name| runtime(name)).collect::<Result<Vec<_>, _>>()?),
    }
}

fn runtime(name: &str) -> Result<Runtime, Box<dyn Error>> {
    Runtime::from_name(name).ok_or_else(|| format!("no runtime is called {name}").into())
}

fn variable<T: FromStr>(name: &str, default: T) -> Result<T, Box<dyn Error>>
where
    T::Err: Error + 'static,
{
    Ok(std::env::var(name).ok().map(|text| text.parse()).transpose()?.unwrap_or(default))
}

/// One measurement.
#[derive(Clone, Copy)]
struct Sample {
    run: Run,
    usage: Usage,
    count: usize,
}

impl Sample {
    fn rate(&self) -> f64 {
        self.count as f64 / self.run.took.as_secs_f64()
    }

    fn user(&self) -> f64 {
        self.usage.user_micros as f64 / self.count as f64
    }

    fn system(&self) -> f64 {
        self.usage.system_micros as f64 / self.count as f64
    }

    fn cpu(&self) -> f64 {
        self.user() + self.system()
    }
}

fn compare(runtimes: &[Runtime]) -> Result<(), Box<dyn Error>> {
    let (queries, rounds) = (variable("QUERIES", 100_000)?, variable("ROUNDS", 5)?);
    pin(1)?;
    println!("{rounds} rounds of {queries} queries each, {WINDOW} under way");
    for runtime in runtimes {
        measure(*runtime, queries, rounds)?;
    }
    Ok(())
}

fn measure(runtime: Runtime, queries: usize, rounds: usize) -> Result<(), Box<dyn Error>> {
    let mut echo = Server::start(runtime, Kind::Echo)?;
    let mut node = Server::start(runtime, Kind::Node)?;
    Crowd::new(node.address)?.settle()?;
    let [contacts, values] = node.sizes()?;
    // Half of all nodes belong in the first bucket, a quarter in the second: so many are full, give
    // or take one.
    let full_buckets = NETWORK.ilog2() - 4;
    if contacts < 8 * full_buckets as usize || values != MANY + WINDOW {
        return Err(format!("{contacts} contacts and {values} values: not what was to be measured").into());
    }
    let mut echo_clients = Clients::new(echo.address)?;
    let mut node_clients = Clients::new(node.address)?;
    echo_clients.prepare(Asked::FindNode);

    let mut echoes: Vec<Sample> = Vec::new();
    let mut answers: [Vec<Sample>; ASKED.len()] = Default::default();
    // The first round only warms up: queues grow to their size, clients prove their addresses.
    for round in 0..=rounds {
        let count = if round == 0 { queries / 10 } else { queries };
        for (asked, samples) in ASKED.into_iter().zip(&mut answers) {
            let echoed = sample(&mut echo, &mut echo_clients, Expected::Echo, count)?;
            node_clients.prepare(asked);
            let answered = sample(&mut node, &mut node_clients, Expected::Responses, count)?;
            if round > 0 {
                echoes.push(echoed);
                samples.push(answered);
            }
        }
    }

    println!("\n{}: {contacts} contacts, {values} values\n", runtime.name());
    println!("| | replies/s | of the echo | CPU µs | user | system | of the echo | bytes | allocations |");
    println!("|---|---|---|---|---|---|---|---|---|");
    row("echo", &echoes, &echoes);
    for (at, asked) in ASKED.into_iter().enumerate() {
        // The echo that came just before each.
        let beside: Vec<Sample> = echoes.iter().skip(at).step_by(ASKED.len()).copied().collect();
        row(asked.name(), &answers[at], &beside);
    }
    Ok(())
}

fn sample(
    server: &mut Server,
    clients: &mut Clients,
    expected: Expected,
    count: usize,
) -> Result<Sample, Box<dyn Error>> {
    let before = server.usage()?;
    let run = clients.run(expected, count)?;
    Ok(Sample { run, usage: server.usage()? - before, count })
}

fn row(name: &str, samples: &[Sample], echoes: &[Sample]) {
    let of_each = |of: fn(&Sample) -> f64| median(samples.iter().map(of));
    let ratio = |of: fn(&Sample) -> f64| median(samples.iter().zip(echoes).map(|(a, b)| of(a) / of(b)));
    let replies: usize = samples.iter().map(|sample| sample.count).sum();
    let bytes: usize = samples.iter().map(|sample| sample.run.reply_bytes).sum();
    let allocations: i64 = samples.iter().map(|sample| sample.usage.allocations).sum();
    let lost: usize = samples.iter().map(|sample| sample.run.lost).sum();
    println!(
        "| {name} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {allocations} |",
        of_each(Sample::rate),
        ratio(Sample::rate),
        of_each(Sample::cpu),
        of_each(Sample::user),
        of_each(Sample::system),
        ratio(Sample::cpu),
        bytes / replies,
    );
    if lost > 0 {
        eprintln!("{lost} queries of {name} were lost and sent again");
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
