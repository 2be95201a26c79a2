//! Law 6: answering a query allocates nothing in the steady state.
//!
//! A binary of its own, since a counting allocator counts for all tests in one.

#![allow(clippy::unwrap_used)]
// An allocator can't be written without.
#![allow(unsafe_code)]

use bytes::BytesMut;
use core::time::Duration;
use khashmir::config::Limits;
use khashmir::krpc::{Body, Call, Message, Query, Response, TransactionId};
use khashmir::rng::{Purpose, Rng};
use khashmir::{Config, Id, Instant, Node};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;

/// Counts what each thread allocates: tests run side by side.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

fn count(allocations: u64, bytes: i64) {
    // A thread that is ending has no counters any more, and nothing to count.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + allocations));
    let _ = BYTES.try_with(|n| n.set(n.get() + bytes));
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const KEY: Id = Id([0x5a; 20]);
const CLIENTS: usize = 200;

struct Client {
    id: Id,
    addr: SocketAddr,
}

impl Client {
    fn new(n: usize) -> Client {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&n.to_le_bytes());
        let [high, low] = (n as u16).to_be_bytes();
        let id = Id(Rng::new(seed, Purpose::NodeId).bytes());
        Client { id, addr: ([60, high, low, 1], 9978).into() }
    }

    fn query(&self, call: Call<'_>) -> BytesMut {
        let mut out = BytesMut::new();
        Query { id: self.id, call }.encode(TransactionId([9; 20]), &mut out);
        out
    }
}

/// What each client asks.
type Calls<'a> = &'a dyn Fn(usize) -> Call<'a>;

/// A node with clients that have proved their addresses, and more contacts than its table takes.
struct Scene {
    node: Node,
    now: Instant,
    clients: Vec<Client>,
    out: BytesMut,
}

impl Scene {
    fn new() -> Scene {
        // All queries come within one simulated moment.
        let limits = Limits { queries_per_second_and_source: 0, ..Limits::DEFAULT };
        let node = Node::new(Config { limits, ..Config::default() }, [1; 32], Instant::ORIGIN).unwrap();
        let clients: Vec<Client> = (0..CLIENTS).map(Client::new).collect();
        let mut scene = Scene { node, now: Instant::ORIGIN, clients, out: BytesMut::with_capacity(1 << 20) };
        for client in 0..CLIENTS {
            let ping = scene.clients[client].query(Call::Ping);
            scene.ask(client, &ping);
            scene.answer_pings();
        }
        assert!(scene.node.stats().contacts_ipv4 > 16, "{:?}", scene.node.stats());
        scene
    }

    /// Gives the node a datagram of a client and throws away what it sends.
    fn ask(&mut self, client: usize, query: &[u8]) {
        self.node.handle_datagram(self.now, self.clients[client].addr, query);
    }

    fn drop_output(&mut self) -> usize {
        self.out.clear();
        let mut sent = 0;
        while self.node.poll_transmit(&mut self.out).is_some() {
            sent += 1;
        }
        while self.node.poll_event().is_some() {}
        sent
    }

    fn answer_pings(&mut self) {
        let mut datagram = BytesMut::new();
        while let Some(to) = self.node.poll_transmit(&mut datagram) {
            let ping = datagram.split();
            let Ok(Message { transaction_id, body: Body::Query(Ok(query)) }) = Message::decode(&ping) else {
                continue;
            };
            assert_eq!(query.call, Call::Ping);
            let client = self.clients.iter().find(|client| client.addr == to).unwrap();
            let mut answer = BytesMut::new();
            Response::new(client.id).encode(transaction_id, &mut answer);
            self.node.handle_datagram(self.now, to, &answer);
        }
    }

    /// What the node issues to a client for storing under `key`.
    fn token(&mut self, client: usize, key: Id) -> Vec<u8> {
        let query = self.clients[client].query(Call::FindNode { target: key });
        self.drop_output();
        self.ask(client, &query);
        loop {
            self.out.clear();
            self.node.poll_transmit(&mut self.out).expect("a response");
            // A stranger is pinged first.
            if let Body::Response(response) = Message::decode(&self.out).unwrap().body {
                return response.unwrap().token.unwrap().to_vec();
            }
        }
    }

    /// Every client asks, five times over. How often that allocated in the last round.
    fn allocations(&mut self, queries: &[BytesMut]) -> u64 {
        let mut before = 0;
        for _ in 0..5 {
            before = ALLOCATIONS.get();
            for (client, query) in queries.iter().enumerate() {
                self.ask(client, query);
                let sent = self.drop_output();
                assert_eq!(sent, 1, "an answer and nothing else");
            }
            self.now = self.now + Duration::from_millis(7);
        }
        ALLOCATIONS.get() - before
    }
}

