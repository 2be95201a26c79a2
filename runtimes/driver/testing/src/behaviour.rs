//! What a handle gives its user: nodes that find each other's values, and a clean end.

use crate::world::{World, config};
use futures_util::StreamExt as _;
use futures_util::future::{join, join_all, poll_immediate};
use khashmir::config::{AddressFamilies, Retransmission};
use khashmir::node::{CommandError, Ending, PingError};
use khashmir::{Config, Event, Id};
use khashmir_driver::{Error, Handle};
use std::net::SocketAddr;
use std::time::Duration;

use AddressFamilies::{Both, Ipv4, Ipv6};

fn start<W: World>(world: &W, families: AddressFamilies) -> Handle {
    world.start(families, config::<W>()).unwrap()
}

/// All operations of the node are over.
async fn idle(world: &impl World, dht: &Handle) {
    while dht.stats().await.unwrap().operations > 0 {
        world.sleep(Duration::from_millis(1)).await;
    }
}

pub async fn what_one_puts_the_other_gets_in_either_family(world: &impl World) {
    for family in [Ipv4, Ipv6] {
        let (a, b) = (start(world, family), start(world, family));
        assert_eq!(b.join(a.local_addrs()).await, Ok(1), "{family:?}");
        let key = Id([7; 20]);
        assert_eq!(a.put(key, b"one").await, Ok(2), "{family:?}");
        assert_eq!(b.put(key, &[b'2'; 1000]).await, Ok(2), "{family:?}");
        for dht in [&a, &b] {
            let mut values = dht.get(key, usize::MAX).await.unwrap();
            let mut found: Vec<_> = (&mut values).collect().await;
            found.sort();
            assert_eq!(found, [vec![b'2'; 1000], b"one".to_vec()], "{family:?}");
            assert_eq!(values.ending(), Some(Ending::Complete));
        }
        let pong = a.ping(b.local_addrs()[0]).await.unwrap();
        assert_eq!((pong.contact.id, pong.contact.addr), (b.id(), b.local_addrs()[0]));
        assert_eq!(b.find_node(a.id()).await.unwrap()[0].id, a.id());
        assert_eq!(a.contacts().await.unwrap(), [pong.contact]);
        assert_eq!(a.outside_addresses().await.unwrap(), a.local_addrs());
    }
}

pub async fn one_node_speaks_both_families(world: &impl World) {
    let both = start(world, Both);
    let (v4, v6) = (start(world, Ipv4), start(world, Ipv6));
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
}

pub async fn a_published_value_survives_a_restart_of_its_publisher<W: World>(world: &W) {
    let a = start(world, Ipv4);
    let key = Id([3; 20]);
    assert_eq!(a.publish(key, b"mine").await, Ok(1));
    let snapshot = a.snapshot().await.unwrap();
    a.shutdown().await;
    let downtime = Duration::from_secs(60);
    let again = world.restore(&a, config::<W>(), &snapshot, downtime).expect("the old one is closed");
    assert_eq!((again.id(), again.local_addrs()), (a.id(), a.local_addrs()));
    assert_eq!(again.publications().await.unwrap(), [(key, bytes::Bytes::from_static(b"mine"))]);
    assert_eq!(again.unpublish(key, b"mine").await, Ok(true));
    assert_eq!(again.unpublish(key, b"mine").await, Ok(false));
}

pub async fn events_tell_of_the_outside_address(world: &impl World) {
    let (a, b) = (start(world, Ipv4), start(world, Ipv4));
    let mut events = b.events().await.unwrap();
    b.join(a.local_addrs()).await.unwrap();
    let addr = b.local_addrs()[0];
    assert_eq!(events.next().await, Some(Event::OutsideAddressChanged { addr }));
    b.shutdown().await;
    assert_eq!(events.next().await, None);
}

pub async fn a_shutdown_ends_everything(world: &impl World) {
    let a = start(world, Ipv4);
    let clone = a.clone();
    // Nobody answers there, for nine seconds.
    let ping = clone.ping(world.silent_addr());
    let shutdown = async {
        while a.stats().await.unwrap().operations == 0 {
            world.sleep(Duration::from_millis(1)).await;
        }
        a.shutdown().await;
    };
    let (pinged, ()) = join(ping, shutdown).await;
    assert_eq!(pinged.unwrap_err(), Error::Stopped);
    assert_eq!(a.put(Id([1; 20]), b"x").await, Err(Error::Stopped));
    assert_eq!(a.get(Id([1; 20]), 1).await.unwrap_err(), Error::Stopped);
    assert_eq!(a.stats().await.unwrap_err(), Error::Stopped);
    assert!(a.events().await.is_err());
    a.shutdown().await;
}

