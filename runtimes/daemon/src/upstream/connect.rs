//! From a host's name to an open connection.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use khashmir_apt::url::{Scheme, Upstream};
use smol::Async;
use smol::future::FutureExt as _;
use smol::io::{AsyncRead, AsyncWrite};
use smol_hyper::rt::FuturesIo;

use super::pool::Sender;
use super::{Fault, fault};
use crate::Context;
use crate::sources::Sources;

/// How many of a name's addresses are tried.
const MAX_ADDRESSES: usize = 4;
/// What one address gets at least, when several share the connect timeout.
const SHORTEST_TRY: Duration = Duration::from_secs(2);
/// The longest response head taken, and the most read at once, in bytes.
const BUFFER: usize = 128 * 1024;

/// Opens a connection for requests to the target's host.
pub(super) async fn open(context: &Context, target: &Upstream) -> Result<Sender, Fault> {
    let timeout = timeout(context);
    let addresses = allowed(&context.sources, target, resolve(target, timeout).await?)?;
    let stream = first_that_answers(target, addresses, timeout).await?;
    match target.scheme {
        Scheme::Http => handshake(stream).await,
        Scheme::Https => handshake(context.tls.connect(target, stream, timeout).await?).await,
    }
}

/// Opens a connection to the target's host; if the caller allows it by its name, at whatever
/// address.
pub(super) async fn open_tunnel(
    context: &Context,
    target: &Upstream,
    named: bool,
) -> Result<Async<TcpStream>, Fault> {
    let timeout = timeout(context);
    let mut addresses = resolve(target, timeout).await?;
    if !named {
        addresses = allowed(&context.sources, target, addresses)?;
    }
    first_that_answers(target, addresses, timeout).await
}

fn timeout(context: &Context) -> Duration {
    Duration::from_secs(context.config.mirror.connect_timeout_seconds)
}

async fn first_that_answers(
    target: &Upstream,
    mut addresses: Vec<SocketAddr>,
    timeout: Duration,
) -> Result<Async<TcpStream>, Fault> {
    addresses.truncate(MAX_ADDRESSES);
    let share = timeout / u32::try_from(addresses.len()).unwrap_or(1).max(1);
    let limit = share.max(SHORTEST_TRY).min(timeout);
    let mut last = Fault::transient(format!("{} has no address", target.host));
    for address in addresses {
        match connect(address, limit).await {
            Ok(stream) => return Ok(stream),
            Err(reason) => {
                last = Fault::transient(format!("{} at {address}: {reason}", target.authority()));
            }
        }
    }
    Err(last)
}

async fn resolve(target: &Upstream, limit: Duration) -> Result<Vec<SocketAddr>, Fault> {
    let (name, port) = (target.host.clone(), target.port);
    let found = smol::unblock(move || (name.as_str(), port).to_socket_addrs());
    let late = async {
        smol::Timer::after(limit).await;
        Err(std::io::ErrorKind::TimedOut.into())
    };
    match found.or(late).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err(Fault::transient(format!("{} cannot be resolved: {error}", target.host))),
    }
}

/// The addresses that may be dialled.
fn allowed(
    sources: &Sources,
    target: &Upstream,
    addresses: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, Fault> {
    let Some(first) = addresses.first().copied() else {
        return Ok(addresses);
    };
    let allowed: Vec<SocketAddr> = addresses
        .into_iter()
        .filter(|address| sources.may_dial(&target.host, target.port, address.ip()))
        .collect();
    if allowed.is_empty() {
        return Err(Fault::Refused(format!(
            "{} is at {}, not a public address, and neither apt's sources on this machine nor \
             the configuration name it; list it in `allowed_upstreams` under [proxy] to allow it",
            target.authority(),
            first.ip(),
        )));
    }
    Ok(allowed)
}

/// Connects to an address, which the caller allows.
pub(crate) async fn connect(address: SocketAddr, limit: Duration) -> Result<Async<TcpStream>, String> {
    let late = async {
        smol::Timer::after(limit).await;
        Err(std::io::ErrorKind::TimedOut.into())
    };
    let stream = Async::<TcpStream>::connect(address).or(late).await.map_err(|error| error.to_string())?;
    // Requests are small and waited for; a failure here only costs time.
    let _ = stream.get_ref().set_nodelay(true);
    Ok(stream)
}

/// Makes a connection one for HTTP/1.1 requests.
pub(crate) async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Sender, Fault> {
    let (sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(BUFFER)
        .handshake(FuturesIo::new(stream))
        .await
        .map_err(|error| Fault::transient(fault::text(&error)))?;
    // Faults reach whoever waits for the response; the task ends with the connection.
    smol::spawn(async move {
        if let Err(error) = connection.await {
            tracing::trace!(error = fault::text(&error), "a connection that requests went to ended");
        }
    })
    .detach();
    Ok(sender)
}
