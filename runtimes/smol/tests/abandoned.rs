//! Whoever gives up leaves nothing behind, neither an operation nor memory.

#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)] // An allocator that counts.

use khashmir::config::Retransmission;
use khashmir::{Config, Id};
use khashmir_smol::{Dht, Sockets};
use smol::future;
use smol::stream::StreamExt as _;
use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::{Duration, Instant};

struct Counting;

static BYTES_IN_USE: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call goes to the system's allocator as it is; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES_IN_USE.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: as our caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES_IN_USE.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: as our caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUNDS: usize = 1_000;
const PER_ROUND: usize = 10;

fn start() -> Dht {
    let local = vec!["127.0.0.0/8".parse().unwrap()];
    let mut config = Config { local_networks: local, ..Config::default() };
    // Thousands of queries a second from one address: the other would fall silent.
    config.limits.queries_per_second_and_source = 0;
    // Requests outlive their operations, for a late answer, up to these bounds; reached soon.
    config.limits.transactions = 128;
    let millis = Duration::from_millis;
    config.lookup.retransmission =
        Retransmission { resend_after: [millis(50), millis(100)], fail_after: millis(200) };
    Dht::start(Sockets::bind(&[([127, 0, 0, 1], 0).into()]).unwrap(), config).unwrap()
}

/// Gives up on ten operations, each at another moment of its life.
async fn give_up(dht: &Dht, key: Id, silent: SocketAddr) {
    drop(dht.ping(silent));
    begin(dht.ping(silent)).await;
    begin(dht.put(key, b"one")).await;
    begin(dht.find_node(key)).await;
    begin(dht.join(&[silent])).await;
    begin(dht.get(key, 1)).await;
    drop(dht.get(key, 1).await.unwrap());
    let mut values = dht.get(key, usize::MAX).await.unwrap();
    values.next().await.unwrap();
    drop(values);
    let mut ping = Box::pin(dht.ping(silent));
    // Its command has been carried out when the answer to a later one is there.
    begin(&mut ping).await;
    dht.stats().await.unwrap();
    drop(ping);
    let clone = dht.clone();
    let task = smol::spawn(async move { clone.ping(silent).await.is_ok() });
    dht.stats().await.unwrap();
    task.cancel().await;
    // Cancelled within a few turns of the driver, not run to their ends.
    let mut turns = 0;
    while dht.stats().await.unwrap().operations > 0 {
        turns += 1;
        assert!(turns < 10, "operations go on");
    }
}

/// Sends the command, and does not wait for what comes of it.
async fn begin(operation: impl Future) {
    let _ended = future::poll_once(operation).await;
}

async fn idle(dht: &Dht) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let stats = dht.stats().await.unwrap();
        if stats.operations + stats.transactions == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "still busy: {stats:?}");
        smol::Timer::after(Duration::from_millis(5)).await;
    }
}

#[test]
fn ten_thousand_abandoned_operations_leave_nothing_behind() {
    smol::block_on(async {
        let (dht, other) = (start(), start());
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let silent = silent.local_addr().unwrap();
        dht.join(other.local_addrs()).await.unwrap();
        let key = Id([5; 20]);
        for value in [b"one", b"two"] {
            dht.put(key, value).await.unwrap();
        }
        let mut in_use = Vec::new();
        // What grows to its bound, as queues do, has grown in the first turn.
        for _turn in 0..2 {
            for _ in 0..ROUNDS {
                give_up(&dht, key, silent).await;
            }
            idle(&dht).await;
            in_use.push(BYTES_IN_USE.load(Ordering::Relaxed));
        }
        let grown = in_use[1] - in_use[0];
        let abandoned = ROUNDS * PER_ROUND;
        // Less than the smallest thing that could be kept of each.
        assert!(grown < 10 * abandoned as isize, "{grown} bytes more after {abandoned} abandoned operations");
    });
}
