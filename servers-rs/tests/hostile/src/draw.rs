// SPDX-License-Identifier: PMPL-1.0-or-later
//! Draws numbers, operations and arguments. The same seed draws the same.
//!
//! Most draws are nearly right, since what is plainly wrong is refused at the first check: numbers of operations from
//! the table, handles that were given or made, addresses at the edges of what a program may name.

use abi::boot_info::{DIRECT_MAP, KERNEL_BASE, USER_END};
use abi::op::{FIRST_DEBUG_OPERATION, Op, TABLE};
use stage::Random;
use sys::PAGE_BYTES;

const KNOWN: usize = 32;

/// Handles that are worth trying again.
pub struct Handles {
    known: [u64; KNOWN],
    given: usize,
    next: usize,
}

impl Handles {
    /// The first `given` stay.
    pub fn new(given: &[u32]) -> Handles {
        let mut known = [0; KNOWN];
        let room = known.iter_mut().zip(given);
        room.for_each(|(to, from)| *to = u64::from(*from));
        Handles { known, given: given.len().min(KNOWN), next: given.len() }
    }
    pub fn learn(&mut self, handle: u64) {
        if self.next >= KNOWN {
            self.next = self.given;
        }
        if let Some(place) = self.known.get_mut(self.next) {
            *place = handle;
            self.next += 1;
        }
    }
    fn draw(&self, random: &mut Random) -> u64 {
        match random.below(16) {
            0 => random.draw(),
            1 => random.draw() & 0xffff_ffff,
            // A handle of another life of the slot.
            2 => random.of(&self.known, 0) ^ (1 << 18),
            3 => random.below(300) | 1 << 18,
            _ => random.of(&self.known, 0),
        }
    }
}

/// Makes new objects and is not blocked: worth learning what it returns.
pub fn returns_handle(number: u64) -> bool {
    use Op::*;
    matches!(Op::from_u64(number), Some(Create | PoolSplit | Copy | TableInsert | ReplySave))
}

pub fn operation(random: &mut Random) -> u64 {
    match random.below(64) {
        0 => random.draw(),
        1 => random.below(256),
        _ => {
            let op = TABLE.get(random.below(TABLE.len() as u64) as usize).map_or(Op::Null, |row| row.op);
            // What ends the thread, or waits, or prints, would leave little time for the rest.
            let rare = match op {
                Op::ThreadExit | Op::DebugDump => 20_000,
                _ if op as u64 >= FIRST_DEBUG_OPERATION => 2_000,
                Op::ThreadStop | Op::Destroy => 40,
                Op::Call | Op::Send | Op::Receive | Op::ReplyReceive | Op::Wait => 4,
                _ => 1,
            };
            if random.one_in(rare) { op as u64 } else { Op::Inspect as u64 }
        }
    }
}

pub fn registers(random: &mut Random, handles: &Handles) -> [u64; 6] {
    let mut all = [0; 6];
    all[0] = handles.draw(random);
    for register in all.iter_mut().skip(1) {
        *register = argument(random, handles);
    }
    all
}

/// Of `manifest::layout` and around.
const ADDRESSES: [u64; 16] = [
    0,
    0x40_0000,
    0x1000_0000,
    0x2000_0000_0000,
    0x3000_0000_0000,
    0x4000_0000_0000,
    0x5000_0000_0000,
    0x6000_0000_0000,
    0x6800_0000_0000,
    0x7000_0000_0000,
    USER_END,
    0x7fff_ffff_f000,
    0x8000_0000_0000,
    DIRECT_MAP,
    KERNEL_BASE,
    0xffff_ffff_ffff_f000,
];

fn argument(random: &mut Random, handles: &Handles) -> u64 {
    match random.below(10) {
        0 => random.draw(),
        1 => random.of(&ADDRESSES, 0).wrapping_add(random.below(3).wrapping_sub(1)),
        2 => random.of(&ADDRESSES, 0).wrapping_add(random.below(64) * PAGE_BYTES),
        3 => random.below(32) * PAGE_BYTES,
        4 => 1u64 << random.below(64),
        5 => (1u64 << random.below(64)).wrapping_sub(1),
        6 => handles.draw(random),
        // A tag: words, capabilities, the bits that must be zero.
        7 => random.below(1 << 13) | (random.below(1 << 16) << 32),
        _ => random.below(16),
    }
}
