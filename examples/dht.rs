//! A command line for the hash table, on the smol driver.
//!
//!     cargo run -p khashmir-examples --example dht -- --help
//!     cargo run -p khashmir-examples --example dht -- --bind 127.0.0.1:9978 serve
//!     cargo run -p khashmir-examples --example dht -- --via 127.0.0.1:9978 put greeting hello
//!     cargo run -p khashmir-examples --example dht -- --via 127.0.0.1:9978 get greeting
//!
//! Each run is a node of its own: it starts, joins, does one thing and leaves.

use khashmir::{Config, Id};
use khashmir_smol::{Dht, Sockets};
use pico_args::Arguments;
use sha1::{Digest, Sha1};
use smol::stream::StreamExt as _;
use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;

const HELP: &str = "\
Asks and feeds a distributed hash table.

usage: dht [OPTIONS] COMMAND

  put KEY VALUE  store a value; it is forgotten after some hours
  get KEY        print the values under a key, one a line
  find KEY       print the nodes closest to a key
  ping ADDR      ask whether a node is there
  serve          be a node for others, until killed

A KEY is 40 hexadecimal digits, or any text, which is hashed.

  --via ADDR           a node to join through, such as 192.0.2.7:9978; may be repeated
  --bind ADDR          where our own node listens (any port)
  --local-network NET  a network whose private addresses are trusted, such as 10.0.0.0/8;
                       may be repeated (loopback is)
  --wanted N           end a get after N values (as many as there are)
";

fn main() -> ExitCode {
    match smol::block_on(run(Arguments::from_env())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dht: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(mut arguments: Arguments) -> Result<(), Box<dyn Error>> {
    if arguments.contains(["-h", "--help"]) {
        print!("{HELP}");
        return Ok(());
    }
    let via: Vec<SocketAddr> = arguments.values_from_str("--via")?;
    let wanted = arguments.opt_value_from_str("--wanted")?.unwrap_or(usize::MAX);
    let any_port = match via.first() {
        Some(SocketAddr::V6(_)) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        _ => (Ipv4Addr::UNSPECIFIED, 0).into(),
    };
    let bind: SocketAddr = arguments.opt_value_from_str("--bind")?.unwrap_or(any_port);
    let mut local_networks = arguments.values_from_str("--local-network")?;
    for loopback in ["127.0.0.0/8", "::1/128"] {
        local_networks.push(loopback.parse()?);
    }
    let config = Config { local_networks, ..Config::default() };

    let rest = arguments.finish();
    let command: Vec<&str> =
        rest.iter().map(|word| word.to_str().ok_or("arguments are UTF-8")).collect::<Result<_, _>>()?;
    if !matches!(command[..], ["put", _, _] | ["get" | "find" | "ping", _] | ["serve"]) {
        return Err(format!("this is no command: {:?}; see --help", command.join(" ")).into());
    }

    let dht = Dht::start(Sockets::bind(&[bind])?, config)?;
    if !via.is_empty() && dht.join(&via).await? == 0 {
        let named: Vec<String> = via.iter().map(SocketAddr::to_string).collect();
        return Err(format!("no node answers at {}", named.join(", ")).into());
    }
    if via.is_empty() && matches!(command[..], ["put" | "get" | "find", ..]) {
        return Err("name a node of the network with --via ADDR".into());
    }
    match command[..] {
        ["put", key, value] => match dht.put(self::key(key), value.as_bytes()).await? {
            // One of them is our own node, which is about to leave.
            copies @ 2.. => println!("stored, copies: {}", copies - 1),
            _ => return Err("nobody else has stored it".into()),
        },
        ["get", key] => {
            let mut values = dht.get(self::key(key), wanted).await?;
            let mut found = 0;
            while let Some(value) = values.next().await {
                println!("{}", value.escape_ascii());
                found += 1;
            }
            if found == 0 {
                return Err(format!("no value under {key}").into());
            }
        }
        ["find", key] => {
            for contact in dht.find_node(self::key(key)).await? {
                println!("{} {}", contact.id, contact.addr);
            }
        }
        ["ping", addr] => {
            let addr = addr.parse().map_err(|error| format!("{addr:?}: {error}, such as 192.0.2.7:9978"))?;
            let pong = dht.ping(addr).await?;
            println!("{} in {:.1} ms", pong.contact.id, pong.round_trip.as_secs_f64() * 1000.0);
        }
        _ => {
            println!("node {} at {}", dht.id(), dht.local_addrs()[0]);
            std::future::pending::<()>().await;
        }
    }
    dht.shutdown().await;
    Ok(())
}

fn key(text: &str) -> Id {
    let digit = |at| text.get(2 * at..2 * at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let digits: Option<Vec<u8>> = (0..Id::LEN).map(digit).collect();
    let id = digits.filter(|_| text.len() == 2 * Id::LEN).and_then(|bytes| Id::from_slice(&bytes));
    id.unwrap_or_else(|| Id(Sha1::digest(text).into()))
}
