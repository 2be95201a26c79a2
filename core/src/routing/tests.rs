use super::*;
use crate::rng::Purpose;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddr};
use core::num::NonZeroU32;
use core::time::Duration;
use khashmir_testing::quickcheck;

const MINUTE: Duration = Duration::from_secs(60);

fn table() -> RoutingTable {
    RoutingTable::new(Id([0; 20]), Upkeep::KHASHMIR_2008, &LookupPolicy::KHASHMIR_2008, Instant::ORIGIN)
}

fn addr(n: u32) -> SocketAddr {
    (Ipv4Addr::from(0x0a00_0000 + n * 256 + 1), 9978).into()
}

/// A contact whose id starts with `first` and ends with `n`, in a /24 of its own.
fn contact(first: u8, n: u32) -> Contact {
    let mut id = [0; 20];
    id[0] = first;
    id[16..].copy_from_slice(&n.to_be_bytes());
    Contact { id: Id(id), addr: addr(n) }
}

/// An answer that shows that others would reach the contact, too.
fn by(contact: Contact) -> Answer {
    let round_trip_micros = NonZeroU32::new(50_000);
    Answer { contact, counted: true, reached: true, timely: true, round_trip_micros }
}

#[test]
fn the_oldest_makes_room_after_one_failed_ping_if_it_was_silent_for_long() {
    let mut table = table();
    let mut now = Instant::ORIGIN;
    for n in 0..8 {
        assert_eq!(table.answered(now, by(contact(0x80, n))), None);
    }
    // A split leaves this bucket alone: it does not hold our id.
    for n in 100..109 {
        table.answered(now, by(contact(0x01, n)));
    }
    let newcomer = contact(0x80, 8);
    assert_eq!(table.room(now, &newcomer, true), Room::None);
    now = now + 16 * MINUTE;
    for n in 1..8 {
        table.answered(now, by(contact(0x80, n)));
    }
    assert_eq!(table.answered(now, by(newcomer)), Some(contact(0x80, 0)));
    assert!(table.failed(now, &contact(0x80, 0)), "one failed ping is enough");
    assert_eq!(table.room(now, &newcomer, true), Room::Known);
    table.check_invariants();
}

#[test]
fn three_failures_in_a_row_remove_and_an_answer_forgives() {
    let mut table = table();
    let (now, one) = (Instant::ORIGIN, contact(1, 1));
    table.answered(now, by(one));
    assert!(!table.failed(now, &one) && !table.failed(now, &one));
    table.answered(now, by(one));
    assert!(!table.failed(now, &one) && !table.failed(now, &one) && table.failed(now, &one));
    assert!(table.is_empty());
}

#[test]
fn strangers_neither_evict_nor_replace() {
    let mut table = table();
    let (now, one) = (Instant::ORIGIN, contact(1, 1));
    table.answered(now, by(one));
    let elsewhere = Contact { addr: addr(2), ..one };
    table.answered(now, by(elsewhere));
    assert_eq!(table.room(now, &one, true), Room::Known, "the incumbent of an id stays");
    for _ in 0..3 {
        table.failed(now, &elsewhere);
    }
    assert_eq!(table.len(), 1, "and is not failed by another address");
    let neighbour = Contact { addr: (Ipv4Addr::new(10, 0, 1, 77), 1).into(), ..contact(1, 3) };
    assert_eq!(table.room(now, &neighbour, true), Room::None, "one per /24 in a bucket");
    assert_eq!(table.room(now, &neighbour, false), Room::Free, "unless it is not counted");
    let reborn = Contact { id: contact(9, 9).id, ..one };
    table.answered(now, by(reborn));
    assert_eq!(table.iter().map(|(c, _)| c).collect::<Vec<_>>(), [reborn], "an address has one id");
}

#[test]
fn new_contacts_and_failed_ones_are_pinged_again() {
    let mut table = table();
    let (now, one) = (Instant::ORIGIN, contact(1, 1));
    table.answered(now, by(one));
    assert_eq!(table.next_ping_at(), Some(now + 15 * MINUTE));
    assert_eq!(table.take_due_ping(now + 15 * MINUTE), Some(one));
    assert_eq!(table.next_ping_at(), None);
    table.failed(now + 20 * MINUTE, &one);
    assert_eq!(table.next_ping_at(), Some(now + 35 * MINUTE));
}

