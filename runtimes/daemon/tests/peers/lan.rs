//! Many small files between two machines that know only each other.

use std::time::{Duration, Instant};

use super::archive::{Archive, content, pool};
use super::client::Client;
use super::liar::Liar;
use super::machine::{Machine, Setup, asked_for, wait};
use super::mirror::Mirror;

const FILES: u64 = 200;
/// How deep apt's pipeline is.
const DEPTH: usize = 10;

type Files = Vec<(String, Vec<u8>)>;

fn install_all(machine: &Machine, mirror: &Mirror, files: &Files) {
    let mut client = Client::connect(machine.proxy());
    for some in files.chunks(DEPTH) {
        for (name, _) in some {
            client.ask(&mirror.url(&pool(name)), &[]);
        }
        for (name, content) in some {
            assert!(client.read().unwrap().ok() == *content, "{name}");
        }
    }
}

#[test]
fn many_small_files_come_from_the_only_peer() {
    let files: Files = (0..FILES).map(|n| (format!("p{n}.deb"), content(n + 1, 2000 + n as usize))).collect();
    let packages: Vec<(&str, &[u8])> = files.iter().map(|(n, c)| (n.as_str(), c.as_slice())).collect();
    let archive = Archive::of(&packages);
    let mirror = Mirror::of(&archive, |_| None);
    let a = Setup::at("127.0.0.1").counted().start(&mirror);
    let b = Setup::at("127.0.0.2").counted().joining(&a).start(&mirror);
    a.update(&mirror, &archive);
    install_all(&a, &mirror, &files);
    a.wait_announced(FILES + 1);

    b.update(&mirror, &archive);
    install_all(&b, &mirror, &files);
    let again = files.iter().filter(|(name, _)| asked_for(&mirror, name) > 1).count();
    assert_eq!(again, 0, "of {FILES} files came from the mirror again");
}

#[test]
fn neighbours_that_never_help_are_soon_not_waited_for() {
    let files: Files = (0..12).map(|n| (format!("p{n}.deb"), content(n + 1, 2000))).collect();
    let packages: Vec<(&str, &[u8])> = files.iter().map(|(n, c)| (n.as_str(), c.as_slice())).collect();
    let archive = Archive::of(&packages);
    let mirror = Mirror::of(&archive, |_| None);
    let machine = Setup { hedge_delay_ms: 1000, ..Setup::at("127.0.0.1") }.start(&mirror);
    let neighbour = Liar::joining(machine.peers());
    wait("they know each other", || machine.status()["dht"]["contacts"] == 1);
    neighbour.fall_silent();

    machine.update(&mirror, &archive);
    let began = Instant::now();
    for (name, content) in &files {
        assert!(machine.install(&mirror, name) == *content);
    }
    // A second for each of the first few; not for all, although every lookup takes nine.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}
