//! The task that owns the node.

use bytes::BytesMut;
use khashmir::node::CommandError;
use khashmir::{Event, Instant, Node, OpId};
use khashmir_driver::{Clock, Sockets, Waiter, Waiters, canonical, is_unreachable};
use smol::channel::{Receiver, Sender};
use smol::stream::Stream as _;
use smol::{Async, Timer};
use std::fmt;
use std::future::Future as _;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Datagrams of one socket, and commands, that are taken before others have their turn.
const BATCH: usize = 64;

/// The longest datagram that there is.
const MAX_DATAGRAM: usize = 65_535;

/// Starts an operation.
pub(crate) type Start = Box<dyn FnOnce(&mut Node, Instant) -> Result<OpId, CommandError> + Send>;

/// Asks the node something, and passes the answer on.
pub(crate) type Question = Box<dyn FnOnce(&mut Node, Instant) + Send>;

/// What handles ask of the task.
pub(crate) enum Command {
    /// Start an operation, and tell what comes of it.
    Start(Start, Teller),
    /// Ask the node something that it answers at once.
    Ask(Question),
    /// Tell of events that belong to no operation.
    Subscribe(Sender<Event>),
    /// Stop; the sender is dropped when all is closed.
    Stop(Sender<()>),
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Command::Start(..) => "Start",
            Command::Ask(_) => "Ask",
            Command::Subscribe(_) => "Subscribe",
            Command::Stop(_) => "Stop",
        })
    }
}

/// What the task tells of an operation: first whether it was taken.
#[derive(Debug)]
pub(crate) enum Told {
    Taken,
    Refused(CommandError),
    Event(Event),
}

/// The task's end of an operation's channel, which has room for all that is ever told.
#[derive(Debug)]
pub(crate) struct Teller(pub(crate) Sender<Told>);

impl Teller {
    fn tell(&self, told: Told) {
        // Fails only if nobody listens.
        let _unheard = self.0.try_send(told);
    }
}

impl Waiter for Teller {
    fn hear(&self, event: Event) {
        self.tell(Told::Event(event));
    }

    fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}

/// The node, and all that it needs to run.
pub(crate) struct Task {
    node: Node,
    clock: Clock,
    /// For IPv4 and for IPv6.
    sockets: [Option<Async<UdpSocket>>; 2],
    commands: Pin<Box<Receiver<Command>>>,
    abandoned: Pin<Box<Receiver<()>>>,
    timer: Timer,
    waiters: Waiters<Teller>,
    subscribers: Vec<Sender<Event>>,
    received: Vec<u8>,
    payload: BytesMut,
    /// Where `payload` goes, while its socket takes no more.
    unsent_to: Option<SocketAddr>,
}

impl Task {
    pub(crate) fn new(
        node: Node,
        clock: Clock,
        sockets: Sockets,
        commands: Receiver<Command>,
        abandoned: Receiver<()>,
    ) -> io::Result<Task> {
        let (ipv4, ipv6) = sockets.into_parts();
        Ok(Task {
            node,
            clock,
            sockets: [ipv4.map(Async::new).transpose()?, ipv6.map(Async::new).transpose()?],
            commands: Box::pin(commands),
            abandoned: Box::pin(abandoned),
            timer: Timer::never(),
            waiters: Waiters::new(),
            subscribers: Vec::new(),
            received: vec![0; MAX_DATAGRAM],
            payload: BytesMut::new(),
            unsent_to: None,
        })
    }