#[test]
fn refreshes_aim_into_their_bucket() {
    let mut table = table();
    let mut rng = Rng::new([3; 32], Purpose::Refresh);
    for n in 0..60u32 {
        table.answered(Instant::ORIGIN, by(contact((n * 37) as u8, n)));
    }
    assert_eq!(table.refresh_target(Instant::ORIGIN + 59 * MINUTE, &mut rng), None);
    let due = Instant::ORIGIN + 60 * MINUTE;
    for index in 0..table.buckets.len() {
        let target = table.refresh_target(due, &mut rng).unwrap();
        assert_eq!(table.index(&target), index);
        table.touch(due, &target);
    }
    assert_eq!(table.refresh_target(due, &mut rng), None);
}

#[test]
fn only_a_lookup_of_our_neighbourhood_puts_off_that_of_our_neighbourhood() {
    let own_id = Id([0x5a; 20]);
    let mut table = RoutingTable::new(own_id, Upkeep::DEFAULT, &LookupPolicy::DEFAULT, Instant::ORIGIN);
    table.answered(Instant::ORIGIN, by(contact(1, 1)));
    table.joined(Instant::ORIGIN);
    let due = Instant::ORIGIN + 2 * Upkeep::DEFAULT.nat_timeout;
    let mut rng = Rng::new([3; 32], Purpose::Refresh);
    table.touch(Instant::ORIGIN, &Id([0x5b; 20]));
    assert_eq!(table.refresh_target(due, &mut rng), Some(own_id.neighbour()));
    table.touch(Instant::ORIGIN, &own_id.neighbour());
    assert_eq!(table.refresh_target(due, &mut rng), None);
}

#[test]
fn our_neighbourhood_is_looked_up_once_however_close_others_claim_to_be() {
    // The neighbour of an id that ends in ones shares none of them.
    let own_id = Id([0xff; 20]);
    let mut table = RoutingTable::new(own_id, Upkeep::DEFAULT, &LookupPolicy::DEFAULT, Instant::ORIGIN);
    for n in 0..16u8 {
        let mut id = own_id;
        id.0[19] ^= n + 1;
        table.answered(Instant::ORIGIN, by(Contact { id, addr: addr(n.into()) }));
    }
    assert!(table.buckets.len() > 153);
    let mut rng = Rng::new([3; 32], Purpose::Refresh);
    let due = Instant::ORIGIN + 60 * MINUTE;
    let targets = core::iter::from_fn(|| {
        let target = table.refresh_target(due, &mut rng)?;
        table.touch(due, &target);
        Some(target)
    });
    assert_eq!(targets.take(1000).filter(|target| *target == own_id.neighbour()).count(), 1);
    assert_eq!(table.refresh_target(due, &mut rng), None);
}

#[test]
fn closest_is_what_sorting_all_would_give_and_invariants_hold() {
    fn law(own: Id, seeds: Vec<(Id, u8)>, target: Id) -> bool {
        let mut table =
            RoutingTable::new(own, Upkeep::KHASHMIR_2008, &LookupPolicy::KHASHMIR_2008, Instant::ORIGIN);
        for (n, (id, near)) in seeds.iter().enumerate() {
            // Many of them near our own id, so that buckets split.
            let mut id = *id;
            id.0[..usize::from(near % 4)].copy_from_slice(&own.0[..usize::from(near % 4)]);
            table.answered(Instant::ORIGIN, by(Contact { id, addr: addr(n as u32) }));
            if near % 5 == 0 {
                let some = table.iter().next().map(|(contact, _)| contact);
                some.inspect(|contact| table.remove(contact));
            }
            table.check_invariants();
        }
        let mut all: Vec<Contact> = table.iter().map(|(contact, _)| contact).collect();
        all.sort_by_key(|contact| contact.id.distance(&target));
        all.truncate(K);
        let mut closest = ArrayVec::new();
        table.closest(&target, &mut closest);
        closest[..] == all
    }
    quickcheck().quickcheck(law as fn(Id, Vec<(Id, u8)>, Id) -> bool);
}

