// SPDX-License-Identifier: PMPL-1.0-or-later
//! Locks that a thread still held when it ended (get_robust_list(2)): each is marked, and one who waits for it goes on.

use crate::errno::Result;
use crate::futex::{Futexes, Key};
use crate::user::{UserMemory, UserMemoryExt};
use linux_raw_sys::general::{FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS};

/// Length of `struct robust_list_head`, the only one that set_robust_list(2) accepts.
pub const HEAD_BYTES: u64 = 24;
/// A list may be a ring: ROBUST_LIST_LIMIT of Linux.
const MOST_ENTRIES: usize = 2048;
/// Lowest bit of an entry: a lock with priority inheritance.
const INHERITS: u64 = 1;

/// Walks the list of the thread `tid`. What cannot be read ends the walk: the program's memory is its own.
pub fn let_go(memory: &mut dyn UserMemory, futexes: &mut Futexes, head: u64, tid: u32, key: &mut dyn FnMut(u64) -> Result<Key>) {
    let _ = walk(memory, futexes, head, tid, key);
}

fn walk(
    memory: &mut dyn UserMemory,
    futexes: &mut Futexes,
    head: u64,
    tid: u32,
    key: &mut dyn FnMut(u64) -> Result<Key>,
) -> Result<()> {
    let offset = memory.read_u64(head.wrapping_add(8))?;
    let pending = memory.read_u64(head.wrapping_add(16))?;
    let mut entry = memory.read_u64(head)?;
    for _ in 0..MOST_ENTRIES {
        if entry & !INHERITS == head {
            break;
        }
        // The next one first: the lock's new owner may reuse its memory.
        let next = memory.read_u64(entry & !INHERITS);
        if entry & !INHERITS != pending & !INHERITS {
            mark(memory, futexes, (entry & !INHERITS).wrapping_add(offset), tid, key)?;
        }
        entry = next?;
    }
    if pending & !INHERITS != 0 {
        mark(memory, futexes, (pending & !INHERITS).wrapping_add(offset), tid, key)?;
    }
    Ok(())
}

fn mark(
    memory: &mut dyn UserMemory,
    futexes: &mut Futexes,
    address: u64,
    tid: u32,
    key: &mut dyn FnMut(u64) -> Result<Key>,
) -> Result<()> {
    let is_owner = |word: u32| word & FUTEX_TID_MASK == tid;
    let old = memory.update_u32(address, &mut |word| is_owner(word).then_some(word & FUTEX_WAITERS | FUTEX_OWNER_DIED))?;
    if is_owner(old) && old & FUTEX_WAITERS != 0 {
        let key = key(address)?;
        if let Some((heir, more)) = futexes.hand_over(&key) {
            let waiters = if more { FUTEX_WAITERS } else { 0 };
            memory.update_u32(address, &mut |_| Some(heir | waiters | FUTEX_OWNER_DIED))?;
        } else {
            futexes.wake(&key, 1, u32::MAX);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::futex::{State, Wait};
    use crate::user::testing::Flat;
    use crate::wait::Waker;
    use crate::wait::testing::Count;
    use alloc::sync::Arc;

    const HEAD: u64 = 0x1000;
    const LOCK: u64 = 0x1100;
    const TID: u32 = 5;

    fn key(address: u64) -> Result<Key> {
        Ok(Key::Private { space: 0, address })
    }

    fn wait(futexes: &mut Futexes, tid: u32, wants_lock: bool) {
        let waker: Arc<dyn Waker> = Arc::new(Count::default());
        futexes.enter(&[key(LOCK + 8).unwrap()], &Wait { tid, waker: &waker, bitset: u32::MAX, wants_lock });
    }

    /// A list with one lock, whose word is 8 behind its entry.
    fn list(owner: u32) -> Flat {
        let mut memory = Flat::new(0x1000, 4096);
        for (at, word) in [(HEAD, LOCK), (HEAD + 8, 8), (LOCK, HEAD)] {
            memory.write_u64(at, word).unwrap();
        }
        memory.write_u32(LOCK + 8, owner | FUTEX_WAITERS).unwrap();
        memory
    }

    #[test]
    fn a_lock_of_the_dead_is_marked_and_one_who_waits_is_woken() {
        let (mut memory, mut futexes) = (list(TID), Futexes::new());
        wait(&mut futexes, 6, false);
        let_go(&mut memory, &mut futexes, HEAD, TID, &mut key);
        assert_eq!(memory.read_u32(LOCK + 8), Ok(FUTEX_WAITERS | FUTEX_OWNER_DIED));
        assert_eq!(futexes.state(6), Some(State::Woken { index: 0 }));
    }

    #[test]
    fn a_lock_with_an_heir_is_the_heirs() {
        let (mut memory, mut futexes) = (list(TID), Futexes::new());
        wait(&mut futexes, 6, true);
        let_go(&mut memory, &mut futexes, HEAD, TID, &mut key);
        assert_eq!(memory.read_u32(LOCK + 8), Ok(6 | FUTEX_OWNER_DIED));
    }

    #[test]
    fn anothers_lock_stays_and_a_ring_or_a_wild_list_ends() {
        let (mut memory, mut futexes) = (list(TID + 1), Futexes::new());
        memory.write_u64(LOCK, LOCK).unwrap();
        let_go(&mut memory, &mut futexes, HEAD, TID, &mut key);
        assert_eq!(memory.read_u32(LOCK + 8), Ok((TID + 1) | FUTEX_WAITERS));
        memory.write_u64(HEAD, u64::MAX - 7).unwrap();
        let_go(&mut memory, &mut futexes, HEAD, TID, &mut key);
    }
}
