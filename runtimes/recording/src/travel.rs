//! How values become bencode and are read again.

use bytes::BytesMut;
use ipnet::IpNet;
use khashmir::bencode::{DecodeError, Decoder, Encoder, Fault};
use khashmir::config::{AddressFamilies, Admission};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// What can be written and read.
pub(crate) trait Travel: Sized {
    fn write(&self, out: &mut BytesMut);
    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), DecodeError>;
}

/// What was written, read.
pub(crate) fn read<T: Travel + Default>(decoder: &mut Decoder<'_>) -> Result<T, DecodeError> {
    let mut value = T::default();
    value.read(decoder)?;
    Ok(value)
}

/// A value that is there, but none that is known.
pub(crate) fn unexpected(decoder: &Decoder<'_>) -> DecodeError {
    DecodeError { fault: Fault::Unexpected, offset: decoder.offset() }
}

/// The next item of a list that must have one.
pub(crate) fn item(decoder: &mut Decoder<'_>) -> Result<(), DecodeError> {
    if decoder.next_item()? { Ok(()) } else { Err(unexpected(decoder)) }
}

/// The end of a list that must have no more items.
pub(crate) fn end(decoder: &mut Decoder<'_>) -> Result<(), DecodeError> {
    if decoder.next_item()? { Err(unexpected(decoder)) } else { Ok(()) }
}

/// All 64 bits of a number, as two's complement: the largest of all is −1.
impl Travel for u64 {
    fn write(&self, out: &mut BytesMut) {
        Encoder::new(out).integer(*self as i64);
    }

    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), DecodeError> {
        *self = decoder.integer()? as u64;
        Ok(())
    }
}

macro_rules! smaller_numbers {
    ($($type:ty),*) => {$(
        impl Travel for $type {
            fn write(&self, out: &mut BytesMut) {
                u64::from(*self).write(out);
            }

            fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), DecodeError> {
                let number: u64 = read(decoder)?;
                *self = number.try_into().map_err(|_| unexpected(decoder))?;
                Ok(())
            }
        }
    )*};
}

smaller_numbers!(u8, u16, u32);

/// As `u64`. One too large for this machine becomes the largest that it has.
impl Travel for usize {
    fn write(&self, out: &mut BytesMut) {
        (*self as u64).write(out);
    }

    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), DecodeError> {
        *self = usize::try_from(read::<u64>(decoder)?).unwrap_or(usize::MAX);
        Ok(())
    }
}

/// 0 or 1.
impl Travel for bool {
    fn write(&self, out: &mut BytesMut) {
        u8::from(*self).write(out);
    }

    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), DecodeError> {
        *self = match read::<u8>(decoder)? {
            0 => false,
            1 => true,
            _ => return Err(unexpected(decoder)),
        };
        Ok(())
    }
}

/// A byte string.
impl<const N: usize> Travel for [u8; N] {
    fn write(&self, out: &mut BytesMut) {
        Encoder::new(out).bytes(self);
    }

    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), DecodeError> {
        *self = decoder.array()?;
        Ok(())
    }
}

/// `[seconds, nanoseconds]`, fewer than 10⁹ of the latter.
impl Travel for Duration {
    fn write(&self, out: &mut BytesMut) {
        Encoder::new(out).begin_list();
        self.as_secs().write(out);
        self.subsec_nanos().write(out);
        Encoder::new(out).end();
    }

    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), DecodeError> {
        decoder.begin_list()?;
        item(decoder)?;
        let seconds = read(decoder)?;
        item(decoder)?;
        let nanos: u32 = read(decoder)?;
        if nanos >= 1_000_000_000 {
            return Err(unexpected(decoder));
        }
        *self = Duration::new(seconds, nanos);
        end(decoder)
    }
}

/// A list of two.
impl Travel for [Duration; 3] {
    fn write(&self, out: &mut BytesMut) {
        Encoder::new(out).begin_list();
        self.iter().for_each(|duration| duration.write(out));
        Encoder::new(out).end();
    }

    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), DecodeError> {
        decoder.begin_list()?;
        for duration in self {
            // Recordings made before there was a third have two.
            if !decoder.next_item()? {
                return Ok(());
            }
            duration.read(decoder)?;
        }
        end(decoder)
    }
}

/// A list of prefixes as text.
impl Travel for Vec<IpNet> {
    fn write(&self, out: &mut BytesMut) {
        let mut encoder = Encoder::new(out);
        encoder.begin_list();
        self.iter().for_each(|network| {
            encoder.bytes(network.to_string().as_bytes());
        });
        encoder.end();
    }

    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), DecodeError> {
        self.clear();
        decoder.begin_list()?;
        while decoder.next_item()? {
            let network = std::str::from_utf8(decoder.bytes()?).ok().and_then(|text| text.parse().ok());
            self.push(network.ok_or(unexpected(decoder))?);
        }
        Ok(())
    }
}

macro_rules! words {
    ($type:ty { $($word:literal: $value:path),* }) => {
        impl Travel for $type {
            fn write(&self, out: &mut BytesMut) {
                let word = match self { $($value => $word),* };
                Encoder::new(out).bytes(word.as_bytes());
            }

            fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), DecodeError> {
                let word = decoder.bytes()?;
                $(if word == $word.as_bytes() {
                    *self = $value;
                    return Ok(());
                })*
                Err(unexpected(decoder))
            }
        }
    };
}

words!(AddressFamilies { "4": AddressFamilies::Ipv4, "6": AddressFamilies::Ipv6, "46": AddressFamilies::Both });
words!(Admission { "query": Admission::Query, "answer": Admission::Answer, "reach": Admission::Reach });

/// An address and port, big-endian: 6 bytes (IPv4), 18 (IPv6), or 26 if it has a flow label or a
/// scope, which follow as 4 bytes each.
pub(crate) fn write_address(addr: &SocketAddr, out: &mut BytesMut) {
    let port = addr.port().to_be_bytes();
    let mut bytes = match addr.ip() {
        IpAddr::V4(ip) => [&ip.octets()[..], &port].concat(),
        IpAddr::V6(ip) => [&ip.octets()[..], &port].concat(),
    };
    if let SocketAddr::V6(v6) = addr
        && (v6.flowinfo(), v6.scope_id()) != (0, 0)
    {
        bytes.extend(v6.flowinfo().to_be_bytes());
        bytes.extend(v6.scope_id().to_be_bytes());
    }
    Encoder::new(out).bytes(&bytes);
}

pub(crate) fn read_address(decoder: &mut Decoder<'_>) -> Result<SocketAddr, DecodeError> {
    let unexpected = unexpected(decoder);
    let bytes = decoder.bytes()?;
    if let Ok([a, b, c, d, port @ ..]) = <[u8; 6]>::try_from(bytes) {
        return Ok(([a, b, c, d], u16::from_be_bytes(port)).into());
    }
    let (ip, rest) = bytes.split_first_chunk::<16>().ok_or(unexpected)?;
    let (port, rest) = rest.split_first_chunk().ok_or(unexpected)?;
    let (flow, scope) = match rest {
        [] => (0, 0),
        [a, b, c, d, scope @ ..] => {
            let scope = scope.try_into().map_err(|_| unexpected)?;
            (u32::from_be_bytes([*a, *b, *c, *d]), u32::from_be_bytes(scope))
        }
        _ => return Err(unexpected),
    };
    Ok(SocketAddrV6::new(Ipv6Addr::from(*ip), u16::from_be_bytes(*port), flow, scope).into())
}
