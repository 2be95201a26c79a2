//! Bencode, messages and errors, compact addresses and contacts.

use crate::files::{Outcome, bytes, expect, parse};
use ::bytes::BytesMut;
use khashmir::bencode::{Bounds, DecodeError, Decoder, Encoder, Kind};
use khashmir::krpc::{Body, Call, CompactAddress, Contacts, Message, Method, Query, Response, TransactionId};
use khashmir::{Contact, Id};
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub fn bencode(vector: &Value) -> Outcome {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Vector {
        #[serde(rename = "name")]
        _name: String,
        #[serde(rename = "sentence")]
        _sentence: String,
        hex: String,
        valid: bool,
        value: Option<Value>,
        clamped: Option<Value>,
    }
    let vector: Vector = parse(vector)?;
    let input = bytes(&vector.hex)?;
    let mut decoder = Decoder::new(&input, Bounds::DATAGRAM);
    let decoded = shown(&mut decoder).and_then(|value| decoder.finish().map(|()| value));
    expect("valid", &decoded.is_ok(), &vector.valid)?;
    let Ok(decoded) = decoded else { return expect("value", &None, &vector.value) };
    let value = vector.value.ok_or("no value")?;
    if let Some(clamped) = vector.clamped {
        // Ours has 64 bits; the vector has the digits.
        expect("clamped", &decoded, &clamped)?;
        let digits = value["integer"].as_str().ok_or("no integer")?;
        return expect("digits", &format!("i{digits}e").into_bytes(), &input);
    }
    expect("value", &decoded, &value)?;
    let mut out = BytesMut::new();
    write(&value, &mut Encoder::new(&mut out))?;
    expect("encoded", &&out[..], &&input[..])
}

/// The next value as the vector files write it.
fn shown(decoder: &mut Decoder<'_>) -> Result<Value, DecodeError> {
    Ok(match decoder.kind()? {
        Kind::Integer => json!({ "integer": decoder.integer()?.to_string() }),
        Kind::Bytes => json!({ "bytes": hex::encode(decoder.bytes()?) }),
        Kind::List => {
            let mut items = Vec::new();
            decoder.begin_list()?;
            while decoder.next_item()? {
                items.push(shown(decoder)?);
            }
            json!({ "list": items })
        }
        Kind::Dictionary => {
            let mut pairs = Vec::new();
            let mut keys = decoder.begin_dictionary()?;
            while let Some(key) = decoder.next_key(&mut keys)? {
                let key = hex::encode(key);
                pairs.push(json!([key, shown(decoder)?]));
            }
            json!({ "dictionary": pairs })
        }
    })
}

fn write(value: &Value, encoder: &mut Encoder<'_>) -> Outcome {
    let (kind, value) = value.as_object().and_then(|object| object.iter().next()).ok_or("no value")?;
    match (&kind[..], value) {
        ("integer", Value::String(digits)) => {
            let integer = digits.parse().map_err(|error| format!("{digits}: {error}"))?;
            encoder.integer(integer);
        }
        ("bytes", Value::String(hex)) => drop(encoder.bytes(&bytes(hex)?)),
        ("list", Value::Array(items)) => {
            encoder.begin_list();
            items.iter().try_for_each(|item| write(item, encoder))?;
            encoder.end();
        }
        ("dictionary", Value::Array(pairs)) => {
            encoder.begin_dictionary();
            for pair in pairs {
                encoder.bytes(&bytes(pair[0].as_str().ok_or("no key")?)?);
                write(&pair[1], encoder)?;
            }
            encoder.end();
        }
        other => return Err(format!("no value: {other:?}")),
    }
    Ok(())
}

pub fn message(vector: &Value) -> Outcome {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Vector {
        #[serde(rename = "name")]
        _name: String,
        #[serde(rename = "sentence")]
        _sentence: String,
        hex: String,
        to: Option<String>,
        message: Value,
        writes_back: bool,
    }
    let vector: Vector = parse(vector)?;
    let datagram = bytes(&vector.hex)?;
    let to = vector.to.as_deref().map(method).transpose()?;
    let Ok(message) = Message::decode(&datagram) else {
        expect("writes_back", &false, &vector.writes_back)?;
        return expect("message", &json!({ "dropped": true }), &vector.message);
    };
    let mut shown = match &message.body {
        Body::Query(Ok(query)) => json!({ "query": shown_query(query) }),
        Body::Query(Err(code)) => json!({ "refused": code.code() }),
        Body::Response(Ok(response)) if response.answers(to.ok_or("an answer to what?")?) => {
            json!({ "response": shown_response(response) })
        }
        Body::Response(_) => json!({ "failure": true }),
        Body::Error(code, text) => json!({ "error": { "code": code.code(), "text": hex::encode(text) } }),
    };
    shown["t"] = hex::encode(message.transaction_id.0).into();
    expect("message", &shown, &vector.message)?;
    let mut again = BytesMut::new();
    if vector.message.get("failure").is_none() {
        message.encode(&mut again);
    }
    expect("writes_back", &(again[..] == datagram[..]), &vector.writes_back)
}

