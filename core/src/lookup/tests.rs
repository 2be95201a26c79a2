use super::*;
use khashmir_testing::quickcheck;

const COUNTED: Known = Known { counted: true, doubtful: false, way_in: false, round_trip_micros: None };

fn contact(n: u8) -> Contact {
    let mut id = [0; 20];
    id[19] = n;
    Contact { id: Id(id), addr: ([10, n, 0, 1], 9978).into() }
}

fn lookup(found: impl IntoIterator<Item = u8>) -> Lookup {
    let mut lookup = Lookup::new(Id([0; 20]));
    found.into_iter().for_each(|n| lookup.found(contact(n), COUNTED));
    lookup
}

fn queried(lookup: &mut Lookup, policy: &LookupPolicy) -> Vec<u8> {
    let mut queried = Vec::new();
    while let Step::Query(contact) = lookup.step(policy, &Limits::DEFAULT) {
        queried.push(contact.id.0[19]);
    }
    queried
}

#[test]
fn the_closest_are_queried_first_and_no_more_than_allowed() {
    let mut lookup = lookup([9, 2, 5, 7, 1, 3]);
    assert_eq!(queried(&mut lookup, &LookupPolicy::RETRANSMIT), [1, 2, 3, 5]);
    assert_eq!(lookup.step(&LookupPolicy::RETRANSMIT, &Limits::DEFAULT), Step::Wait);
}

/// `by` answers, and tells of all of these.
fn told(lookup: &mut Lookup, by: u8, all: impl IntoIterator<Item = u8>) -> TellerId {
    let teller = lookup.begin_teller(&contact(by));
    all.into_iter().for_each(|n| lookup.told_of(contact(n), COUNTED, teller));
    lookup.answered(&contact(by), 0, None);
    teller
}

fn judged(lookup: &Lookup) -> Vec<(u8, bool)> {
    lookup.judged().map(|(contact, useful)| (contact.id.0[19], useful)).collect()
}

#[test]
fn of_whoever_tells_of_three_who_do_not_answer_no_more_are_asked() {
    let policy = LookupPolicy { parallelism: 4, opening: 4, ..LookupPolicy::DEFAULT };
    let mut lookup = lookup([101, 102, 103]);
    assert_eq!(queried(&mut lookup, &policy), [101, 102, 103]);
    let liar = told(&mut lookup, 101, 1..9);
    assert_eq!(queried(&mut lookup, &policy), [1, 2]);
    [1, 2].iter().for_each(|n| lookup.late(&contact(*n)));
    assert_eq!(queried(&mut lookup, &policy), [3, 4, 5], "two may be chance");
    lookup.failed(&contact(3));
    let is_made_up = |lookup: &Lookup, policy| {
        lookup.candidates.iter().filter(|candidate| lookup.is_made_up(policy, candidate)).count()
    };
    assert_eq!(is_made_up(&lookup, &policy), 8);
    assert_eq!(is_made_up(&lookup, &LookupPolicy::KHASHMIR_2008), 0);
    told(&mut lookup, 102, [7, 8]);
    told(&mut lookup, 103, []);
    lookup.found(contact(90), COUNTED);
    lookup.told_of(contact(90), COUNTED, liar);
    assert_eq!(is_made_up(&lookup, &policy), 6, "nor is it whom we know ourselves");
    assert_eq!(queried(&mut lookup, &policy), [7, 8], "somebody else knows these, and none knows 6");
    lookup.answered(&contact(7), 0, None);
    assert_eq!(judged(&lookup), [(101, true), (102, true), (103, false)], "so the first is of use, too");
    assert_eq!(is_made_up(&lookup, &policy), 0);
}

#[test]
fn those_who_are_made_up_hold_nobody_up() {
    let policy = LookupPolicy { enough: 1, ..LookupPolicy::DEFAULT };
    let mut lookup = lookup([101]);
    queried(&mut lookup, &policy);
    told(&mut lookup, 101, 1..9);
    while let Step::Query(made_up) = lookup.step(&policy, &Limits::DEFAULT) {
        lookup.late(&made_up);
    }
    assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Done);
    assert_eq!((lookup.queries, judged(&lookup)), (4, [(101, false)].to_vec()));
}

