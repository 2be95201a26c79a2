//! What a node keeps across restarts, as bytes.
//!
//! Bencode, version 1:
//!
//! | key | what |
//! |---|---|
//! | `contacts` | list of compact contacts, 26 or 38 bytes each |
//! | `id` | our id, 20 bytes |
//! | `publications` | list of `[key, value, seconds until it is due]` |
//! | `values` | list of `[key, value, source, age in seconds]`, source as 4 or 16 bytes |
//! | `version` | 1 |
//!
//! Ages, not times: whoever restores says how long the node was down.

use super::Node;
use crate::bencode::{Bounds, DecodeError, Decoder, Encoder, Fault};
use crate::id::{Contact, Id};
use crate::krpc::CompactAddress;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

const VERSION: i64 = 1;

/// A decoded snapshot.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) id: Option<Id>,
    pub(super) contacts: Vec<Contact>,
    pub(super) publications: Vec<(Id, Bytes, Duration)>,
    pub(super) values: Vec<(Id, Bytes, IpAddr, Duration)>,
}

impl Snapshot {
    pub(super) fn encode(node: &Node) -> Bytes {
        let parts = &node.parts;
        let mut out = BytesMut::new();
        let mut encoder = Encoder::new(&mut out);
        encoder.begin_dictionary().bytes(b"contacts").begin_list();
        let known = node.contacts().next().is_some();
        let earlier = node.maintenance.earlier().iter().copied().filter(|_| !known);
        for contact in node.contacts().chain(earlier) {
            let address = CompactAddress(contact.addr).to_bytes();
            encoder.bytes(&[&contact.id.0[..], &address[..]].concat());
        }
        encoder.end().bytes(b"id").bytes(&parts.id.0).bytes(b"publications").begin_list();
        for ((key, value), due) in node.publications.iter() {
            let until = due.saturating_duration_since(parts.now);
            encoder.begin_list().bytes(&key.0).bytes(value).integer(seconds(until)).end();
        }
        encoder.end().bytes(b"values").begin_list();
        for (key, value, source, age) in parts.store.iter(parts.now) {
            encoder.begin_list().bytes(&key.0).bytes(value);
            match source {
                IpAddr::V4(ip) => encoder.bytes(&ip.octets()),
                IpAddr::V6(ip) => encoder.bytes(&ip.octets()),
            };
            encoder.integer(seconds(age)).end();
        }
        encoder.end().bytes(b"version").integer(VERSION).end();
        out.freeze()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Snapshot, DecodeError> {
        let tokens = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut decoder = Decoder::new(bytes, Bounds { depth: 4, tokens });
        let mut snapshot = Snapshot::default();
        let mut version = None;
        let mut keys = decoder.begin_dictionary()?;
        while let Some(key) = decoder.next_key(&mut keys)? {
            match key {
                b"contacts" => {
                    decoder.begin_list()?;
                    while decoder.next_item()? {
                        snapshot.contacts.push(contact(&mut decoder)?);
                    }
                }
                b"id" => snapshot.id = Some(Id(decoder.array()?)),
                b"publications" => {
                    decoder.begin_list()?;
                    while decoder.next_item()? {
                        let (key, value) = begin_item(&mut decoder)?;
                        snapshot.publications.push((key, value, end_item(&mut decoder)?));
                    }
                }
                b"values" => {
                    decoder.begin_list()?;
                    while decoder.next_item()? {
                        let (key, value) = begin_item(&mut decoder)?;
                        let source = source(&mut decoder)?;
                        snapshot.values.push((key, value, source, end_item(&mut decoder)?));
                    }
                }
                b"version" => version = Some(decoder.integer()?),
                _ => drop(decoder.skip()?),
            }
        }
        decoder.finish()?;
        match version {
            Some(VERSION) => Ok(snapshot),
            _ => Err(unexpected(&decoder)),
        }
    }
}

fn contact(decoder: &mut Decoder<'_>) -> Result<Contact, DecodeError> {
    let unexpected = unexpected(decoder);
    let (id, address) = decoder.bytes()?.split_first_chunk().ok_or(unexpected)?;
    let CompactAddress(addr) = CompactAddress::from_slice(address).ok_or(unexpected)?;
    Ok(Contact { id: Id(*id), addr })
}

fn source(decoder: &mut Decoder<'_>) -> Result<IpAddr, DecodeError> {
    let unexpected = unexpected(decoder);
    let bytes = decoder.bytes()?;
    let ipv4 = <[u8; 4]>::try_from(bytes).map(|ip| IpAddr::V4(Ipv4Addr::from(ip)));
    let ipv6 = <[u8; 16]>::try_from(bytes).map(|ip| IpAddr::V6(Ipv6Addr::from(ip)));
    ipv4.or(ipv6).map_err(|_| unexpected)
}

fn begin_item(decoder: &mut Decoder<'_>) -> Result<(Id, Bytes), DecodeError> {
    decoder.begin_list()?;
    more(decoder)?;
    let key = Id(decoder.array()?);
    more(decoder)?;
    let value = Bytes::copy_from_slice(decoder.bytes()?);
    more(decoder)?;
    Ok((key, value))
}

fn end_item(decoder: &mut Decoder<'_>) -> Result<Duration, DecodeError> {
    let seconds = decoder.integer()?;
    if decoder.next_item()? {
        return Err(unexpected(decoder));
    }
    Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

fn more(decoder: &mut Decoder<'_>) -> Result<(), DecodeError> {
    if decoder.next_item()? { Ok(()) } else { Err(unexpected(decoder)) }
}

fn unexpected(decoder: &Decoder<'_>) -> DecodeError {
    DecodeError { fault: Fault::Unexpected, offset: decoder.offset() }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
