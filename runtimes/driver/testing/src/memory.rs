//! What a node on a runtime costs in memory.

use crate::behaviour::Abandoned;
use crate::on_sockets::{OnSockets, Runtime};
use crate::world::{World, config};
use bytes::BytesMut;
use khashmir::Id;
use khashmir::config::AddressFamilies;
use khashmir::krpc::{Body, Call, Message, Query, Response, TransactionId};
use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The system's allocator, with counters of all that the process does.
#[derive(Debug)]
pub struct Counting;

static BYTES_IN_USE: AtomicIsize = AtomicIsize::new(0);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it is; counting touches no memory of it.
#[allow(unsafe_code)] // An allocator can't be written without.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES_IN_USE.fetch_add(layout.size() as isize, Ordering::Relaxed);
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as our caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES_IN_USE.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: as our caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Bytes that the process has allocated now, with [`Counting`] as its allocator.
pub fn bytes_in_use() -> isize {
    BYTES_IN_USE.load(Ordering::Relaxed)
}

/// The tests of this file run one after the other, since they count for the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const ROUNDS: usize = 1_000;

/// Whoever gives up leaves nothing behind, neither an operation nor memory.
pub fn ten_thousand_abandoned_operations_leave_nothing_behind<R: Runtime>() {
    let _alone = alone();
    let world = OnSockets::<R>::new();
    world.block_on(async {
        let abandoned = Abandoned::start(&world).await;
        let mut in_use = Vec::new();
        // What grows to its bound, as queues do, has grown in the first turn.
        for _turn in 0..2 {
            for _ in 0..ROUNDS {
                abandoned.round().await;
            }
            abandoned.idle(&world).await;
            in_use.push(bytes_in_use());
        }
        let grown = in_use[1] - in_use[0];
        let operations = ROUNDS * Abandoned::PER_ROUND;
        // Less than the smallest thing that could be kept of each.
        assert!(
            grown < 10 * operations as isize,
            "{grown} bytes more after {operations} abandoned operations"
        );
    });
}

const KEY: Id = Id([0x5a; 20]);
const CLIENT: Id = Id([0x77; 20]);
/// Of each kind.
const QUERIES: usize = 2_000;
/// Sent before the first answer is read, so that they are received and answered together.
const AT_A_TIME: usize = 20;
/// The same before it is counted: more, so that a queue has been as long as it will be, however
/// the machine shares its processors.
const AT_A_TIME_BEFORE: usize = 50;
const PATIENCE: Duration = Duration::from_secs(20);

/// Thousands of queries of each kind, on real sockets: a node on this runtime answers them, and the
/// whole process allocates nothing. Where the runtime itself does, it is less than once per query.
pub fn answering_queries_allocates_nothing<R: Runtime>() {
    let _alone = alone();
    let world = OnSockets::<R>::new();
    world.block_on(async {
        let mut config = config::<OnSockets<R>>();
        config.limits.queries_per_second_and_source = 0;
        let dht = world.start(AddressFamilies::Ipv4, config).unwrap();
        for n in 0..10u8 {
            dht.put(KEY, &[n; 60]).await.unwrap();
        }
        let node = dht.local_addrs()[0];
        let (done, wait) = async_channel::bounded::<()>(1);
        let client = std::thread::spawn(move || {
            // Dropped when this thread ends, however it does.
            let _done = done;
            Client::new(node).count_allocations()
        });
        // The runtime may have no other thread than this one; to sleep would allocate.
        wait.recv().await.unwrap_err();
        let counted = client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        println!("allocations: {counted:?}");
        for (kind, allocations) in counted {
            let allowed = if R::ALLOCATES { QUERIES - 1 } else { 0 };
            assert!(allocations <= allowed, "{allocations} in {QUERIES} answers to {kind}");
        }
    });
}

/// One who asks, and allocates nothing while it does.
struct Client {
    socket: UdpSocket,
    received: Vec<u8>,
    sent: BytesMut,
}

impl Client {
    fn new(node: SocketAddr) -> Client {
        let socket = UdpSocket::bind("127.9.255.1:0").unwrap();
        socket.connect(node).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { socket, received: vec![0; 2048], sent: BytesMut::with_capacity(2048) }
    }

    /// How often the process allocated for queries of each kind.
    fn count_allocations(mut self) -> [(&'static str, usize); 4] {
        let calls = [
            ("ping", Call::Ping),
            ("find_node", Call::FindNode { target: Id([1; 20]) }),
            ("find_value", Call::FindValue { key: KEY }),
            ("get_value", Call::GetValue { key: KEY, num: 0 }),
        ];
        calls.map(|(kind, call)| {
            let mut query = BytesMut::new();
            Query { id: CLIENT, call }.encode(TransactionId([9; 20]), &mut query);
            // What grows to its bound, as queues and runtimes do, has grown before.
            self.ask(&query, AT_A_TIME_BEFORE);
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            self.ask(&query, AT_A_TIME);
            (kind, ALLOCATIONS.load(Ordering::Relaxed) - before)
        })
    }

    fn ask(&mut self, query: &[u8], at_a_time: usize) {
        for _ in 0..QUERIES / at_a_time {
            for _ in 0..at_a_time {
                self.socket.send(query).unwrap();
            }
            let mut answers = 0;
            while answers < at_a_time {
                answers += usize::from(self.receive());
            }
        }
    }

    /// Whether an answer came, and not a query: the node asks whether we are there.
    fn receive(&mut self) -> bool {
        let len = self.socket.recv(&mut self.received).expect("an answer");
        let message = Message::decode(&self.received[..len]).unwrap();
        match message.body {
            Body::Query(Ok(Query { call: Call::Ping, .. })) => {
                self.sent.clear();
                Response::new(CLIENT).encode(message.transaction_id, &mut self.sent);
                self.socket.send(&self.sent).unwrap();
                false
            }
            Body::Response(Ok(_)) => true,
            other => panic!("{other:?}"),
        }
    }
}
