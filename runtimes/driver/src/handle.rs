//! The handle: what callers ask of the node.

use crate::callers;
use crate::error::Error;
use crate::operation::{Operation, Values};
use crate::waiters::{Told, Waiter};
use async_channel::{Receiver, Sender, bounded, unbounded};
use bytes::Bytes;
use futures_core::Stream;
use khashmir::node::{Pong, Stats};
use khashmir::{Command, Contact, Event, Id, Node};
use std::net::SocketAddr;
use std::sync::Arc;

/// Events that a reader of [`Handle::events`] may be behind before it loses the oldest.
const MAX_EVENTS_BEHIND: usize = 64;

/// A handle to a running node. Clones are handles to the same one. Dropping a future or a stream
/// cancels the operation that it waits for.
///
/// Every method waits for room among the commands first. The node may refuse an operation
/// ([`Error::Refused`]) while too many are running; after a shutdown all fail with
/// [`Error::Stopped`].
#[derive(Clone, Debug)]
pub struct Handle {
    commands: Sender<callers::Command>,
    /// Tells the driver that a waiter has gone.
    abandoned: Sender<()>,
    id: Id,
    local_addrs: Arc<[SocketAddr]>,
}

impl Handle {
    pub(crate) fn new(
        commands: Sender<callers::Command>,
        abandoned: Sender<()>,
        id: Id,
        local_addrs: Vec<SocketAddr>,
    ) -> Handle {
        Handle { commands, abandoned, id, local_addrs: local_addrs.into() }
    }

    /// The node's id.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Where its sockets are bound.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// Enters the network ([`Node::join`]). Returns how many contacts the node then has; with none,
    /// it keeps trying.
    pub async fn join(&self, bootstrap: &[SocketAddr]) -> Result<usize, Error> {
        let join = Command::Join { bootstrap: bootstrap.to_vec() };
        self.finish(join, |event| match event {
            Event::JoinFinished { contacts, .. } => Some(contacts),
            _ => None,
        })
        .await
    }

    /// Asks whether a node is at `addr` ([`Node::ping`]).
    pub async fn ping(&self, addr: SocketAddr) -> Result<Pong, Error> {
        let pinged = self.finish(Command::Ping { addr }, |event| match event {
            Event::PingFinished { result, .. } => Some(result),
            _ => None,
        });
        Ok(pinged.await??)
    }

    /// Looks up who is closest to `target` ([`Node::find_node`]): up to 8 contacts of each address
    /// family, closest first.
    pub async fn find_node(&self, target: Id) -> Result<Vec<Contact>, Error> {
        self.finish(Command::FindNode { target }, |event| match event {
            Event::FindNodeFinished { closest, .. } => Some(closest),
            _ => None,
        })
        .await
    }

    /// Looks up the values under `key` ([`Node::get`]), up to `wanted` of them: a stream that gives
    /// each as it arrives. Dropping it ends the search.
    pub async fn get(&self, key: Id, wanted: usize) -> Result<Values, Error> {
        // Not bounded here: the node itself finds no more than 1,536 values for one get.
        let told = unbounded();
        let started = self.begin(told, Command::Get { key, wanted });
        Ok(Values::new(started.await?))
    }

    /// Stores `value` under `key` once ([`Node::put`]). Returns how many nodes confirmed it: with
    /// none, it is stored nowhere.
    pub async fn put(&self, key: Id, value: &[u8]) -> Result<usize, Error> {
        self.finish(Command::Put { key, value: Bytes::copy_from_slice(value) }, copies).await
    }

    /// Stores `value` under `key` and keeps it there until [`unpublish`](Self::unpublish)
    /// ([`Node::publish`]). Returns how many nodes confirmed it the first time. Dropping the future
    /// ends only the first store: the value stays published.
    pub async fn publish(&self, key: Id, value: &[u8]) -> Result<usize, Error> {
        self.finish(Command::Publish { key, value: Bytes::copy_from_slice(value) }, copies).await
    }

