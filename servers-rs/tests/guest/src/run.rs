// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a guest does that is right: system calls, faults that its personality mends, traps.

use crate::PROGRAM;
use crate::personality::{DATA, End, Guest, Task};
use crate::report::{Found, Test, equal, must, that};
use alloc::string::String;
use rt::field;
use rt::guest::{Page, Space};
use sys::guest::{reason, resume};
use sys::{Error, PAGE_BYTES, Pool, Rights, start};

pub const TESTS: &[Test] = &[
    Test { promise: "a static Linux program says hello and exits with 42", run: hello },
    Test { promise: "every register of a guest comes out as it was and goes in again", run: registers },
    Test { promise: "a page fault tells its address, and the guest goes on when the page is there", run: page_fault },
    Test { promise: "a breakpoint and a single step come out where they happened", run: traps },
    Test { promise: "the time stamp counter is a guest's to read", run: clock },
    Test { promise: "a thread without a guest runs none, and is not kicked", run: not_attached },
    Test { promise: "a thread's own space is no guest", run: own_space },
    Test { promise: "a state page whose memory object is destroyed stays until the thread lets it go", run: page_gone },
];

/// Numbers of the program's table.
pub mod command {
    pub const HELLO: u64 = 0;
    pub const GETPID: u64 = 1;
    pub const SPIN: u64 = 2;
    pub const COUNT: u64 = 3;
    pub const CALL: u64 = 4;
    pub const READ: u64 = 5;
    pub const WRITE: u64 = 6;
    pub const HALT: u64 = 7;
    pub const BREAKPOINT: u64 = 13;
    pub const STORE_TABLE: u64 = 14;
    pub const CLOCK: u64 = 15;
    pub const VECTOR: u64 = 16;
    pub const FRESH: u64 = 17;
    pub const TOUCH: u64 = 18;
}

pub fn load() -> Result<Guest, String> {
    must("loading the program", Guest::load(PROGRAM))
}

pub fn attach(guest: &Guest, arguments: [u64; 3]) -> Result<Task<'_>, String> {
    must("attaching", Task::attach(guest, arguments))
}

fn hello() -> Found {
    let guest = load()?;
    let mut task = attach(&guest, [command::HELLO, 0, 0])?;
    equal(task.serve(), End::Exited(42))?;
    equal(task.output.as_str(), "hello from a guest\n")
}

fn registers() -> Found {
    let guest = load()?;
    let task = attach(&guest, [0; 3])?;
    // Right at a `syscall`: that of `getpid` in the program.
    let mut code = [0; 512];
    guest.read(guest.entry, &mut code).ok_or("reading the program")?;
    let at = code.windows(2).position(|w| w == [0x0f, 0x05]).ok_or("no syscall in the program")? as u64;
    for how in [resume::ALL, resume::FROM_SYSCALL] {
        (0..16).for_each(|n| task.page.set_word(n, 0x1111_0000_0000 + n as u64));
        task.page.set(field!(rip), guest.entry + at);
        task.page.set(field!(rflags), 0xad5);
        task.page.set(field!(fs_base), 0x1234_5678);
        task.page.set(field!(gs_base), 0x8765_4321);
        task.page.set(field!(resume), how);
        equal(sys::guest::run(), Ok(reason::SYSCALL))?;
        let page = &task.page;
        let general = [field!(rax), field!(rbx), field!(rdx), field!(rsi), field!(rdi), field!(rbp), field!(rsp), field!(r8)];
        let rest = [field!(r9), field!(r10), field!(r12), field!(r13), field!(r14), field!(r15)];
        let numbers = [0u64, 1, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15];
        for (field, n) in general.into_iter().chain(rest).zip(numbers) {
            equal(page.get(field), 0x1111_0000_0000 + n)?;
        }
        let next = guest.entry + at + 2;
        equal([page.get(field!(rip)), page.get(field!(rcx))], [next, next])?;
        equal([page.get(field!(rflags)), page.get(field!(r11))], [0xad7 | 0x200, 0xad7 | 0x200])?;
        equal([page.get(field!(fs_base)), page.get(field!(gs_base))], [0x1234_5678, 0x8765_4321])?;
        equal(page.get(field!(resume)), resume::FROM_SYSCALL)?;
    }
    Ok(())
}

