// SPDX-License-Identifier: PMPL-1.0-or-later
//! The first instructions of a program, and its last. Only on our own target.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

/// What a panic ends with: Rust's own number for it.
pub const EXIT_PANIC: u64 = 101;

// The starter puts the stack's top in rsp and the address of the startup page in rdi. A zero rbp ends back-traces.
core::arch::global_asm!(
    ".global _start",
    "_start:",
    "xor ebp, ebp",
    "and rsp, -16",
    "call {begin}",
    "ud2",
    begin = sym begin,
);

extern "C" fn begin(startup: u64) -> ! {
    unsafe extern "C" {
        fn main(argc: i32, argv: *const *const u8) -> i32;
    }
    // SAFETY: 1. this is the first code of the program, called once, by `_start`. 2. The starter mapped the startup
    // page there (`abi::boot_info::RootInfo` or `manifest::startup`) and never unmaps it.
    unsafe { crate::start::begin(startup) };
    // SAFETY: the compiler makes `main`; it calls `lang_start` below.
    let code = unsafe { main(0, core::ptr::null()) };
    sys::thread_exit(code as u64)
}

/// What `main` may return.
#[lang = "termination"]
pub trait Termination {
    fn report(self) -> i32;
}
impl Termination for () {
    fn report(self) -> i32 {
        0
    }
}
impl Termination for ! {
    fn report(self) -> i32 {
        self
    }
}

#[lang = "start"]
fn lang_start<T: Termination + 'static>(main: fn() -> T, _: isize, _: *const *const u8, _: u8) -> isize {
    main().report() as isize
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    static ONCE: AtomicBool = AtomicBool::new(false);
    // A panic while one is reported would go round for ever.
    if !ONCE.swap(true, Ordering::Relaxed) {
        match info.location() {
            Some(at) => crate::log::last_words(format_args!("panicked at {}:{}: {}", at.file(), at.line(), info.message())),
            None => crate::log::last_words(format_args!("panicked: {}", info.message())),
        }
    }
    sys::thread_exit(EXIT_PANIC)
}
