//! What peers may not take.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use khashmir::claim::encode_path;
use khashmir_apt::Sha256;

use super::archive::{Archive, content};
use super::client::Client;
use super::machine::{Machine, Setup, wait};
use super::mirror::Mirror;

fn machine(package: &[u8], peers: &'static str, counted: bool) -> (Machine, Machine) {
    let archive = Archive::of(&[("p.deb", package)]);
    let mirror = Mirror::of(&archive, |_| None);
    let machine = Setup { peers, counted, ..Setup::at("127.0.0.1") }.start(&mirror);
    let other = Setup::at("127.0.0.2").joining(&machine).start(&mirror);
    machine.update(&mirror, &archive);
    machine.install(&mirror, "p.deb");
    machine.wait_announced(2);
    (machine, other)
}

/// Whether a new connection from 127.0.0.1 gets an answer.
fn is_answered(machine: &Machine, held: &mut Vec<TcpStream>) -> bool {
    let mut stream = TcpStream::connect(machine.peers()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let answered = stream
        .write_all(b"GET / HTTP/1.1\r\nHost: peer\r\n\r\n")
        .and_then(|()| stream.read(&mut [0; 1000]))
        .is_ok_and(|len| len > 0);
    held.push(stream);
    answered
}

#[test]
fn connections_are_limited_in_all_and_from_one_address() {
    for (limits, counted) in [("max_connections = 3", false), ("max_connections_per_address = 3", true)] {
        let (machine, _other) = machine(&content(1, 1000), limits, counted);
        let mut held = Vec::new();
        for _ in 0..3 {
            assert!(is_answered(&machine, &mut held), "{limits}");
        }
        assert!(!is_answered(&machine, &mut held), "{limits}");
        assert!(machine.stats().uploads.refused.value() > 0);
        held.clear();
        wait("places are free again", || is_answered(&machine, &mut Vec::new()));
    }
}

#[test]
fn all_uploads_together_keep_to_the_limit() {
    let package = content(1, 300_000);
    let (machine, _other) = machine(&package, "upload_limit_per_second = '400 kB'", false);
    let path = encode_path(&Sha256::of(&package).0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert!(Client::connect(machine.peers()).get(&path, &[]).ok() == package));
        }
    });
    // 600,000 bytes at that rate, less what may be sent at once.
    assert!(began.elapsed() >= Duration::from_millis(1100), "{:?}", began.elapsed());
    assert!(machine.stats().uploads.bytes.value() >= 600_000);
}
