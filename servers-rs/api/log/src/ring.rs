// SPDX-License-Identifier: PMPL-1.0-or-later
//! Lines of the one program that may not wait for the log's server: the process server, which would have to restart it.
//!
//! A ring in shared memory, one writer, one reader. The memory is the writer's, so lines outlive a reader.
//! Layout: u32 written and u32 read (bytes since the start, modulo 2^32), at [`DATA`] the bytes. Lines end with `\n`.

use core::sync::atomic::{AtomicU32, Ordering};

/// Names of the grants: the ring's memory, and the notification that rings when there is something in it.
pub const MEMORY_GRANT: &str = "supervisor-log";
pub const BELL_GRANT: &str = "supervisor-log-bell";
/// Length of the memory: a few hundred lines, more than are written while a driver restarts.
pub const MEMORY_BYTES: u64 = 16 * 1024;
const DATA: usize = 64;
const WRITTEN: usize = 0;
const READ: usize = 4;

/// Memory that both sides see.
pub trait Memory {
    fn length_bytes(&self) -> usize;
    fn atomic(&self, offset: usize) -> Option<&AtomicU32>;
    fn read(&self, offset: usize, out: &mut [u8]) -> Option<()>;
    fn write(&self, offset: usize, bytes: &[u8]) -> Option<()>;
}

/// Room for lines.
fn capacity(memory: &impl Memory) -> u32 {
    u32::try_from(memory.length_bytes().saturating_sub(DATA)).unwrap_or(0)
}

/// Appends a line and its end. False, and nothing is written, if there is no room: the reader is away for too long.
pub fn push(memory: &impl Memory, parts: &[&[u8]]) -> bool {
    let (Some(written), Some(read)) = (memory.atomic(WRITTEN), memory.atomic(READ)) else { return false };
    let (mut at, capacity) = (written.load(Ordering::Relaxed), capacity(memory));
    let used = at.wrapping_sub(read.load(Ordering::Acquire));
    let length: usize = parts.iter().map(|p| p.len()).sum::<usize>() + 1;
    // A reader that writes nonsense into its counter gets no room; it can stop our lines, no more.
    if capacity == 0 || used > capacity || length > (capacity - used) as usize {
        return false;
    }
    for byte in parts.iter().flat_map(|p| p.iter()).chain(b"\n") {
        if memory.write(DATA + (at % capacity) as usize, &[*byte]).is_none() {
            return false;
        }
        at = at.wrapping_add(1);
    }
    written.store(at, Ordering::Release);
    true
}

/// Takes the next byte out, if there is one.
pub fn pop(memory: &impl Memory) -> Option<u8> {
    let (written, read, capacity) = (memory.atomic(WRITTEN)?, memory.atomic(READ)?, capacity(memory));
    let at = read.load(Ordering::Relaxed);
    if capacity == 0 || written.load(Ordering::Acquire) == at {
        return None;
    }
    let mut byte = [0];
    memory.read(DATA + (at % capacity) as usize, &mut byte)?;
    read.store(at.wrapping_add(1), Ordering::Release);
    Some(byte[0])
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use core::cell::RefCell;
    use std::vec::Vec;

    struct Fake {
        counters: [AtomicU32; 2],
        bytes: RefCell<Vec<u8>>,
    }
    impl Memory for Fake {
        fn length_bytes(&self) -> usize {
            self.bytes.borrow().len()
        }
        fn atomic(&self, offset: usize) -> Option<&AtomicU32> {
            self.counters.get(offset / 4)
        }
        fn read(&self, offset: usize, out: &mut [u8]) -> Option<()> {
            out.copy_from_slice(self.bytes.borrow().get(offset..offset + out.len())?);
            Some(())
        }
        fn write(&self, offset: usize, bytes: &[u8]) -> Option<()> {
            self.bytes.borrow_mut().get_mut(offset..offset + bytes.len())?.copy_from_slice(bytes);
            Some(())
        }
    }
    fn fake(length: usize) -> Fake {
        Fake { counters: [AtomicU32::new(0), AtomicU32::new(0)], bytes: RefCell::new(std::vec![0; length]) }
    }
    fn drain(memory: &Fake) -> Vec<u8> {
        core::iter::from_fn(|| pop(memory)).collect()
    }

    #[test]
    fn lines_come_out_as_they_went_in_also_around_the_end() {
        let memory = fake(DATA + 16);
        for _ in 0..40 {
            assert!(push(&memory, &[b"line ", b"one"]));
            assert_eq!(drain(&memory), b"line one\n");
        }
    }

    #[test]
    fn a_line_that_does_not_fit_is_refused_whole() {
        let memory = fake(DATA + 16);
        assert!(push(&memory, &[b"0123456789"]));
        assert!(!push(&memory, &[b"01234"]));
        assert!(push(&memory, &[b"0123"]));
        assert_eq!(drain(&memory), b"0123456789\n0123\n");
    }

    #[test]
    fn a_counter_that_lies_stops_lines_and_nothing_else() {
        let memory = fake(DATA + 16);
        memory.counters[1].store(77, Ordering::Relaxed);
        assert!(!push(&memory, &[b"x"]));
        assert!(!push(&fake(10), &[b"x"]));
        assert_eq!(pop(&fake(10)), None);
    }
}
