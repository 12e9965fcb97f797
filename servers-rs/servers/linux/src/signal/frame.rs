// SPDX-License-Identifier: PMPL-1.0-or-later
//! The frame that a handler finds on its stack, and what rt_sigreturn(2) makes of it: `struct rt_sigframe` of x86_64
//! (arch/x86/include/asm/sigframe.h, uapi/asm/sigcontext.h), byte for byte, since debuggers, unwinders and Go read it.
//!
//! From low to high: return address, `ucontext`, `siginfo`; above them, at a multiple of 64, the vector state.

use crate::errno::{EFAULT, EINVAL, Result};
use crate::signal::action::Action;
use crate::signal::info::{INFO_BYTES, Info};
use crate::signal::set::Set;
use crate::signal::stack::{AltStack, STACK_BYTES};
use crate::user::{UserMemory, UserMemoryExt};
use abi::guest::{MAX_VECTOR_BYTES, State, resume};
use alloc::vec::Vec;
use linux_raw_sys::general::{SA_ONSTACK, SA_RESTORER, SS_AUTODISARM};

/// The System V ABI (3.2.2): this much below the stack pointer belongs to the function that was interrupted.
const RED_ZONE_BYTES: u64 = 128;
/// Offsets from the frame's start.
mod at {
    pub const UCONTEXT: usize = 8;
    pub const STACK: usize = UCONTEXT + 16;
    pub const REGISTERS: usize = UCONTEXT + 40;
    pub const SEGMENTS: usize = REGISTERS + 18 * 8;
    pub const ERROR: usize = SEGMENTS + 8;
    pub const TRAP: usize = ERROR + 8;
    pub const OLD_MASK: usize = TRAP + 8;
    pub const FAULT_ADDRESS: usize = OLD_MASK + 8;
    pub const VECTOR: usize = FAULT_ADDRESS + 8;
    pub const MASK: usize = UCONTEXT + 296;
    pub const INFO: usize = UCONTEXT + 304;
}
const FRAME_BYTES: usize = at::INFO + INFO_BYTES;
/// `uc_flags`: there is vector state of XSAVE, and `ss` is there and to be restored.
const UC_FLAGS: u64 = 0x1 | 0x2 | 0x4;
/// User code and data segment, as `cs` and `ss` hold them in 64-bit programs.
const CODE_SEGMENT: u64 = 0x33;
const DATA_SEGMENT: u64 = 0x2b;

/// The x87 and SSE part of an XSAVE image, and its header (SDM volume 1, 13.4).
const LEGACY_BYTES: usize = 512;
const HEADER_BYTES: usize = 64;
/// In the legacy part, in bytes that the CPU leaves to software: how much more there is (`struct _fpx_sw_bytes`).
const SOFTWARE: usize = 464;
const MAGIC_1: u32 = 0x4650_5853;
const MAGIC_2: u32 = 0x4650_5845;
/// Bits of rflags that a program may have set: as `GuestRun` takes them.
const FLAGS: u64 = 0x0024_0dd5;
/// Direction, trap, resume: off when a handler begins.
const CLEARED: u64 = 0x0001_0500;

/// A thread as a signal finds it.
#[derive(Debug)]
pub struct Interrupted<'a> {
    pub registers: &'a State,
    /// What is blocked again when the handler has returned.
    pub mask: Set,
    /// XSAVE image in the standard format; empty if the thread has never used vector registers.
    pub vector: &'a [u8],
    /// Bits of XCR0 that the image may hold.
    pub features: u64,
}

/// Puts a frame on the stack and says with which registers the handler starts. A stack that is to be given up (SS_AUTODISARM)
/// is. Errors: `EFAULT` where the stack cannot be written or there is no restorer: the thread gets SIGSEGV.
pub fn build(
    memory: &mut dyn UserMemory,
    stack: &mut AltStack,
    action: &Action,
    info: &Info,
    of: &Interrupted<'_>,
) -> Result<State> {
    if !action.has(SA_RESTORER) {
        return Err(EFAULT);
    }
    let rsp = of.registers.rsp;
    let switches = action.has(SA_ONSTACK) && stack.is_there() && !stack.holds(rsp);
    let from = if switches { stack.top() } else { rsp.wrapping_sub(RED_ZONE_BYTES) };
    let image = vector_image(of);
    let vector = from.wrapping_sub(image.len() as u64) & !63;
    // As a call leaves it: 8 below a multiple of 16.
    let frame = (vector.wrapping_sub(FRAME_BYTES as u64) & !15).wrapping_sub(8);
    if (switches || stack.holds(rsp)) && !stack.covers(frame) {
        return Err(EFAULT);
    }
    memory.write(vector, &image)?;
    let bytes = frame_bytes(action, info, of, stack.shown(rsp), vector);
    memory.write(frame, &bytes)?;
    if stack.flags & SS_AUTODISARM != 0 {
        *stack = AltStack::default();
    }
    Ok(State {
        rip: action.handler,
        rsp: frame,
        rdi: info.signal.into(),
        rsi: frame + at::INFO as u64,
        rdx: frame + at::UCONTEXT as u64,
        rax: 0,
        rflags: of.registers.rflags & !CLEARED,
        resume: resume::ALL,
        ..*of.registers
    })
}

