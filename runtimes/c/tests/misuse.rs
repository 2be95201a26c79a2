//! What C gets wrong is said, and does no harm.

#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)]

use khashmir_c::*;
use std::ffi::CStr;
use std::ptr::{null, null_mut};

fn options() -> Options {
    Options { local_networks: null(), local_networks_len: 0, families: KHASHMIR_IPV4 }
}

/// A node, freed at the end.
struct Owned(*mut NodeInC);

impl Owned {
    fn new() -> Owned {
        let mut node = null_mut();
        // SAFETY: all pointers are good.
        assert_eq!(unsafe { khashmir_node_new(&options(), [7; 32].as_ptr(), 5, &raw mut node) }, 0);
        Owned(node)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: from khashmir_node_new, and not used again.
        unsafe { khashmir_node_free(self.0) }
    }
}

fn is(returned: i32, error: Error) {
    assert_eq!(returned, error as i32);
}

fn address(family: u8, port: u16) -> Address {
    Address { ip: [60; 16], port, family }
}

#[test]
fn null_and_misaligned_pointers_are_refused() {
    let node = Owned::new();
    let (addr, key, mut op) = (address(KHASHMIR_IPV4, 9978), [1u8; 20], 0u64);
    let (mut buffer, mut len, mut to) = ([0u8; 2000], 0usize, Address::default());
    let odd = (&raw mut op).cast::<u8>().wrapping_add(1).cast::<u64>();
    // SAFETY: what is neither null nor misaligned is good.
    unsafe {
        let mut out = null_mut();
        is(khashmir_node_new(null(), key.as_ptr(), 0, &raw mut out), Error::Pointer);
        is(khashmir_node_new(&options(), null(), 0, &raw mut out), Error::Pointer);
        is(khashmir_node_new(&options(), [0; 32].as_ptr(), 0, null_mut()), Error::Pointer);
        let hollow = Options { local_networks_len: 1, ..options() };
        is(khashmir_node_new(&raw const hollow, [0; 32].as_ptr(), 0, &raw mut out), Error::Pointer);
        assert!(out.is_null(), "nothing was written");
        khashmir_node_free(null_mut());

        is(khashmir_handle_timeout(null_mut(), 0), Error::Pointer);
        is(khashmir_node_id(node.0, null_mut()), Error::Pointer);
        is(khashmir_handle_datagram(node.0, 5, null(), key.as_ptr(), 1), Error::Pointer);
        is(khashmir_handle_datagram(node.0, 5, &raw const addr, null(), 1), Error::Pointer);
        assert_eq!(khashmir_handle_datagram(node.0, 5, &raw const addr, null(), 0), 0, "none may be null");
        is(khashmir_join(node.0, 5, null(), 2, &raw mut op), Error::Pointer);
        is(khashmir_put(node.0, 5, key.as_ptr(), null(), 3, &raw mut op), Error::Pointer);
        is(khashmir_get(node.0, 5, null(), 1, &raw mut op), Error::Pointer);
        is(khashmir_get(node.0, 5, key.as_ptr(), 1, null_mut()), Error::Pointer);
        is(khashmir_get(node.0, 5, key.as_ptr(), 1, odd), Error::Pointer);
        is(khashmir_poll_event(node.0, null_mut()), Error::Pointer);
        is(khashmir_poll_timeout(node.0, odd), Error::Pointer);
        let transmit = |buffer, len, to| khashmir_poll_transmit(node.0, buffer, 2000, len, to);
        is(transmit(null_mut(), &raw mut len, &raw mut to), Error::Pointer);
        is(transmit(buffer.as_mut_ptr(), null_mut(), &raw mut to), Error::Pointer);
        is(transmit(buffer.as_mut_ptr(), &raw mut len, null_mut()), Error::Pointer);
        assert_eq!(transmit(buffer.as_mut_ptr(), &raw mut len, &raw mut to), 0, "nothing was begun");
    }
}

