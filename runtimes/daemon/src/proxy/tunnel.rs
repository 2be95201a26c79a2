//! Tunnels (`CONNECT`, RFC 9110, section 9.3.6): for https sources that keep their secrets
//! from us too.

use std::sync::Arc;

use khashmir_apt::http::RequestHead;
use khashmir_apt::url::Upstream;

use super::Proxy;
use crate::listener::{Answer, Message, Tunnel};
use crate::upstream::Fault;

impl Proxy {
    /// Opens the tunnel that is asked for, or says why not.
    pub(super) async fn answer_connect(&self, request: &RequestHead) -> Answer {
        let refuse = |status, text: &str| {
            tracing::info!(target = request.target, text, "no tunnel is opened");
            self.context.stats.apt.refused.increment();
            Answer::Message(Message::text(status, text))
        };
        if request.has_body {
            return refuse(413, "a CONNECT has no body");
        }
        let target = match Upstream::parse_connect(&request.target) {
            Ok(target) => target,
            Err(error) => return refuse(400, &format!("CONNECT {}: {error}", request.target)),
        };
        let Upstream { host, port, .. } = &target;
        let proxy = &self.context.config.proxy;
        let named = self.context.sources.names(host);
        if !named && !self.has_changelogs(&target).await {
            return refuse(
                403,
                &format!(
                    "no tunnel to {host}: neither apt's sources on this machine nor `allowed_upstreams` \
                     under [proxy] in the configuration name it"
                ),
            );
        }
        if !proxy.tunnel_ports.contains(port) {
            return refuse(
                403,
                &format!(
                    "no tunnel to port {port} of {host}: it is not among `tunnel_ports` under [proxy] in \
                     the configuration"
                ),
            );
        }
        let Some(place) = self.tunnels.try_acquire_arc() else {
            return refuse(
                403,
                &format!(
                    "{} tunnels are open already, as many as `max_tunnels` under [proxy] allows",
                    proxy.max_tunnels
                ),
            );
        };
        match self.client.open_tunnel(&target, named).await {
            Ok(upstream) => Answer::Tunnel(Tunnel::new(upstream, place)),
            Err(Fault::Refused(reason)) => refuse(403, &format!("no tunnel: {reason}")),
            // Not 502: apt's requests never get a 5xx from us.
            Err(fault) => refuse(404, &format!("no tunnel: {fault}")),
        }
    }

    /// Whether a mirror that may be asked says in a Release file that the changelogs of its
    /// packages are there: `apt-get changelog` asks for them, which no source names.
    async fn has_changelogs(&self, target: &Upstream) -> bool {
        let (context, line) = (Arc::clone(&self.context), format!("\nChangelogs: {}/", target.site()));
        let found = smol::unblock(move || context.database.documents_with(&line)).await;
        let found = found.unwrap_or_else(|error| {
            tracing::error!(%error, "the kept Release files cannot be looked through");
            Vec::new()
        });
        let is_named = |url: &String| {
            Upstream::parse(url).is_ok_and(|release| self.context.sources.names(&release.host))
        };
        found.iter().any(is_named)
    }
}
