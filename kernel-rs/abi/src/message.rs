// SPDX-License-Identifier: PMPL-1.0-or-later
//! What travels through an endpoint: a tag, up to 64 words, up to 4 capabilities.

/// Words that travel in registers.
pub const REGISTER_WORDS: usize = 4;
/// Most words in a message.
pub const MAX_WORDS: usize = 64;
/// Most capabilities in a message.
pub const MAX_CAPS: usize = 4;

/// Bits 0..7 word count, 8..10 capability count, 11 "move them", 12..31 zero, 32..63 label: the method of an
/// interface going in, its result coming back, or a [`crate::fault::label`] from the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Tag(pub u64);

impl Tag {
    pub const MOVE_CAPS: u64 = 1 << 11;

    pub const fn new(label: u32, words: usize, caps: usize) -> Tag {
        Tag(((label as u64) << 32) | ((caps as u64 & 7) << 8) | (words as u64 & 0x7f))
    }
    pub const fn words(self) -> usize {
        (self.0 & 0x7f) as usize
    }
    pub const fn caps(self) -> usize {
        ((self.0 >> 8) & 7) as usize
    }
    pub const fn moves_caps(self) -> bool {
        self.0 & Self::MOVE_CAPS != 0
    }
    pub const fn label(self) -> u32 {
        (self.0 >> 32) as u32
    }
    /// Counts within their limits and the unused bits zero.
    pub const fn is_valid(self) -> bool {
        self.words() <= MAX_WORDS && self.caps() <= MAX_CAPS && self.0 & 0xffff_f080 == 0
    }
}

/// Each thread's message buffer: the start of a page that `Op::ThreadConfigure` names. The kernel reads it when the
/// thread sends and writes it when the thread receives, at no other time.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Buffer {
    /// `words[n]` is word `n` of the message; words 0 to 3 travel in registers and are not kept here.
    pub words: [u64; MAX_WORDS],
    /// Handles: the sender's capabilities to send; after a receive, the receiver's new handles.
    pub caps: [u32; MAX_CAPS],
}

/// The badge of a message that is not one: the bound notification fired, word 0 holds its bits, taken.
/// The tag's label is [`NOTIFICATION_LABEL`].
pub const NOTIFICATION_LABEL: u32 = 0xffff_0001;
