// SPDX-License-Identifier: PMPL-1.0-or-later
//! A counter that can be waited for: eventfd(2).

use crate::errno::{EAGAIN, EINVAL, Result};
use crate::vfs::{Caller, Events, File, Side, Sink, Source};
use crate::wait::Queue;
use alloc::vec::Vec;
use spin::Mutex;

/// What a read takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takes {
    All,
    One,
}

pub struct EventFd {
    count: Mutex<u64>,
    takes: Takes,
    readable: Queue,
    writable: Queue,
}

impl EventFd {
    pub fn new(count: u32, takes: Takes) -> EventFd {
        EventFd { count: Mutex::new(count.into()), takes, readable: Queue::new(), writable: Queue::new() }
    }
}

impl File for EventFd {
    fn read(&self, _: &Caller<'_>, _: u64, into: &mut dyn Sink) -> Result<usize> {
        if into.room() < 8 {
            return Err(EINVAL);
        }
        let mut count = self.count.lock();
        let taken = if self.takes == Takes::One { 1.min(*count) } else { *count };
        if taken == 0 {
            return Err(EAGAIN);
        }
        *count -= taken;
        drop(count);
        self.writable.wake_all();
        into.put(&taken.to_le_bytes())
    }
    fn write(&self, _: &Caller<'_>, _: u64, from: &mut dyn Source) -> Result<usize> {
        let mut bytes = [0; 8];
        if from.left() < 8 || from.take(&mut bytes)? < 8 {
            return Err(EINVAL);
        }
        let more = u64::from_le_bytes(bytes);
        if more == u64::MAX {
            return Err(EINVAL);
        }
        let mut count = self.count.lock();
        // The highest number is kept for an overflow that cannot be here.
        *count = count.checked_add(more).filter(|sum| *sum < u64::MAX).ok_or(EAGAIN)?;
        drop(count);
        self.readable.wake_all();
        Ok(8)
    }
    fn poll(&self) -> Events {
        let count = *self.count.lock();
        Events::IN.when(count > 0) | Events::OUT.when(count < u64::MAX - 1)
    }
    fn queue(&self, side: Side) -> Option<&Queue> {
        Some(if side == Side::Input { &self.readable } else { &self.writable })
    }
    fn describe(&self) -> Vec<u8> {
        b"anon_inode:[eventfd]".to_vec()
    }
    fn info(&self) -> Vec<u8> {
        alloc::format!("eventfd-count: {:16x}\n", *self.count.lock()).into_bytes()
    }
}
