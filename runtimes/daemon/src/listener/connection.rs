//! One client's connection: a reader that runs ahead, and answers in order.

use std::io;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use khashmir_apt::http::{MAX_HEAD, Method, RequestHead, Version};
use smol::Async;
use smol::Task;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::{FutureExt as _, poll_once};

use super::answer::{Answer, Later, Message};
use super::head::Framing;
use super::socket::Socket;
use super::writer::Writer;
use crate::Context;
use crate::proxy::Proxy;

/// Requests worked on at a time for one connection; apt sends ten ahead. One more is
/// being written, and one waits for a place in the queue.
const MAX_QUEUED: usize = 30;

/// An answer in its place in the order.
struct Slot {
    /// What came behind a `CONNECT` before it was answered.
    early: Vec<u8>,
    head_only: bool,
    version: Version,
    keep_alive: bool,
    answer: Pending,
}

/// An answer that is being worked on, or need not be.
enum Pending {
    Ready(Box<Answer>),
    /// Cancelled if the connection ends first.
    Task(Task<Answer>),
}

impl Pending {
    /// Has an answer worked on, by a task of its own if it does not come at once.
    async fn start(answer: impl Future<Output = Answer> + Send + 'static) -> Self {
        let mut answer = Box::pin(answer);
        match poll_once(&mut answer).await {
            Some(answer) => Self::Ready(Box::new(answer)),
            None => Self::Task(smol::spawn(answer)),
        }
    }

    async fn answer(self) -> Answer {
        match self {
            Self::Ready(answer) => *answer,
            Self::Task(answer) => answer.await,
        }
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(stream: Async<TcpStream>, proxy: Arc<Proxy>) -> io::Result<()> {
    let socket = Socket::new(stream);
    let (queue, slots) = bounded(MAX_QUEUED);
    let outstanding = AtomicUsize::new(0);
    let read = async {
        read_requests(&socket, &proxy, queue, &outstanding).await?;
        // What was asked is still answered.
        std::future::pending().await
    };
    write_answers(&socket, proxy.context(), slots, &outstanding).or(read).await
}

/// Tells a client that may not use the proxy so.
pub(super) async fn refuse(
    stream: Async<TcpStream>,
    context: &Arc<Context>,
    client: IpAddr,
) -> io::Result<()> {
    let socket = Socket::new(stream);
    let text = format!(
        "{client} may not use this proxy; its network can be listed in `allowed_clients` under \
         [proxy] in the configuration"
    );
    let message = Message::text(403, &text);
    let drip = drip_interval(context);
    let writer = Writer { socket: &socket, context, drip };
    writer.write_message(message, false, Framing::Length, false).await?;
    socket.finish().await;
    Ok(())
}

/// Reads heads as fast as they come and has each worked on at once. Returns when no
/// more requests will be taken.
async fn read_requests(
    socket: &Socket,
    proxy: &Arc<Proxy>,
    queue: Sender<Slot>,
    outstanding: &AtomicUsize,
) -> io::Result<()> {
    let context = proxy.context();
    let idle = Duration::from_secs(context.config.proxy.idle_timeout_seconds);
    let ours = socket.local_address()?;
    let mut arrived = Vec::new();
    let mut chunk = vec![0; MAX_HEAD];
    loop {
        let (slot, used) = match RequestHead::parse(&arrived) {
            Ok(Some((request, used))) => {
                context.stats.apt.requests.increment();
                let takes_more = !request.has_body && request.method != Method::Connect;
                let early = match request.method {
                    Method::Connect => arrived.split_off(used),
                    _ => Vec::new(),
                };
                let slot = Slot {
                    early,
                    head_only: request.method == Method::Head,
                    version: request.version,
                    keep_alive: request.keep_alive && takes_more,
                    answer: Pending::start(Arc::clone(proxy).answer(request, ours)).await,
                };
                (slot, used)
            }
            Err(error) => {
                context.stats.apt.refused.increment();
                let message = Message::text(error.status(), &error.to_string());
                let slot = Slot {
                    early: Vec::new(),
                    head_only: false,
                    version: Version::Http11,
                    keep_alive: false,
                    answer: Pending::Ready(Box::new(Answer::Message(message))),
                };
                (slot, arrived.len())
            }
            Ok(None) => {
                match socket.read(&mut chunk, idle).await {
                    Ok(0) => return Ok(()),
                    Ok(read) => arrived.extend_from_slice(chunk.get(..read).unwrap_or_default()),
                    // Silence is right while answers are awaited, but not within a head.
                    Err(error)
                        if error.kind() == io::ErrorKind::TimedOut
                            && (outstanding.load(Ordering::Relaxed) == 0 || !arrived.is_empty()) =>
                    {
                        return Ok(());
                    }
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                    Err(error) => return Err(error),
                }
                continue;
            }
        };
        arrived.drain(..used);
        let keep_alive = slot.keep_alive;
        outstanding.fetch_add(1, Ordering::Relaxed);
        if queue.send(slot).await.is_err() || !keep_alive {
            return Ok(());
        }
    }
}

/// Writes answers in the order of their requests.
async fn write_answers(
    socket: &Socket,
    context: &Arc<Context>,
    slots: Receiver<Slot>,
    outstanding: &AtomicUsize,
) -> io::Result<()> {
    let writer = Writer { socket, context, drip: drip_interval(context) };
    while let Ok(slot) = slots.recv().await {
        let written = match slot.answer.answer().await {
            Answer::Message(message) => {
                let framing = Framing::of(&message.content, slot.version);
                let keep_alive = slot.keep_alive && framing != Framing::Close;
                writer.write_message(message, slot.head_only, framing, keep_alive).await.map(|()| keep_alive)
            }
            Answer::Growing(growing) => {
                writer.write_growing(growing, slot.keep_alive).await.map(|()| slot.keep_alive)
            }
            Answer::Later(Later { promise, settled }) => {
                writer.write_later(promise, settled, slot.keep_alive).await.map(|()| slot.keep_alive)
            }
            Answer::Tunnel(tunnel) => {
                let idle = Duration::from_secs(context.config.proxy.idle_timeout_seconds);
                if let Err(error) = tunnel.run(socket, &slot.early, idle, &context.stats.apt).await {
                    tracing::debug!(%error, "a tunnel broke");
                }
                Ok(false)
            }
            Answer::Cut(reason) => Err(io::Error::other(reason)),
        };
        outstanding.fetch_sub(1, Ordering::Relaxed);
        match written {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                context.stats.apt.cut.increment();
                tracing::info!(%error, "a client's connection is cut");
                break;
            }
        }
    }
    socket.finish().await;
    Ok(())
}

fn drip_interval(context: &Context) -> Duration {
    Duration::from_secs(context.config.proxy.drip_interval_seconds)
}
