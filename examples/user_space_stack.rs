//! Two nodes over smoltcp, an IP stack in user space: no socket of the system, no clock, no thread.
//!
//!     cargo run -p khashmir-examples --example user_space_stack
//!
//! One puts a value, the other gets it. Their datagrams go as IP packets through smoltcp's loopback
//! device. Time is a number that jumps to whatever is due next, as it would in a simulator; on a
//! microcontroller it would be a timer's.

use bytes::BytesMut;
use khashmir::node::Reply;
use khashmir::{Command, Config, Id, Instant, Node, OpId};
use smoltcp::iface::{Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{Loopback, Medium};
use smoltcp::socket::udp;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, IpEndpoint};
use std::error::Error;
use std::net::SocketAddr;

const PORT: u16 = 9978;

fn main() -> Result<(), Box<dyn Error>> {
    let mut world = World::new()?;
    let key = Id(*b"twenty bytes of hash");
    let first = world.hosts[0].address.into();
    world.run(1, &Command::Join { bootstrap: vec![SocketAddr::new(first, PORT)] })?;
    world.run(0, &Command::Put { key, value: "through a stack of our own".into() })?;
    world.run(1, &Command::Get { key, wanted: 1 })?;
    Ok(())
}

/// The stack, and all that runs on it.
struct World {
    now: Instant,
    device: Loopback,
    interface: Interface,
    sockets: SocketSet<'static>,
    hosts: Vec<Host>,
}

/// A node, and what it is lent.
struct Host {
    node: Node,
    socket: SocketHandle,
    address: IpAddress,
}

impl World {
    fn new() -> Result<World, Box<dyn Error>> {
        let now = Instant::ORIGIN;
        let mut device = Loopback::new(Medium::Ip);
        let config = smoltcp::iface::Config::new(HardwareAddress::Ip);
        let interface = Interface::new(config, &mut device, stack_time(now));
        let sockets = SocketSet::new(Vec::new());
        let mut world = World { now, device, interface, sockets, hosts: Vec::new() };
        for number in 1..=2 {
            world.add_host(number)?;
        }
        Ok(world)
    }

    fn add_host(&mut self, number: u8) -> Result<(), Box<dyn Error>> {
        let address = IpAddress::v4(10, 0, 0, number);
        let mut added = Ok(());
        self.interface.update_ip_addrs(|addresses| added = addresses.push(IpCidr::new(address, 24)));
        added.map_err(|_| "the interface has no room for another address")?;
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 16], vec![0; 32_768]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind((address, PORT)).map_err(|error| error.to_string())?;

        // A device without a source of randomness has to bring its seed from elsewhere.
        let config = Config { local_networks: vec!["10.0.0.0/24".parse()?], ..Config::default() };
        let node = Node::new(config, [number; 32], self.now)?;
        self.hosts.push(Host { node, socket: self.sockets.add(socket), address });
        Ok(())
    }

    /// Starts an operation of a host, and lets time pass until it is over.
    fn run(&mut self, host: usize, command: &Command) -> Result<(), Box<dyn Error>> {
        println!("{:.3} s: host {host}: {command}", seconds(self.now));
        let Reply::Started(op) = self.hosts[host].node.execute(self.now, command)? else {
            return Ok(());
        };
        while !self.step(op) {}
        Ok(())
    }

    /// Lets the stack and the nodes do what there is to do now, and goes on to when there is more.
    /// Returns whether the operation is over.
    fn step(&mut self, op: OpId) -> bool {
        let mut is_over = false;
        for (number, host) in self.hosts.iter_mut().enumerate() {
            host.exchange(self.now, self.sockets.get_mut(host.socket));
            while let Some(event) = host.node.poll_event() {
                println!("{:.3} s: host {number}: {event:?}", seconds(self.now));
                is_over |= event.finished() == Some(op);
            }
        }
        if is_over {
            return true;
        }
        let polled = self.interface.poll(stack_time(self.now), &mut self.device, &mut self.sockets);
        if polled == PollResult::None {
            let stack = self.interface.poll_at(stack_time(self.now), &self.sockets);
            let stack = stack.map(|at| Instant::from_micros(at.total_micros().unsigned_abs()));
            let wakes = self.hosts.iter().map(|host| host.node.poll_timeout()).chain([stack]);
            self.now = wakes.flatten().min().unwrap_or(self.now).max(self.now);
        }
        false
    }
}

impl Host {
    /// Takes what has come, and sends what the socket has room for; the rest waits in the node.
    fn exchange(&mut self, now: Instant, socket: &mut udp::Socket<'_>) {
        self.node.handle_timeout(now);
        while let Ok((datagram, from)) = socket.recv() {
            let from = SocketAddr::new(from.endpoint.addr.into(), from.endpoint.port);
            self.node.handle_datagram(now, from, datagram);
        }
        let mut payload = BytesMut::new();
        while socket.can_send()
            && let Some(to) = self.node.poll_transmit(&mut payload)
        {
            let to = udp::UdpMetadata {
                local_address: Some(self.address),
                ..IpEndpoint::new(to.ip().into(), to.port()).into()
            };
            // What does not fit passes as a lost datagram does: it is sent again.
            let _sent = socket.send_slice(&payload, to);
            payload.clear();
        }
    }
}

fn stack_time(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}

fn seconds(now: Instant) -> f64 {
    now.saturating_duration_since(Instant::ORIGIN).as_secs_f64()
}