pub async fn the_loss_of_the_last_handle_ends_the_node(world: &impl World) {
    let a = start(world, Ipv4);
    let mut events = a.events().await.unwrap();
    drop(a.clone());
    a.stats().await.unwrap();
    drop(a);
    assert_eq!(events.next().await, None);
}

pub async fn what_cannot_be_done_is_said<W: World>(world: &W) {
    let a = start(world, Ipv4);
    let refused = |error| Error::Refused(error);
    let (far, key) = ("10.0.0.1:9978".parse().unwrap(), Id([1; 20]));
    assert_eq!(a.ping(far).await.unwrap_err(), refused(CommandError::AddressNotAllowed(far)));
    assert_eq!(a.join(&[far]).await, Err(refused(CommandError::AddressNotAllowed(far))));
    let of_the_other_family = "[2001:4860::1]:9978".parse().unwrap();
    let ping = a.ping(of_the_other_family).await.unwrap_err();
    assert_eq!(ping, refused(CommandError::AddressNotAllowed(of_the_other_family)));
    for len in [0, 5000] {
        assert_eq!(a.put(key, &vec![0; len]).await, Err(refused(CommandError::ValueLength(len))));
        assert_eq!(a.publish(key, &vec![0; len]).await, Err(refused(CommandError::ValueLength(len))));
    }
    let error = world.start(Ipv4, Config { store_copies: 0, ..config::<W>() }).unwrap_err();
    assert!(error.to_string().contains("store_copies"), "{error}");
    a.shutdown().await;
    let error = world.restore(&a, config::<W>(), b"not a snapshot", Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

/// With little patience: what matters is what comes after it.
fn impatient<W: World>() -> Config {
    let mut config = config::<W>();
    let millis = Duration::from_millis;
    config.lookup.retransmission = Retransmission {
        resend_after: [50, 100, 150].map(millis),
        fail_after: millis(200),
        soonest: millis(50),
        soonest_failure: millis(200),
    };
    config
}

pub async fn nobody_answers_where_nobody_is<W: World>(world: &W) {
    let a = world.start(Ipv4, impatient::<W>()).unwrap();
    let silent = world.silent_addr();
    assert_eq!(a.ping(silent).await.unwrap_err(), Error::Ping(PingError::TimedOut));
    assert_eq!(a.join(&[silent]).await, Ok(0));
    let gone = start(world, Ipv4);
    let addr = gone.local_addrs()[0];
    assert_eq!(a.ping(addr).await.unwrap().contact.id, gone.id());
    gone.shutdown().await;
    assert_eq!(a.ping(addr).await.unwrap_err(), Error::Ping(PingError::TimedOut));
}

pub async fn too_many_operations_are_refused<W: World>(world: &W) {
    let mut config = config::<W>();
    config.limits.operations = 2;
    let a = world.start(Ipv4, config).unwrap();
    let silent = world.silent_addr();
    let mut pings = [silent; 2].map(|silent| Box::pin(a.ping(silent)));
    for ping in &mut pings {
        assert!(poll_immediate(ping).await.is_none());
    }
    while a.stats().await.unwrap().operations < 2 {
        world.sleep(Duration::from_millis(1)).await;
    }
    let refused = Error::Refused(CommandError::TooManyOperations);
    assert_eq!(a.put(Id([1; 20]), b"x").await, Err(refused));
    assert_eq!(a.get(Id([1; 20]), 1).await.unwrap_err(), refused);
    drop(pings);
    idle(world, &a).await;
    assert_eq!(a.put(Id([1; 20]), b"x").await, Ok(1), "there is room again");
}

pub async fn a_slow_reader_holds_nobody_up(world: &impl World) {
    let a = start(world, Ipv4);
    let key = Id([9; 20]);
    for n in 0..200u8 {
        assert_eq!(a.put(key, &[n; 1000]).await, Ok(1));
    }
    let slow = a.get(key, usize::MAX).await.unwrap();
    idle(world, &a).await;
    let found: Vec<_> = a.get(key, usize::MAX).await.unwrap().collect().await;
    assert_eq!(found.len(), 200, "others are served while it does not read");
    let mut late: Vec<_> = slow.collect().await;
    late.sort();
    assert!(late.iter().zip(0..200u8).all(|(value, n)| value[..] == [n; 1000]));
    assert_eq!(late.len(), 200, "and it misses nothing");
}

/// More of them than wait in the channel of commands; with two for each, almost as many as may run.
pub async fn many_operations_run_at_a_time<W: World>(world: &W) {
    const MANY: u8 = 120;
    // All of it comes from one address.
    let mut config = config::<W>();
    config.limits.queries_per_second_and_source = 0;
    let start = || world.start(Ipv4, config.clone()).unwrap();
    let (a, b) = (start(), start());
    b.join(a.local_addrs()).await.unwrap();
    let key = |n: u8| Id([n; 20]);
    let puts = join_all((0..MANY).map(async |n| a.put(key(n), &[n; 10]).await)).await;
    assert_eq!(puts, [Ok(2); MANY as usize]);
    let gets = (0..MANY).map(async |n| {
        let (values, pong) = join(b.get(key(n), usize::MAX), b.ping(a.local_addrs()[0])).await;
        assert_eq!(pong.unwrap().contact.id, a.id());
        values.unwrap().collect::<Vec<_>>().await
    });
    for (found, n) in join_all(gets).await.into_iter().zip(0..MANY) {
        assert_eq!(found, [&[n; 10][..]]);
    }
    assert_eq!(b.stats().await.unwrap().operations, 0);
}

/// A node that others give up on, one that it asks, and an address that is silent.
pub(crate) struct Abandoned {
    pub(crate) dht: Handle,
    _other: Handle,
    key: Id,
    silent: SocketAddr,
}

impl Abandoned {
    /// Operations of one round.
    pub(crate) const PER_ROUND: usize = 10;

    pub(crate) async fn start<W: World>(world: &W) -> Abandoned {
        let mut config = impatient::<W>();
        // Thousands of queries a second from one address: the other would fall silent.
        config.limits.queries_per_second_and_source = 0;
        // Requests outlive their operations, for a late answer, up to these bounds; reached soon.
        config.limits.transactions = 128;
        let start = || world.start(Ipv4, config.clone()).unwrap();
        let (dht, other) = (start(), start());
        dht.join(other.local_addrs()).await.unwrap();
        let key = Id([5; 20]);
        for value in [b"one", b"two"] {
            dht.put(key, value).await.unwrap();
        }
        Abandoned { dht, _other: other, key, silent: world.silent_addr() }
    }

    /// Gives up on ten operations, each at another moment of its life.
    pub(crate) async fn round(&self) {
        let Abandoned { dht, key, silent, .. } = self;
        drop(dht.ping(*silent));
        begin(dht.ping(*silent)).await;
        begin(dht.put(*key, b"one")).await;
        begin(dht.find_node(*key)).await;
        begin(dht.join(&[*silent])).await;
        begin(dht.get(*key, 1)).await;
        drop(dht.get(*key, 1).await.unwrap());
        let mut values = dht.get(*key, usize::MAX).await.unwrap();
        values.next().await.unwrap();
        drop(values);
        let mut ping = Box::pin(dht.ping(*silent));
        // Its command has been carried out when the answer to a later one is there.
        begin(&mut ping).await;
        dht.stats().await.unwrap();
        drop(ping);
        let clone = dht.clone();
        let mut ping = Box::pin(async move { clone.ping(*silent).await.is_ok() });
        begin(&mut ping).await;
        dht.stats().await.unwrap();
        drop(ping);
        // Cancelled within a few turns of the driver, not run to their ends.
        let mut turns = 0;
        while dht.stats().await.unwrap().operations > 0 {
            turns += 1;
            assert!(turns < 10, "operations go on");
        }
    }

    /// Waits until nothing runs any more.
    pub(crate) async fn idle(&self, world: &impl World) {
        loop {
            let stats = self.dht.stats().await.unwrap();
            if stats.operations + stats.transactions == 0 {
                return;
            }
            world.sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Sends the command, and does not wait for what comes of it.
async fn begin(operation: impl Future) {
    let _ended = poll_immediate(std::pin::pin!(operation)).await;
}

pub async fn whoever_gives_up_leaves_no_operation_behind(world: &impl World) {
    let abandoned = Abandoned::start(world).await;
    for _ in 0..10 {
        abandoned.round().await;
    }
    abandoned.idle(world).await;
}
