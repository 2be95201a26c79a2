//! Steps as text, for people.

use crate::blind::{MARK, Pseudonyms};
use crate::body::{Answer, Earlier, Input, Start};
use crate::replay::Step;
use khashmir::krpc::{Body, Call, Message, Query, Response};
use khashmir::node::{CommandError, Ending, Pong, Reply};
use khashmir::{Command, Config, Contact, Event, Id, Instant};
use std::net::SocketAddr;

/// The first line of a blinded recording.
pub(crate) const BLINDED_LINE: &str = "khashmir recording, blinded, 1\n";

/// Tells what happens to a node, as it is or under pseudonyms.
#[derive(Debug)]
pub struct Teller {
    start: Instant,
    pseudonyms: Option<Pseudonyms>,
}

impl Teller {
    /// Tells everything as it is.
    pub fn new(start: &Start) -> Teller {
        Teller { start: start.now, pseudonyms: None }
    }

    /// Tells all but who and what: see [the format](crate#blinded-recordings).
    pub fn blinded(start: &Start) -> Teller {
        Teller { start: start.now, pseudonyms: Some(Pseudonyms::new(&start.seed)) }
    }

    /// What comes before the first step: lines that say what this is, and what the node was made from.
    pub fn heading(&self, start: &Start) -> String {
        let mut text = String::new();
        let mut config = start.config.clone();
        if self.pseudonyms.is_some() {
            text += BLINDED_LINE;
            text += "For reading: without the node's seed it can't be replayed. What has a ~ before it stands\n\
                     for something else, always the same: addresses, ids, keys, values, tokens.\n";
            // Networks are addresses, too.
            let Config { local_networks, uncounted_networks, .. } = &mut config;
            text += &format!(
                "{} local networks and {} uncounted ones are left out.\n",
                local_networks.len(),
                uncounted_networks.len()
            );
            (*local_networks, *uncounted_networks) = (Vec::new(), Vec::new());
        }
        text += &format!("{config:?}\n");
        if let Some(Earlier { snapshot, downtime }) = &start.earlier {
            text += &format!(
                "Restored after {:.3} s from a snapshot of {} bytes.\n",
                downtime.as_secs_f64(),
                snapshot.len()
            );
        }
        text
    }

    /// The input on one line, and what came of it on more.
    pub fn step(&self, step: &Step) -> String {
        let mut text = self.input(step.number, step.at, &step.input);
        text += &self.answer(step.answer);
        text.extend(step.sent.iter().map(|(to, datagram)| self.datagram(to, datagram)));
        text.extend(step.events.iter().map(|event| self.event(event)));
        text + &self.timeout(step.timeout)
    }

    pub(crate) fn input(&self, number: u64, at: Instant, input: &Input) -> String {
        let what = match input {
            Input::Start => "start".to_owned(),
            Input::Timeout => "timeout".to_owned(),
            Input::Datagram { from, datagram } => {
                format!("from {}: {}", self.addr(from), self.message(datagram))
            }
            Input::Unreachable { to } => format!("{} cannot be reached", self.addr(to)),
            Input::Command(command) => self.command(command),
        };
        format!("#{number} at {:.6} s: {what}\n", self.seconds(at))
    }

    pub(crate) fn answer(&self, answer: Answer) -> String {
        match answer {
            None => String::new(),
            Some(Ok(Reply::Started(op))) => format!("    started {op}\n"),
            Some(Ok(Reply::Done(true))) => "    done\n".to_owned(),
            Some(Ok(Reply::Done(false))) => "    nothing to do\n".to_owned(),
            Some(Err(CommandError::AddressNotAllowed(addr))) => {
                format!("    refused: {} is not allowed\n", self.addr(&addr))
            }
            Some(Err(error)) => format!("    refused: {error}\n"),
        }
    }

    pub(crate) fn datagram(&self, to: &SocketAddr, datagram: &[u8]) -> String {
        format!("    to {}: {}\n", self.addr(to), self.message(datagram))
    }

    pub(crate) fn event(&self, event: &Event) -> String {
        let what = match event {
            Event::ValueFound { op, value } => format!("{op}: value found, {}", self.value(value)),
            Event::PingFinished { op, result } => {
                let result = match result {
                    Ok(Pong { contact, round_trip }) => {
                        format!("{} after {:.6} s", self.contact(contact), round_trip.as_secs_f64())
                    }
                    Err(error) => error.to_string(),
                };
                format!("{op}: ping finished, {result}")
            }
            Event::FindNodeFinished { op, ending, closest } => {
                let contacts = list(closest.iter().map(|contact| self.contact(contact)));
                format!("{op}: find node finished, {}, {contacts}", word(*ending))
            }
            Event::GetFinished { op, ending, values } => {
                format!("{op}: get finished, {}, values: {values}", word(*ending))
            }
            Event::PutFinished { op, ending, copies } => {
                format!("{op}: put finished, {}, copies: {copies}", word(*ending))
            }
            Event::JoinFinished { op, ending, contacts } => {
                format!("{op}: join finished, {}, contacts: {contacts}", word(*ending))
            }
            Event::OutsideAddressChanged { addr } => {
                format!("outside address changed to {}", self.addr(addr))
            }
            Event::CheckpointPassed => "checkpoint passed".to_owned(),
            // Of a later engine: who knows what it would tell.
            other if self.pseudonyms.is_none() => format!("{other:?}"),
            _ => "another event".to_owned(),
        };
        format!("    {what}\n")
    }

