//! The mirror's side: HTTP requests, over TLS where asked, to the hosts that apt names.
//!
//! [`Client::send`] asks once and [`Client::send_patiently`] until something
//! other than a transient fault comes back. Connections are kept alive, and those on
//! which files are fetched are limited per host; every address is checked before it is dialled, at every hop
//! of a redirect.

pub(crate) mod connect;
mod fault;
pub(crate) mod pool;
mod redirect;
mod response;
mod tls;

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http_body_util::Empty;
use smol::Async;
use smol::future::FutureExt as _;

use khashmir_apt::url::Upstream;

use crate::Context;

pub use fault::{Fault, Patience};
pub use response::{Body, Rejection, Response};
pub use tls::{AuthoritiesError, Tls};

use pool::{Lease, Pool};

/// What names this program to mirrors and peers.
pub(crate) const USER_AGENT: &str = concat!("khashmir/", env!("CARGO_PKG_VERSION"));

/// How many redirects are followed for one request.
const MAX_REDIRECTS: usize = 5;

/// A request without a body.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whether only the head is asked for.
    pub head_only: bool,
    /// What is asked for.
    pub target: Upstream,
    /// `Range`, conditions and the like; `Host` and `User-Agent` are added.
    pub headers: HeaderMap,
    /// Whether it waits for its turn among those that run towards the host. Only what reads its
    /// answer as fast as it comes may: it would have the others wait for a client that reads slowly,
    /// or for one that first waits for them. And nobody is content to wait for a small file until
    /// large ones have come.
    pub in_turn: bool,
}

impl Request {
    /// A plain GET of `target`.
    #[must_use]
    pub fn get(target: Upstream) -> Self {
        Self { head_only: false, target, headers: HeaderMap::new(), in_turn: false }
    }
}

/// The client towards all mirrors.
#[derive(Debug)]
pub struct Client {
    context: Arc<Context>,
    pool: Arc<Pool>,
}

impl Client {
    /// A client that dials what the sources in `context` allow.
    #[must_use]
    pub fn new(context: Arc<Context>) -> Self {
        let per_host = usize::try_from(context.config.mirror.connections_per_host);
        Self { context, pool: Arc::new(Pool::new(per_host.unwrap_or(usize::MAX))) }
    }

    /// The patience that the configuration gives one file.
    #[must_use]
    pub fn patience(&self) -> Patience {
        Patience::new(&self.context.config.mirror, Arc::clone(&self.context.stats))
    }

    /// Counts `len` bytes that a mirror sent.
    pub fn count_bytes(&self, len: usize) {
        self.context.stats.downloads.bytes_from_mirror.add(len as u64);
    }

    /// As [`send`](Self::send), again and again while faults are transient and
    /// patience lasts.
    ///
    /// # Errors
    /// The last fault.
    pub async fn send_patiently(&self, request: &Request) -> Result<Response, Fault> {
        let mut patience = self.patience();
        loop {
            match self.send(request).await {
                Ok(response) => return Ok(response),
                Err(fault) => patience.bear(fault).await?,
            }
        }
    }

    /// A connection to the host of `target` and nothing said on it yet, for a tunnel; to a host
    /// that is not `named` only at addresses that requests may go to.
    ///
    /// # Errors
    /// [`Fault::Transient`]; whoever wants the tunnel tries again. [`Fault::Refused`] for an
    /// address that may not be dialled.
    pub async fn open_tunnel(&self, target: &Upstream, named: bool) -> Result<Async<TcpStream>, Fault> {
        connect::open_tunnel(&self.context, target, named).await
    }

    /// Sends `request` once, follows redirects but none away from TLS, and returns the head of
    /// the answer with its body still to be read.
    ///
    /// # Errors
    /// [`Fault::Transient`] for what may be right the next time, the statuses 408,
    /// 429 and 5xx among it; [`Fault::Refused`] for an address that may not be
    /// dialled, and a mirror whose certificate is not trusted.
    pub async fn send(&self, request: &Request) -> Result<Response, Fault> {
        let mut request = request.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.exchange(&request).await?;
            match redirect::next(&request.target, &response)? {
                Some(target) => {
                    tracing::debug!(from = %request.target, to = %target, "redirected");
                    response.body.drain().await;
                    request.target = target;
                }
                None => return fault::check_status(response),
            }
        }
        Err(Fault::transient(format!("more than {MAX_REDIRECTS} redirects, the last to {}", request.target)))
    }

    /// One request and the head of its response, on a pooled connection if one
    /// still lives.
    async fn exchange(&self, request: &Request) -> Result<Response, Fault> {
        let target = &request.target;
        let host = (target.scheme, target.host.clone(), target.port);
        let mut permit = match request.in_turn {
            true => Some(self.pool.permit(&host).await),
            false => None,
        };
        loop {
            let message = message(request)?;
            let idle = self.pool.take_idle(&host);
            let reused = idle.is_some();
            let sender = match idle {
                Some(sender) => sender,
                None => connect::open(&self.context, target).await?,
            };
            let mut lease = Lease::new(Arc::clone(&self.pool), host.clone(), sender, permit.take());
            let sender = lease.sender();
            let head = self
                .within_first_byte(async {
                    sender.ready().await?;
                    sender.send_request(message).await
                })
                .await;
            match head {
                Ok(response) => {
                    self.context.clock.heard(response.headers());
                    let idle_timeout = Duration::from_secs(self.context.config.mirror.idle_timeout_seconds);
                    return Ok(Response::new(response, lease, idle_timeout));
                }
                // The mirror closed a connection that had been idle: no fault of its own.
                Err(Fault::Transient { .. }) if reused => permit = lease.into_permit(),
                Err(fault) => return Err(fault),
            }
        }
    }

    async fn within_first_byte<T>(&self, answer: impl Future<Output = hyper::Result<T>>) -> Result<T, Fault> {
        let limit = Duration::from_secs(self.context.config.mirror.first_byte_timeout_seconds);
        let late = async {
            smol::Timer::after(limit).await;
            Err(Fault::transient(format!("no answer within {} s", limit.as_secs())))
        };
        async { answer.await.map_err(|error| Fault::transient(fault::text(&error))) }.or(late).await
    }
}

/// The request as hyper sends it.
fn message(request: &Request) -> Result<http::Request<Empty<Bytes>>, Fault> {
    let method = if request.head_only { http::Method::HEAD } else { http::Method::GET };
    let refused = |what: &str| Fault::Refused(format!("{}: {what}", request.target));
    let mut message = http::Request::builder()
        .method(method)
        .uri(request.target.origin_form())
        .body(Empty::new())
        .map_err(|error| refused(&error.to_string()))?;
    let headers = message.headers_mut();
    let host = HeaderValue::from_str(&request.target.authority())
        .map_err(|_| refused("this host name cannot stand in a header"))?;
    headers.insert(header::HOST, host);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.extend(request.headers.clone());
    Ok(message)
}
