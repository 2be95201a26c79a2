//! The same seed gives the same run; another seed, or another policy, another.

use core::time::Duration;
use khashmir::config::{Admission, LookupPolicy, Retransmission};
use khashmir::{Config, Id};
use khashmir_sim::{Link, Network};

/// A day in a small network with lossy links and a node that goes away.
fn digest(seed: u64, lookup: LookupPolicy) -> [u8; 20] {
    let mut network = Network::new(seed, Link::BAD);
    let nodes = network.grow(40, &Config { lookup, ..Config::default() });
    for n in 0..10u8 {
        let put = network.put(nodes[usize::from(n)], Id([n.wrapping_mul(25); 20]), &[n]);
        network.run_until_finished(put);
    }
    for down in [21, 22, 23, 24, 25] {
        network.crash(nodes[down]);
    }
    for n in 0..10u8 {
        let get = network.get(nodes[30 + usize::from(n)], Id([n.wrapping_mul(25); 20]), 1);
        network.run_until_finished(get);
    }
    network.run_for(Duration::from_secs(2 * 3600));
    network.trace_digest()
}

#[test]
fn the_same_seed_gives_the_same_datagrams_at_the_same_times() {
    let policy = LookupPolicy::KHASHMIR_2008;
    assert_eq!(digest(7, policy), digest(7, policy));
    assert_ne!(digest(7, policy), digest(8, policy));
}

#[test]
fn each_field_of_the_policy_alone_changes_the_run() {
    let base = LookupPolicy::KHASHMIR_2008;
    let reference = digest(9, base);
    let switched = [
        ("parallelism", LookupPolicy { parallelism: 4, ..base }),
        ("retransmission", LookupPolicy { retransmission: Retransmission::ORIGINAL, ..base }),
        ("admission", LookupPolicy { admission: Admission::Query, ..base }),
        ("leap_frog", LookupPolicy { leap_frog: false, ..base }),
        ("abort_early", LookupPolicy { abort_early: false, ..base }),
        ("re_ping", LookupPolicy { re_ping: false, ..base }),
        ("opening", LookupPolicy { opening: 3, ..base }),
        ("patience", LookupPolicy { patience: 3, ..base }),
        ("enough", LookupPolicy { patience: 3, enough: 6, ..base }),
        ("prefer_sound", LookupPolicy { prefer_sound: true, ..base }),
    ];
    let mut digests = vec![reference];
    for (field, policy) in switched {
        let digest = digest(9, policy);
        assert!(!digests.contains(&digest), "{field} does what another policy does");
        digests.push(digest);
    }
}
