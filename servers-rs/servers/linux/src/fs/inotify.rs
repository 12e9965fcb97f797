// SPDX-License-Identifier: PMPL-1.0-or-later
//! inotify(7): who watches which inode, and what happened to it. Calls that change something tell it here.

use crate::errno::{EAGAIN, EINVAL, Result};
use crate::vfs::{Caller, Events, File, Inode, OpenFile, Side, Sink, same};
use crate::wait::Queue;
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use linux_raw_sys::general as raw;
use spin::Mutex;

/// fs.inotify.max_queued_events.
const MAX_QUEUED: usize = 16_384;
const HEADER_BYTES: usize = 16;

struct Watch {
    number: i32,
    mask: u32,
    inode: Arc<dyn Inode>,
    owner: Weak<Inotify>,
}

/// All watches of the cell.
static WATCHES: Mutex<Vec<Watch>> = Mutex::new(Vec::new());
/// How many: what every write looks at.
static COUNT: AtomicUsize = AtomicUsize::new(0);

#[derive(Default)]
pub struct Inotify {
    queue: Queue,
    events: Mutex<VecDeque<Vec<u8>>>,
    next: AtomicU32,
}

fn record(number: i32, mask: u32, cookie: u32, name: &[u8]) -> Vec<u8> {
    // With its zero byte, filled up so that the next one is aligned.
    let room = if name.is_empty() { 0 } else { (name.len() + 1).next_multiple_of(HEADER_BYTES) };
    let mut bytes = [number as u32, mask, cookie, room as u32].map(u32::to_le_bytes).concat();
    bytes.extend_from_slice(name);
    bytes.resize(HEADER_BYTES + room, 0);
    bytes
}

impl Inotify {
    fn push(&self, event: Vec<u8>) {
        let mut events = self.events.lock();
        match events.len() {
            // Two alike one after the other are one (inotify(7)).
            _ if events.back() == Some(&event) => return,
            0..MAX_QUEUED => events.push_back(event),
            MAX_QUEUED => events.push_back(record(-1, raw::IN_Q_OVERFLOW, 0, b"")),
            _ => return,
        }
        drop(events);
        self.queue.wake_all();
    }
    /// Watches an inode, or changes what is watched of it; its number. Errors: `EINVAL` without an event.
    pub fn watch(self: &Arc<Self>, inode: &Arc<dyn Inode>, mask: u32) -> Result<u64> {
        if mask & raw::IN_ALL_EVENTS == 0 || mask & raw::IN_MASK_ADD != 0 && mask & raw::IN_MASK_CREATE != 0 {
            return Err(EINVAL);
        }
        let mut watches = WATCHES.lock();
        let mine = |watch: &&mut Watch| core::ptr::eq(watch.owner.as_ptr(), &**self) && same(&watch.inode, inode);
        if let Some(watch) = watches.iter_mut().find(mine) {
            if mask & raw::IN_MASK_CREATE != 0 {
                return Err(crate::errno::EEXIST);
            }
            watch.mask = mask | if mask & raw::IN_MASK_ADD != 0 { watch.mask } else { 0 };
            return Ok(watch.number as u64);
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed) as i32 + 1;
        watches.push(Watch { number, mask, inode: inode.clone(), owner: Arc::downgrade(self) });
        COUNT.store(watches.len(), Ordering::Relaxed);
        Ok(number as u64)
    }
    /// Errors: `EINVAL`.
    pub fn forget(self: &Arc<Self>, number: i32) -> Result<()> {
        let mut watches = WATCHES.lock();
        let at = watches
            .iter()
            .position(|watch| core::ptr::eq(watch.owner.as_ptr(), &**self) && watch.number == number)
            .ok_or(EINVAL)?;
        let gone = watches.swap_remove(at);
        COUNT.store(watches.len(), Ordering::Relaxed);
        drop(watches);
        drop(gone);
        self.push(record(number, raw::IN_IGNORED, 0, b""));
        Ok(())
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        let mut watches = WATCHES.lock();
        let (gone, kept) =
            core::mem::take(&mut *watches).into_iter().partition(|watch| core::ptr::eq(watch.owner.as_ptr(), self));
        *watches = kept;
        COUNT.store(watches.len(), Ordering::Relaxed);
        drop(watches);
        // An inode that goes with its last watch must not find the list locked.
        let _gone: Vec<Watch> = gone;
    }
}

impl File for Inotify {
    fn read(&self, _: &Caller<'_>, _: u64, into: &mut dyn Sink) -> Result<usize> {
        let (mut done, mut first) = (0, true);
        loop {
            let mut events = self.events.lock();
            match events.front() {
                None if first => return Err(EAGAIN),
                Some(event) if event.len() > into.room() && first => return Err(EINVAL),
                Some(event) if event.len() <= into.room() => done += into.put(event)?,
                _ => return Ok(done),
            }
            events.pop_front();
            first = false;
        }
    }
    fn poll(&self) -> Events {
        Events::IN.when(!self.events.lock().is_empty())
    }
    fn queue(&self, side: Side) -> Option<&Queue> {
        (side == Side::Input).then_some(&self.queue)
    }
    fn describe(&self) -> Vec<u8> {
        b"anon_inode:inotify".to_vec()
    }
    fn readable_bytes(&self) -> Option<u64> {
        Some(self.events.lock().iter().map(|event| event.len() as u64).sum())
    }
}

/// Something happened to `inode`; with a name, to what has that name in it.
pub fn tell(inode: &Arc<dyn Inode>, mask: u32, name: &[u8], cookie: u32) {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    let mut woken = Vec::new();
    let mut watches = WATCHES.lock();
    for watch in watches.iter_mut().filter(|watch| watch.mask & mask & raw::IN_ALL_EVENTS != 0 && same(&watch.inode, inode)) {
        woken.extend(watch.owner.upgrade().map(|owner| (owner, record(watch.number, mask, cookie, name))));
        if watch.mask & raw::IN_ONESHOT != 0 {
            watch.mask &= !raw::IN_ALL_EVENTS;
        }
    }
    drop(watches);
    woken.into_iter().for_each(|(owner, event)| owner.push(event));
}

/// Something happened to an open file: its inode is told, and the directory where it was found.
pub fn tell_file(file: &OpenFile, mask: u32) {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    if let Some(inode) = file.inode() {
        tell(inode, mask, b"", 0);
    }
    if let Some(named) = &file.named {
        tell(&named.directory.inode, mask, &named.name, 0);
    }
}
