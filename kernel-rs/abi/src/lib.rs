// SPDX-License-Identifier: PMPL-1.0-or-later
//! The contract between the kernel and user space: numbers, layouts and meanings, and no code that needs either side.
//!
//! It does not say how the kernel does anything. Read `op` next: the table of operations is the kernel's whole surface.
//!
//! # Registers of a system call
//!
//! | register | going in | coming out |
//! | --- | --- | --- |
//! | `rax` | operation number ([`op::Op`]) | status: 0, or an [`error::Error`] |
//! | `rdi` | the handle the operation is invoked on, or 0 | badge of a received message, else value 0 |
//! | `rsi` | argument 0; for messages the [`message::Tag`] | tag of a received message, else value 1 |
//! | `rdx` `r10` `r8` `r9` | arguments 1 to 4; for messages words 0 to 3 | words 0 to 3 of a received message |
//! | `rcx` `r11` | destroyed by the `syscall` instruction | user `rip` and `rflags` as the CPU left them |
//! | all others | kept | kept |
//!
//! Words 4 and up of a message, and capability handles that travel with it, stand in the thread's [`message::Buffer`].
#![no_std]
#![forbid(unsafe_code)]

pub mod boot_info;
pub mod bundle;
pub mod error;
pub mod fault;
pub mod guest;
pub mod handle;
pub mod message;
pub mod op;
pub mod right;
pub mod thread;
