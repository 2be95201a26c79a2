//! Clients that keep a window of queries under way.

use bytes::BytesMut;
use khashmir::Id;
use khashmir::krpc::{Body, Call, Message, Response};
use khashmir::rng::{Purpose, Rng};
use khashmir_benches::scene::{Asked, WINDOW, key_of_many, key_of_one, query};
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg};
use std::error::Error;
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

/// Source sockets, each at an address of its own.
const SOCKETS: usize = 4;
/// Queries that each has under way.
const SHARE: usize = WINDOW / SOCKETS;
/// Queries that are made beforehand, for each socket.
const POOL: usize = 1024;
/// Longest reply.
const MAX_REPLY: usize = 2048;
/// When nothing has come for so long, what is under way is lost.
const LOST_AFTER: Duration = Duration::from_secs(2);

/// What is expected to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The query itself.
    Echo,
    Responses,
}

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub took: Duration,
    pub reply_bytes: usize,
    pub lost: usize,
}

pub struct Clients {
    all: Vec<Client>,
    rng: Rng,
}

struct Client {
    id: Id,
    socket: UdpSocket,
    sending: MultiHeaders<()>,
    receiving: MultiHeaders<()>,
    buffers: Vec<[u8; MAX_REPLY]>,
    queries: Vec<BytesMut>,
    next: usize,
}

impl Clients {
    /// They query `server` alone.
    pub fn new(server: SocketAddr) -> Result<Clients, Box<dyn Error>> {
        let mut rng = Rng::new([4; 32], Purpose::NodeId);
        let all = (0..SOCKETS).map(|n| {
            let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2 + n as u8), 0))?;
            socket.connect(server)?;
            socket.set_nonblocking(true)?;
            Ok(Client {
                id: Id(rng.bytes()),
                socket,
                sending: MultiHeaders::preallocate(SHARE, None),
                receiving: MultiHeaders::preallocate(SHARE, None),
                buffers: vec![[0; MAX_REPLY]; SHARE],
                queries: Vec::new(),
                next: 0,
            })
        });
        let all = all.collect::<Result<_, std::io::Error>>()?;
        Ok(Clients { all, rng })
    }

    /// Makes the queries that the next runs send.
    pub fn prepare(&mut self, asked: Asked) {
        for client in &mut self.all {
            let calls = (0..POOL).map(|at| {
                let key = Id(self.rng.bytes());
                query(
                    client.id,
                    match asked {
                        Asked::Ping => Call::Ping,
                        Asked::FindNode => Call::FindNode { target: key },
                        Asked::FindValue => Call::FindValue { key },
                        Asked::FindValueOfMany => Call::FindValue { key: key_of_many() },
                        Asked::GetValue => Call::GetValue { key: key_of_one(at % WINDOW), num: 0 },
                        Asked::GetValueOfMany => Call::GetValue { key: key_of_many(), num: 0 },
                        Asked::StoreValue => unreachable!("tokens are not known beforehand"),
                    },
                )
            });
            client.queries = calls.collect();
        }
    }

    /// Sends as many queries, a window at a time, and waits for the replies.
    pub fn run(&mut self, expected: Expected, count: usize) -> Result<Run, Box<dyn Error>> {
        let started = Instant::now();
        let (mut replies, mut sent, mut lost, mut reply_bytes) = (0, 0, 0, 0);
        let mut latest = started;
        while replies < count {
            if sent == replies || latest.elapsed() > LOST_AFTER {
                lost += sent - replies;
                if lost > count / 100 {
                    return Err(format!("{lost} of {count} were lost").into());
                }
                sent = replies;
                for client in &mut self.all {
                    let share = SHARE.min(count - sent);
                    client.send(share)?;
                    sent += share;
                }
                latest = Instant::now();
            }
            for client in &mut self.all {
                let (received, bytes) = client.receive(expected)?;
                if received > 0 {
                    latest = Instant::now();
                    replies += received;
                    reply_bytes += bytes;
                    let more = received.min(count.saturating_sub(sent));
                    client.send(more)?;
                    sent += more;
                }
            }
        }
        Ok(Run { took: started.elapsed(), reply_bytes, lost })
    }
}

impl Client {
    fn send(&mut self, count: usize) -> nix::Result<()> {
        let mut left = count;
        while left > 0 {
            let from = self.next % POOL;
            let until = POOL.min(from + left);
            let payloads: Vec<_> =
                self.queries[from..until].iter().map(|query| [IoSlice::new(query)]).collect();
            let fd = self.socket.as_raw_fd();
            let nobody = [None; SHARE];
            let sent =
                sendmmsg(fd, &mut self.sending, payloads.iter(), nobody, [], MsgFlags::empty())?.count();
            self.next += sent;
            left -= sent;
        }
        Ok(())
    }

    /// Takes what is there. Returns how many replies, and their bytes.
    fn receive(&mut self, expected: Expected) -> Result<(usize, usize), Box<dyn Error>> {
        let fd = self.socket.as_raw_fd();
        let mut buffers: Vec<_> = self.buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let received =
            match recvmmsg(fd, &mut self.receiving, buffers.iter_mut(), MsgFlags::MSG_DONTWAIT, None) {
                Err(nix::Error::EAGAIN) => return Ok((0, 0)),
                received => received?,
            };
        let (mut replies, mut bytes) = (0, 0);
        for message in received {
            let datagram = message.iovs().next().unwrap_or_default();
            if expected == Expected::Echo || datagram.ends_with(b"1:y1:re") {
                replies += 1;
                bytes += datagram.len();
            } else {
                answer(&self.socket, self.id, datagram)?;
            }
        }
        Ok((replies, bytes))
    }
}

/// The node pings who queries it.
fn answer(socket: &UdpSocket, id: Id, datagram: &[u8]) -> Result<(), Box<dyn Error>> {
    let message = Message::decode(datagram)?;
    let Body::Query(_) = message.body else { return Err(format!("no reply: {message:?}").into()) };
    let mut pong = BytesMut::new();
    Response::new(id).encode(message.transaction_id, &mut pong);
    socket.send(&pong)?;
    Ok(())
}
