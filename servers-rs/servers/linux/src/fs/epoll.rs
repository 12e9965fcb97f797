// SPDX-License-Identifier: PMPL-1.0-or-later
//! epoll(7): who is interested in what, and what has happened since it was told.
//!
//! Each interest stands as a waker of its own on the queues of its file. When it is woken it goes to the list of the ready; a look at
//! that list asks only those. Level-triggered ones stay on it as long as they are ready, edge-triggered ones until they were told.

use crate::errno::{EEXIST, EINVAL, ELOOP, ENOENT, EPERM, Result};
use crate::vfs::{Events, File, OpenFile, Side};
use crate::wait::{Queue, Waker};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use linux_raw_sys::general as raw;
use spin::Mutex;

/// EP_MAX_NESTS of Linux.
const MAX_NESTING: usize = 5;
const ALWAYS: u32 = raw::EPOLLERR | raw::EPOLLHUP;
const MODES: u32 = raw::EPOLLET | raw::EPOLLONESHOT | raw::EPOLLWAKEUP | raw::EPOLLEXCLUSIVE;

/// What is wanted, and what is told with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interest {
    pub events: u32,
    pub data: u64,
}

struct Item {
    interest: Mutex<Interest>,
    file: Weak<OpenFile>,
    owner: Weak<Shared>,
    /// On the list of the ready.
    is_listed: AtomicBool,
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", *self.interest.lock())
    }
}

impl Waker for Item {
    fn wake(&self) {
        let Some(owner) = self.owner.upgrade() else { return };
        if !self.is_listed.swap(true, Ordering::Relaxed) {
            owner.list(self);
        }
    }
}

/// By open file and number: a file that was duplicated can be in it twice.
type Key = (u64, u32);

#[derive(Default)]
struct Shared {
    items: Mutex<BTreeMap<Key, Arc<Item>>>,
    ready: Mutex<VecDeque<Arc<Item>>>,
    queue: Queue,
}

impl Shared {
    fn list(&self, item: &Item) {
        let item = self.items.lock().values().find(|one| core::ptr::eq(&***one, item)).cloned();
        if let Some(item) = item {
            self.ready.lock().push_back(item);
            self.queue.wake_all();
        }
    }
}

#[derive(Default)]
pub struct Epoll(Arc<Shared>);

fn as_epoll(file: &OpenFile) -> Option<&Epoll> {
    let any: &dyn Any = &*file.file;
    any.downcast_ref()
}

/// Stands on the queues that its events need.
fn stand(item: &Arc<Item>, file: &OpenFile) {
    let waker: Arc<dyn Waker> = item.clone();
    let events = item.interest.lock().events;
    // Ends and errors wake both sides.
    if events & !(Events::OUT.0) & !MODES != 0 || events & Events::OUT.0 == 0 {
        file.file.queue(Side::Input).inspect(|queue| queue.add(&waker));
    }
    if events & Events::OUT.0 != 0 {
        file.file.queue(Side::Output).inspect(|queue| queue.add(&waker));
    }
}
fn leave(item: &Arc<Item>, file: &OpenFile) {
    let waker: Arc<dyn Waker> = item.clone();
    for side in [Side::Input, Side::Output] {
        file.file.queue(side).inspect(|queue| queue.remove(&waker));
    }
}

