//! Whether strangers leave memory behind: ten million queries from a million addresses.

use crate::child::Server;
use crate::crowd::Crowd;
use crate::server::{Kind, Runtime, pin};
use khashmir::Id;
use khashmir::krpc::Call;
use khashmir::rng::{Purpose, Rng};
use khashmir_benches::scene::{WINDOW, key_of_many, key_of_one, query};
use std::error::Error;
use std::net::Ipv4Addr;

const SOURCES: u32 = 1_000_000;
const MILLIONS: u32 = 10;
/// One in so many answers the node's pings.
const ANSWERING: u32 = 16;

/// Bytes in use may grow by so much from the first million on: less than a hundredth of a byte for
/// each query.
const MAX_GROWTH: i64 = 64 << 10;

pub fn memory(runtime: Runtime) -> Result<(), Box<dyn Error>> {
    pin(1)?;
    let mut server = Server::start(runtime, Kind::Node)?;
    let mut crowd = Crowd::new(server.address)?;
    crowd.settle()?;
    println!("| {} queries, millions | in use, KiB | resident, KiB |\n|---|---|---|", runtime.name());
    let mut after_first = None;
    let mut rng = Rng::new([5; 32], Purpose::NodeId);
    for million in 0..=MILLIONS {
        let (in_use, resident) = (server.usage()?.bytes_in_use, server.resident_kib()?);
        println!("| {million} | {} | {resident} |", in_use / 1024);
        if million == MILLIONS {
            let growth = in_use - after_first.unwrap_or(in_use);
            if growth > MAX_GROWTH {
                return Err(format!("{growth} bytes more in use than after the first million").into());
            }
            println!("\n{growth} bytes more in use than after the first million");
        } else {
            if million == 1 {
                after_first = Some(in_use);
            }
            for n in (0..SOURCES).step_by(WINDOW) {
                window(&mut crowd, &mut rng, n, million)?;
            }
        }
    }
    Ok(())
}

/// Queries of one window of sources.
fn window(crowd: &mut Crowd, rng: &mut Rng, first: u32, round: u32) -> Result<(), Box<dyn Error>> {
    for n in first..first + WINDOW as u32 {
        let (id, key) = (id(n), Id(rng.bytes()));
        let call = match (n + round) % 4 {
            0 => Call::Ping,
            1 => Call::FindNode { target: key },
            2 => Call::FindValue { key: key_of_many() },
            _ => Call::GetValue { key: key_of_one(n as usize % WINDOW), num: 0 },
        };
        crowd.send(source(n), &query(id, call))?;
    }
    let mut answers = 0;
    while answers < WINDOW {
        let answering = |ip: Ipv4Addr| {
            let n = ip.to_bits().wrapping_sub(source(0).to_bits());
            (n < SOURCES && n.is_multiple_of(ANSWERING)).then(|| id(n))
        };
        answers += usize::from(crowd.answer_ping(answering)?);
    }
    Ok(())
}

/// Apart from those who settled there.
fn source(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 128, 0, 0).to_bits() + n)
}

fn id(n: u32) -> Id {
    let mut seed = [6; 32];
    seed[..4].copy_from_slice(&n.to_be_bytes());
    Id(Rng::new(seed, Purpose::NodeId).bytes())
}
