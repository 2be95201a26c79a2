//! The driver's end of the handles.

use crate::engine::Engine;
use crate::handle::Handle;
use crate::waiters::{Told, Waiter, Waiters};
use async_channel::{Receiver, Sender, bounded};
use futures_core::Stream as _;
use khashmir::node::Reply;
use khashmir::{Event, Instant, Node};
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Commands that wait for the driver. More senders wait in turn.
const MAX_COMMANDS: usize = 64;

/// Asks the node something, and passes the answer on.
pub(crate) type Question = Box<dyn FnOnce(&Node) + Send>;

/// What handles ask.
pub(crate) enum Command {
    /// Start an operation, and tell what comes of it.
    Start(khashmir::Command, Waiter),
    /// Do what is done at once, and tell whether there was anything to do.
    Do(khashmir::Command, Sender<bool>),
    /// Ask the node something.
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
            Command::Do(..) => "Do",
            Command::Ask(_) => "Ask",
            Command::Subscribe(_) => "Subscribe",
            Command::Stop(_) => "Stop",
        })
    }
}

/// All who hold a [`Handle`] to a node, as its driver sees them.
///
/// A driver waits for [`poll_ready`](Self::poll_ready) beside its sockets and its timer, then
/// [serves](Self::serve) them; after whatever it does with the node, it
/// [hands out the events](Self::hand_out_events). When it stops, it drops this last: a caller who
/// waits for the shutdown then knows that the sockets are closed.
#[derive(Debug)]
pub struct Callers {
    commands: Pin<Box<Receiver<Command>>>,
    /// A command that has been taken, and not yet carried out.
    taken: Option<Command>,
    abandoned: Pin<Box<Receiver<()>>>,
    /// Whether a waiter has gone since the last look.
    is_any_gone: bool,
    waiters: Waiters,
    subscribers: Vec<Sender<Event>>,
    is_over: bool,
    /// Who waits for the end.
    stoppers: Vec<Sender<()>>,
}

impl Callers {
    /// The first handle to `node`, whose sockets are bound to `local_addrs`, and the driver's end.
    pub fn new(node: &Node, local_addrs: Vec<SocketAddr>) -> (Handle, Callers) {
        let (to_driver, commands) = bounded(MAX_COMMANDS);
        let (gone, abandoned) = bounded(1);
        let callers = Callers {
            commands: Box::pin(commands),
            taken: None,
            abandoned: Box::pin(abandoned),
            is_any_gone: false,
            waiters: Waiters::default(),
            subscribers: Vec::new(),
            is_over: false,
            stoppers: Vec::new(),
        };
        (Handle::new(to_driver, gone, node.id(), local_addrs), callers)
    }

    /// Ready when there is something to [`serve`](Self::serve).
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Poll::Ready(Some(())) = self.abandoned.as_mut().poll_next(cx) {
            self.is_any_gone = true;
        }
        if self.taken.is_none()
            && let Poll::Ready(command) = self.commands.as_mut().poll_next(cx)
        {
            // None: the last handle is gone.
            self.is_over |= command.is_none();
            self.taken = command;
        }
        if self.is_any_gone || self.is_over || self.taken.is_some() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Does what callers ask, as much as waits at the moment at most. Returns whether the driver goes
    /// on; not after a shutdown, or when the last handle is gone.
    pub fn serve(&mut self, now: Instant, node: &mut Engine) -> bool {
        if std::mem::take(&mut self.is_any_gone) {
            for op in self.waiters.abandoned() {
                // Fails never, and nobody waits for the answer.
                let _done = node.execute(now, &khashmir::Command::Cancel { op });
            }
        }
        // Not those that come meanwhile: sockets, and who gives up, get their turn.
        for _ in 0..self.commands.len() + usize::from(self.taken.is_some()) {
            match self.taken.take().or_else(|| self.commands.try_recv().ok()) {
                Some(command) => self.execute(now, node, command),
                None => break,
            }
        }
        !self.is_over
    }

    /// Hands out what has happened to the node.
    pub fn hand_out_events(&mut self, node: &mut Engine) {
        while let Some(event) = node.poll_event() {
            self.hand_out(event);
        }
    }

    /// Hands out one thing that has happened.
    pub fn hand_out(&mut self, event: Event) {
        if let Some(event) = self.waiters.hand_out(event) {
            // Who is slow loses the oldest; who is gone is forgotten.
            self.subscribers.retain(|subscriber| subscriber.force_send(event.clone()).is_ok());
        }
    }

    fn execute(&mut self, now: Instant, node: &mut Engine, command: Command) {
        match command {
            // Who gave up before it began gets nothing started.
            Command::Start(_, waiter) if waiter.is_gone() => {}
            Command::Start(command, waiter) => match node.execute(now, &command) {
                Ok(Reply::Started(op)) => {
                    waiter.tell(Told::Taken);
                    self.waiters.add(op, waiter);
                }
                Ok(Reply::Done(_)) => {}
                Err(error) => waiter.tell(Told::Refused(error)),
            },
            Command::Do(command, asker) => {
                if let Ok(Reply::Done(was_there)) = node.execute(now, &command) {
                    // Who asked may have gone.
                    let _unheard = asker.try_send(was_there);
                }
            }
            Command::Ask(ask) => ask(node),
            Command::Subscribe(subscriber) => {
                self.subscribers.retain(|subscriber| !subscriber.is_closed());
                self.subscribers.push(subscriber);
            }
            Command::Stop(stopper) => {
                self.is_over = true;
                self.stoppers.push(stopper);
            }
        }
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.commands.close();
        // What is still in the channel would stay there while handles do, and its senders wait.
        while let Ok(command) = self.commands.try_recv() {
            drop(command);
        }
    }
}
