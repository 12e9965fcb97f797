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
    length: u32,
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
        if Self::pages(self.length) == 1 {
            return self.first;
        }
        // SAFETY: 1. the index frame belongs to this array alone; 2. `new` filled it for every page below `length`.
        unsafe { (self.at as *const u32).add(page as usize).read() }
    }

    /// An array filled with `value`. `None` if the frames are not there or the length is over `MAX_LENGTH`; nothing is
    /// taken then.
    pub fn new(frames: &mut Frames, length: u32, value: T) -> Option<Array<T>> {
        const { assert!(FRAME_BYTES.is_multiple_of(align_of::<T>())) };
        if length > Self::MAX_LENGTH || frames.free() < Self::cost(length) {
            return None;
        }
        let pages = Self::pages(length);
        let first = if pages == 0 { 0 } else { frames.take(ARRAY)? };
        let array = Array { view: frames.view(), first, at: frames.view().pointer(first), length, of: PhantomData };
        for page in 0..pages {
            let frame = if pages == 1 { first } else { frames.take(ARRAY).expect("counted above") };
            let elements = array.view.pointer(frame) as *mut T;
            for n in 0..Self::PER_PAGE as usize {
                // SAFETY: 1. the frame was just taken for this array; 2. PER_PAGE elements fit in it; 3. a frame is
                // aligned for T (asserted).
                unsafe { elements.add(n).write(value) };
            }
            if pages > 1 {
                // SAFETY: 1. the index frame is this array's; 2. `page` is below MAX_PAGES.
                unsafe { (array.view.pointer(first) as *mut u32).add(page as usize).write(frame) };
            }
        }
        Some(array)
    }

    pub fn len(&self) -> u32 {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    #[inline(always)]
    fn place(&self, n: u32) -> Option<*mut T> {
        if n >= self.length {
            return None;
        }
        let elements = if self.length <= Self::PER_PAGE {
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
        // SAFETY: 1. `place`; 2. every element was written by `new`; 3. `self` is borrowed.
        self.place(n).map(|p| unsafe { &*p })
    }

    pub fn get_mut(&mut self, n: u32) -> Option<&mut T> {
        // SAFETY: as `get`; 4. borrowed mutably.
        self.place(n).map(|p| unsafe { &mut *p })
    }

    /// Gives the frames back; as many as [`Array::cost`] said.
    pub fn destroy(self, frames: &mut Frames) -> u32 {
        let pages = Self::pages(self.length);
        for page in 0..pages {
            frames.give(self.page(page), ARRAY);
        }
        if pages > 1 {
            frames.give(self.first, ARRAY);
        }
        Self::cost(self.length)
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
