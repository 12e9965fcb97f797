// SPDX-License-Identifier: PMPL-1.0-or-later
//! A fixed-length array in frames of its own: an index frame and frames of elements, or, if they fit, one frame of
//! elements alone. The owner pays for [`Array::cost`].

use super::FRAME_BYTES;
use super::frames::{ARRAY, Frames, View};
use core::marker::PhantomData;

/// Most frames of elements: the numbers that fit in the index frame.
const MAX_PAGES: u32 = (FRAME_BYTES / 4) as u32;

/// `T` is moved in and out of frames bit by bit and never dropped.
pub struct Array<T> {
    view: View,
    /// The index frame, or the only frame of elements; and where it is.
    first: u32,
    at: *mut u8,
    /// Elements that are there, and elements that were paid for.
    length: u32,
    whole: u32,
    of: PhantomData<T>,
}

// SAFETY: 1. `at` is as good as `first` in `view`, which may be sent; 2. elements are reached through a borrow.
unsafe impl<T: Send> Send for Array<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Array<T> {}

impl<T: Copy> Array<T> {
    const PER_PAGE: u32 = (FRAME_BYTES / size_of::<T>()) as u32;
    pub const MAX_LENGTH: u32 = MAX_PAGES * Self::PER_PAGE;

    const fn pages(length: u32) -> u32 {
        length.div_ceil(Self::PER_PAGE)
    }

    /// Frames that an array of this length takes.
    pub const fn cost(length: u32) -> u32 {
        match Self::pages(length) {
            pages @ 0..=1 => pages,
            pages => 1 + pages,
        }
    }

    /// The frame of elements number `page`.
    #[inline]
    fn page(&self, page: u32) -> u32 {
        if self.whole <= Self::PER_PAGE {
            return self.first;
        }
        // SAFETY: 1. the index frame belongs to this array alone; 2. `grow` filled it for every page below `length`.
        unsafe { (self.at as *const u32).add(page as usize).read() }
    }

    /// An array filled with `value`. `None` if the frames are not there or the length is over `MAX_LENGTH`; nothing is
    /// taken then.
    pub fn new(frames: &mut Frames, length: u32, value: T) -> Option<Array<T>> {
        let mut array = Array::reserve(frames, length)?;
        while !array.grow(frames, value) {}
        Some(array)
    }

    /// An array without elements yet, for [`Array::grow`] to fill: a long one takes long. `None` as `new`. The frames that
    /// are still to come stay free: whoever reserves keeps others from taking them.
    pub fn reserve(frames: &mut Frames, length: u32) -> Option<Array<T>> {
        const { assert!(FRAME_BYTES.is_multiple_of(align_of::<T>())) };
        if length > Self::MAX_LENGTH || frames.free() < Self::cost(length) {
            return None;
        }
        let first = if Self::pages(length) > 1 { frames.take(ARRAY)? } else { 0 };
        Some(Array { view: frames.view(), first, at: frames.view().pointer(first), length: 0, whole: length, of: PhantomData })
    }

    /// Fills one more frame with `value`; true when the array is complete.
    pub fn grow(&mut self, frames: &mut Frames, value: T) -> bool {
        if self.length < self.whole
            && let Some(frame) = frames.take(ARRAY)
        {
            let elements = self.view.pointer(frame) as *mut T;
            for n in 0..Self::PER_PAGE as usize {
                // SAFETY: 1. the frame was just taken for this array; 2. PER_PAGE elements fit in it; 3. a frame is
                // aligned for T (asserted).
                unsafe { elements.add(n).write(value) };
            }
            if self.whole <= Self::PER_PAGE {
                (self.first, self.at) = (frame, elements as *mut u8);
            } else {
                // SAFETY: 1. the index frame is this array's; 2. the page is below MAX_PAGES.
                unsafe { (self.at as *mut u32).add((self.length / Self::PER_PAGE) as usize).write(frame) };
            }
            self.length = self.whole.min(self.length + Self::PER_PAGE);
        }
        self.length == self.whole
    }

    /// Gives back the frame of the last elements, and with the first elements the index; how many frames, and whether
    /// nothing is left.
    pub fn shrink(&mut self, frames: &mut Frames) -> (u32, bool) {
        let pages = Self::pages(self.length);
        let mut given = 0;
        if pages > 0 {
            frames.give(self.page(pages - 1), ARRAY);
            self.length = (pages - 1) * Self::PER_PAGE;
            given += 1;
        }
        if self.length == 0 && self.whole > Self::PER_PAGE {
            frames.give(self.first, ARRAY);
            given += 1;
        }
        if self.length == 0 {
            self.whole = 0;
        }
        (given, self.length == 0)
    }

    pub fn len(&self) -> u32 {
        self.length
    }

    /// Elements that it is to have.
    pub fn whole(&self) -> u32 {
        self.whole
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    #[inline(always)]
    fn place(&self, n: u32) -> Option<*mut T> {
        if n >= self.length {
            return None;
        }
        let elements = if self.whole <= Self::PER_PAGE {
            self.at as *mut T
        } else {
            // SAFETY: 1. the index frame is this array's, and `new` filled it for every page below `length`; 2. the
            // frames of elements are this array's, so they are RAM.
            let page = unsafe { (self.at as *const u32).add((n / Self::PER_PAGE) as usize).read() };
            // SAFETY: as above.
            unsafe { self.view.pointer_unchecked(page) as *mut T }
        };
        // SAFETY: 1. elements of a page lie within it; 2. no other type reaches frames of an array, and no two arrays
        // share one.
        Some(unsafe { elements.add((n % Self::PER_PAGE) as usize) })
    }

    #[inline(always)]
    pub fn get(&self, n: u32) -> Option<&T> {
        // SAFETY: 1. `place`; 2. every element below `length` was written by `grow`; 3. `self` is borrowed.
        self.place(n).map(|p| unsafe { &*p })
    }

    #[inline(always)]
    pub fn get_mut(&mut self, n: u32) -> Option<&mut T> {
        // SAFETY: as `get`; 4. borrowed mutably.
        self.place(n).map(|p| unsafe { &mut *p })
    }

    /// Gives the frames back, and says how many; as many as [`Array::cost`] said if it was complete.
    pub fn destroy(mut self, frames: &mut Frames) -> u32 {
        let mut all = 0;
        loop {
            let (given, done) = self.shrink(frames);
            all += given;
            if done {
                return all;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosted::test_frames;

    #[test]
    fn elements_keep_their_values_and_frames_go_back() {
        let mut frames = test_frames(16);
        let before = frames.free();
        let mut array = Array::<[u64; 6]>::new(&mut frames, 200, [9; 6]).unwrap();
        for n in 0..200 {
            array.get_mut(n).unwrap()[0] = n as u64;
        }
        assert!((0..200).all(|n| *array.get(n).unwrap() == [n as u64, 9, 9, 9, 9, 9]));
        assert!(array.get(200).is_none());
        assert_eq!(before - frames.free(), Array::<[u64; 6]>::cost(200));
        array.destroy(&mut frames);
        assert_eq!(frames.free(), before);
    }

    #[test]
    fn an_array_without_enough_frames_takes_none() {
        let mut frames = test_frames(4);
        let before = frames.free();
        assert!(Array::<u64>::new(&mut frames, 512 * 10, 0).is_none());
        assert_eq!(frames.free(), before);
    }
}
