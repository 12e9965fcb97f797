// SPDX-License-Identifier: PMPL-1.0-or-later
//! Guests: a personality that does as little as can be, so that a pass is the way there and back.

use crate::meter::{ITERATIONS, row};
use rt::field;
use rt::guest::{Page, Space};
use rt::memory::Shared;
use stage::{POOL, Trouble, must, same};
use sys::guest::{reason, resume};
use sys::{PAGE_BYTES, Rights};

/// `mov eax, 39` (getpid), `syscall`, and again.
const CALLER: [u8; 9] = [0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7];
/// `mov [rsi], rdx`, `add rsi, 4096`, and again.
const TOUCHER: [u8; 12] = [0x48, 0x89, 0x16, 0x48, 0x81, 0xc6, 0, 0x10, 0, 0, 0xeb, 0xf4];
const CODE: u64 = 0x40_0000;
const TOUCHED: u64 = 0x5000_0000;
/// The warm-ups need pages too.
const PAGES: u64 = ITERATIONS + 200;

/// A guest that is about to execute `code`, and is this thread's.
fn guest(code: &[u8]) -> Result<(Space, Page), Trouble> {
    let memory = must("making memory", POOL.create_memory(PAGE_BYTES))?;
    let shared = must("mapping", Shared::map(memory, PAGE_BYTES, Rights::READ | Rights::WRITE))?;
    shared.write(0, code).ok_or("code longer than a page")?;
    let space = must("making a space", Space::new(POOL))?;
    must("mapping code", space.map(memory, 0, CODE, PAGE_BYTES, Rights::READ | Rights::EXECUTE))?;
    let page = must("making a state page", Page::new(POOL))?;
    must("attaching", space.attach(&page))?;
    page.set(field!(rip), CODE);
    page.set(field!(rsi), TOUCHED);
    page.set(field!(resume), resume::ALL);
    Ok((space, page))
}

pub fn system_call() -> Result<(), Trouble> {
    let (space, page) = guest(&CALLER)?;
    let mut served = 0;
    let passes = row("guest.syscall_trivial", 1, || {
        if sys::guest::run() == Ok(reason::SYSCALL) && page.get(field!(rax)) == 39 {
            page.set(field!(rax), 1);
            served += 1;
        }
    });
    same("system calls served", served, passes)?;
    must("destroying the space", space.destroy())
}

/// Pages are cleared before, when the memory object is made.
pub fn page_fault() -> Result<(), Trouble> {
    let (space, page) = guest(&TOUCHER)?;
    let memory = must("making memory", POOL.create_memory(PAGES * PAGE_BYTES))?;
    let access = Rights::READ | Rights::WRITE;
    let mut mapped = 0;
    let passes = row("guest.page_fault", 1, || {
        if sys::guest::run() == Ok(reason::EXCEPTION) {
            let address = page.get(field!(address));
            mapped += u64::from(space.map(memory, address - TOUCHED, address, PAGE_BYTES, access).is_ok());
        }
    });
    same("pages mapped", mapped, passes)?;
    must("destroying the space", space.destroy())
}