    /// Runs until a command, or the loss of the last handle, stops it.
    pub(crate) async fn run(mut self) {
        let mut stopped = Vec::new();
        while stopped.is_empty() {
            self.node.handle_timeout(self.clock.now());
            self.receive();
            self.transmit();
            self.hand_out_events();
            self.set_timer();
            match std::future::poll_fn(|cx| self.poll_wake(cx)).await {
                Wake::Other => {}
                Wake::Abandoned => self.cancel_abandoned(),
                Wake::Command(None) => return,
                Wake::Command(Some(command)) => stopped.extend(self.execute(command)),
            }
            for _ in 1..BATCH {
                let Ok(command) = self.commands.try_recv() else { break };
                stopped.extend(self.execute(command));
            }
        }
        // What is still in the channel would stay there as long as handles do, and its senders wait.
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            stopped.extend(if let Command::Stop(also) = command { Some(also) } else { None });
        }
        drop(self);
        drop(stopped);
    }

    /// Ready when there is something to do.
    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        if let Poll::Ready(Some(())) = self.abandoned.as_mut().poll_next(cx) {
            return Poll::Ready(Wake::Abandoned);
        }
        if let Poll::Ready(command) = self.commands.as_mut().poll_next(cx) {
            return Poll::Ready(Wake::Command(command));
        }
        let mut ready = Pin::new(&mut self.timer).poll(cx).is_ready();
        for socket in self.sockets.iter().flatten() {
            ready |= socket.poll_readable(cx).is_ready();
        }
        if let Some(socket) = self.unsent_to.and_then(|to| self.socket_for(to)) {
            ready |= socket.poll_writable(cx).is_ready();
        }
        if ready { Poll::Ready(Wake::Other) } else { Poll::Pending }
    }

    fn set_timer(&mut self) {
        match self.node.poll_timeout().map(|deadline| self.clock.until(deadline)) {
            Some(wait) => self.timer.set_after(wait),
            None => self.timer.clear(),
        }
    }

    /// Carries out a command. Returns whom to tell that the task has stopped, if it is to.
    fn execute(&mut self, command: Command) -> Option<Sender<()>> {
        let now = self.clock.now();
        match command {
            // Who gave up before it began gets nothing started.
            Command::Start(_, teller) if teller.is_gone() => {}
            Command::Start(start, teller) => match start(&mut self.node, now) {
                Ok(op) => {
                    teller.tell(Told::Taken);
                    self.waiters.add(op, teller);
                }
                Err(error) => teller.tell(Told::Refused(error)),
            },
            Command::Ask(ask) => ask(&mut self.node, now),
            Command::Subscribe(subscriber) => {
                self.subscribers.retain(|subscriber| !subscriber.is_closed());
                self.subscribers.push(subscriber);
            }
            Command::Stop(stopped) => return Some(stopped),
        }
        None
    }

    fn cancel_abandoned(&mut self) {
        let now = self.clock.now();
        for op in self.waiters.abandoned() {
            self.node.cancel(now, op);
        }
    }

    fn receive(&mut self) {
        for socket in self.sockets.iter().flatten() {
            for _ in 0..BATCH {
                match socket.get_ref().recv_from(&mut self.received) {
                    Ok((len, from)) => {
                        let datagram = self.received.get(..len).unwrap_or_default();
                        self.node.handle_datagram(self.clock.now(), canonical(from), datagram);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // Some systems report here that an earlier datagram was not delivered.
                    Err(_) => {}
                }
            }
        }
    }

    fn hand_out_events(&mut self) {
        while let Some(event) = self.node.poll_event() {
            if let Some(event) = self.waiters.hand_out(event) {
                // Who is slow loses the oldest; who is gone is forgotten.
                self.subscribers.retain(|subscriber| subscriber.force_send(event.clone()).is_ok());
            }
        }
    }

    fn transmit(&mut self) {
        loop {
            let to = match self.unsent_to.take() {
                Some(to) => to,
                None => {
                    self.payload.clear();
                    match self.node.poll_transmit(&mut self.payload) {
                        Some(to) => to,
                        None => return,
                    }
                }
            };
            // The node sends only to families that it was told we have.
            let Some(socket) = self.socket_for(to) else { continue };
            match socket.get_ref().send_to(&self.payload, to) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.unsent_to = Some(to);
                    return;
                }
                Err(error) if is_unreachable(&error) => self.node.handle_unreachable(self.clock.now(), to),
                // Other errors pass as a lost datagram does: it is sent again.
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn socket_for(&self, to: SocketAddr) -> Option<&Async<UdpSocket>> {
        let [ipv4, ipv6] = &self.sockets;
        if to.is_ipv4() { ipv4.as_ref() } else { ipv6.as_ref() }
    }
}

/// Why the task woke.
enum Wake {
    Command(Option<Command>),
    Abandoned,
    /// A timer, or a socket.
    Other,
}