#[test]
fn arguments_out_of_range_are_refused() {
    let node = Owned::new();
    let (key, value, mut op) = ([1u8; 20], [2u8; 2000], 0u64);
    // SAFETY: all pointers are good.
    unsafe {
        let mut out = null_mut();
        for families in [0, 4, 255] {
            let odd = Options { families, ..options() };
            is(khashmir_node_new(&raw const odd, [0; 32].as_ptr(), 0, &raw mut out), Error::Argument);
        }
        for (family, prefix) in [(KHASHMIR_IPV4, 33), (KHASHMIR_IPV6, 129), (3, 8)] {
            let network = Network { ip: [10; 16], family, prefix };
            let odd = Options { local_networks: &raw const network, local_networks_len: 1, ..options() };
            is(khashmir_node_new(&raw const odd, [0; 32].as_ptr(), 0, &raw mut out), Error::Argument);
        }
        let ping = |address: Address, op| khashmir_ping(node.0, 5, &raw const address, op);
        is(ping(address(3, 1), &raw mut op), Error::Argument);
        is(ping(address(KHASHMIR_IPV4, 0), &raw mut op), Error::AddressNotAllowed);
        is(ping(address(KHASHMIR_IPV6, 1), &raw mut op), Error::AddressNotAllowed);
        let put = |len, op| khashmir_put(node.0, 5, key.as_ptr(), value.as_ptr(), len, op);
        is(put(0, &raw mut op), Error::ValueLength);
        is(put(KHASHMIR_MAX_VALUE + 1, &raw mut op), Error::ValueLength);
        is(put(usize::MAX, &raw mut op), Error::Argument);
        assert_eq!(put(KHASHMIR_MAX_VALUE, &raw mut op), 0);
        let mut refused = 0;
        for _ in 0..300 {
            if ping(address(KHASHMIR_IPV4, 9), &raw mut op) != 0 {
                refused += 1;
            }
        }
        is(ping(address(KHASHMIR_IPV4, 9), &raw mut op), Error::TooManyOperations);
        assert!(refused > 40, "{refused}");
    }
}

#[test]
fn a_buffer_that_is_too_small_loses_nothing() {
    let node = Owned::new();
    let (addr, mut op) = (address(KHASHMIR_IPV4, 9978), 0u64);
    let (mut buffer, mut len, mut to) = ([0u8; KHASHMIR_MAX_DATAGRAM], 0usize, Address::default());
    let mut event = std::mem::MaybeUninit::<EventInC>::uninit();
    // SAFETY: all pointers are good; what is read was written.
    unsafe {
        assert_eq!(khashmir_ping(node.0, 5, &raw const addr, &raw mut op), 0);
        let mut transmit =
            |room| khashmir_poll_transmit(node.0, buffer.as_mut_ptr(), room, &raw mut len, &raw mut to);
        is(transmit(KHASHMIR_MAX_DATAGRAM - 1), Error::Buffer);
        assert_eq!(transmit(KHASHMIR_MAX_DATAGRAM), 1);
        assert_eq!(transmit(KHASHMIR_MAX_DATAGRAM), 0);
        let expected = Address {
            ip: {
                let mut ip = [0; 16];
                ip[..4].fill(60);
                ip
            },
            ..addr
        };
        assert_eq!(to, expected);
        assert!(buffer[..len].starts_with(b"d1:a"));

        let mut at = 0;
        assert_eq!(khashmir_poll_timeout(node.0, &raw mut at), 1);
        assert!(at > 5);
        assert_eq!(khashmir_poll_event(node.0, event.as_mut_ptr()), 0);
        assert_eq!(khashmir_cancel(node.0, 6, op), 1);
        assert_eq!(khashmir_cancel(node.0, 6, op), 0);
        assert_eq!(khashmir_poll_event(node.0, event.as_mut_ptr()), 1);
        let event = event.assume_init();
        assert_eq!(
            (event.kind, event.ending, event.operation),
            (KHASHMIR_PING_FINISHED, KHASHMIR_CANCELLED, op)
        );
        assert!(event.contacts.is_null() && event.contacts_len == 0);
    }
}

#[test]
fn every_error_has_its_text() {
    let text = |error| {
        // SAFETY: a static string.
        let text = unsafe { CStr::from_ptr(khashmir_error_text(error)) };
        text.to_str().unwrap().to_owned()
    };
    let texts: std::collections::BTreeSet<String> =
        Error::ALL.into_iter().map(|error| text(error as i32)).collect();
    assert_eq!(texts.len(), Error::ALL.len());
    assert_eq!(text(0), "no error");
}
