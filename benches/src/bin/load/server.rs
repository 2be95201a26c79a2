//! The process under load: a node on one of the runtimes, or an echo on its sockets.

use khashmir::Config;
use khashmir::config::Limits;
use khashmir_benches::counting;
use khashmir_driver::{Handle, Sockets};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use nix::unistd::Pid;
use std::error::Error;
use std::io::BufRead as _;
use std::net::{SocketAddr, UdpSocket};
use std::thread;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    Smol,
    Mio,
    Tokio,
}

impl Runtime {
    pub const ALL: [Runtime; 3] = [Runtime::Smol, Runtime::Mio, Runtime::Tokio];

    pub fn name(self) -> &'static str {
        match self {
            Runtime::Smol => "smol",
            Runtime::Mio => "mio",
            Runtime::Tokio => "tokio",
        }
    }

    pub fn from_name(name: &str) -> Option<Runtime> {
        Runtime::ALL.into_iter().find(|runtime| runtime.name() == name)
    }
}

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Each datagram goes back as it came.
    Echo,
    Node,
}

/// The longest query that an echo takes.
const MAX_QUERY: usize = 2048;

/// Serves until its standard input ends. First it prints its address; then, for each line `usage`,
/// [`Usage`](crate::child::Usage), and for each line `sizes`, contacts and values.
pub fn serve(runtime: Runtime, kind: Kind) -> Result<(), Box<dyn Error>> {
    pin(0)?;
    counting::ignore_this_thread();
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut node = None;
    let local = match kind {
        Kind::Echo => {
            let socket = UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            let local = socket.local_addr()?;
            echo(runtime, socket)?;
            local
        }
        Kind::Node => {
            let sockets = Sockets::bind(&[address])?;
            let handle = node.insert(start(runtime, sockets)?);
            handle.local_addrs()[0]
        }
    };
    println!("{local}");
    for line in std::io::stdin().lock().lines() {
        match (line?.as_str(), &node) {
            ("usage", _) => {
                let usage = getrusage(UsageWho::RUSAGE_SELF)?;
                let (user, system) = (usage.user_time(), usage.system_time());
                let (user, system) = (user.num_microseconds(), system.num_microseconds());
                println!("{user} {system} {} {}", counting::allocations(), counting::bytes_in_use());
            }
            ("sizes", Some(node)) => {
                let stats = smol::block_on(node.stats())?;
                println!("{} {}", stats.contacts_ipv4, stats.values);
            }
            (other, _) => return Err(format!("what is {other}?").into()),
        }
    }
    Ok(())
}

/// Only that processor is used, by threads that start later, too: the generator has the other.
pub fn pin(processor: usize) -> nix::Result<()> {
    // Where there is but one, they share it.
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let mut set = CpuSet::new();
    set.set(processor % processors)?;
    sched_setaffinity(Pid::from_raw(0), &set)
}

fn config() -> Config {
    // Never reached; lifted, they would not be counted.
    let limits =
        Limits { queries_per_second_and_source: u32::MAX, queries_per_second: u32::MAX, ..Limits::DEFAULT };
    let local_networks = vec![ipnet::Ipv4Net::new_assert([127, 0, 0, 0].into(), 8).into()];
    Config { local_networks, limits, ..Config::default() }
}

fn start(runtime: Runtime, sockets: Sockets) -> Result<Handle, Box<dyn Error>> {
    Ok(match runtime {
        Runtime::Smol => Handle::clone(&*khashmir_smol::Dht::start(sockets, config())?),
        Runtime::Mio => Handle::clone(&*khashmir_mio::Dht::start(sockets, config())?),
        Runtime::Tokio => {
            let (sender, receiver) = std::sync::mpsc::channel();
            on_tokio(async move {
                let dht = khashmir_tokio::Dht::start(sockets, config());
                let _ended = sender.send(dht.map(|dht| Handle::clone(&dht)));
                std::future::pending::<()>().await
            })?;
            receiver.recv()??
        }
    })
}

fn echo(runtime: Runtime, socket: UdpSocket) -> std::io::Result<()> {
    match runtime {
        Runtime::Smol => smol::spawn(echo_on_smol(smol::Async::new(socket)?)).detach(),
        Runtime::Mio => drop(thread::spawn(move || echo_on_mio(socket))),
        Runtime::Tokio => on_tokio(echo_on_tokio(socket))?,
    }
    Ok(())
}

/// In one thread, as is usual for servers of this kind.
fn on_tokio<T>(task: impl Future<Output = T> + Send + 'static) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || drop(runtime.block_on(task)));
    Ok(())
}

async fn echo_on_smol(socket: smol::Async<UdpSocket>) -> std::io::Result<()> {
    let mut buffer = [0; MAX_QUERY];
    loop {
        let (len, from) = socket.recv_from(&mut buffer).await?;
        socket.send_to(&buffer[..len], from).await?;
    }
}

async fn echo_on_tokio(socket: UdpSocket) -> std::io::Result<()> {
    let socket = tokio::net::UdpSocket::from_std(socket)?;
    let mut buffer = [0; MAX_QUERY];
    loop {
        let (len, from) = socket.recv_from(&mut buffer).await?;
        socket.send_to(&buffer[..len], from).await?;
    }
}

fn echo_on_mio(socket: UdpSocket) -> std::io::Result<()> {
    let mut poll = mio::Poll::new()?;
    let mut events = mio::Events::with_capacity(1);
    let mut socket = mio::net::UdpSocket::from_std(socket);
    poll.registry().register(&mut socket, mio::Token(0), mio::Interest::READABLE)?;
    let mut buffer = [0; MAX_QUERY];
    loop {
        poll.poll(&mut events, None)?;
        loop {
            match socket.recv_from(&mut buffer) {
                Ok((len, from)) => drop(socket.send_to(&buffer[..len], from)?),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
}
