//! What a turn of the loop does when sockets do not do what they are asked.

#![allow(clippy::unwrap_used)]

use khashmir::node::PingError;
use khashmir::{Config, Id};
use khashmir_driver::{AsFd as _, BorrowedFd, Driver, Error, Handle, Next, Socket, Sockets};
use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A socket whose sending fails as the test says.
struct Moody {
    socket: UdpSocket,
    refusal: Rc<Cell<Option<io::ErrorKind>>>,
}

impl Socket for Moody {
    fn try_receive(&mut self, io: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>) -> io::Result<()> {
        io(self.socket.as_fd())
    }

    fn try_send(&mut self, io: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>) -> io::Result<()> {
        match self.refusal.get() {
            Some(refusal) => Err(refusal.into()),
            None => io(self.socket.as_fd()),
        }
    }
}

struct Scene {
    dht: Handle,
    driver: Driver<Moody>,
    refusal: Rc<Cell<Option<io::ErrorKind>>>,
    /// One that the node may ask.
    other: UdpSocket,
}

impl Scene {
    fn new() -> Scene {
        let bind = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let config = Config { local_networks: vec!["127.0.0.0/8".parse().unwrap()], ..Config::default() };
        let refusal = Rc::new(Cell::new(None));
        let watch = |socket| Ok(Moody { socket, refusal: refusal.clone() });
        let (dht, driver) = Driver::start(Sockets::new(vec![bind()]).unwrap(), config, watch).unwrap();
        let other = bind();
        other.set_nonblocking(true).unwrap();
        Scene { dht, driver, refusal, other }
    }

    fn turn(&mut self) -> Next {
        self.driver.turn(&mut Context::from_waker(Waker::noop())).expect("nobody stopped it")
    }

    /// Turns until all that is there has been done.
    fn settle(&mut self) {
        while self.turn() == Next::Turn {}
    }

    fn other_addr(&self) -> SocketAddr {
        self.other.local_addr().unwrap()
    }

    fn is_blocked(&mut self) -> bool {
        self.driver.sockets().any(|(_, is_sending)| is_sending)
    }
}

#[test]
fn what_a_socket_does_not_take_is_sent_when_it_does() {
    let mut scene = Scene::new();
    scene.refusal.set(Some(io::ErrorKind::WouldBlock));
    let (dht, addr) = (scene.dht.clone(), scene.other_addr());
    let mut pings = [(); 3].map(|()| Box::pin(dht.ping(addr)));
    for ping in &mut pings {
        assert!(ping.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    scene.settle();
    assert!(scene.is_blocked());
    scene.settle();
    let mut buffer = [0; 2048];
    assert_eq!(scene.other.recv(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    scene.refusal.set(None);
    scene.settle();
    assert!(!scene.is_blocked());
    for _ in &pings {
        scene.other.recv(&mut buffer).unwrap();
    }
    assert_eq!(scene.other.recv(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock, "each once");
}

#[test]
fn an_unreachable_address_ends_a_ping_at_once_and_another_error_does_not() {
    for (refusal, ends) in [
        (io::ErrorKind::NetworkUnreachable, true),
        (io::ErrorKind::HostUnreachable, true),
        (io::ErrorKind::PermissionDenied, false),
    ] {
        let mut scene = Scene::new();
        scene.refusal.set(Some(refusal));
        let (dht, addr) = (scene.dht.clone(), scene.other_addr());
        let mut ping = pin!(dht.ping(addr));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(ping.as_mut().poll(&mut cx).is_pending());
        scene.settle();
        match ping.as_mut().poll(&mut cx) {
            Poll::Ready(pinged) => {
                assert!(ends, "{refusal:?}");
                assert_eq!(pinged.unwrap_err(), Error::Ping(PingError::TimedOut));
            }
            Poll::Pending => assert!(!ends, "{refusal:?}"),
        }
        assert!(!scene.is_blocked(), "it is not tried again and again");
    }
}

/// However much comes in, callers wait for one batch at most.
#[test]
fn a_flood_starves_no_caller() {
    let scene = Scene::new();
    let node = scene.dht.local_addrs()[0];
    let mut sent = 0;
    let mut send = || {
        for _ in 0..100 {
            scene.other.send_to(b"nothing that anybody knows", node).unwrap();
            sent += 1;
        }
    };
    send();
    let dht = scene.dht.clone();
    let mut put = pin!(dht.put(Id([1; 20]), b"mine"));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(put.as_mut().poll(&mut cx).is_pending());
    let mut driver = scene.driver;
    for _ in 0..3 {
        assert_eq!(driver.turn(&mut cx), Some(Next::Turn), "more is there");
        send();
        if let Poll::Ready(put) = put.as_mut().poll(&mut cx) {
            assert_eq!(put, Ok(1));
            let mut stats = pin!(dht.stats());
            assert!(stats.as_mut().poll(&mut cx).is_pending());
            driver.turn(&mut cx);
            let Poll::Ready(Ok(stats)) = stats.as_mut().poll(&mut cx) else { panic!("no answer") };
            assert!(stats.malformed > 0 && stats.malformed < sent, "{} of {sent}", stats.malformed);
            return;
        }
    }
    panic!("three turns, and no answer");
}

#[test]
fn the_loss_of_the_last_handle_ends_it() {
    let Scene { dht, mut driver, .. } = Scene::new();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(driver.turn(&mut cx), Some(Next::Wait(Some(_)))));
    drop(dht);
    // Noticed in the turn, then acted on.
    let ended = std::iter::repeat_with(|| driver.turn(&mut cx)).take(2).any(|next| next.is_none());
    assert!(ended);
}
