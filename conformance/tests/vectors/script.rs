//! Scripts: one node in virtual time, and what must leave it.

use crate::codec::{method, shown_query, shown_response};
use crate::files::{Outcome, bytes, expect, parse};
use crate::world::{Behaviour, Sent, World};
use ::bytes::BytesMut;
use khashmir::config::{AddressFamilies, Limits, LookupPolicy};
use khashmir::krpc::{Body, Call, Method, Query, TransactionId};
use khashmir::{Config, Contact, Event, Id, Instant, Node, OpId};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "sentence")]
    _sentence: String,
    node: NodeConfig,
    contacts: BTreeMap<String, ContactJson>,
    #[serde(default)]
    ignore: Vec<String>,
    steps: Vec<Step>,
    end_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeConfig {
    id: String,
    policy: String,
    limits: String,
    families: Vec<String>,
    local_networks: Vec<String>,
    uncounted_networks: Vec<String>,
    #[serde(default = "yes")]
    accepts_stores: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContactJson {
    id: String,
    address: SocketAddr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    at_ms: u64,
    know: Option<Vec<String>>,
    answers: Option<BTreeMap<String, Behaviour>>,
    query: Option<Value>,
    datagram: Option<RawDatagram>,
    start: Option<Value>,
    // What is to be seen of it.
    sent: Option<Vec<Value>>,
    table: Option<Vec<String>>,
    finished: Option<Value>,
    total_bytes_at_most: Option<usize>,
    remember: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDatagram {
    from: String,
    hex: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentJson {
    at_ms: Value,
    to: String,
    #[serde(default)]
    again: bool,
    query: Option<Value>,
    response: Option<BTreeMap<String, Value>>,
    error: Option<i64>,
    bytes_at_most: Option<usize>,
}

/// What a script calls contacts and tokens.
pub struct Names {
    pub contacts: BTreeMap<String, Contact>,
    tokens: BTreeMap<String, Vec<u8>>,
}

pub fn run(vector: &Value) -> Outcome {
    let script: Script = parse(vector)?;
    let node_id = id(&script.node.id)?;
    let node = node_with_id(config(&script.node)?, node_id)?;
    let mut names = Names { contacts: BTreeMap::new(), tokens: BTreeMap::new() };
    for (name, ContactJson { id: hex, address }) in &script.contacts {
        names.contacts.insert(name.clone(), Contact { id: id(hex)?, addr: *address });
    }
    let ignored = script.ignore.iter().map(|name| method(name)).collect::<Result<Vec<_>, _>>()?;
    let mut world = World::new(node);
    let mut started: Vec<(usize, OpId, &Value)> = Vec::new();
    for (number, step) in script.steps.iter().enumerate() {
        let here = |error: String| format!("step {number}: {error}");
        world.run_until(at(step.at_ms));
        if world.now != at(step.at_ms) {
            return Err(here("steps go back in time".to_owned()));
        }
        world.log.clear();
        if let Some(op) = act(&mut world, &names, step, number).map_err(here)? {
            started.push((number, op, step.finished.as_ref().ok_or("no `finished`")?));
        }
        world.settle();
        if let Some(name) = &step.remember {
            let token =
                world.log.iter().find_map(|sent| sent.response().and_then(|r| r.token.map(<[u8]>::to_vec)));
            names.tokens.insert(name.clone(), token.ok_or_else(|| here("no token".to_owned()))?);
        }
        if let Some(table) = &step.table {
            let mut known: Vec<String> = world.node.contacts().map(|c| names.of(&c.addr)).collect();
            known.sort();
            let mut table = table.clone();
            table.sort();
            expect("table", &known, &table).map_err(here)?;
            for contact in world.node.contacts() {
                expect("contact", &contact, names.contact(&names.of(&contact.addr))?).map_err(here)?;
            }
        }
        let until = script.steps.get(number + 1).map_or(script.end_ms, |next| next.at_ms);
        let is_last = number + 1 == script.steps.len();
        world.run_before(at(until), is_last);
        if let (Some(most), Some(query)) = (step.total_bytes_at_most, &step.query) {
            let from = names.contact(text(query, "from")?)?.addr;
            let total: usize =
                world.log.iter().filter(|sent| sent.to == from).map(|sent| sent.bytes.len()).sum();
            expect("total bytes", &total.max(most), &most).map_err(here)?;
        }
        if let Some(expected) = &step.sent {
            check_sent(&world, &names, &node_id, expected, &ignored).map_err(here)?;
        }
    }
    for (number, op, expected) in started {
        let here = |error| format!("step {number}: finished: {error}");
        check_finished(&world, &names, op, expected).map_err(here)?;
    }
    Ok(())
}

/// Does what a step says. Gives the operation that it starts.
fn act(world: &mut World, names: &Names, step: &Step, number: usize) -> Result<Option<OpId>, String> {
    for (name, behaviour) in step.answers.iter().flatten() {
        world.peers.insert(names.contact(name)?.addr, names.resolve(name, behaviour)?);
    }
    for name in step.know.iter().flatten() {
        world.make_known(names.contact(name)?)?;
    }
    if let Some(RawDatagram { from, hex }) = &step.datagram {
        world.deliver(names.contact(from)?.addr, &bytes(hex)?);
    }
    if let Some(query) = &step.query {
        let from = names.contact(text(query, "from")?)?;
        let key = |name| id(text(query, name)?);
        let (value, token);
        let call = match method(text(query, "method")?)? {
            Method::Ping => Call::Ping,
            Method::Join => Call::Join,
            Method::FindNode => Call::FindNode { target: key("target")? },
            Method::FindValue => Call::FindValue { key: key("key")? },
            Method::GetValue => {
                Call::GetValue { key: key("key")?, num: query["num"].as_i64().ok_or("no num")? }
            }
            Method::StoreValue => {
                value = bytes(text(query, "value")?)?;
                token = names.token(text(query, "token")?)?;
                Call::StoreValue { key: key("key")?, value: &value, token: &token }
            }
        };
        let t = TransactionId([u8::try_from(number).map_err(|error| error.to_string())?; 20]);
        let mut datagram = BytesMut::new();
        Query { id: from.id, call }.encode(t, &mut datagram);
        world.deliver(from.addr, &datagram);
    }
    let Some(start) = &step.start else { return Ok(None) };
    let now = world.now;
    let key = || id(text(start, "key")?);
    let op = match text(start, "operation")? {
        "find_node" => world.node.find_node(now, id(text(start, "target")?)?),
        "get" => world.node.get(now, key()?, usize::MAX),
        "put" => world.node.put(now, key()?, &bytes(text(start, "value")?)?),
        "join" => {
            let through = start["through"].as_array().ok_or("through whom?")?.iter();
            let through = through.map(|name| names.contact(name.as_str().unwrap_or_default()));
            let through = through.map(|contact| contact.map(|contact| contact.addr));
            world.node.join(now, &through.collect::<Result<Vec<_>, _>>()?)
        }
        other => return Err(format!("no operation: {other}")),
    };
    op.map(Some).map_err(|error| error.to_string())
}

fn check_sent(world: &World, names: &Names, node_id: &Id, expected: &[Value], ignored: &[Method]) -> Outcome {
    let sent: Vec<&Sent> =
        world.log.iter().filter(|sent| !sent.method().is_some_and(|m| ignored.contains(&m))).collect();
    let mut matched: Vec<bool> = vec![false; sent.len()];
    for item in expected {
        let wanted: SentJson = parse(item)?;
        let to = names.contact(&wanted.to)?.addr;
        // Datagrams to one address leave in the order of the script.
        let next = (0..sent.len()).find(|&n| !matched[n] && sent[n].to == to);
        let next = next.ok_or_else(|| format!("not sent: {item}\nsent: {}", shown(names, &sent)))?;
        check_one(names, node_id, sent[next], &wanted)
            .map_err(|error| format!("{item}: {error}\nsent: {}", shown(names, &sent)))?;
        matched[next] = true;
    }
    let more: Vec<&Sent> =
        sent.iter().zip(&matched).filter(|(_, matched)| !**matched).map(|(s, _)| *s).collect();
    if more.is_empty() { Ok(()) } else { Err(format!("sent, but not expected: {}", shown(names, &more))) }
}

fn check_one(names: &Names, node_id: &Id, sent: &Sent, wanted: &SentJson) -> Outcome {
    within("at_ms", sent.at, &wanted.at_ms)?;
    expect("again", &sent.again, &wanted.again)?;
    if let Some(most) = wanted.bytes_at_most
        && sent.bytes.len() > most
    {
        return Err(format!("{} bytes", sent.bytes.len()));
    }
    match (sent.message().body, &wanted.query, &wanted.response, wanted.error) {
        (Body::Query(Ok(query)), Some(wanted), None, None) => {
            let mut ours = shown_query(&query);
            expect("id", &query.id, node_id)?;
            ours.as_object_mut().map(|ours| ours.remove("id"));
            if wanted["target"]["any"] == json!(true) && ours["target"].is_string() {
                // Random.
                ours["target"] = wanted["target"].clone();
            }
            expect("query", &ours, wanted)
        }
        (Body::Response(Ok(response)), None, Some(wanted), None) => {
            expect("id", &response.id, node_id)?;
            let ours = shown_response(&response);
            wanted.iter().try_for_each(|(field, wanted)| check_field(names, &ours[field], field, wanted))
        }
        (Body::Error(code, _), None, None, Some(wanted)) => expect("error", &code.code(), &wanted),
        (other, ..) => Err(format!("not a message of that kind: {other:?}")),
    }
}

fn check_field(names: &Names, ours: &Value, field: &str, wanted: &Value) -> Outcome {
    match (field, wanted) {
        ("nodes" | "nodes6", Value::Array(_)) => {
            let contacts = ours.as_array().ok_or_else(|| format!("no {field}"))?.iter();
            let ours: Vec<String> = contacts.map(|contact| names.of_shown(contact)).collect();
            let wanted: Vec<String> = parse(wanted)?;
            expect(field, &ours, &wanted)
        }
        ("token", Value::Bool(wanted)) => expect("token", &ours.is_string(), wanted),
        ("values", Value::Array(wanted)) => {
            let all: BTreeSet<String> = parse(&wanted.clone().into())?;
            expect("distinct", &all.len(), &wanted.len())?;
            let ours: Vec<String> = parse(ours)?;
            expect("as many", &ours.len(), &all.len())?;
            expect("values", &ours.into_iter().collect(), &all)
        }
        ("values", Value::Object(wanted)) => {
            let of: BTreeSet<String> = parse(&wanted["of"])?;
            let ours: Vec<String> = parse(ours)?;
            expect("how many", &ours.len(), &parse::<usize>(&wanted["count"])?)?;
            let distinct: BTreeSet<String> = ours.iter().cloned().collect();
            expect("distinct", &distinct.len(), &ours.len())?;
            let others: Vec<&String> = distinct.difference(&of).collect();
            expect("others", &others, &Vec::new())
        }
        (_, wanted) => expect(field, ours, wanted),
    }
}

fn check_finished(world: &World, names: &Names, op: OpId, expected: &Value) -> Outcome {
    let last = world.events.iter().find(|(_, event)| event.finished() == Some(op));
    let Some((time, event)) = last else { return expect("finished", &Value::Null, expected) };
    within("at_ms", *time, &expected["at_ms"])?;
    let mut ours = match event {
        Event::FindNodeFinished { closest, .. } => {
            json!({ "closest": closest.iter().map(|c| names.of(&c.addr)).collect::<Vec<_>>() })
        }
        Event::PutFinished { copies, .. } => json!({ "copies": copies }),
        Event::JoinFinished { contacts, .. } => json!({ "contacts": contacts }),
        Event::GetFinished { .. } => {
            let found = world.events.iter().filter_map(|(_, event)| match event {
                Event::ValueFound { op: other, value } if *other == op => Some(hex::encode(value)),
                _ => None,
            });
            json!({ "values": found.collect::<BTreeSet<_>>() })
        }
        other => return Err(format!("{other:?}")),
    };
    ours["at_ms"] = expected["at_ms"].clone();
    expect("finished", &ours, expected)
}

/// A time in milliseconds, or the earliest and the latest.
fn within(what: &str, time: Instant, wanted: &Value) -> Outcome {
    let [from, to]: [u64; 2] = match wanted {
        Value::Array(_) => parse(wanted)?,
        _ => [parse(wanted)?; 2],
    };
    if (at(from)..=at(to)).contains(&time) {
        Ok(())
    } else {
        Err(format!("{what}: {} us, but expected is {wanted}", time.as_micros()))
    }
}

fn at(ms: u64) -> Instant {
    Instant::ORIGIN + Duration::from_millis(ms)
}

fn shown(names: &Names, sent: &[&Sent]) -> String {
    let lines = sent.iter().map(|sent| {
        format!(
            "\n  {} us to {}, {} bytes: {:?}",
            sent.at.as_micros(),
            names.of(&sent.to),
            sent.bytes.len(),
            sent.message().body
        )
    });
    lines.collect()
}

impl Names {
    pub fn contact(&self, name: &str) -> Result<&Contact, String> {
        self.contacts.get(name).ok_or_else(|| format!("who is {name}?"))
    }

    fn of(&self, addr: &SocketAddr) -> String {
        let known = self.contacts.iter().find(|(_, contact)| contact.addr == *addr);
        known.map_or_else(|| addr.to_string(), |(name, _)| name.clone())
    }

    fn of_shown(&self, contact: &Value) -> String {
        let is = |known: &Contact| {
            contact["id"] == known.id.to_string() && contact["address"] == known.addr.to_string()
        };
        let known = self.contacts.iter().find(|(_, known)| is(known));
        known.map_or_else(|| contact.to_string(), |(name, _)| name.clone())
    }

    fn token(&self, name: &str) -> Result<Vec<u8>, String> {
        match name.strip_prefix('$') {
            Some(name) => self.tokens.get(name).cloned().ok_or_else(|| format!("no token {name}")),
            None => bytes(name),
        }
    }
}

pub fn id(hex: &str) -> Result<Id, String> {
    Id::from_slice(&bytes(hex)?).ok_or_else(|| format!("no id: {hex}"))
}

fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str, String> {
    value[field].as_str().ok_or_else(|| format!("no {field}"))
}

fn config(json: &NodeConfig) -> Result<Config, String> {
    let networks = |list: &[String]| {
        let parsed = list.iter().map(|net| net.parse().map_err(|error| format!("{net}: {error}")));
        parsed.collect::<Result<Vec<_>, _>>()
    };
    let families: Vec<&str> = json.families.iter().map(|family| &family[..]).collect();
    Ok(Config {
        lookup: match &json.policy[..] {
            "ORIGINAL" => LookupPolicy::ORIGINAL,
            "RETRANSMIT" => LookupPolicy::RETRANSMIT,
            "LEAPFROG" => LookupPolicy::LEAPFROG,
            "ABORT_EARLY" => LookupPolicy::ABORT_EARLY,
            "KHASHMIR_2008" => LookupPolicy::KHASHMIR_2008,
            other => return Err(format!("no policy: {other}")),
        },
        limits: match &json.limits[..] {
            "default" => Limits::DEFAULT,
            "lifted" => Limits::KHASHMIR_2008,
            other => return Err(format!("no limits: {other}")),
        },
        address_families: match families[..] {
            ["ipv4"] => AddressFamilies::Ipv4,
            ["ipv6"] => AddressFamilies::Ipv6,
            ["ipv4", "ipv6"] => AddressFamilies::Both,
            _ => return Err("no families".to_owned()),
        },
        local_networks: networks(&json.local_networks)?,
        uncounted_networks: networks(&json.uncounted_networks)?,
        accept_stores: json.accepts_stores,
        ..Config::default()
    })
}

/// A node whose id is given: as if it had been restarted.
pub fn node_with_id(config: Config, id: Id) -> Result<Node, String> {
    let config = Config { version: [id.0[16], id.0[17], id.0[18], id.0[19]], ..config };
    let snapshot = [b"d8:contactsle2:id20:", &id.0[..], b"12:publicationsle6:valuesle7:versioni1ee"].concat();
    let node = Node::restore(config, &snapshot, Duration::ZERO, [3; 32], Instant::ORIGIN)
        .map_err(|error| error.to_string())?;
    expect("the node's id", &node.id(), &id)?;
    Ok(node)
}
