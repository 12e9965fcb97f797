// SPDX-License-Identifier: PMPL-1.0-or-later
//! Where things are in the address space of a native program. The program itself is linked at 0x400000.
//!
//! The areas are terabytes apart, so a run past the end of one never reaches the next.

/// Blocks that the program maps by itself: device registers, shared buffers, other memory.
pub const WINDOWS: u64 = 0x2000_0000_0000;
/// Memory of guests, in a program that has some.
pub const GRANT: u64 = 0x2800_0000_0000;
/// The heap, `Startup::heap_bytes` long.
pub const HEAP: u64 = 0x3000_0000_0000;
/// Stacks of further threads, each below a page that is never mapped.
pub const THREAD_STACKS: u64 = 0x4000_0000_0000;
/// The first thread's stack ends here; the page under its lowest is never mapped.
pub const STACK_TOP: u64 = 0x5000_0000_0000;
/// The startup block, read-only.
pub const STARTUP: u64 = 0x6000_0000_0000;
/// Where a component that is watched counts that it came round its loop: see [`BEATS`].
pub const VITALS: u64 = 0x6800_0000_0000;
/// Offset in that page of a `u32` that only ever changes: `rt::health` does it.
pub const BEATS: u64 = 0;
/// Offset of a `u32` that is 0, or by which the next answer is changed: only a process server of the dev profile writes it.
pub const MUTATION: u64 = 4;
/// The first thread's message buffer.
pub const MESSAGE_BUFFER: u64 = 0x7000_0000_0000;

/// Bits of the badge that say which client; above them the number of the interface among those that the server serves.
pub const BADGE_CLIENT_BITS: u32 = 32;

/// Interface numbers from here on are a server's own: each names one thing that it serves by a capability of its own.
pub const FIRST_OWN: u32 = 1 << 31;

/// The badge of client number `client` for interface number `interface` of a server.
pub const fn badge(interface: u32, client: u32) -> u64 {
    ((interface as u64) << BADGE_CLIENT_BITS) | client as u64
}
/// Interface and client of a badge.
pub const fn unbadge(badge: u64) -> (u32, u32) {
    ((badge >> BADGE_CLIENT_BITS) as u32, badge as u32)
}
