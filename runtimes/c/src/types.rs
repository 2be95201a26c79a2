//! What passes the boundary, laid out as in C.

use crate::error::Error;
use ipnet::IpNet;
use khashmir::Contact;
use std::net::{IpAddr, SocketAddr};

/// The family of an address; options may have both.
pub const KHASHMIR_IPV4: u8 = 1;
/// The other one.
pub const KHASHMIR_IPV6: u8 = 2;

/// `khashmir_address`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Address {
    /// In network order; of IPv4 the first four bytes.
    pub ip: [u8; 16],
    /// In the machine's order.
    pub port: u16,
    /// [`KHASHMIR_IPV4`] or [`KHASHMIR_IPV6`].
    pub family: u8,
}

/// `khashmir_network`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Network {
    /// As in [`Address`].
    pub ip: [u8; 16],
    /// As in [`Address`].
    pub family: u8,
    /// Leading bits that count.
    pub prefix: u8,
}

/// `khashmir_options`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Options {
    /// Networks whose private addresses are allowed.
    pub local_networks: *const Network,
    /// How many.
    pub local_networks_len: usize,
    /// [`KHASHMIR_IPV4`], [`KHASHMIR_IPV6`], or both.
    pub families: u8,
}

/// `khashmir_contact`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ContactInC {
    /// Its id.
    pub id: [u8; 20],
    /// Where it is.
    pub address: Address,
}

impl From<SocketAddr> for Address {
    fn from(addr: SocketAddr) -> Address {
        let (mut ip, port) = ([0; 16], addr.port());
        match addr.ip() {
            IpAddr::V4(v4) => {
                ip[..4].copy_from_slice(&v4.octets());
                Address { ip, port, family: KHASHMIR_IPV4 }
            }
            IpAddr::V6(v6) => Address { ip: v6.octets(), port, family: KHASHMIR_IPV6 },
        }
    }
}

impl TryFrom<Address> for SocketAddr {
    type Error = Error;

    /// An IPv4-mapped address becomes the IPv4 address that it is: the engine compares them whole.
    fn try_from(Address { ip, port, family }: Address) -> Result<SocketAddr, Error> {
        Ok(SocketAddr::new(parse_ip(ip, family)?.to_canonical(), port))
    }
}

impl TryFrom<Network> for IpNet {
    type Error = Error;

    fn try_from(Network { ip, family, prefix }: Network) -> Result<IpNet, Error> {
        IpNet::new(parse_ip(ip, family)?, prefix).map_err(|_| Error::Argument)
    }
}

impl From<Contact> for ContactInC {
    fn from(contact: Contact) -> ContactInC {
        ContactInC { id: contact.id.0, address: contact.addr.into() }
    }
}

fn parse_ip(ip: [u8; 16], family: u8) -> Result<IpAddr, Error> {
    let [a, b, c, d, ..] = ip;
    match family {
        KHASHMIR_IPV4 => Ok([a, b, c, d].into()),
        KHASHMIR_IPV6 => Ok(ip.into()),
        _ => Err(Error::Argument),
    }
}