#[test]
fn answering_allocates_nothing() {
    let mut scene = Scene::new();
    for client in 0..CLIENTS {
        // Three keys with many values, and one with a few of this client.
        for key in [KEY, Id([client as u8 % 3; 20])] {
            let token = scene.token(client, key);
            let store = Call::StoreValue { key, value: &[client as u8; 60], token: &token };
            let store = scene.clients[client].query(store);
            scene.ask(client, &store);
            scene.drop_output();
        }
    }
    let stats = scene.node.stats();
    assert!(stats.values > 300 && stats.stores_refused == 0, "{stats:?}");

    let tokens: Vec<Vec<u8>> = (0..CLIENTS).map(|client| scene.token(client, KEY)).collect();
    let values: Vec<[u8; 60]> = (0..CLIENTS).map(|client| [client as u8; 60]).collect();
    let renewal = |at: usize| Call::StoreValue { key: KEY, value: &values[at], token: &tokens[at] };
    let calls: [(&str, Calls<'_>); 7] = [
        ("ping", &|_| Call::Ping),
        ("join", &|_| Call::Join),
        ("find_node", &|at| Call::FindNode { target: Id([at as u8; 20]) }),
        ("find_value", &|at| Call::FindValue { key: Id([at as u8 % 5; 20]) }),
        ("get_value of all", &|_| Call::GetValue { key: KEY, num: 0 }),
        ("get_value of some", &|_| Call::GetValue { key: KEY, num: 3 }),
        ("store_value", &|at| renewal(at)),
    ];
    for (name, call) in calls {
        let queries: Vec<BytesMut> =
            scene.clients.iter().enumerate().map(|(at, client)| client.query(call(at))).collect();
        assert_eq!(scene.allocations(&queries), 0, "{name}");
    }
    let errors = scene.node.stats().errors_sent;
    assert_eq!(errors, 0, "all were answered");
}

#[test]
fn a_bad_query_allocates_nothing_either() {
    let mut scene = Scene::new();
    let mut wrong = scene.clients[0].query(Call::GetValue { key: KEY, num: 0 }).to_vec();
    let at = wrong.windows(4).position(|bytes| bytes == b"3:nu").unwrap();
    wrong[at + 3] = b'x';
    let queries: Vec<BytesMut> = (0..CLIENTS).map(|_| BytesMut::from(&wrong[..])).collect();
    assert_eq!(scene.allocations(&queries), 0);
    assert!(scene.node.stats().errors_sent > 0);
}

/// Strangers by the hundred thousand leave no memory behind.
#[test]
fn memory_stays_flat_under_strangers() {
    const STRANGERS: u32 = 100_000;
    let mut scene = Scene::new();
    let id = scene.clients[0].id;
    let calls = [
        Call::Ping,
        Call::FindNode { target: KEY },
        Call::FindValue { key: KEY },
        Call::GetValue { key: KEY, num: 0 },
    ];
    let stranger = Client { id, addr: ([61, 0, 0, 1], 9978).into() };
    let queries = calls.map(|call| stranger.query(call));
    let mut in_use = Vec::new();
    for round in 0..4 {
        for n in 0..STRANGERS {
            let [_, a, b, c] = n.to_be_bytes();
            let from = ([61 + a, b, c, 7], 1024 + n as u16 % 60_000).into();
            scene.now = scene.now + Duration::from_millis(5);
            scene.node.handle_datagram(scene.now, from, &queries[(n + round) as usize % queries.len()]);
            scene.drop_output();
        }
        // Pings of those who came last are outstanding: wait for the end of them.
        scene.now = scene.now + Duration::from_secs(10);
        scene.node.handle_timeout(scene.now);
        scene.drop_output();
        in_use.push(BYTES.get());
    }
    let [_, first, .., last] = in_use[..] else { panic!("{in_use:?}") };
    assert_eq!(first, last, "{in_use:?}");
}

/// What is said to be the cost of a value covers what it costs.
#[test]
fn values_take_no_more_memory_than_is_counted() {
    const VALUES: u32 = 20_000;
    let mut scene = Scene::new();
    let before = BYTES.get();
    for n in 0..VALUES {
        let [_, a, b, c] = n.to_be_bytes();
        let mut seed = [7; 32];
        seed[..4].copy_from_slice(&n.to_be_bytes());
        // Each with a key and a source of its own.
        let key = Id(Rng::new(seed, Purpose::NodeId).bytes());
        scene.clients[0].addr = ([62, a, b, c], 9978).into();
        let token = scene.token(0, key);
        let store = scene.clients[0].query(Call::StoreValue { key, value: b"v", token: &token });
        scene.ask(0, &store);
        scene.drop_output();
    }
    let stats = scene.node.stats();
    assert_eq!(stats.values, VALUES as usize);
    let (taken, counted) = (BYTES.get() - before, stats.store_bytes as i64);
    assert!(taken <= counted, "{taken} bytes for {counted}");
}
