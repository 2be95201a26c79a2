//! What a handle gives its user: two nodes that find each other's values, and a clean end.

#![allow(clippy::unwrap_used)]

use khashmir::node::{CommandError, Ending, PingError};
use khashmir::{Config, Id};
use khashmir_smol::{Dht, Error, Sockets};
use smol::future::FutureExt as _;
use smol::stream::StreamExt as _;
use std::net::SocketAddr;
use std::time::Duration;

fn config() -> Config {
    let local = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap()).to_vec();
    Config { uncounted_networks: local.clone(), local_networks: local, ..Config::default() }
}

fn start(ips: &[&str]) -> Dht {
    let addrs: Vec<SocketAddr> = ips.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect();
    Dht::start(Sockets::bind(&addrs).unwrap(), config()).unwrap()
}

/// Runs a story that must not take longer than any machine needs.
fn story<T>(story: impl Future<Output = T>) -> T {
    smol::block_on(story.or(async {
        smol::Timer::after(Duration::from_secs(60)).await;
        panic!("still not done after 60 s");
    }))
}

#[test]
fn what_one_puts_the_other_gets_in_either_family() {
    for ip in ["127.0.0.1", "::1"] {
        story(async {
            let (a, b) = (start(&[ip]), start(&[ip]));
            assert_eq!(b.join(a.local_addrs()).await, Ok(1), "{ip}");
            let key = Id([7; 20]);
            assert_eq!(a.put(key, b"one").await, Ok(2), "{ip}");
            assert_eq!(b.put(key, &[b'2'; 1000]).await, Ok(2), "{ip}");
            for dht in [&a, &b] {
                let mut values = dht.get(key, usize::MAX).await.unwrap();
                let mut found: Vec<_> = (&mut values).collect().await;
                found.sort();
                assert_eq!(found, [vec![b'2'; 1000], b"one".to_vec()], "{ip}");
                assert_eq!(values.ending(), Some(Ending::Complete));
            }
            let pong = a.ping(b.local_addrs()[0]).await.unwrap();
            assert_eq!((pong.contact.id, pong.contact.addr), (b.id(), b.local_addrs()[0]));
            assert_eq!(b.find_node(a.id()).await.unwrap()[0].id, a.id());
            assert_eq!(a.contacts().await.unwrap(), [pong.contact]);
            assert_eq!(a.outside_addresses().await.unwrap(), a.local_addrs());
        });
    }
}

#[test]
fn one_node_speaks_both_families() {
    story(async {
        let both = start(&["127.0.0.1", "::1"]);
        let (v4, v6) = (start(&["127.0.0.1"]), start(&["::1"]));
        let [at_v4, at_v6] = both.local_addrs() else { panic!("{:?}", both.local_addrs()) };
        assert_eq!(v4.join(&[*at_v4]).await, Ok(1));
        assert_eq!(v6.join(&[*at_v6]).await, Ok(1));
        let key = Id([1; 20]);
        both.put(key, b"for all").await.unwrap();
        for single in [&v4, &v6] {
            let mut values = single.get(key, 1).await.unwrap();
            assert_eq!(values.next().await.unwrap(), &b"for all"[..]);
        }
        assert_eq!(both.contacts().await.unwrap().len(), 2);
    });
}

#[test]
fn a_published_value_survives_a_restart_of_its_publisher() {
    story(async {
        let a = start(&["127.0.0.1"]);
        let key = Id([3; 20]);
        assert_eq!(a.publish(key, b"mine").await, Ok(1));
        let (id, snapshot) = (a.id(), a.snapshot().await.unwrap());
        a.shutdown().await;
        let sockets = Sockets::bind(a.local_addrs()).expect("the old one is closed");
        let again = Dht::restore(sockets, config(), &snapshot, Duration::from_secs(60)).unwrap();
        assert_eq!(again.id(), id);
        assert_eq!(again.stats().await.unwrap().publications, 1);
        assert_eq!(again.unpublish(key, b"mine").await, Ok(true));
        assert_eq!(again.unpublish(key, b"mine").await, Ok(false));
    });
}

#[test]
fn events_tell_of_the_outside_address() {
    story(async {
        let (a, b) = (start(&["127.0.0.1"]), start(&["127.0.0.1"]));
        let mut events = b.events().await.unwrap();
        b.join(a.local_addrs()).await.unwrap();
        let addr = b.local_addrs()[0];
        assert_eq!(events.next().await, Some(khashmir::Event::OutsideAddressChanged { addr }));
        b.shutdown().await;
        assert_eq!(events.next().await, None);
    });
}

#[test]
fn a_shutdown_ends_everything() {
    story(async {
        let a = start(&["127.0.0.1"]);
        let clone = a.clone();
        // Nobody answers there, for nine seconds.
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let silent = silent.local_addr().unwrap();
        let ping = smol::spawn(async move { clone.ping(silent).await });
        while a.stats().await.unwrap().operations == 0 {
            smol::future::yield_now().await;
        }
        a.shutdown().await;
        assert_eq!(ping.await.unwrap_err(), Error::Stopped);
        assert_eq!(a.put(Id([1; 20]), b"x").await, Err(Error::Stopped));
        assert_eq!(a.get(Id([1; 20]), 1).await.unwrap_err(), Error::Stopped);
        assert_eq!(a.stats().await.unwrap_err(), Error::Stopped);
        assert!(a.events().await.is_err());
        a.shutdown().await;
        Sockets::bind(a.local_addrs()).expect("its socket is closed");
    });
}

#[test]
fn the_loss_of_the_last_handle_ends_the_node() {
    story(async {
        let a = start(&["127.0.0.1"]);
        let mut events = a.events().await.unwrap();
        drop(a.clone());
        a.stats().await.unwrap();
        drop(a);
        assert_eq!(events.next().await, None);
    });
}

#[test]
fn what_cannot_be_done_is_said() {
    story(async {
        let a = start(&["127.0.0.1"]);
        let far = "10.0.0.1:9978".parse().unwrap();
        assert_eq!(a.ping(far).await.unwrap_err(), Error::Refused(CommandError::AddressNotAllowed(far)));
        let long = a.put(Id([1; 20]), &[0; 5000]).await;
        assert_eq!(long, Err(Error::Refused(CommandError::ValueLength(5000))));
        let config = Config { store_copies: 0, ..config() };
        let sockets = Sockets::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let error = Dht::start(sockets, config).unwrap_err();
        assert!(error.to_string().contains("store_copies"), "{error}");
        let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(a.ping(gone).await.unwrap_err(), Error::Ping(PingError::TimedOut));
    });
}

#[test]
fn a_slow_reader_holds_nobody_up() {
    story(async {
        let a = start(&["127.0.0.1"]);
        let key = Id([9; 20]);
        for n in 0..200u8 {
            assert_eq!(a.put(key, &[n; 1000]).await, Ok(1));
        }
        let slow = a.get(key, usize::MAX).await.unwrap();
        while a.stats().await.unwrap().operations > 0 {
            smol::future::yield_now().await;
        }
        let found: Vec<_> = a.get(key, usize::MAX).await.unwrap().collect().await;
        assert_eq!(found.len(), 200, "others are served while it does not read");
        let mut late: Vec<_> = slow.collect().await;
        late.sort();
        assert!(late.iter().zip(0..200u8).all(|(value, n)| value[..] == [n; 1000]));
        assert_eq!(late.len(), 200, "and it misses nothing");
    });
}
