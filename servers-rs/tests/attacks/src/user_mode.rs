// SPDX-License-Identifier: PMPL-1.0-or-later
//! What user mode must not do: each attacker dies of a fault that its handler hears, and nobody else notices.

use crate::Attack;
use abi::boot_info::{DIRECT_MAP, KERNEL_BASE, USER_END};
use abi::fault::{Cause, label};
use alloc::string::ToString;
use rt::hostile::Doomed;
use stage::{POOL, Part, Stage, Trouble, must, same};
use sys::{AddressSpace, Error, FOREVER, PAGE_BYTES, Received, Rights, start};

/// Bits of a page fault's error code: Intel SDM volume 3, 4.7.
const WRITE_OR_FETCH: u64 = 2 | 16;
const USER: u64 = 4;

pub const ATTACKS: &[Attack] = &[
    Attack { promise: "a read of the kernel's code is a fault", run: |s| touch(s, KERNEL_BASE) },
    Attack {
        promise: "a read of physical memory through the kernel's map is a fault",
        run: |s| touch(s, DIRECT_MAP + 0x10_0000),
    },
    Attack { promise: "a read of the page above user space is a fault", run: |s| touch(s, USER_END) },
    Attack { promise: "a read of an address that is no address is a fault", run: no_address },
    Attack { promise: "a port that was not granted is a fault", run: |s| dies(s, "port", Cause::GeneralProtection) },
    Attack { promise: "the address of the interrupt table is not told", run: |s| dies(s, "table", Cause::GeneralProtection) },
    Attack { promise: "an instruction of the kernel's is a fault", run: |s| dies(s, "halt", Cause::GeneralProtection) },
    Attack { promise: "a kernel address as an argument is refused and changes nothing", run: pointers },
    Attack { promise: "debug operations are there in development and unknown in production", run: debug_operations },
];

/// What the handler of a partner hears.
fn news(stage: &Stage, role: &'static str, address: u64) -> Result<Received, Trouble> {
    let faults = must("making an endpoint", POOL.create_endpoint())?;
    let part = Part { arguments: alloc::vec![address.to_string()], ..Part::new(role, &[], faults) };
    let partner = stage.start(&part)?;
    let news = must("hearing of it", faults.receive(FOREVER))?;
    partner.destroy();
    same("the label", news.tag.label(), label::FAULT)?;
    must("closing", faults.close())?;
    Ok(news)
}

fn dies(stage: &Stage, role: &'static str, cause: Cause) -> Result<(), Trouble> {
    same("the cause", news(stage, role, 0)?.words[0], cause as u64)
}

fn touch(stage: &Stage, address: u64) -> Result<(), Trouble> {
    let news = news(stage, "touch", address)?;
    same("cause and address", (news.words[0], news.words[1]), (Cause::PageFault as u64, address))?;
    same("the error", news.words[2] & (USER | WRITE_OR_FETCH), USER)
}

fn no_address(stage: &Stage) -> Result<(), Trouble> {
    same("the cause", news(stage, "touch", 1 << 63)?.words[0], Cause::GeneralProtection as u64)
}

fn pointers(_: &Stage) -> Result<(), Trouble> {
    let before = must("usage", POOL.usage())?;
    let memory = must("making memory", POOL.create_memory(PAGE_BYTES))?;
    let space = AddressSpace(start::ADDRESS_SPACE);
    for address in [USER_END, DIRECT_MAP, KERNEL_BASE, 1 << 47, 1 << 63, u64::MAX - PAGE_BYTES + 1] {
        let mapped = space.map(memory, 0, address, PAGE_BYTES, Rights::READ);
        same("mapping there", mapped, Err(Error::OutOfRange))?;
    }
    same("a range that wraps", space.map(memory, 0, PAGE_BYTES, u64::MAX - PAGE_BYTES + 1, Rights::READ).is_err(), true)?;
    must("giving it back", rt::memory::discard(memory))?;
    same("the pool's frames", must("usage", POOL.usage())?, before)
}

/// Whether this kernel is one for development is known from its own answer; then all must be there, or none.
fn debug_operations(_: &Stage) -> Result<(), Trouble> {
    let development = sys::debug_log(b"").is_ok();
    let me = Doomed::new();
    for number in 128..192u64 {
        // Arguments that no operation takes: what exists refuses them, and does nothing.
        let status = me.call(number, [0, u64::MAX, u64::MAX, 0, 0, 0]).status;
        let known = status != Error::UnknownOperation as u64;
        let exists = abi::op::Op::from_u64(number).is_some();
        same(&alloc::format!("operation {number} exists"), known, development && exists)?;
    }
    Ok(())
}