#[test]
fn who_is_told_of_by_an_honest_node_too_is_asked_whoever_told_first() {
    let policy = LookupPolicy { parallelism: 6, opening: 6, ..LookupPolicy::DEFAULT };
    for first in [101, 102] {
        let mut lookup = lookup([101, 102]);
        queried(&mut lookup, &policy);
        told(&mut lookup, first, if first == 101 { 1..9 } else { 8..9 });
        told(&mut lookup, 203 - first, if first == 101 { 8..9 } else { 1..9 });
        while let Step::Query(asked) = lookup.step(&policy, &Limits::DEFAULT) {
            match asked.id.0[19] {
                8 => lookup.answered(&asked, 0, None),
                _ => lookup.failed(&asked),
            }
        }
        assert!(lookup.closest(&Limits::DEFAULT).any(|candidate| candidate.contact == contact(8)));
    }
}

#[test]
fn failed_contacts_bound_the_search_unless_leap_frogged() {
    for (policy, then) in [(LookupPolicy::RETRANSMIT, &[][..]), (LookupPolicy::LEAPFROG, &[9][..])] {
        let policy = LookupPolicy { parallelism: 8, ..policy };
        let mut lookup = lookup(1..=9);
        assert_eq!(queried(&mut lookup, &policy), [1, 2, 3, 4, 5, 6, 7, 8]);
        lookup.failed(&contact(1));
        assert_eq!(queried(&mut lookup, &policy), then);
    }
}

#[test]
fn an_overtaken_request_gives_its_place_and_its_late_answer_counts() {
    let policy = LookupPolicy::KHASHMIR_2008;
    let mut lookup = lookup(11..=18);
    assert_eq!(queried(&mut lookup, &policy).len(), 8);
    lookup.found(contact(1), COUNTED);
    assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Abandon(contact(18)));
    assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Query(contact(1)));
    lookup.answered(&contact(18), 1, None);
    assert_eq!(lookup.holders().count(), 1);
}

#[test]
fn abort_early_ends_with_the_last_of_the_k_closest() {
    for (policy, step) in [(LookupPolicy::LEAPFROG, Step::Wait), (LookupPolicy::ABORT_EARLY, Step::Done)] {
        let policy = LookupPolicy { parallelism: 16, ..policy };
        let mut lookup = lookup(10..=17);
        queried(&mut lookup, &policy);
        (1..=8).for_each(|n| lookup.found(contact(n), COUNTED));
        queried(&mut lookup, &policy);
        (1..=8).for_each(|n| lookup.answered(&contact(n), 0, None));
        assert_eq!(lookup.step(&policy, &Limits::DEFAULT), step);
    }
}

#[test]
fn abort_early_looks_past_failed_contacts_even_where_they_bound_the_search() {
    let policy = LookupPolicy { parallelism: 16, leap_frog: false, ..LookupPolicy::ABORT_EARLY };
    let mut lookup = lookup(10..=18);
    queried(&mut lookup, &policy);
    lookup.found(contact(1), COUNTED);
    assert_eq!(queried(&mut lookup, &policy), [1]);
    (10..=17).for_each(|n| lookup.answered(&contact(n), 0, None));
    assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Wait);
    lookup.failed(&contact(1));
    assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Done);
}

#[test]
fn a_late_request_gives_its_place_and_only_the_closest_are_waited_for() {
    let policy = LookupPolicy { opening: 16, ..LookupPolicy::DEFAULT };
    let mut lookup = lookup(1..=12);
    assert_eq!(queried(&mut lookup, &policy), [1, 2, 3, 4, 5, 6]);
    for n in [3, 4] {
        lookup.late(&contact(n));
    }
    assert_eq!(queried(&mut lookup, &policy), [7, 8], "the ninth takes the place of the fourth alone");
    for n in [1, 2, 5, 6, 7, 8] {
        lookup.answered(&contact(n), 0, None);
        queried(&mut lookup, &policy);
    }
    assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Wait, "for the third");
    lookup.answered(&contact(3), 0, None);
    assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Done);
    lookup.answered(&contact(4), 1, None);
    assert_eq!(lookup.holders().count(), 1, "a late answer counts");
}

#[test]
fn a_way_in_is_queried_and_waited_for_however_far_it_is() {
    let policy = LookupPolicy { opening: 16, ..LookupPolicy::DEFAULT };
    let mut lookup = lookup(1..=8);
    lookup.found(contact(100), Known { way_in: true, ..COUNTED });
    assert_eq!(queried(&mut lookup, &policy), [100, 1, 2, 3, 4, 5]);
    (1..=5).for_each(|n| lookup.answered(&contact(n), 0, None));
    assert_eq!(queried(&mut lookup, &policy), [6, 7, 8]);
    (6..=8).for_each(|n| lookup.answered(&contact(n), 0, None));
    assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Wait);
    lookup.answered(&contact(100), 0, None);
    assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Done);
}

