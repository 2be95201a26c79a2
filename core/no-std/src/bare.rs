//! All that a program needs, without the standard library.

// An allocator and an entry point can't be written without.
#![allow(unsafe_code)]

use bytes::BytesMut;
use core::alloc::{GlobalAlloc, Layout};
use core::net::{Ipv4Addr, SocketAddr};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};
use khashmir::{Config, Id, Instant, Node};

/// Gives memory out once and takes none back.
struct Arena {
    used: AtomicUsize,
}

const ARENA_LEN: usize = 1 << 24;
static mut MEMORY: [u8; ARENA_LEN] = [0; ARENA_LEN];

#[global_allocator]
static ARENA: Arena = Arena { used: AtomicUsize::new(0) };

// SAFETY: no two calls get overlapping parts of `MEMORY`, and each part is as large and as aligned as
// its layout says.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let room = layout.size() + layout.align();
        let at = self.used.fetch_add(room, Ordering::Relaxed);
        if at + room > ARENA_LEN {
            return core::ptr::null_mut();
        }
        let start = (&raw mut MEMORY).cast::<u8>().wrapping_add(at);
        start.wrapping_add(start.align_offset(layout.align()))
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Every part of a node's face, so that all of it is linked.
fn run() -> usize {
    let now = Instant::ORIGIN;
    let Ok(mut node) = Node::new(Config::default(), [1; 32], now) else {
        return 0;
    };
    let from = SocketAddr::from((Ipv4Addr::new(60, 0, 0, 1), 9978));
    node.handle_datagram(now, from, core::hint::black_box(b"d1:ad2:id20:"));
    node.handle_unreachable(now, from);
    let _ = node.join(now, &[from]);
    let _ = node.get(now, Id([2; 20]), 1);
    let _ = node.put(now, Id([3; 20]), b"value");
    let _ = node.publish(now, Id([4; 20]), b"value");
    let _ = node.find_node(now, Id([5; 20]));
    let _ = node.ping(now, from);
    if let Some(at) = node.poll_timeout() {
        node.handle_timeout(at);
    }
    let mut out = BytesMut::new();
    let mut sent = 0;
    while node.poll_transmit(&mut out).is_some() {
        sent += 1;
    }
    while node.poll_event().is_some() {
        sent += 1;
    }
    let snapshot = node.snapshot();
    let again = Node::restore(Config::default(), &snapshot, core::time::Duration::ZERO, [1; 32], now);
    sent + again.map_or(0, |node| node.contacts().count())
}

/// The C library calls this, as it would a program in C: 0 if the node had something to say.
#[unsafe(no_mangle)]
pub extern "C" fn main(_: i32, _: *const *const u8) -> i32 {
    i32::from(run() == 0)
}

// For `memcpy` and its like, and what comes before `main`.
#[link(name = "c")]
unsafe extern "C" {}

/// The copy of `alloc` that comes with the compiler names this, though nothing here unwinds.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}
