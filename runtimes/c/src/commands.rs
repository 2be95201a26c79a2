//! What a program asks of a node.

use crate::error::Error;
use crate::node::{KHASHMIR_ID_LEN, NodeInC, with_node};
use crate::pointers::{Out, read, read_slice};
use crate::types::Address;
use bytes::Bytes;
use khashmir::node::{MAX_PUT_VALUE_LEN, Reply};
use khashmir::{Command, Id, Instant, OpId};
use std::net::SocketAddr;

/// The longest value of a put, in bytes.
pub const KHASHMIR_MAX_VALUE: usize = MAX_PUT_VALUE_LEN;

/// Has a node execute a command. Writes the number of the operation that it starts, if there is a
/// place for that; else returns whether there was anything to do.
///
/// # Safety
/// `node` is as [`with_node`] demands, and `operation` is null or has room.
unsafe fn execute(
    node: *mut NodeInC,
    now: u64,
    operation: Option<*mut u64>,
    command: impl FnOnce() -> Result<Command, Error>,
) -> i32 {
    let call = |node: &mut NodeInC| {
        let out = operation.map(Out::check).transpose()?;
        let reply = node.node.execute(Instant::from_micros(now), &command()?)?;
        Ok(match (reply, out) {
            (Reply::Started(op), Some(out)) => {
                // SAFETY: by contract there is room for a number.
                unsafe { out.write(op.number()) };
                0
            }
            (Reply::Started(_), None) => 0,
            (Reply::Done(was_there), _) => i32::from(was_there),
        })
    };
    // SAFETY: by contract a node.
    unsafe { with_node(node, call) }
}

/// # Safety
/// As [`read`] demands, of [`KHASHMIR_ID_LEN`] bytes.
unsafe fn read_id(id: *const u8) -> Result<Id, Error> {
    // SAFETY: by contract null, or so many bytes, which are aligned anywhere.
    Ok(Id(unsafe { read(id.cast::<[u8; KHASHMIR_ID_LEN]>())? }))
}

/// # Safety
/// As [`read_id`] and [`read_slice`] demand.
unsafe fn read_item(key: *const u8, value: *const u8, len: usize) -> Result<(Id, Bytes), Error> {
    // SAFETY: by contract they are null, or good for the time of the call.
    let (key, value) = unsafe { (read_id(key)?, read_slice(value, len)?) };
    // One that is too long is not copied first.
    if value.len() > MAX_PUT_VALUE_LEN {
        return Err(Error::ValueLength);
    }
    Ok((key, Bytes::copy_from_slice(value)))
}

/// [`Node::join`](khashmir::Node::join).
///
/// # Safety
/// As the header says: a node, as many addresses, and room for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn khashmir_join(
    node: *mut NodeInC,
    now: u64,
    bootstrap: *const Address,
    bootstrap_len: usize,
    operation: *mut u64,
) -> i32 {
    let command = || {
        // SAFETY: by contract null, or good for the time of the call.
        let bootstrap = unsafe { read_slice(bootstrap, bootstrap_len)? };
        let bootstrap =
            bootstrap.iter().map(|address| SocketAddr::try_from(*address)).collect::<Result<_, _>>()?;
        Ok(Command::Join { bootstrap })
    };
    // SAFETY: by contract a node, and room for a number.
    unsafe { execute(node, now, Some(operation), command) }
}

/// [`Node::ping`](khashmir::Node::ping).
///
/// # Safety
/// As the header says: a node, an address, and room for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn khashmir_ping(
    node: *mut NodeInC,
    now: u64,
    address: *const Address,
    operation: *mut u64,
) -> i32 {
    // SAFETY: by contract null, or good for the time of the call.
    let command = || Ok(Command::Ping { addr: unsafe { read(address)? }.try_into()? });
    // SAFETY: by contract a node, and room for a number.
    unsafe { execute(node, now, Some(operation), command) }
}

/// [`Node::find_node`](khashmir::Node::find_node).
///
/// # Safety
/// As the header says: a node, an id, and room for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn khashmir_find_node(
    node: *mut NodeInC,
    now: u64,
    target: *const u8,
    operation: *mut u64,
) -> i32 {
    // SAFETY: by contract null, or good for the time of the call.
    let command = || Ok(Command::FindNode { target: unsafe { read_id(target)? } });
    // SAFETY: by contract a node, and room for a number.
    unsafe { execute(node, now, Some(operation), command) }
}

/// [`Node::get`](khashmir::Node::get).
///
/// # Safety
/// As the header says: a node, a key, and room for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn khashmir_get(
    node: *mut NodeInC,
    now: u64,
    key: *const u8,
    wanted: usize,
    operation: *mut u64,
) -> i32 {
    // SAFETY: by contract null, or good for the time of the call.
    let command = || Ok(Command::Get { key: unsafe { read_id(key)? }, wanted });
    // SAFETY: by contract a node, and room for a number.
    unsafe { execute(node, now, Some(operation), command) }
}

/// [`Node::put`](khashmir::Node::put).
///
/// # Safety
/// As the header says: a node, a key, as many bytes, and room for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn khashmir_put(
    node: *mut NodeInC,
    now: u64,
    key: *const u8,
    value: *const u8,
    value_len: usize,
    operation: *mut u64,
) -> i32 {
    let command = || {
        // SAFETY: by contract null, or good for the time of the call.
        let (key, value) = unsafe { read_item(key, value, value_len)? };
        Ok(Command::Put { key, value })
    };
    // SAFETY: by contract a node, and room for a number.
    unsafe { execute(node, now, Some(operation), command) }
}

/// [`Node::publish`](khashmir::Node::publish).
///
/// # Safety
/// As the header says: a node, a key, as many bytes, and room for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn khashmir_publish(
    node: *mut NodeInC,
    now: u64,
    key: *const u8,
    value: *const u8,
    value_len: usize,
    operation: *mut u64,
) -> i32 {
    let command = || {
        // SAFETY: by contract null, or good for the time of the call.
        let (key, value) = unsafe { read_item(key, value, value_len)? };
        Ok(Command::Publish { key, value })
    };
    // SAFETY: by contract a node, and room for a number.
    unsafe { execute(node, now, Some(operation), command) }
}

/// [`Node::unpublish`](khashmir::Node::unpublish).
///
/// # Safety
/// As the header says: a node, a key, and as many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn khashmir_unpublish(
    node: *mut NodeInC,
    now: u64,
    key: *const u8,
    value: *const u8,
    value_len: usize,
) -> i32 {
    let command = || {
        // SAFETY: by contract null, or good for the time of the call.
        let (key, value) = unsafe { read_item(key, value, value_len)? };
        Ok(Command::Unpublish { key, value })
    };
    // SAFETY: by contract a node.
    unsafe { execute(node, now, None, command) }
}

/// [`Node::cancel`](khashmir::Node::cancel).
///
/// # Safety
/// As the header says: a node.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn khashmir_cancel(node: *mut NodeInC, now: u64, operation: u64) -> i32 {
    let command = || Ok(Command::Cancel { op: OpId::from_number(operation) });
    // SAFETY: by contract a node.
    unsafe { execute(node, now, None, command) }
}