    /// Lets a published value be forgotten. Returns whether it was published.
    pub async fn unpublish(&self, key: Id, value: &[u8]) -> Result<bool, Error> {
        let (asker, answer) = bounded(1);
        let unpublish = Command::Unpublish { key, value: Bytes::copy_from_slice(value) };
        self.send(callers::Command::Do(unpublish, asker)).await?;
        answer.recv().await.map_err(|_| Error::Stopped)
    }

    /// The values published, each with its key.
    pub async fn publications(&self) -> Result<Vec<(Id, Bytes)>, Error> {
        self.ask(|node| node.publications().map(|(key, value)| (key, value.clone())).collect()).await
    }

    /// Counters and sizes.
    pub async fn stats(&self) -> Result<Stats, Error> {
        self.ask(|node| node.stats()).await
    }

    /// What [`Node::restore`] needs.
    pub async fn snapshot(&self) -> Result<Bytes, Error> {
        self.ask(|node| node.snapshot()).await
    }

    /// All contacts in the routing tables.
    pub async fn contacts(&self) -> Result<Vec<Contact>, Error> {
        self.ask(|node| node.contacts().collect()).await
    }

    /// The address that others agree we have, in each family.
    pub async fn outside_addresses(&self) -> Result<Vec<SocketAddr>, Error> {
        self.ask(|node| node.outside_addresses().collect()).await
    }

    /// What happens to the node from now on, beside operations: that its outside address changed,
    /// and that a checkpoint passed, when a snapshot is best kept. Ends when the node stops. Who
    /// falls more than 64 behind loses the oldest.
    pub async fn events(&self) -> Result<impl Stream<Item = Event> + Send + Unpin + use<>, Error> {
        let (subscriber, events) = bounded(MAX_EVENTS_BEHIND);
        self.send(callers::Command::Subscribe(subscriber)).await?;
        Ok(Box::pin(events))
    }

    /// Stops the node; when this returns, its sockets are closed. What is under way, and whatever
    /// any handle asks later, fails with [`Error::Stopped`].
    pub async fn shutdown(&self) {
        let (stopped, wait) = bounded::<()>(1);
        if self.send(callers::Command::Stop(stopped)).await.is_ok() {
            // The driver drops the sender when all else is closed.
            let _closed = wait.recv().await;
        }
    }

    async fn send(&self, command: callers::Command) -> Result<(), Error> {
        self.commands.send(command).await.map_err(|_| Error::Stopped)
    }

    /// The answer to a question that the node answers at once.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = bounded(1);
        let ask = move |node: &Node| {
            // Who asked may have gone.
            let _unheard = reply.try_send(question(node));
        };
        self.send(callers::Command::Ask(Box::new(ask))).await?;
        answer.recv().await.map_err(|_| Error::Stopped)
    }

    /// Starts an operation and waits for the event that `read` knows.
    async fn finish<T>(&self, command: Command, read: impl Fn(Event) -> Option<T>) -> Result<T, Error> {
        // The answer to the command, and the final event.
        let mut operation = self.begin(bounded(2), command).await?;
        loop {
            if let Some(outcome) = read(operation.next().await?) {
                return Ok(outcome);
            }
        }
    }

    /// Starts an operation, which tells through the channel what comes of it.
    async fn begin(
        &self,
        (teller, told): (Sender<Told>, Receiver<Told>),
        command: Command,
    ) -> Result<Operation, Error> {
        // Made before the command is sent, so that whoever gives up while it waits is noticed.
        let operation = Operation::new(told, self.abandoned.clone());
        self.send(callers::Command::Start(command, Waiter(teller))).await?;
        operation.taken().await
    }
}

fn copies(event: Event) -> Option<usize> {
    match event {
        Event::PutFinished { copies, .. } => Some(copies),
        _ => None,
    }
}