fn page_fault() -> Found {
    let guest = load()?;
    let place = 0x6000_0000;
    let mut task = attach(&guest, [command::TOUCH, place, 3])?;
    let memory = must("making memory", Pool(start::POOL).create_memory(3 * PAGE_BYTES))?;
    for n in 0..3 {
        let address = place + n * PAGE_BYTES;
        equal(task.serve(), End::Exception { vector: 14, error: 6, address })?;
        must("mapping", guest.space.map(memory, n * PAGE_BYTES, address, PAGE_BYTES, Rights::READ | Rights::WRITE))?;
    }
    equal(task.serve(), End::Exited(0))?;
    // A write to a page that is there and may not be written.
    task.start([command::WRITE, guest.entry, 1]);
    equal(task.serve(), End::Exception { vector: 14, error: 7, address: guest.entry })
}

fn traps() -> Found {
    let guest = load()?;
    let mut task = attach(&guest, [command::BREAKPOINT, 0, 0])?;
    equal(task.serve(), End::Exception { vector: 3, error: 0, address: 0 })?;
    equal(task.serve(), End::Exited(7))?;
    task.start([command::SPIN, 0, 0]);
    for _ in 0..10 {
        let before = task.page.get(field!(rip));
        task.page.set(field!(rflags), task.page.get(field!(rflags)) | 0x100);
        equal(task.serve(), End::Exception { vector: 1, error: 0, address: 0 })?;
        that(task.page.get(field!(rip)) != before, "a step that went nowhere")?;
    }
    that(task.page.get(field!(r12)) > 0, "the loop was not reached in ten steps")
}

fn clock() -> Found {
    let guest = load()?;
    let mut task = attach(&guest, [command::CLOCK, 0, 0])?;
    equal(task.serve(), End::Exited(0))
}

static RAN: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);

/// In a new thread, which has no guest: the first one has by now.
fn without() {
    let ran = sys::guest::run().map_err(|r| r.error) == Err(Error::BadState);
    let saved = sys::guest::save_vector() == Err(Error::BadState) && sys::guest::load_vector() == Err(Error::BadState);
    RAN.store(1 + u64::from(ran && saved), core::sync::atomic::Ordering::SeqCst);
    let Ok(nobody) = Pool(start::POOL).create_notification() else { return };
    let _ = nobody.wait(50_000_000);
}

fn not_attached() -> Found {
    let thread = must("starting a thread", rt::thread::spawn("without", 40, 32 * 1024, None, without))?;
    equal(thread.kick_guest(), Err(Error::BadState))?;
    let nobody = must("making a notification", Pool(start::POOL).create_notification())?;
    equal(nobody.wait(20_000_000), Err(Error::TimedOut))?;
    equal(RAN.load(core::sync::atomic::Ordering::SeqCst), 2)
}

fn own_space() -> Found {
    let page = must("making a page", Page::new(Pool(start::POOL)))?;
    equal(sys::AddressSpace(start::ADDRESS_SPACE).attach_guest(page.memory()), Err(Error::BadState))
}

fn page_gone() -> Found {
    let guest = load()?;
    let task = attach(&guest, [command::GETPID, 0, 0])?;
    equal(sys::guest::run(), Ok(reason::SYSCALL))?;
    let Task { page, .. } = task;
    must("destroying the page's memory", page.destroy())?;
    // Frames that are handed out now are others: what the kernel writes into the page harms nobody.
    let fresh = must("making memory", rt::memory::Private::new(Pool(start::POOL), 64 * PAGE_BYTES))?;
    (0..100).try_for_each(|_| equal(sys::guest::run(), Ok(reason::SYSCALL)))?;
    that(fresh.as_slice().iter().all(|b| *b == 0), "somebody wrote into new memory")?;
    let space = must("making a space", Space::new(Pool(start::POOL)))?;
    let other = must("making a page", Page::new(Pool(start::POOL)))?;
    must("attaching to another", space.attach(&other))?;
    equal(sys::guest::run(), Ok(reason::EXCEPTION))?;
    equal(other.get(field!(vector)), 14)?;
    equal(guest.word(DATA), 0)
}
