//! A walk on real sockets.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use khashmir::config::AddressFamilies;
use khashmir::rng::{Purpose, Rng};
use khashmir::{Config, Contact};
use khashmir_driver::canonical;
use smol::future::FutureExt as _;
use smol::{Async, Timer};

use super::{Advance, Report, Walk};

/// A datagram that a node accepts is no longer (protocol, section 2).
const MAX_DATAGRAM: usize = 2048;

/// Walks until there is nobody left to ask, or for `at_most`; `tell` hears now and then how far it is.
///
/// # Errors
/// Of the system.
pub async fn walk(
    mut config: Config,
    seeds: &[Contact],
    per_second: u32,
    at_most: Duration,
    mut tell: impl FnMut(Advance),
) -> io::Result<Report> {
    const TELL_INTERVAL: Duration = Duration::from_millis(200);
    let bind = |ip: std::net::IpAddr| Async::<UdpSocket>::bind((ip, 0)).ok();
    let v4 = if config.address_families == AddressFamilies::Ipv6 {
        None
    } else {
        bind(Ipv4Addr::UNSPECIFIED.into())
    };
    let v6 = if config.address_families == AddressFamilies::Ipv4 {
        None
    } else {
        bind(Ipv6Addr::UNSPECIFIED.into())
    };
    config.address_families = match (&v4, &v6) {
        (Some(_), Some(_)) => AddressFamilies::Both,
        (Some(_), None) => AddressFamilies::Ipv4,
        (None, Some(_)) => AddressFamilies::Ipv6,
        (None, None) => return Err(io::ErrorKind::AddrNotAvailable.into()),
    };
    let rng = Rng::new(khashmir_driver::seed()?, Purpose::Download);
    let started = Instant::now();
    let (mut walk, mut told) = (Walk::new(config, seeds, per_second, rng, started), started);
    let mut out = BytesMut::new();
    let (mut buffer4, mut buffer6) = ([0; MAX_DATAGRAM], [0; MAX_DATAGRAM]);
    loop {
        let now = Instant::now();
        out.clear();
        while let Some(to) = walk.poll_transmit(now, &mut out) {
            let socket = if to.is_ipv4() { &v4 } else { &v6 };
            if let Some(socket) = socket {
                // What is not sent passes as lost; it is sent again.
                let _lost = socket.send_to(&out, to).await;
            }
            out.clear();
        }
        if walk.is_done() || started.elapsed() >= at_most {
            return Ok(walk.report(now));
        }
        if told.elapsed() >= TELL_INTERVAL {
            told = now;
            tell(walk.advance());
        }
        let wake = walk.poll_timeout().unwrap_or(told + TELL_INTERVAL).min(told + TELL_INTERVAL);
        let woken = async {
            Timer::at(wake).await;
            None
        };
        let received =
            receive(v4.as_ref(), &mut buffer4).or(receive(v6.as_ref(), &mut buffer6)).or(woken).await;
        if let Some((from, len, is_v4)) = received {
            let buffer = if is_v4 { &buffer4 } else { &buffer6 };
            walk.handle(Instant::now(), canonical(from), buffer.get(..len).unwrap_or_default());
        }
    }
}

/// The next datagram: where from, how long, and whether over IPv4.
async fn receive(socket: Option<&Async<UdpSocket>>, buffer: &mut [u8]) -> Option<(SocketAddr, usize, bool)> {
    let Some(socket) = socket else { return std::future::pending().await };
    loop {
        // Some systems report here that an earlier datagram was not delivered.
        if let Ok((len, from)) = socket.recv_from(buffer).await {
            return Some((from, len, from.is_ipv4()));
        }
    }
}