/// The image as a frame holds it, with the words by which a program finds its end.
fn vector_image(of: &Interrupted<'_>) -> Vec<u8> {
    let mut image = of.vector.to_vec();
    if image.len() < LEGACY_BYTES + HEADER_BYTES {
        image = initial_image();
    }
    let length = image.len() as u32;
    image[SOFTWARE..LEGACY_BYTES].fill(0);
    image[SOFTWARE..SOFTWARE + 4].copy_from_slice(&MAGIC_1.to_le_bytes());
    image[SOFTWARE + 4..SOFTWARE + 8].copy_from_slice(&(length + 4).to_le_bytes());
    image[SOFTWARE + 8..SOFTWARE + 16].copy_from_slice(&of.features.to_le_bytes());
    image[SOFTWARE + 16..SOFTWARE + 20].copy_from_slice(&length.to_le_bytes());
    image.extend_from_slice(&MAGIC_2.to_le_bytes());
    image
}

/// As after FNINIT, with MXCSR at its reset value (SDM volume 1, 8.1.5 and 11.6.4); nothing is in use.
fn initial_image() -> Vec<u8> {
    let mut image = alloc::vec![0; LEGACY_BYTES + HEADER_BYTES];
    image[0..2].copy_from_slice(&0x37f_u16.to_le_bytes());
    image[24..28].copy_from_slice(&0x1f80_u32.to_le_bytes());
    image
}

fn frame_bytes(action: &Action, info: &Info, of: &Interrupted<'_>, stack: AltStack, vector: u64) -> [u8; FRAME_BYTES] {
    let mut bytes = [0; FRAME_BYTES];
    let r = of.registers;
    let mut put = |at: usize, value: u64| bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    put(0, action.restorer);
    put(at::UCONTEXT, UC_FLAGS);
    for (n, value) in in_order(r).into_iter().enumerate() {
        put(at::REGISTERS + n * 8, value);
    }
    put(at::SEGMENTS, CODE_SEGMENT | DATA_SEGMENT << 48);
    put(at::ERROR, r.error);
    put(at::TRAP, r.vector);
    put(at::OLD_MASK, of.mask.0);
    put(at::FAULT_ADDRESS, r.address);
    put(at::VECTOR, vector);
    put(at::MASK, of.mask.0);
    bytes[at::STACK..at::STACK + STACK_BYTES].copy_from_slice(&stack.to_bytes());
    bytes[at::INFO..].copy_from_slice(&info.to_bytes());
    bytes
}

/// As `struct sigcontext` has them.
fn in_order(r: &State) -> [u64; 18] {
    [
        r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rdi, r.rsi, r.rbp, r.rbx, r.rdx, r.rax, r.rcx, r.rsp, r.rip,
        r.rflags,
    ]
}

/// What a frame says that the thread shall go on with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    pub registers: State,
    pub mask: Set,
    pub stack: AltStack,
    /// XSAVE image to load, header and MXCSR checked; `None`: vector registers as when a program starts.
    pub vector: Option<Vec<u8>>,
}

/// Reads the frame of a handler that has returned: `registers` are those of the call. `mxcsr_mask`: bits that the CPU has in
/// MXCSR. Errors: `EFAULT`, `EINVAL`: the thread gets SIGSEGV.
pub fn restore(memory: &mut dyn UserMemory, registers: &State, features: u64, mxcsr_mask: u32) -> Result<Restored> {
    // The handler's `ret` took the return address.
    let frame = registers.rsp.wrapping_sub(8);
    let mut bytes = [0; FRAME_BYTES - INFO_BYTES];
    memory.read(frame, &mut bytes)?;
    let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|n| bytes[at + n]));
    let [r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags] =
        core::array::from_fn(|n| word(at::REGISTERS + n * 8));
    let stack = AltStack::from_bytes(&core::array::from_fn(|n| bytes[at::STACK + n]));
    let vector = match word(at::VECTOR) {
        0 => None,
        address => Some(read_image(memory, address, features, mxcsr_mask)?),
    };
    let kept = *registers;
    Ok(Restored {
        registers: State {
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
            rdi,
            rsi,
            rbp,
            rbx,
            rdx,
            rax,
            rcx,
            rsp,
            rip,
            rflags: rflags & FLAGS,
            resume: resume::ALL,
            ..kept
        },
        mask: Set(word(at::MASK)).without(Set::ABSOLUTE),
        stack,
        vector,
    })
}

/// An image without the marks of XSAVE is one of FXSAVE: x87 and SSE, as an older program makes it.
fn read_image(memory: &mut dyn UserMemory, address: u64, features: u64, mxcsr_mask: u32) -> Result<Vec<u8>> {
    let mut image = memory.read_bytes(address, LEGACY_BYTES)?;
    let software = |at: usize| u32::from_le_bytes(core::array::from_fn(|n| image[SOFTWARE + at + n]));
    let length = software(16) as usize;
    let marked = software(0) == MAGIC_1
        && (LEGACY_BYTES + HEADER_BYTES..=MAX_VECTOR_BYTES).contains(&length)
        && software(4) as usize == length + 4
        && memory.read_u32(address.wrapping_add(length as u64))? == MAGIC_2;
    if marked {
        image = memory.read_bytes(address, length)?;
        let header = |at: usize| u64::from_le_bytes(core::array::from_fn(|n| image[LEGACY_BYTES + at + n]));
        if header(0) & !features != 0 || image[LEGACY_BYTES + 8..LEGACY_BYTES + HEADER_BYTES].iter().any(|byte| *byte != 0) {
            return Err(EINVAL);
        }
    } else {
        image.resize(LEGACY_BYTES + HEADER_BYTES, 0);
        image[LEGACY_BYTES] = X87_AND_SSE;
    }
    let mxcsr = u32::from_le_bytes(core::array::from_fn(|n| image[24 + n]));
    if mxcsr & !mxcsr_mask != 0 {
        return Err(EINVAL);
    }
    image[SOFTWARE..LEGACY_BYTES].fill(0);
    Ok(image)
}

/// Bits of XSTATE_BV.
const X87_AND_SSE: u8 = 3;

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
