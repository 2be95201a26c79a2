//! Compact addresses and contacts: raw bytes, big-endian.

use super::dialect::{COMPACT_IPV4_LEN, COMPACT_IPV6_LEN};
use crate::id::{Contact, Id};
use arrayvec::ArrayVec;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

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

/// A contact's bytes.
pub(super) fn contact_bytes(contact: &Contact) -> ArrayVec<u8, COMPACT_IPV6_LEN> {
    let mut out = ArrayVec::new();
    out.extend(contact.id.0);
    out.extend(CompactAddress(contact.addr).to_bytes());
    out
}

/// Bytes of a contact at such an address.
pub(super) fn contact_bytes_len(addr: &SocketAddr) -> usize {
    if addr.is_ipv4() { COMPACT_IPV4_LEN } else { COMPACT_IPV6_LEN }
}
