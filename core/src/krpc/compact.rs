//! Compact addresses and contacts: raw bytes, big-endian.

use super::dialect::{COMPACT_IPV4_LEN, COMPACT_IPV6_LEN};
use crate::bencode::Encoder;
use crate::id::{Contact, Id};
use arrayvec::ArrayVec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An address and port as 6 bytes (IPv4) or 18 (IPv6).
#[derive(Clone, Debug, PartialEq, Eq, Copy)]
pub struct CompactAddress(pub SocketAddr);

impl CompactAddress {
    /// The address in `bytes`, if there are 6 or 18 of them.
    pub fn from_slice(bytes: &[u8]) -> Option<CompactAddress> {
        let (ip, port) = bytes.split_last_chunk::<2>()?;
        let port = u16::from_be_bytes(*port);
        if let Ok(ip) = <[u8; 4]>::try_from(ip) {
            return Some(CompactAddress((Ipv4Addr::from(ip), port).into()));
        }
        let ip = <[u8; 16]>::try_from(ip).ok()?;
        Some(CompactAddress((Ipv6Addr::from(ip), port).into()))
    }

    /// The bytes.
    pub fn to_bytes(self) -> ArrayVec<u8, 18> {
        let mut out = ArrayVec::new();
        match self.0 {
            SocketAddr::V4(addr) => out.extend(addr.ip().octets()),
            SocketAddr::V6(addr) => out.extend(addr.ip().octets()),
        }
        out.extend(self.0.port().to_be_bytes());
        out
    }
}

/// The contact in 26 or 38 bytes.
pub(super) fn read_contact(bytes: &[u8]) -> Option<Contact> {
    let (id, addr) = bytes.split_first_chunk()?;
    Some(Contact { id: Id(*id), addr: CompactAddress::from_slice(addr)?.0 })
}

/// Writes the contact's byte string.
pub(super) fn write_contact(contact: &Contact, encoder: &mut Encoder<'_>) {
    let port = contact.addr.port().to_be_bytes();
    match contact.addr.ip() {
        IpAddr::V4(ip) => {
            encoder.raw(&entry::<{ 3 + COMPACT_IPV4_LEN }>(b"26:", &contact.id, &ip.octets(), port))
        }
        IpAddr::V6(ip) => {
            encoder.raw(&entry::<{ 3 + COMPACT_IPV6_LEN }>(b"38:", &contact.id, &ip.octets(), port))
        }
    };
}

/// The four one after the other: `LEN` bytes in all.
#[inline(always)]
fn entry<const LEN: usize>(prefix: &[u8; 3], id: &Id, ip: &[u8], port: [u8; 2]) -> [u8; LEN] {
    let mut out = [0; LEN];
    let ip_at = prefix.len() + Id::LEN;
    let port_at = ip_at + ip.len();
    out[..prefix.len()].copy_from_slice(prefix);
    out[prefix.len()..ip_at].copy_from_slice(&id.0);
    out[ip_at..port_at].copy_from_slice(ip);
    out[port_at..].copy_from_slice(&port);
    out
}

/// Bytes of a contact at such an address.
pub(super) fn contact_bytes_len(addr: &SocketAddr) -> usize {
    if addr.is_ipv4() { COMPACT_IPV4_LEN } else { COMPACT_IPV6_LEN }
}
