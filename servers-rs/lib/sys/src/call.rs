// SPDX-License-Identifier: PMPL-1.0-or-later
//! The system-call instruction, with the registers of `abi`'s table.

use crate::Result;
use abi::error::Error;
use abi::handle::Handle;
use abi::op::Op;

/// What comes out of a call: `rdi rsi rdx r10 r8 r9`.
pub(crate) type Values = [u64; 6];

/// Invokes an operation that can change no memory of the caller but its message buffer.
pub(crate) fn invoke(op: Op, handle: Handle, arguments: [u64; 5]) -> Result<Values> {
    // SAFETY: 1. no operation but `Unmap`, `Protect`, `Map`, `Destroy` and `PoolDestroy` changes memory that Rust knows
    // of; `Map` takes only free ranges and the others are `unsafe` in `objects.rs` for the caller's own space and
    // pool. 2. The message buffer is only reached through volatile accesses (`buffer.rs`).
    unsafe { invoke_any(op as u64, handle, arguments) }
}

/// As [`invoke`], with what came out also after an error.
pub(crate) fn invoke_raw(op: Op, handle: Handle, arguments: [u64; 5]) -> (Option<Error>, Values) {
    // SAFETY: as `invoke`.
    let (status, values) = unsafe { raw(op as u64, handle, arguments) };
    let error = (status != 0).then(|| Error::from_u64(status).unwrap_or(Error::UnknownOperation));
    (error, values)
}

/// Invokes any number, also one that is no operation: tests need that.
///
/// # Safety
/// The operation must not take away or change memory that Rust code holds references to.
pub(crate) unsafe fn invoke_any(number: u64, handle: Handle, arguments: [u64; 5]) -> Result<Values> {
    // SAFETY: the caller's promise.
    match unsafe { raw(number, handle, arguments) } {
        (0, values) => Ok(values),
        (other, _) => Err(Error::from_u64(other).unwrap_or(Error::UnknownOperation)),
    }
}

/// The instruction: status and values.
///
/// # Safety
/// As [`invoke_any`].
#[cfg(target_os = "none")]
#[inline(always)]
unsafe fn raw(number: u64, handle: Handle, a: [u64; 5]) -> (u64, Values) {
    let status: u64;
    let mut v = [u64::from(handle.0), a[0], a[1], a[2], a[3], a[4]];
    // SAFETY: 1. registers go in and come out as `abi`'s table says, and `syscall` itself destroys rcx and r11.
    // 2. The kernel switches stacks, so the red zone stays. 3. What the operation may do to memory is the caller's promise.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => status,
            inlateout("rdi") v[0],
            inlateout("rsi") v[1],
            inlateout("rdx") v[2],
            inlateout("r10") v[3],
            inlateout("r8") v[4],
            inlateout("r9") v[5],
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    (status, v)
}

/// On a host there is no such kernel: every operation says so, and nothing happens.
///
/// # Safety
/// None needed; the signature is the one of the real thing.
#[cfg(not(target_os = "none"))]
unsafe fn raw(_number: u64, _handle: Handle, _arguments: [u64; 5]) -> (u64, Values) {
    (Error::Unsupported as u64, [0; 6])
}