    pub(crate) fn timeout(&self, timeout: Option<Instant>) -> String {
        timeout.map_or_else(String::new, |at| format!("    wakes up at {:.6} s\n", self.seconds(at)))
    }

    fn seconds(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.start).as_secs_f64()
    }

    fn command(&self, command: &Command) -> String {
        match command {
            Command::Join { bootstrap } => {
                format!("join {}", list(bootstrap.iter().map(|addr| self.addr(addr))))
            }
            Command::Ping { addr } => format!("ping {}", self.addr(addr)),
            Command::FindNode { target } => format!("find node {}", self.id(target)),
            Command::Get { key, wanted } => format!("get {}, {wanted} wanted", self.id(key)),
            Command::Put { key, value } => format!("put {} {}", self.id(key), self.value(value)),
            Command::Publish { key, value } => format!("publish {} {}", self.id(key), self.value(value)),
            Command::Unpublish { key, value } => format!("unpublish {} {}", self.id(key), self.value(value)),
            Command::Cancel { op } => format!("cancel {op}"),
        }
    }

    fn message(&self, datagram: &[u8]) -> String {
        let Ok(message) = Message::decode(datagram) else {
            return format!("malformed, {} bytes", datagram.len());
        };
        let what = match message.body {
            Body::Query(Ok(query)) => self.query(&query),
            Body::Response(Ok(response)) => self.response(&response),
            Body::Error(code, _) => format!("error {code:?}"),
            Body::Query(Err(_)) => "malformed query".to_owned(),
            Body::Response(Err(_)) => "malformed response".to_owned(),
        };
        format!("{} {what}, {} bytes", self.opaque(&message.transaction_id.0), datagram.len())
    }

    fn query(&self, query: &Query<'_>) -> String {
        let arguments = match query.call {
            Call::Ping | Call::Join => String::new(),
            Call::FindNode { target } => format!(" for {}", self.id(&target)),
            Call::FindValue { key } => format!(" for {}", self.id(&key)),
            Call::GetValue { key, num } => format!(" for {num} of {}", self.id(&key)),
            Call::StoreValue { key, value, token } => {
                format!(" of {} under {}, token {}", self.value(value), self.id(&key), self.opaque(token))
            }
        };
        format!("{:?} query by {}{arguments}", query.call.method(), self.id(&query.id))
    }

    fn response(&self, response: &Response<'_>) -> String {
        let mut text = format!("response by {}", self.id(&response.id));
        if let Some(ip) = response.ip {
            text += &format!(", sees {}", self.addr(&ip.0));
        }
        if let (Some(ip), Some(port)) = (response.ip_addr, response.port) {
            let parsed = std::str::from_utf8(ip).ok().and_then(|ip| ip.parse().ok());
            text += &match parsed {
                Some(ip) => format!(", saw {}", self.addr(&SocketAddr::new(ip, port))),
                None => ", saw no address".to_owned(),
            };
        }
        if let Some(num) = response.num {
            text += &format!(", holds {num}");
        }
        if let Some(token) = response.token {
            text += &format!(", token {}", self.opaque(token));
        }
        for contacts in [response.nodes, response.nodes6].into_iter().flatten() {
            text += &format!(", contacts {}", list(contacts.iter().map(|contact| self.contact(&contact))));
        }
        if let Some(values) = response.values {
            text += &format!(", values {}", list(values.iter().map(|value| self.value(value))));
        }
        text
    }

    fn contact(&self, contact: &Contact) -> String {
        format!("{}@{}", self.id(&contact.id), self.addr(&contact.addr))
    }

    fn id(&self, id: &Id) -> String {
        match &self.pseudonyms {
            Some(pseudonyms) if *id != Id::ZERO => format!("{MARK}{}", pseudonyms.id(id)),
            _ => id.to_string(),
        }
    }

    fn addr(&self, addr: &SocketAddr) -> String {
        match &self.pseudonyms {
            Some(pseudonyms) => format!("{MARK}{}", pseudonyms.addr(addr)),
            None => addr.to_string(),
        }
    }

    fn value(&self, value: &[u8]) -> String {
        match &self.pseudonyms {
            Some(_) => format!("{} ({} bytes)", self.opaque(value), value.len()),
            None => format!("\"{}\"", value.escape_ascii()),
        }
    }

    fn opaque(&self, bytes: &[u8]) -> String {
        match &self.pseudonyms {
            Some(pseudonyms) => format!("{MARK}{:08x}", pseudonyms.opaque(bytes)),
            None => bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { "none".to_owned() } else { items.join(" ") }
}

fn word(ending: Ending) -> &'static str {
    match ending {
        Ending::Complete => "complete",
        Ending::OutOfTime => "out of time",
        Ending::Cancelled => "cancelled",
    }
}
