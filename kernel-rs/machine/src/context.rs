// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a thread keeps beyond integer registers: a frame that only threads have that need it. It holds the image of
//! the vector registers, once the thread used any, and what guest execution needs (`guest`).
//!
//! The frame is taken from the thread's pool; who pays is `kernel`'s matter. Reading and writing the registers
//! themselves is `x86_64/user_state.rs`'s, on the host nobody's.

use crate::guest::{Guest, Latch};
use crate::memory::Frames;
use crate::memory::frames::CONTEXT;
use core::ptr::NonNull;

/// Room for an XSAVE image of x87, SSE and AVX state: 832 bytes (SDM volume 1, 13.4).
pub const VECTOR_BYTES: usize = 1024;

/// The image as XSAVE or FXSAVE write it.
#[repr(C, align(64))]
pub struct Image(pub [u8; VECTOR_BYTES]);

/// Offsets in an image (SDM volume 1, 10.5.1 and 13.4).
const FCW: usize = 0;
const MXCSR: usize = 24;

impl Image {
    /// All exceptions masked, round to nearest, empty stack, all registers zero: what a System V program expects.
    /// The header says that every component is in its initial state.
    pub fn clear(&mut self) {
        self.0.fill(0);
        self.0[FCW..FCW + 2].copy_from_slice(&0x037fu16.to_le_bytes());
        self.0[MXCSR..MXCSR + 4].copy_from_slice(&0x1f80u32.to_le_bytes());
    }
}

/// What stands in the frame. The latch is no part of the block: the CPU that runs the thread borrows the block mutably
/// while another may set the latch.
#[repr(C)]
pub(crate) struct Kept {
    pub block: Block,
    pub latch: Latch,
}

#[repr(C)]
pub struct Block {
    pub(crate) vector: Image,
    /// Whether the thread used vector registers since it was started.
    pub(crate) uses_vector: bool,
    pub(crate) guest: Guest,
    /// An image that is not checked yet.
    pub(crate) staging: Image,
}

const _: () = assert!(size_of::<Kept>() <= crate::memory::FRAME_BYTES);

/// Owns the frame; it goes back with [`Context::destroy`] only.
#[derive(Debug)]
pub struct Context {
    kept: NonNull<Kept>,
    frame: u32,
}

// SAFETY: 1. `kept` names a frame that is this value's alone (its tag is given to nothing else); 2. whoever holds the
// value has it to itself.
unsafe impl Send for Context {}
// SAFETY: 1. a shared borrow only reads, or goes through raw pointers on the CPU that runs the thread.
unsafe impl Sync for Context {}

impl Context {
    /// `None` without a frame.
    pub fn new(frames: &mut Frames) -> Option<Context> {
        let frame = frames.take(CONTEXT)?;
        let mut context = Context { kept: NonNull::new(frames.view().pointer(frame) as *mut Kept)?, frame };
        context.block_mut().vector.clear();
        Some(context)
    }

    pub(crate) fn block(&self) -> &Block {
        // SAFETY: 1. the frame is this context's, zeroed when it was taken, and a zeroed `Block` is one; 2. borrowed.
        unsafe { &(*self.address()).block }
    }

    pub(crate) fn latch(&self) -> &Latch {
        // SAFETY: 1. as `block`; 2. only ever borrowed shared, and never with the block.
        unsafe { &(*self.address()).latch }
    }

    /// Where it is, without a claim to any of it.
    pub(crate) fn address(&self) -> *mut Kept {
        self.kept.as_ptr()
    }

    pub(crate) fn block_mut(&mut self) -> &mut Block {
        // SAFETY: as `block`; 3. borrowed mutably.
        unsafe { &mut (*self.address()).block }
    }

    /// Gives the frame back. No CPU has the thread's state any more.
    pub(crate) fn destroy(self, frames: &mut Frames) {
        frames.give(self.frame, CONTEXT);
    }
}

/// What of a thread stays in the CPU while the kernel runs: segment bases, and with a context more.
#[derive(Debug, Default)]
pub struct UserState {
    pub fs_base: u64,
    pub gs_base: u64,
    pub context: Option<Context>,
}

impl UserState {
    /// The state of a thread that starts again: nothing of what it was before. No CPU has it.
    pub fn restart(&mut self) {
        (self.fs_base, self.gs_base) = (0, 0);
        if let Some(context) = &mut self.context {
            let block = context.block_mut();
            (block.uses_vector, block.guest.inside) = (false, 0);
            block.vector.clear();
        }
    }

    /// Whether vector registers are part of the thread's state.
    pub fn uses_vector(&self) -> bool {
        self.context.as_ref().is_some_and(|c| c.block().uses_vector)
    }

    /// Gives the context back, and the state page; how many frames the thread's pool paid for them.
    pub fn release(&mut self, frames: &mut Frames) -> u32 {
        self.context.take().map_or(0, |c| c.end(frames))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_frames;

    #[test]
    fn a_thread_that_starts_again_finds_nothing_of_its_former_registers() {
        let mut frames = test_frames(4);
        let mut user = UserState { fs_base: 5, gs_base: 6, context: Context::new(&mut frames) };
        let block = user.context.as_mut().unwrap().block_mut();
        (block.uses_vector, block.vector.0[160]) = (true, 0xaa);
        user.restart();
        assert!(!user.uses_vector());
        let image = &user.context.as_ref().unwrap().block().vector.0;
        assert_eq!((image[0], image[1], image[24], image[25]), (0x7f, 0x03, 0x80, 0x1f));
        assert_eq!(image.iter().filter(|b| **b != 0).count(), 4);
        assert_eq!((user.fs_base, user.gs_base), (0, 0));
    }

    #[test]
    fn the_frame_goes_back_and_only_once() {
        let mut frames = test_frames(4);
        let before = frames.free();
        let mut user = UserState { context: Context::new(&mut frames), ..UserState::default() };
        assert_eq!(before - frames.free(), 1);
        assert_eq!((user.release(&mut frames), user.release(&mut frames)), (1, 0));
        assert_eq!(frames.free(), before);
    }
}
