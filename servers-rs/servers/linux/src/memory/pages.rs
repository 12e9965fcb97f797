// SPDX-License-Identifier: PMPL-1.0-or-later
//! Who uses which page of the cell's memory, and how many: a page goes back when nobody does.

use crate::errno::{ENOMEM, Result};
use crate::platform::{CHUNK_FRAMES, Frame, PAGE_BYTES, Platform};
use alloc::sync::Arc;
use alloc::vec::Vec;

#[derive(Debug)]
pub struct Pages {
    platform: Arc<dyn Platform>,
    /// By frame: users.
    counts: Vec<u32>,
    /// Used before, by nobody now; what was in them is still there.
    free: Vec<Frame>,
    /// The first that was never used; those behind it are zeros.
    fresh: u32,
}

impl Pages {
    pub fn new(platform: Arc<dyn Platform>) -> Pages {
        Pages { platform, counts: Vec::new(), free: Vec::new(), fresh: 0 }
    }

    pub fn platform(&self) -> &Arc<dyn Platform> {
        &self.platform
    }

    /// One, with anything in it. Errors: `ENOMEM`.
    pub fn take(&mut self) -> Result<Frame> {
        match self.free.pop() {
            Some(frame) => {
                self.set_count(frame, 1);
                Ok(frame)
            }
            None => self.take_fresh(1).map(|(frame, _)| frame),
        }
    }

    /// One to `wanted` zeroed ones, in one piece: the first, and how many. Errors: `ENOMEM`.
    pub fn take_zeroed(&mut self, wanted: u32) -> Result<(Frame, u32)> {
        let Some(last) = self.free.pop() else { return self.take_fresh(wanted) };
        let (mut first, mut count) = (last, 1);
        while count < wanted
            && let Some(before) = self.free.last().copied()
            && before.0 + 1 == first.0
            && !first.0.is_multiple_of(CHUNK_FRAMES)
        {
            self.free.pop();
            (first, count) = (before, count + 1);
        }
        (first.0..=last.0).for_each(|n| self.set_count(Frame(n), 1));
        self.platform.zero(first.at(), count as usize * PAGE_BYTES as usize);
        Ok((first, count))
    }

    fn take_fresh(&mut self, wanted: u32) -> Result<(Frame, u32)> {
        if self.fresh as usize == self.counts.len() {
            if !self.platform.grow() {
                return Err(ENOMEM);
            }
            self.counts.resize(self.counts.len() + CHUNK_FRAMES as usize, 0);
        }
        let first = Frame(self.fresh);
        let count = wanted.min(CHUNK_FRAMES - self.fresh % CHUNK_FRAMES);
        self.fresh += count;
        (first.0..first.0 + count).for_each(|n| self.set_count(Frame(n), 1));
        Ok((first, count))
    }

    fn set_count(&mut self, frame: Frame, count: u32) {
        if let Some(place) = self.counts.get_mut(frame.0 as usize) {
            *place = count;
        }
    }

    pub fn count(&self, frame: Frame) -> u32 {
        self.counts.get(frame.0 as usize).copied().unwrap_or(0)
    }

    /// One user more.
    pub fn share(&mut self, frame: Frame) {
        self.set_count(frame, self.count(frame).saturating_add(1));
    }

    /// One user less.
    pub fn release(&mut self, frame: Frame) {
        match self.count(frame) {
            0 => {}
            1 => {
                self.set_count(frame, 0);
                self.free.push(frame);
            }
            more => self.set_count(frame, more - 1),
        }
    }

    /// In use, and taken from the platform so far.
    pub fn usage(&self) -> (u64, u64) {
        (u64::from(self.fresh) - self.free.len() as u64, self.counts.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosted::Hosted;

    #[test]
    fn a_page_is_free_when_its_last_user_lets_it_go_and_zeroed_when_it_is_taken_again() {
        let platform = Hosted::with_chunks(2);
        let mut pages = Pages::new(platform.clone());
        let (first, count) = pages.take_zeroed(3).unwrap();
        assert_eq!((first, count, pages.usage()), (Frame(0), 3, (3, 512)));
        platform.write(first.at(), b"old");
        pages.share(first);
        pages.release(first);
        assert_eq!(pages.count(first), 1);
        (0..3).for_each(|n| pages.release(Frame(n)));
        assert_eq!(pages.usage(), (0, 512));
        let (again, count) = pages.take_zeroed(16).unwrap();
        let mut bytes = [1; 3];
        platform.read(again.at(), &mut bytes);
        assert_eq!((again, count, bytes), (Frame(0), 3, [0; 3]));
    }

    #[test]
    fn what_is_taken_lies_in_one_chunk_and_the_end_is_an_error() {
        let mut pages = Pages::new(Hosted::with_chunks(2));
        let all: Vec<_> = core::iter::from_fn(|| pages.take_zeroed(500).ok()).collect();
        assert_eq!(all, [(Frame(0), 500), (Frame(500), 12), (Frame(512), 500), (Frame(1012), 12)]);
        assert_eq!(pages.take(), Err(ENOMEM));
    }
}
