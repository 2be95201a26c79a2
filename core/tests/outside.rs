//! Which address a node believes to be its own.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use khashmir::{Contact, Event};
use std::net::SocketAddr;

/// Peer `n` answers a ping and says that we are at `ip`.
fn told(scene: &mut Scene, n: u8, ip: SocketAddr) {
    told_by(scene, near(far_key(&scene.node), n), ip);
}

fn told_by(scene: &mut Scene, contact: Contact, ip: SocketAddr) {
    scene.add(Peer { ip: Some(ip), ..Peer::new(contact) });
    scene.node.ping(scene.now, contact.addr).unwrap();
    scene.run_for(SECOND);
}

fn believed(scene: &Scene) -> Vec<SocketAddr> {
    scene.node.outside_addresses().collect()
}

fn truth() -> SocketAddr {
    // Another port than ours: there is a NAT between.
    "198.100.7.7:40000".parse().unwrap()
}

fn lie() -> SocketAddr {
    "198.100.66.66:9978".parse().unwrap()
}

#[test]
fn the_first_who_tells_is_believed_until_others_differ() {
    let mut scene = Scene::new();
    assert_eq!(believed(&scene), []);
    told(&mut scene, 1, truth());
    assert_eq!(believed(&scene), [truth()]);
    assert!(scene.events.iter().any(|(_, e)| *e == Event::OutsideAddressChanged { addr: truth() }));
    told(&mut scene, 2, lie());
    assert_eq!(believed(&scene), [], "two that differ");
    told(&mut scene, 3, truth());
    told(&mut scene, 4, truth());
    assert_eq!(believed(&scene), [truth()], "three that agree");
}

#[test]
fn one_network_has_one_vote() {
    let mut scene = Scene::new();
    (1..=3).for_each(|n| told(&mut scene, n, truth()));
    for host in 1..=20 {
        let liar = Contact { id: id_near(scene.node.id(), host), addr: ([10, 66, 0, host], 9978).into() };
        told_by(&mut scene, liar, lie());
    }
    assert_eq!(believed(&scene), [truth()]);
}

#[test]
fn an_address_nobody_may_have_is_not_believed() {
    let mut scene = Scene::new();
    for (n, nonsense) in
        ["127.0.0.1:1", "224.0.0.1:1", "198.100.1.1:0", "192.168.1.1:9"].into_iter().enumerate()
    {
        told(&mut scene, n as u8 + 1, nonsense.parse().unwrap());
        assert_eq!(believed(&scene), []);
    }
}

#[test]
fn who_is_reached_over_ipv4_does_not_know_our_ipv6_address() {
    let mut scene = Scene::new();
    let six = "[2a00::1]:9978".parse().unwrap();
    (1..=4).for_each(|n| told(&mut scene, n, six));
    assert_eq!(believed(&scene), []);
    let contact = Contact { id: id_near(far_key(&scene.node), 50), addr: addr6(1) };
    told_by(&mut scene, contact, six);
    assert_eq!(believed(&scene), [six]);
}

#[test]
fn ourselves_at_our_outside_address_are_nobody_to_ask() {
    let mut scene = Scene::new();
    told(&mut scene, 1, addr(77));
    let key = far_key(&scene.node);
    let forged = Contact { id: id_near(key, 1), addr: addr(77) };
    scene.befriend([Peer::new(near(key, 2)).knows([forged, near(key, 3)])]);
    scene.node.find_node(scene.now, key).unwrap();
    let sent = {
        scene.run_for(SECOND);
        scene.sent()
    };
    assert!(sent.iter().any(|sent| sent.to == addr(3)));
    assert!(sent.iter().all(|sent| sent.to != addr(77)));
}

#[test]
fn a_report_that_nobody_asked_for_is_no_vote() {
    let mut scene = Scene::new();
    for n in 1..=10 {
        let mut response = khashmir::krpc::Response::new(id_near(far_key(&scene.node), n));
        response.ip = Some(khashmir::krpc::CompactAddress(lie()));
        let mut out = bytes::BytesMut::new();
        response.encode(tid(n), &mut out);
        scene.deliver(addr(n), &out);
    }
    assert_eq!(believed(&scene), []);
    assert_eq!(scene.node.stats().unsolicited, 10);
}
