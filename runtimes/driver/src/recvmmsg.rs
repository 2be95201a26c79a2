//! Linux's recvmmsg, the one thing here that needs unsafe code: crates that are well kept either
//! lack it (rustix), keep pointers in what they are given, so that it cannot be part of a task
//! (nix), or change how the socket sends (quinn-udp).

#![allow(unsafe_code)]

use crate::inbox::BATCH;
use arrayvec::ArrayVec;
use libc::{iovec, mmsghdr, sockaddr_in, sockaddr_in6};
use rustix::fd::{AsRawFd as _, BorrowedFd};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr::{from_mut, null_mut};

/// Receives up to [`BATCH`] datagrams that wait at `socket`, each into the next of `buffers`, and
/// appends from where each came and its length. Never waits. Fewer than there was room for: that
/// was all.
pub(crate) fn receive<'a>(
    socket: BorrowedFd<'_>,
    buffers: impl Iterator<Item = &'a mut [u8]>,
    received: &mut ArrayVec<(SocketAddr, usize), BATCH>,
) -> io::Result<()> {
    // SAFETY: all of these are structures of integers and pointers, for which zeros are values.
    let (mut names, mut vectors, mut headers) =
        unsafe { zeroed::<([sockaddr_in6; BATCH], [iovec; BATCH], [mmsghdr; BATCH])>() };
    let mut room = 0;
    let places = headers.iter_mut().zip(&mut vectors).zip(&mut names);
    for (((header, vector), name), buffer) in places.zip(buffers) {
        *vector = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_name = from_mut(name).cast();
        header.msg_hdr.msg_namelen = size_of::<sockaddr_in6>() as libc::socklen_t;
        room += 1;
    }
    // SAFETY: the first `room` headers point to a vector and a name above and to a buffer that the
    // caller lent for 'a, with their sizes. All of them outlive the call and are not touched
    // meanwhile; the kernel keeps no pointer. Bounds: `room` is at most the length of `headers`.
    let count = unsafe {
        libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), room, libc::MSG_DONTWAIT as _, null_mut())
    };
    let Ok(count) = usize::try_from(count) else {
        return Err(io::Error::last_os_error());
    };
    for (header, name) in headers.iter().zip(&names).take(count) {
        received.push((address(name), header.msg_len as usize));
    }
    Ok(())
}

/// What the kernel wrote: an address of the family of the socket.
fn address(name: &sockaddr_in6) -> SocketAddr {
    if i32::from(name.sin6_family) == libc::AF_INET6 {
        let port = u16::from_be(name.sin6_port);
        return SocketAddrV6::new(name.sin6_addr.s6_addr.into(), port, 0, name.sin6_scope_id).into();
    }
    // SAFETY: sockaddr_in is shorter, needs no stricter alignment, and any bytes are one.
    let name = unsafe { &*std::ptr::from_ref(name).cast::<sockaddr_in>() };
    let ip = name.sin_addr.s_addr.to_ne_bytes();
    SocketAddrV4::new(ip.into(), u16::from_be(name.sin_port)).into()
}
