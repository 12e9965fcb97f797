// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a guest's system call and page fault cost, in nanoseconds of the guest: under `-icount shift=0` instructions. Told as
//! comments beside the results; `just bench kernel` has the rows.

use crate::personality::{Guest, PROGRAM, Task};
use alloc::format;
use rt::clock::now_ns;
use rt::field;
use rt::guest::Space;
use sys::guest::reason;
use sys::{Error, PAGE_BYTES, Pool, Rights, start};

const CALLS: u64 = 20_000;
const FAULTS: u64 = 512;
const PLACE: u64 = 0x6000_0000;

/// Writes one line for each.
pub fn say() {
    for (name, found) in [("guest.syscall_trivial", system_call()), ("guest.page_fault", page_fault())] {
        let line = match found {
            Ok(cost) => format!("# {name} {cost}"),
            Err(error) => format!("# {name}: {error:?}"),
        };
        let _ = sys::debug_log(line.as_bytes());
    }
}

/// A personality that looks at the number and answers: as little as can be.
pub fn system_call() -> Result<u64, Error> {
    let guest = Guest::load(PROGRAM)?;
    let task = Task::attach(&guest, [crate::run::command::GETPID, 0, 0])?;
    let begun_ns = now_ns();
    let mut left = CALLS;
    while sys::guest::run() == Ok(reason::SYSCALL) && left > 0 {
        if task.page.get(field!(rax)) == 39 {
            task.page.set(field!(rax), 1);
        }
        left -= 1;
    }
    Ok((now_ns() - begun_ns) / CALLS)
}

/// A personality that maps the page that was touched.
pub fn page_fault() -> Result<u64, Error> {
    let guest = Guest::load(PROGRAM)?;
    let memory = Pool(start::POOL).create_memory(FAULTS * PAGE_BYTES)?;
    let task = Task::attach(&guest, [crate::run::command::TOUCH, PLACE, FAULTS])?;
    // The tables are there, as in a space that lives.
    warm(&guest.space, &task)?;
    let begun_ns = now_ns();
    let mut faults = 0;
    while sys::guest::run() == Ok(reason::EXCEPTION) {
        let address = task.page.get(field!(address)) / PAGE_BYTES * PAGE_BYTES;
        guest.space.map(memory, address - PLACE, address, PAGE_BYTES, Rights::READ | Rights::WRITE)?;
        faults += 1;
    }
    if faults == FAULTS { Ok((now_ns() - begun_ns) / FAULTS) } else { Err(Error::BadState) }
}

fn warm(space: &Space, task: &Task) -> Result<(), Error> {
    let memory = Pool(start::POOL).create_memory(PAGE_BYTES)?;
    space.map(memory, 0, PLACE, PAGE_BYTES, Rights::READ)?;
    space.unmap(PLACE, PAGE_BYTES)?;
    task.start([crate::run::command::TOUCH, PLACE, FAULTS]);
    Ok(())
}
