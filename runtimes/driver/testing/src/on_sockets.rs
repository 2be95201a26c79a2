//! A world of real sockets on the loopback interface, and what only they can show.

use crate::world::{World, config};
use futures_util::StreamExt as _;
use khashmir::config::AddressFamilies;
use khashmir::{Config, Id};
use khashmir_driver::{Handle, Setup, Sockets};
use khashmir_recording::{Input, Replay, Step, Verdict};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a driver and its runtime have to offer.
pub trait Runtime {
    /// Whether the runtime itself allocates now and then when it wakes a task up.
    const ALLOCATES: bool;

    /// Its runtime.
    fn new() -> Self;

    /// Runs a future that may sleep, and what nodes do.
    fn block_on<T>(&self, story: impl Future<Output = T>) -> T;

    /// Lets that much time pass.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()>;

    /// The driver's `Dht::start`.
    fn start(&self, sockets: Sockets, setup: Setup) -> io::Result<Handle>;
}

/// The loopback interface, with a runtime.
#[derive(Debug)]
pub struct OnSockets<R> {
    runtime: R,
    nodes: Cell<u8>,
    /// Bound, and never read.
    silent: RefCell<Vec<UdpSocket>>,
}

impl<R: Runtime> World for OnSockets<R> {
    const NETWORKS: [&str; 2] = ["127.0.0.0/8", "::1/128"];
    const LIMIT: Duration = Duration::from_secs(120);

    fn new() -> Self {
        OnSockets { runtime: R::new(), nodes: Cell::new(0), silent: RefCell::default() }
    }

    fn block_on<T>(&self, story: impl Future<Output = T>) -> T {
        self.runtime.block_on(story)
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> {
        self.runtime.sleep(time)
    }

    fn start(&self, families: AddressFamilies, config: Config) -> io::Result<Handle> {
        let number = self.nodes.replace(self.nodes.get() + 1);
        // Elsewhere only 127.0.0.1 is there, so that all nodes share one budget.
        let ipv4 = if cfg!(target_os = "linux") { [127, 9, number, 1] } else { [127, 0, 0, 1] };
        let (ipv4, ipv6) = (IpAddr::from(ipv4), IpAddr::from(Ipv6Addr::LOCALHOST));
        let ips = match families {
            AddressFamilies::Ipv4 => &[ipv4][..],
            AddressFamilies::Ipv6 => &[ipv6],
            AddressFamilies::Both => &[ipv4, ipv6],
        };
        let addrs: Vec<SocketAddr> = ips.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
        self.runtime.start(Sockets::bind(&addrs)?, config.into())
    }

    fn restore(
        &self,
        before: &Handle,
        config: Config,
        snapshot: &[u8],
        downtime: Duration,
    ) -> io::Result<Handle> {
        let setup = Setup::from(config).restored(snapshot, downtime);
        self.runtime.start(Sockets::bind(before.local_addrs())?, setup)
    }

    fn silent_addr(&self) -> SocketAddr {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = socket.local_addr().unwrap();
        self.silent.borrow_mut().push(socket);
        addr
    }
}

/// The simulator has no ports to close.
pub async fn a_shutdown_closes_the_sockets<R: Runtime>(world: &OnSockets<R>) {
    let a = world.start(AddressFamilies::Both, config::<OnSockets<R>>()).unwrap();
    a.shutdown().await;
    Sockets::bind(a.local_addrs()).expect("its sockets are closed");
}

/// In the simulator no two nodes share an address.
pub async fn a_taken_port_is_named<R: Runtime>(world: &OnSockets<R>) {
    let a = world.start(AddressFamilies::Ipv4, config::<OnSockets<R>>()).unwrap();
    let error = world.restore(&a, config::<OnSockets<R>>(), &[], Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&a.local_addrs()[0].to_string()), "{error}");
}

/// As a shutdown does, but nobody waits for it.
pub async fn nothing_lingers_after_the_last_handle<R: Runtime>(world: &OnSockets<R>) {
    let a = world.start(AddressFamilies::Both, config::<OnSockets<R>>()).unwrap();
    let addrs = a.local_addrs().to_vec();
    let mut events = a.events().await.unwrap();
    drop(a);
    assert_eq!(events.next().await, None);
    // Until the limit of the story: events end while the last things are dropped.
    while Sockets::bind(&addrs).is_err() {
        world.sleep(Duration::from_millis(1)).await;
    }
}

/// What a recorded node did, its handles and its restart included, happens again.
pub async fn what_is_recorded_replays_bit_for_bit<R: Runtime>(world: &OnSockets<R>) {
    let config = config::<OnSockets<R>>;
    let other = world.start(AddressFamilies::Ipv4, config()).unwrap();
    let recordings = [(); 2].map(|()| Shared::default());
    let key = Id([7; 20]);
    let bind = || Sockets::bind(&[(Ipv4Addr::LOCALHOST, 0).into()]).unwrap();
    let first = world.runtime.start(bind(), Setup::from(config()).recorded(recordings[0].clone())).unwrap();
    first.join(other.local_addrs()).await.unwrap();
    first.publish(key, b"recorded").await.unwrap();
    let snapshot = first.snapshot().await.unwrap();
    first.shutdown().await;
    let setup = Setup::from(config()).restored(&snapshot, Duration::from_secs(1));
    let again = world.runtime.start(bind(), setup.recorded(recordings[1].clone())).unwrap();
    let mut values = again.get(key, usize::MAX).await.unwrap();
    assert_eq!(values.next().await.unwrap(), &b"recorded"[..]);
    drop(values);
    again.shutdown().await;
    let mut datagrams = 0;
    for recording in recordings {
        let recording = recording.0.lock().unwrap();
        let steps: Vec<Step> = Replay::open(&recording[..]).unwrap().map(|step| step.unwrap()).collect();
        assert!(steps.iter().all(|step| step.verdict == Verdict::Same), "{steps:#?}");
        datagrams += steps.iter().filter(|step| matches!(step.input, Input::Datagram { .. })).count();
    }
    assert!(datagrams > 2, "the first has joined and published");
}

/// A writer whose bytes are there to read.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