#[test]
fn late_contacts_leave_no_more_room_to_their_prefix() {
    let in_one_prefix = |n: u8| Contact { addr: ([10, 0, 0, n], 9978).into(), ..contact(n) };
    let policy = LookupPolicy { opening: 16, patience: 0, ..LookupPolicy::DEFAULT };
    let mut lookup = lookup([11, 12]);
    (1..=5).for_each(|n| lookup.found(in_one_prefix(n), COUNTED));
    assert_eq!(queried(&mut lookup, &policy), [1, 2, 11, 12]);
    (1..=2).for_each(|n| lookup.late(&in_one_prefix(n)));
    assert_eq!(queried(&mut lookup, &policy), []);
    lookup.failed(&in_one_prefix(1));
    assert_eq!(queried(&mut lookup, &policy), [3]);
}

#[test]
fn a_lookup_opens_with_the_fastest_and_goes_on_with_the_closest() {
    let policy = LookupPolicy { opening: 2, ..LookupPolicy::DEFAULT };
    let mut lookup = Lookup::new(Id([0; 20]));
    for n in 1..=8 {
        let round_trip_micros = NonZeroU32::new(100 - u32::from(n));
        lookup.found(contact(n), Known { round_trip_micros, ..COUNTED });
    }
    assert_eq!(queried(&mut lookup, &policy), [8, 7]);
    lookup.answered(&contact(7), 0, None);
    assert_eq!(queried(&mut lookup, &policy), [1, 2, 3, 4, 5]);
}

#[test]
fn doubtful_contacts_are_asked_and_not_waited_for() {
    let policy = LookupPolicy { opening: 16, ..LookupPolicy::DEFAULT };
    let mut lookup = Lookup::new(Id([0; 20]));
    lookup.found(contact(1), Known { doubtful: true, ..COUNTED });
    (2..=9).for_each(|n| lookup.found(contact(n), COUNTED));
    assert_eq!(queried(&mut lookup, &policy), [1, 2, 3, 4, 5, 6, 7], "beside six others");
    (2..=7).for_each(|n| lookup.answered(&contact(n), 0, None));
    assert_eq!(queried(&mut lookup, &policy), [8, 9]);
    assert_eq!(lookup.step(&policy, &Limits::DEFAULT), Step::Done, "six answers of eight are enough");
}

#[test]
fn two_of_one_prefix_count_among_the_closest() {
    let mut lookup = Lookup::new(Id([0; 20]));
    for n in 1..=12 {
        lookup.found(Contact { addr: ([10, 0, 0, n], 1).into(), ..contact(n) }, COUNTED);
    }
    assert_eq!(queried(&mut lookup, &LookupPolicy::KHASHMIR_2008), [1, 2]);
}

#[test]
fn every_lookup_ends_within_its_queries_whatever_comes_back() {
    fn law(start: Vec<u8>, script: Vec<(bool, u8)>, switches: u8) -> bool {
        let policy = LookupPolicy {
            leap_frog: switches & 1 != 0,
            abort_early: switches & 2 != 0,
            opening: 1 + switches / 4 % 4,
            patience: switches / 16 % 9,
            enough: switches / 64 * 2 + 2,
            ..LookupPolicy::ORIGINAL
        };
        let limits = Limits { lookup_queries: 20, ..Limits::DEFAULT };
        let mut lookup = lookup(start);
        let mut script = script.into_iter();
        let mut outstanding = Vec::new();
        for _ in 0..1000 {
            match lookup.step(&policy, &limits) {
                Step::Query(contact) => outstanding.push(contact),
                Step::Abandon(_) => {}
                Step::Done => return lookup.queries <= 20,
                Step::Wait => match (outstanding.pop(), script.next()) {
                    (Some(contact), Some((true, found))) if found % 5 == 0 => {
                        lookup.late(&contact);
                        outstanding.insert(0, contact);
                    }
                    (Some(contact), Some((true, found))) => {
                        lookup.found(super::tests::contact(found), COUNTED);
                        lookup.answered(&contact, 0, None);
                    }
                    (Some(contact), _) => lookup.failed(&contact),
                    (None, _) => return false,
                },
            }
        }
        false
    }
    quickcheck().quickcheck(law as fn(Vec<u8>, Vec<(bool, u8)>, u8) -> bool);
}