pub fn method(name: &str) -> Result<Method, String> {
    let known = Method::ALL.into_iter().find(|method| method.name() == name.as_bytes());
    known.ok_or_else(|| format!("no method: {name}"))
}

pub fn shown_query(query: &Query<'_>) -> Value {
    let mut shown = json!({ "method": name(query.call.method()), "id": query.id.to_string() });
    match query.call {
        Call::Ping | Call::Join => {}
        Call::FindNode { target } => shown["target"] = target.to_string().into(),
        Call::FindValue { key } => shown["key"] = key.to_string().into(),
        Call::GetValue { key, num } => {
            shown["key"] = key.to_string().into();
            shown["num"] = num.into();
        }
        Call::StoreValue { key, value, token } => {
            shown["key"] = key.to_string().into();
            shown["value"] = hex::encode(value).into();
            shown["token"] = hex::encode(token).into();
        }
    }
    shown
}

pub fn name(method: Method) -> String {
    String::from_utf8_lossy(method.name()).into_owned()
}

pub fn shown_response(response: &Response<'_>) -> Value {
    let mut shown = Map::new();
    let mut put =
        |key: &str, value: Option<Value>| _ = value.map(|value| shown.insert(key.to_owned(), value));
    let contacts = |contacts: Option<Contacts<'_>>| {
        contacts.map(|contacts| contacts.iter().map(|contact| shown_contact(&contact)).collect())
    };
    put("id", Some(response.id.to_string().into()));
    put("ip", response.ip.map(|ip| ip.0.to_string().into()));
    put("ip_addr", response.ip_addr.map(|text| String::from_utf8_lossy(text).into()));
    put("nodes", contacts(response.nodes));
    put("nodes6", contacts(response.nodes6));
    put("num", response.num.map(Value::from));
    put("port", response.port.map(Value::from));
    put("token", response.token.map(|token| hex::encode(token).into()));
    put("values", response.values.map(|values| values.iter().map(hex::encode).collect()));
    Value::Object(shown)
}

fn shown_contact(contact: &Contact) -> Value {
    json!({ "id": contact.id.to_string(), "address": contact.addr.to_string() })
}

pub fn compact(vector: &Value) -> Outcome {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Vector {
        #[serde(rename = "name")]
        _name: String,
        #[serde(rename = "sentence")]
        _sentence: String,
        kind: String,
        hex: String,
        valid: bool,
        address: Option<String>,
        contact: Option<Value>,
    }
    let vector: Vector = parse(vector)?;
    let compact = bytes(&vector.hex)?;
    match &vector.kind[..] {
        "address" => {
            let read = CompactAddress::from_slice(&compact);
            expect("valid", &read.is_some(), &vector.valid)?;
            expect("address", &read.map(|read| read.0.to_string()), &vector.address)?;
            let written = read.map_or(compact.clone(), |read| read.to_bytes().to_vec());
            expect("written", &written, &compact)
        }
        "contact" => {
            let read = ["nodes", "nodes6"].into_iter().find_map(|list| read_contact(list, &compact));
            expect("valid", &read.is_some(), &vector.valid)?;
            expect("contact", &read.as_ref().map(shown_contact), &vector.contact)?;
            read.map_or(Ok(()), |read| written_as(&read, &compact))
        }
        kind => Err(format!("no kind: {kind}")),
    }
}

/// The one contact in a response's list.
fn read_contact(list: &str, compact: &[u8]) -> Option<Contact> {
    let mut datagram = BytesMut::new();
    let mut encoder = Encoder::new(&mut datagram);
    encoder.begin_dictionary().bytes(b"r").begin_dictionary().bytes(b"id").bytes(&[1; 20]);
    encoder.bytes(list.as_bytes()).begin_list().bytes(compact).end().end();
    encoder.bytes(b"t").bytes(&[2; 20]).bytes(b"y").bytes(b"r").end();
    match Message::decode(&datagram).ok()?.body {
        Body::Response(Ok(response)) => response.nodes.or(response.nodes6)?.iter().next(),
        _ => None,
    }
}

fn written_as(contact: &Contact, compact: &[u8]) -> Outcome {
    let contacts = [*contact];
    let mut response = Response::new(Id([1; 20]));
    if contact.addr.is_ipv4() {
        response.nodes = Some(Contacts::new(&contacts));
    } else {
        response.nodes6 = Some(Contacts::new(&contacts));
    }
    let mut datagram = BytesMut::new();
    response.encode(TransactionId([2; 20]), &mut datagram);
    let item = [format!("l{}:", compact.len()).as_bytes(), compact, b"e"].concat();
    let is_there = datagram.windows(item.len()).any(|window| window == item);
    expect("written", &is_there, &true)
}
