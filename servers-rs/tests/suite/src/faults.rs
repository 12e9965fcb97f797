// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a fault handler hears: cause, address, where. The faulting threads are this program's own.

use crate::report::{Found, Test, equal, must, that};
use abi::fault::{Cause, label};
use alloc::string::String;
use ipc::Message;
use rt::provoke;
use rt::thread::spawn;
use sys::{Capability, FOREVER, Pool, Received, Rights, start};

const POOL: Pool = Pool(start::POOL);
const STACK: u64 = 16 * 1024;
const PRIORITY: u8 = 10;
const BADGE: u64 = 0xfa17;
/// Bits of a page fault's error code: Intel SDM volume 3, 4.7.
const PRESENT: u64 = 1;
const WRITE: u64 = 2;
const USER: u64 = 4;
const FETCH: u64 = 16;

pub const TESTS: &[Test] = &[
    Test { promise: "a read of the null page is delivered with its address", run: null_page },
    Test { promise: "a write to code is delivered as a write to what is there", run: write_code },
    Test { promise: "executing the stack is delivered as a fetch", run: execute_stack },
    Test { promise: "a stack that overflows touches the page under it", run: overflow },
    Test { promise: "an instruction that is none is delivered", run: invalid_opcode },
    Test { promise: "an instruction of the kernel's is delivered", run: privileged },
    Test { promise: "an exit is delivered with its code", run: exit },
    Test { promise: "a hundred faulting threads leave this one as it was", run: hundred },
];

/// Runs `work` in a thread and returns what its handler hears.
fn news_of(work: fn()) -> Result<(Received, Message), String> {
    let endpoint = must("making an endpoint", POOL.create_endpoint())?;
    let fault = must("badging", endpoint.copy(Rights::WRITE, BADGE))?;
    let thread = must("starting a thread", spawn("faulty", PRIORITY, STACK, Some(fault), work))?;
    let news = must("hearing of it", endpoint.receive(FOREVER))?;
    let message = rt::channel::take(&news);
    must("ending the thread", thread.end())?;
    equal(news.badge, BADGE)?;
    Ok((news, message))
}
fn page_fault(work: fn(), error: u64) -> Result<u64, String> {
    let (news, message) = news_of(work)?;
    equal((news.tag.label(), news.words[0]), (label::FAULT, Cause::PageFault as u64))?;
    equal(news.words[2] & (PRESENT | WRITE | USER | FETCH), error)?;
    that(message.words().len() >= 21, "registers are missing")?;
    Ok(news.words[1])
}
fn cause(work: fn(), wanted: Cause) -> Found {
    let (news, _) = news_of(work)?;
    equal((news.tag.label(), news.words[0]), (label::FAULT, wanted as u64))?;
    that(provoke::is_code(news.words[3]), "its rip is not in the program")
}

fn null_page() -> Found {
    equal(page_fault(|| provoke::read_null_page(0x7f8), USER)?, 0x7f8)
}
fn write_code() -> Found {
    that(provoke::is_code(page_fault(provoke::write_code, PRESENT | WRITE | USER)?), "another address")
}
fn execute_stack() -> Found {
    let address = page_fault(provoke::execute_stack, PRESENT | USER | FETCH)?;
    that(!provoke::is_code(address), "another address")
}
fn overflow() -> Found {
    let work = || {
        core::hint::black_box(provoke::overflow_stack());
    };
    page_fault(work, WRITE | USER).map(drop)
}
fn invalid_opcode() -> Found {
    cause(provoke::invalid_opcode, Cause::InvalidOpcode)
}
fn privileged() -> Found {
    cause(provoke::privileged, Cause::GeneralProtection)
}
fn exit() -> Found {
    let (news, _) = news_of(|| sys::thread_exit(42))?;
    equal((news.tag.label(), news.words[0]), (label::EXIT, 42))
}
/// Within one thread slot's worth of starts: `rt::thread` has 64 for a program, and the tests before used some.
fn hundred() -> Found {
    for _ in 0..100 {
        let child = must("splitting", POOL.split(16))?;
        let thread = must("making a thread", child.create_thread())?;
        equal(thread.resume(), Err(sys::Error::BadState))?;
        must("destroying", rt::child::destroy_pool(child))?;
    }
    for _ in 0..20 {
        cause(provoke::invalid_opcode, Cause::InvalidOpcode)?;
    }
    Ok(())
}
