//! The node: made, fed, polled and freed.

use crate::error::Error;
use crate::pointers::{Out, read, read_slice};
use crate::types::{Address, ContactInC, KHASHMIR_IPV4, KHASHMIR_IPV6, Options};
use bytes::{Bytes, BytesMut};
use ipnet::IpNet;
use khashmir::config::AddressFamilies;
use khashmir::{Config, Id, Instant, Node};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes in an id.
pub const KHASHMIR_ID_LEN: usize = Id::LEN;
/// Bytes in a seed.
pub const KHASHMIR_SEED_LEN: usize = 32;
/// The longest datagram that a node sends: that of the default limits.
pub const KHASHMIR_MAX_DATAGRAM: usize = 1472;

/// `khashmir_node`.
#[derive(Debug)]
pub struct NodeInC {
    pub(crate) node: Node,
    payload: BytesMut,
    /// What the latest event points to.
    pub(crate) value: Bytes,
    pub(crate) contacts: Vec<ContactInC>,
    /// A panic has left it in no good state.
    is_broken: bool,
}

/// A node may be used by any thread, one at a time.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Node>();
};

/// What a call returns; a panic, which would be a bug, stays here.
fn guard(call: impl FnOnce() -> Result<i32, Error>) -> i32 {
    let result = catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(Error::Bug));
    result.unwrap_or_else(|error| error as i32)
}

/// Calls a node.
///
/// # Safety
/// Unless it is null or not aligned, `node` comes from [`khashmir_node_new`], was not freed, and no
/// other call to it is under way.
pub(crate) unsafe fn with_node(
    node: *mut NodeInC,
    call: impl FnOnce(&mut NodeInC) -> Result<i32, Error>,
) -> i32 {
    if node.is_null() || !node.is_aligned() {
        return Error::Pointer as i32;
    }
    // SAFETY: not null, aligned, and by contract a node that is ours alone for now.
    let node = unsafe { &mut *node };
    if node.is_broken {
        return Error::Bug as i32;
    }
    // Until the call is over; a panic leaves it so.
    node.is_broken = true;
    guard(|| {
        let result = call(node);
        node.is_broken = false;
        result
    })
}

/// Makes a node.
///
/// # Safety
/// As the header says: the pointers are null, or good for the time of the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn khashmir_node_new(
    options: *const Options,
    seed: *const u8,
    now: u64,
    node: *mut *mut NodeInC,
) -> i32 {
    guard(|| {
        let out = Out::check(node)?;
        // SAFETY: by contract they are null, or good for the time of the call.
        let (options, seed) = unsafe { (read(options)?, read(seed.cast::<[u8; KHASHMIR_SEED_LEN]>())?) };
        // SAFETY: as above.
        let networks = unsafe { read_slice(options.local_networks, options.local_networks_len)? };
        let config = Config {
            address_families: families(options.families)?,
            local_networks: networks
                .iter()
                .map(|network| IpNet::try_from(*network))
                .collect::<Result<_, _>>()?,
            ..Config::default()
        };
        let node = Node::new(config, seed, Instant::from_micros(now)).map_err(|_| Error::Argument)?;
        let node = NodeInC {
            node,
            payload: BytesMut::new(),
            value: Bytes::new(),
            contacts: Vec::new(),
            is_broken: false,
        };
        // SAFETY: by contract there is room for a pointer.
        unsafe { out.write(Box::into_raw(Box::new(node))) };
        Ok(0)
    })
}

fn families(families: u8) -> Result<AddressFamilies, Error> {
    const BOTH: u8 = KHASHMIR_IPV4 | KHASHMIR_IPV6;
    match families {
        KHASHMIR_IPV4 => Ok(AddressFamilies::Ipv4),
        KHASHMIR_IPV6 => Ok(AddressFamilies::Ipv6),
        BOTH => Ok(AddressFamilies::Both),
        _ => Err(Error::Argument),
    }
}

/// Frees a node.
///
/// # Safety
/// `node` is null, or comes from [`khashmir_node_new`] and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn khashmir_node_free(node: *mut NodeInC) {
    if !node.is_null() {
        guard(|| {
            // SAFETY: by contract it was a box, and nobody uses it any more.
            drop(unsafe { Box::from_raw(node) });
            Ok(0)
        });
    }
}

/// The node's id.
///
/// # Safety
/// As the header says: a node, and room for an id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn khashmir_node_id(node: *mut NodeInC, id: *mut u8) -> i32 {
    let call = |node: &mut NodeInC| {
        let out = Out::check(id)?;
        // SAFETY: by contract there is room for an id.
        unsafe { out.write_all(&node.node.id().0) };
        Ok(0)
    };
    // SAFETY: by contract a node.
    unsafe { with_node(node, call) }
}