impl Epoll {
    /// Errors: `EEXIST`, `EPERM` for what is always ready, `ELOOP`.
    pub fn add(&self, file: &Arc<OpenFile>, fd: u32, interest: Interest) -> Result<()> {
        if file.file.queue(Side::Input).is_none() && file.file.queue(Side::Output).is_none() {
            return Err(EPERM);
        }
        if let Some(inner) = as_epoll(file) {
            if Arc::ptr_eq(&inner.0, &self.0) {
                return Err(EINVAL);
            }
            if interest.events & raw::EPOLLEXCLUSIVE != 0 {
                return Err(EINVAL);
            }
            if inner.reaches(self, MAX_NESTING) {
                return Err(ELOOP);
            }
        }
        let key = (file.id, fd);
        if self.0.items.lock().contains_key(&key) {
            return Err(EEXIST);
        }
        let interest = Interest { events: interest.events | ALWAYS, ..interest };
        let item = Arc::new(Item {
            interest: Mutex::new(interest),
            file: Arc::downgrade(file),
            owner: Arc::downgrade(&self.0),
            is_listed: AtomicBool::new(false),
        });
        self.0.items.lock().insert(key, item.clone());
        self.look(&item, file);
        Ok(())
    }
    /// Errors: `ENOENT`, `EINVAL`.
    pub fn modify(&self, file: &Arc<OpenFile>, fd: u32, interest: Interest) -> Result<()> {
        let item = self.0.items.lock().get(&(file.id, fd)).cloned().ok_or(ENOENT)?;
        if (item.interest.lock().events | interest.events) & raw::EPOLLEXCLUSIVE != 0 {
            return Err(EINVAL);
        }
        *item.interest.lock() = Interest { events: interest.events | ALWAYS, ..interest };
        leave(&item, file);
        self.look(&item, file);
        Ok(())
    }
    /// Errors: `ENOENT`.
    pub fn remove(&self, file: &Arc<OpenFile>, fd: u32) -> Result<()> {
        let item = self.0.items.lock().remove(&(file.id, fd)).ok_or(ENOENT)?;
        leave(&item, file);
        self.0.ready.lock().retain(|one| !Arc::ptr_eq(one, &item));
        Ok(())
    }
    fn look(&self, item: &Arc<Item>, file: &OpenFile) {
        stand(item, file);
        if file.file.poll().0 & item.interest.lock().events != 0 {
            item.wake();
        }
    }
    /// Whether `other` is in it, or in what is in it; too deep counts as well.
    fn reaches(&self, other: &Epoll, depth: usize) -> bool {
        if depth == 0 {
            return true;
        }
        let files: Vec<Arc<OpenFile>> = self.0.items.lock().values().filter_map(|item| item.file.upgrade()).collect();
        files
            .iter()
            .filter_map(|file| as_epoll(file))
            .any(|inner| Arc::ptr_eq(&inner.0, &other.0) || inner.reaches(other, depth - 1))
    }
    /// Takes what has happened, at most `limit`.
    pub fn take(&self, limit: usize) -> Vec<Interest> {
        let mut told = Vec::new();
        // Each at most once, so that what stays on the list lets the others come first next time.
        let listed = self.0.ready.lock().len();
        for _ in 0..listed {
            if told.len() == limit {
                break;
            }
            let Some(item) = self.0.ready.lock().pop_front() else { break };
            item.is_listed.store(false, Ordering::Relaxed);
            let Some(file) = item.file.upgrade() else {
                self.0.items.lock().retain(|_, one| !Arc::ptr_eq(one, &item));
                continue;
            };
            // It came off the queues when it was woken; it stands there again before anybody looks.
            stand(&item, &file);
            let interest = *item.interest.lock();
            let events = file.file.poll().0 & interest.events & !MODES;
            if events == 0 {
                continue;
            }
            told.push(Interest { events, ..interest });
            if interest.events & raw::EPOLLONESHOT != 0 {
                item.interest.lock().events &= MODES;
                leave(&item, &file);
            } else if interest.events & raw::EPOLLET == 0 {
                item.is_listed.store(true, Ordering::Relaxed);
                self.0.ready.lock().push_back(item);
            }
        }
        told
    }
    pub fn has_news(&self) -> bool {
        let ready: Vec<Arc<Item>> = self.0.ready.lock().iter().cloned().collect();
        ready.iter().any(|item| {
            let events = item.interest.lock().events & !MODES;
            item.file.upgrade().is_some_and(|file| file.file.poll().0 & events != 0)
        })
    }
    pub fn waiting(&self) -> &Queue {
        &self.0.queue
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        let items = core::mem::take(&mut *self.0.items.lock());
        for item in items.values() {
            if let Some(file) = item.file.upgrade() {
                leave(item, &file);
            }
        }
    }
}

impl File for Epoll {
    fn poll(&self) -> Events {
        Events::IN.when(self.has_news())
    }
    fn queue(&self, side: Side) -> Option<&Queue> {
        (side == Side::Input).then_some(&self.0.queue)
    }
    fn describe(&self) -> Vec<u8> {
        b"anon_inode:[eventpoll]".to_vec()
    }
}
