//! Many addresses of 127.0.0.0/8 behind one socket: who fills the table of a node, and stores there.

use bytes::BytesMut;
use khashmir::Id;
use khashmir::krpc::{Body, Call, Message, Response};
use khashmir::rng::{Purpose, Rng};
use khashmir_benches::scene::{MANY, NETWORK, WINDOW, claim, key_of_many, key_of_one, query};
use nix::libc::{in_addr, in_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt, sockopt,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

/// How long anything is waited for.
const TIMEOUT: Duration = Duration::from_millis(500);

pub struct Crowd {
    socket: UdpSocket,
    server: SockaddrIn,
    buffer: Vec<u8>,
    control: Vec<u8>,
}

impl Crowd {
    pub fn new(server: SocketAddr) -> Result<Crowd, Box<dyn Error>> {
        let SocketAddr::V4(server) = server else { return Err("IPv4 alone".into()) };
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        let control = nix::cmsg_space!(in_pktinfo);
        Ok(Crowd { socket, server: server.into(), buffer: vec![0; 2048], control })
    }

    pub fn send(&self, from: Ipv4Addr, payload: &[u8]) -> io::Result<()> {
        let nobody = in_addr { s_addr: 0 };
        let source = in_addr { s_addr: u32::from_ne_bytes(from.octets()) };
        let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: nobody };
        let control = [ControlMessage::Ipv4PacketInfo(&info)];
        let payload = [IoSlice::new(payload)];
        sendmsg(self.socket.as_raw_fd(), &payload, &control, MsgFlags::empty(), Some(&self.server))?;
        Ok(())
    }

    /// The next datagram, and to whom it came; `None`: none came in time.
    pub fn receive(&mut self) -> io::Result<Option<(Ipv4Addr, &[u8])>> {
        let mut buffer = [IoSliceMut::new(&mut self.buffer)];
        let fd = self.socket.as_raw_fd();
        let (to, len) =
            match recvmsg::<SockaddrIn>(fd, &mut buffer, Some(&mut self.control), MsgFlags::empty()) {
                Err(nix::Error::EAGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
                Ok(received) => {
                    let to = received.cmsgs()?.find_map(|message| match message {
                        ControlMessageOwned::Ipv4PacketInfo(info) => Some(info.ipi_addr.s_addr),
                        _ => None,
                    });
                    (to.unwrap_or_default(), received.bytes)
                }
            };
        Ok(Some((to.to_ne_bytes().into(), &self.buffer[..len])))
    }

    /// As many nodes as there are in a large network query the server and answer its pings; then some
    /// store values.
    pub fn settle(&mut self) -> Result<(), Box<dyn Error>> {
        let mut rng = Rng::new([3; 32], Purpose::NodeId);
        let nodes: BTreeMap<Ipv4Addr, Id> = (0..NETWORK).map(|n| (node(n), Id(rng.bytes()))).collect();
        let all: Vec<Ipv4Addr> = nodes.keys().copied().collect();
        for some in all.chunks(WINDOW) {
            for ip in some {
                self.send(*ip, &query(nodes[ip], Call::Ping))?;
            }
            let mut answers = 0;
            while answers < some.len() {
                answers += usize::from(self.answer_ping(|ip| nodes.get(&ip).copied())?);
            }
        }
        for (at, ip) in all.into_iter().take(WINDOW).enumerate() {
            let many = (at as u32 * 4..).take(MANY / WINDOW).map(|n| (key_of_many(), claim(n)));
            for (key, value) in many.chain([(key_of_one(at), claim(at as u32))]) {
                let id = nodes[&ip];
                self.send(ip, &query(id, Call::FindNode { target: key }))?;
                let token = self.response()?.ok_or("no token")?;
                self.send(ip, &query(id, Call::StoreValue { key, value: &value, token: &token }))?;
                self.response()?;
            }
        }
        Ok(())
    }

    /// Takes one datagram in. A ping to somebody whose id is known is answered. Returns whether it was
    /// an answer to somebody.
    pub fn answer_ping(&mut self, id_of: impl Fn(Ipv4Addr) -> Option<Id>) -> Result<bool, Box<dyn Error>> {
        let (to, datagram) = self.receive()?.ok_or("the server does not answer")?;
        let message = Message::decode(datagram)?;
        if !matches!(message.body, Body::Query(_)) {
            return Ok(true);
        }
        if let Some(id) = id_of(to) {
            let mut pong = BytesMut::new();
            Response::new(id).encode(message.transaction_id, &mut pong);
            self.send(to, &pong)?;
        }
        Ok(false)
    }

    /// The next response's token, if it has one. Queries are passed over.
    fn response(&mut self) -> Result<Option<Vec<u8>>, Box<dyn Error>> {
        loop {
            let (_, datagram) = self.receive()?.ok_or("the server does not answer")?;
            match Message::decode(datagram)?.body {
                Body::Query(_) => {}
                Body::Response(response) => return Ok(response?.token.map(<[u8]>::to_vec)),
                Body::Error(code, _) => return Err(format!("refused: {code:?}").into()),
            }
        }
    }
}

/// Each in a network of its own, and none in the server's.
fn node(n: u32) -> Ipv4Addr {
    let [_, a, b, c] = n.to_be_bytes();
    [127 + a, 1 + b, c, 1].into()
}
