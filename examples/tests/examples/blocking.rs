//! The blocking example does what it says, by itself and with a node on another driver.

use crate::{complaint, lines};
use khashmir::{Config, Id};
use khashmir_smol::{Dht, Sockets};

#[test]
fn two_of_them_exchange_a_value() {
    let lines = lines("blocking", &[]);
    let [node, joined, put, found, got] = &lines[..] else { panic!("{lines:?}") };
    let id = node.split(' ').nth(1).unwrap();
    assert_eq!(joined, "joined, contacts: 1");
    assert_eq!(put, "put, copies: 2");
    assert_eq!(found, &format!("found: hello from {id}"));
    assert_eq!(got, "got, values: 1");
}

#[test]
fn one_joins_a_node_on_another_driver() {
    for ip in ["127.0.0.1", "::1"] {
        smol::block_on(async {
            let local = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap()).to_vec();
            let config = Config { local_networks: local, ..Config::default() };
            let sockets = Sockets::bind(&[(ip.parse::<std::net::IpAddr>().unwrap(), 0).into()]).unwrap();
            let dht = Dht::start(sockets, config).unwrap();
            let key = Id(*b"examples are greeted");
            dht.put(key, b"hello from the other driver").await.unwrap();

            let addr = dht.local_addrs()[0].to_string();
            let lines = smol::unblock(move || lines("blocking", &[&addr])).await;
            assert!(lines.contains(&"found: hello from the other driver".to_owned()), "{lines:?}");
            let held = dht.stats().await.unwrap().values;
            assert_eq!(held, 2, "and it left its own greeting");
        });
    }
}

#[test]
fn a_wrong_address_is_explained() {
    let text = complaint("blocking", &["somewhere"]);
    assert!(text.contains("somewhere") && text.contains("192.0.2.7:9978"), "{text}");
}