/// [`Node::handle_datagram`].
///
/// # Safety
/// As the header says: a node, an address, and as many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn khashmir_handle_datagram(
    node: *mut NodeInC,
    now: u64,
    from: *const Address,
    datagram: *const u8,
    datagram_len: usize,
) -> i32 {
    let call = |node: &mut NodeInC| {
        // SAFETY: by contract they are null, or good for the time of the call.
        let (from, datagram) = unsafe { (read(from)?, read_slice(datagram, datagram_len)?) };
        node.node.handle_datagram(Instant::from_micros(now), SocketAddr::try_from(from)?, datagram);
        Ok(0)
    };
    // SAFETY: by contract a node.
    unsafe { with_node(node, call) }
}

/// [`Node::handle_unreachable`].
///
/// # Safety
/// As the header says: a node and an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn khashmir_handle_unreachable(
    node: *mut NodeInC,
    now: u64,
    to: *const Address,
) -> i32 {
    let call = |node: &mut NodeInC| {
        // SAFETY: by contract it is null, or good for the time of the call.
        let to = unsafe { read(to)? };
        node.node.handle_unreachable(Instant::from_micros(now), SocketAddr::try_from(to)?);
        Ok(0)
    };
    // SAFETY: by contract a node.
    unsafe { with_node(node, call) }
}

/// [`Node::handle_timeout`].
///
/// # Safety
/// As the header says: a node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn khashmir_handle_timeout(node: *mut NodeInC, now: u64) -> i32 {
    let call = |node: &mut NodeInC| {
        node.node.handle_timeout(Instant::from_micros(now));
        Ok(0)
    };
    // SAFETY: by contract a node.
    unsafe { with_node(node, call) }
}

/// [`Node::poll_transmit`].
///
/// # Safety
/// As the header says: a node, as many bytes of room, and room for a length and an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn khashmir_poll_transmit(
    node: *mut NodeInC,
    buffer: *mut u8,
    buffer_len: usize,
    len: *mut usize,
    to: *mut Address,
) -> i32 {
    let call = |node: &mut NodeInC| {
        let (buffer, len_out, to_out) = (Out::check(buffer)?, Out::check(len)?, Out::check(to)?);
        // Before anything leaves the queue.
        if buffer_len < KHASHMIR_MAX_DATAGRAM {
            return Err(Error::Buffer);
        }
        node.payload.clear();
        let Some(to) = node.node.poll_transmit(&mut node.payload) else {
            return Ok(0);
        };
        // SAFETY: by contract there is room for as many bytes as a datagram has at most, and for the
        // other two.
        unsafe {
            buffer.write_all(&node.payload);
            len_out.write(node.payload.len());
            to_out.write(to.into());
        }
        Ok(1)
    };
    // SAFETY: by contract a node.
    unsafe { with_node(node, call) }
}

/// [`Node::poll_timeout`].
///
/// # Safety
/// As the header says: a node, and room for a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn khashmir_poll_timeout(node: *mut NodeInC, at: *mut u64) -> i32 {
    let call = |node: &mut NodeInC| {
        let out = Out::check(at)?;
        let Some(at) = node.node.poll_timeout() else {
            return Ok(0);
        };
        // SAFETY: by contract there is room for a time.
        unsafe { out.write(at.as_micros()) };
        Ok(1)
    };
    // SAFETY: by contract a node.
    unsafe { with_node(node, call) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_the_node_and_not_the_process() {
        let options =
            Options { local_networks: std::ptr::null(), local_networks_len: 0, families: KHASHMIR_IPV4 };
        let mut node = std::ptr::null_mut();
        // SAFETY: all pointers are good.
        unsafe {
            assert_eq!(khashmir_node_new(&raw const options, [1; 32].as_ptr(), 0, &raw mut node), 0);
            assert_eq!(khashmir_handle_timeout(node, 1), 0);
            assert_eq!(with_node(node, |_| Err(Error::Argument)), Error::Argument as i32);
            assert_eq!(khashmir_handle_timeout(node, 1), 0, "an error is no harm");
            assert_eq!(with_node(node, |_| panic!("a bug")), Error::Bug as i32);
            assert_eq!(khashmir_handle_timeout(node, 1), Error::Bug as i32);
            khashmir_node_free(node);
        }
    }

    #[test]
    fn the_longest_datagram_is_that_of_the_limits() {
        let limits = Config::default().limits;
        assert_eq!(usize::from(limits.datagram_ipv4.max(limits.datagram_ipv6)), KHASHMIR_MAX_DATAGRAM);
    }
}
