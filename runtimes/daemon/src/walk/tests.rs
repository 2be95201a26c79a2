use std::collections::BTreeSet;

use khashmir::krpc::Contacts;
use khashmir::rng::Purpose;

use super::*;

/// A network in memory: who knows whom, and who is silent.
struct World {
    nodes: Vec<Contact>,
    /// What each answers from: contacts, by index.
    tables: Vec<Vec<usize>>,
    silent: BTreeSet<usize>,
    /// How many contacts fit an answer to a stranger.
    fits: usize,
}

impl World {
    /// Each knows up to 8 in each bucket.
    fn of(count: usize, seed: u8) -> Self {
        let mut rng = Rng::new([seed; 32], Purpose::NodeId);
        let nodes: Vec<Contact> = (0..count)
            .map(|n| {
                let mut id = Id(rng.bytes());
                id.0[16..].copy_from_slice(if n % 3 == 0 { b"A043" } else { b"A100" });
                Contact { id, addr: ([60, 1, (n / 250) as u8, (n % 250) as u8 + 1], 9978).into() }
            })
            .collect();
        let table = |own: &Contact| {
            let mut buckets: HashMap<u32, Vec<usize>> = HashMap::new();
            for (index, other) in nodes.iter().enumerate().filter(|(_, other)| other.id != own.id) {
                let bucket = buckets.entry(own.id.common_prefix_len(&other.id)).or_default();
                if bucket.len() < 8 {
                    bucket.push(index);
                }
            }
            buckets.into_values().flatten().collect()
        };
        let tables = nodes.iter().map(table).collect();
        Self { nodes, tables, silent: BTreeSet::new(), fits: 5 }
    }

    fn answer(&self, to: SocketAddr, query: &[u8]) -> Option<Vec<u8>> {
        let index = self.nodes.iter().position(|node| node.addr == to)?;
        if self.silent.contains(&index) {
            return None;
        }
        let Message { transaction_id, body: Body::Query(Ok(query)) } = Message::decode(query).unwrap() else {
            panic!("no query")
        };
        let Call::FindNode { target } = query.call else { panic!("{query:?}") };
        let mut known: Vec<Contact> = self.tables[index].iter().map(|index| self.nodes[*index]).collect();
        known.sort_by_key(|contact| contact.id.distance(&target));
        known.truncate(self.fits);
        let mut response = Response::new(self.nodes[index].id);
        response.nodes = Some(Contacts::new(&known));
        let mut out = BytesMut::new();
        response.encode(transaction_id, &mut out);
        Some(out.to_vec())
    }

    /// Walks to the end from the first node on, and says how many datagrams went in the busiest second.
    fn walk(&self, per_second: u32) -> (Report, u64) {
        let config = Config::default();
        let mut now = Instant::now();
        let rng = Rng::new([7; 32], Purpose::Download);
        let mut walk = Walk::new(config, &self.nodes[..1], per_second, rng, now);
        let (started, mut busiest, mut in_second) = (now, 0, (0, 0));
        let mut out = BytesMut::new();
        while !walk.is_done() {
            while let Some(to) = walk.poll_transmit(now, &mut out) {
                let second = (now - started).as_secs();
                in_second = if in_second.0 == second { (second, in_second.1 + 1) } else { (second, 1) };
                busiest = busiest.max(in_second.1);
                if let Some(answer) = self.answer(to, &out) {
                    walk.handle(now + Duration::from_millis(1), to, &answer);
                }
                out.clear();
            }
            match walk.poll_timeout() {
                Some(at) => now = at.max(now),
                None => assert!(walk.is_done(), "it waits for nothing"),
            }
        }
        (walk.report(now), busiest)
    }
}

#[test]
fn all_nodes_are_found_with_their_versions_at_the_rate_that_was_asked_for() {
    for (count, seed) in [(2, 1), (60, 2), (600, 3)] {
        let world = World::of(count, seed);
        let (report, busiest) = world.walk(40);
        assert_eq!(report.reachable, count as u64, "{report:?}");
        assert_eq!((report.behind_nats, report.gone, report.not_asked), (0, 0, 0));
        let old = (0..count).filter(|n| n % 3 == 0).count() as u64;
        assert_eq!(report.versions["A043"], [old, 0]);
        assert_eq!(report.versions["A100"], [count as u64 - old, 0]);
        assert!(busiest <= 41, "{busiest} datagrams in a second");
    }
}

#[test]
fn the_silent_are_told_apart_by_how_many_name_them() {
    let mut world = World::of(100, 4);
    world.silent = (50..100).collect();
    // One that only one other still names.
    let gone = 50;
    world.tables.iter_mut().skip(1).for_each(|table| table.retain(|index| *index != gone));
    world.tables[0].push(gone);
    let (report, _) = world.walk(1000);
    assert_eq!((report.reachable, report.gone), (50, 1), "{report:?}");
    assert_eq!(report.behind_nats, 49);
    assert_eq!(report.nodes.iter().filter(|node| node.round_trip_ms.is_some()).count(), 50);
}

#[test]
fn one_address_cannot_pose_as_a_network() {
    let mut world = World::of(20, 5);
    for n in 0..500_u32 {
        let mut id = Id(Rng::new([n as u8; 32], Purpose::NodeId).bytes());
        id.0[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b9).to_be_bytes());
        world.nodes.push(Contact { id, addr: ([60, 9, 9, 9], 1000 + n as u16).into() });
        world.tables.push(Vec::new());
        world.tables[1].push(20 + n as usize);
    }
    world.silent = (20..520).collect();
    let (report, _) = world.walk(10_000);
    assert_eq!(report.reachable, 20);
    assert!(report.behind_nats + report.gone <= MAX_PER_IP as u64, "{report:?}");
}

#[test]
fn strangers_answers_and_private_addresses_change_nothing() {
    let now = Instant::now();
    let rng = || Rng::new([7; 32], Purpose::Download);
    let private = Contact { id: Id([1; 20]), addr: ([10, 0, 0, 1], 9978).into() };
    let walk = Walk::new(Config::default(), &[private], 10, rng(), now);
    assert!(walk.is_done());
    assert_eq!(walk.report(now).not_allowed, 1);

    let world = World::of(2, 6);
    let mut walk = Walk::new(Config::default(), &world.nodes[..1], 10, rng(), now);
    let mut query = BytesMut::new();
    let to = walk.poll_transmit(now, &mut query).unwrap();
    let answer = world.answer(to, &query).unwrap();
    walk.handle(now, world.nodes[1].addr, &answer);
    assert_eq!(walk.advance().reachable, 0, "from elsewhere");
    walk.handle(now, to, &answer[..answer.len() - 1]);
    assert_eq!(walk.advance().reachable, 0, "malformed");
    walk.handle(now, to, &answer);
    assert_eq!(walk.advance().reachable, 1);
    walk.handle(now, to, &answer);
    assert_eq!(walk.advance().found, 2, "a second time it is nobody's");
}