#[test]
fn sound_contacts_are_preferred_as_long_as_there_are_enough() {
    let mut table =
        RoutingTable::new(Id([0; 20]), Upkeep::KHASHMIR_2008, &LookupPolicy::DEFAULT, Instant::ORIGIN);
    let target = contact(0x80, 0).id;
    let closest = |table: &RoutingTable| {
        let mut closest = ArrayVec::new();
        table.closest(&target, &mut closest);
        closest
    };
    // Seven far from the target, and one close to it that may be behind a NAT.
    (1..=7).for_each(|n| assert_eq!(table.answered(Instant::ORIGIN, by(contact(0x01, n))), None));
    let near = contact(0x80, 100);
    table.answered(Instant::ORIGIN, Answer { reached: false, ..by(near) });
    assert!(!table.is_settled());
    assert_eq!(closest(&table)[0], near, "there is nobody better");
    table.answered(Instant::ORIGIN, by(contact(0x02, 8)));
    assert!(table.is_settled());
    assert!(!closest(&table).contains(&near));
    // It answers out of the blue, and does not answer, and answers again.
    table.answered(Instant::ORIGIN, by(near));
    assert_eq!(closest(&table)[0], near);
    assert!(!table.failed(Instant::ORIGIN, &near) && table.doubts(&near));
    assert!(!closest(&table).contains(&near));
    table.answered(Instant::ORIGIN, Answer { timely: false, ..by(near) });
    assert!(!closest(&table).contains(&near), "too late to count for more than a sign of life");
    table.answered(Instant::ORIGIN, by(near));
    assert_eq!(closest(&table)[0], near);
}

#[test]
fn one_who_was_never_reached_out_of_the_blue_goes_with_its_first_failure() {
    let mut table = table();
    let one = contact(1, 1);
    table.answered(Instant::ORIGIN, Answer { reached: false, ..by(one) });
    assert_eq!(table.next_ping_at(), Some(Instant::ORIGIN + Upkeep::KHASHMIR_2008.nat_timeout));
    assert!(table.failed(Instant::ORIGIN, &one));
    assert!(table.is_empty());
}

#[test]
fn one_long_on_trust_goes_once_others_were_reached() {
    let (mut table, start) = (table(), Instant::ORIGIN);
    let later = start + Upkeep::KHASHMIR_2008.stale_after;
    let on_trust = contact(0x80, 50);
    table.answered(start, Answer { reached: false, ..by(on_trust) });
    table.was_queried_by(start + MINUTE, &on_trust);
    assert_eq!(table.next_ping_at(), Some(start + MINUTE + Upkeep::KHASHMIR_2008.nat_timeout));
    (0..7).for_each(|n| assert_eq!(table.answered(start, by(contact(0x80, n))), None));
    let knows = |table: &RoutingTable| table.iter().any(|(known, _)| known == on_trust);
    table.drop_unreached(later);
    assert!(knows(&table), "seven others are not enough");
    table.answered(later, by(contact(0x40, 100)));
    table.drop_unreached(later.saturating_sub(MINUTE));
    assert!(knows(&table), "it may still be reached");
    table.drop_unreached(later);
    assert!(!knows(&table) && table.len() == 8);
    table.check_invariants();
}

#[test]
fn one_that_is_no_use_is_asked_but_not_told_of_and_makes_room() {
    let mut table =
        RoutingTable::new(Id([0; 20]), Upkeep::KHASHMIR_2008, &LookupPolicy::DEFAULT, Instant::ORIGIN);
    let (useless, newcomer) = (contact(0x80, 0), contact(0x80, 100));
    (0..8).for_each(|n| assert_eq!(table.answered(Instant::ORIGIN, by(contact(0x80, n))), None));
    (0..8).for_each(|n| assert_eq!(table.answered(Instant::ORIGIN, by(contact(0x40, 10 + n))), None));
    let is_told_of = |table: &RoutingTable| {
        let mut closest = ArrayVec::new();
        table.closest(&useless.id, &mut closest);
        closest.contains(&useless)
    };
    assert!(is_told_of(&table) && table.room(Instant::ORIGIN, &newcomer, true) == Room::None);
    table.judge(&useless, false);
    assert!(!is_told_of(&table));
    assert!(table.closest_with_round_trips(&useless.id).any(|(contact, _)| contact == useless), "asked");
    assert_eq!(table.room(Instant::ORIGIN, &newcomer, true), Room::InsteadOf(useless));
    table.judge(&useless, true);
    assert!(is_told_of(&table) && table.room(Instant::ORIGIN, &newcomer, true) == Room::None);
    table.judge(&useless, false);
    let knows = |table: &RoutingTable, contact| table.iter().any(|(known, _)| known == contact);
    table.answered(Instant::ORIGIN, Answer { reached: false, ..by(newcomer) });
    assert!(knows(&table, useless) && !knows(&table, newcomer), "who is on trust takes nobody's place");
    table.answered(Instant::ORIGIN, by(newcomer));
    assert!(!knows(&table, useless) && knows(&table, newcomer));
    table.check_invariants();
}
