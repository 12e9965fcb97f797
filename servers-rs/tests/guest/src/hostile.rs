// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a hostile guest tries, and a state page that lies. Each test is named by what is tried.

use crate::personality::{End, Task};
use crate::report::{Found, Test, equal, must, text, that};
use crate::run::{attach, command, load};
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use rt::field;
use rt::thread::spawn;
use sys::guest::{Refused, reason, word};
use sys::{Capability, Error, Pool, Thread, start};

pub const TESTS: &[Test] = &[
    Test { promise: "attack: a guest calls the kernel's own operations", run: own_operations },
    Test { promise: "attack: a guest reads and writes kernel addresses", run: kernel_addresses },
    Test {
        promise: "attack: a guest halts, uses ports, old gates, and instructions that tell about the kernel",
        run: instructions,
    },
    Test { promise: "attack: the state page holds an address of the kernel in rip, FS or GS base", run: bad_addresses },
    Test { promise: "attack: the state page holds privileged flags", run: bad_flags },
    Test { promise: "attack: the state page holds no stack", run: no_stack },
    Test { promise: "attack: a sibling changes the state page while the thread enters", run: changed_while_entering },
];

/// Addresses that are not user code's, canonical and not.
const NOT_USERS: [u64; 6] =
    [0x7fff_ffff_f000, 0x8000_0000_0000, 0x8000_0000_0000_0000, 0xffff_8000_0000_0000, 0xffff_ffff_8000_0000, u64::MAX];

fn own_operations() -> Found {
    let guest = load()?;
    for number in (0..140).chain([u64::MAX, 1 << 32]) {
        let task = attach(&guest, [command::CALL, number, 7])?;
        // Handles that the personality has: the guest has none.
        task.page.set(field!(r8), u64::from(start::POOL.0));
        equal(sys::guest::run(), Ok(reason::SYSCALL))?;
        equal(task.page.get(field!(rax)), number)?;
        equal([task.page.get(field!(rdx)), task.page.get(field!(r8))], [7, u64::from(start::POOL.0)])?;
        must("giving the page back", task.page.destroy())?;
    }
    Ok(())
}

fn kernel_addresses() -> Found {
    let guest = load()?;
    let mut task = attach(&guest, [0; 3])?;
    for address in NOT_USERS {
        for (what, write) in [(command::READ, 0), (command::WRITE, 2)] {
            task.start([what, address, 1]);
            let found = task.serve();
            let canonical = (address as i64) << 16 >> 16 == address as i64;
            let wanted = match found {
                End::Exception { vector: 14, address: at, error } => canonical && at == address && error & 6 == 4 | write,
                // An address that is none, or whose last bytes are none.
                End::Exception { vector: 13, error: 0, .. } => !canonical || address == u64::MAX,
                _ => false,
            };
            that(wanted, &text(format_args!("{address:#x}: {found:?}")))?;
        }
    }
    Ok(())
}

fn instructions() -> Found {
    let guest = load()?;
    let mut task = attach(&guest, [0; 3])?;
    // From `halt` on, in the order of the program's table.
    let wanted = [(13, 0), (13, 0), (13, 0), (13, 0x80 * 8 + 2), (13, 0), (6, 0)];
    for (n, (vector, error)) in wanted.into_iter().enumerate() {
        task.start([command::HALT + n as u64, 0, 0]);
        let before = task.serve();
        // SYSENTER is no instruction at all in 64-bit mode of some makers' CPUs.
        let found = match (n, pair(before)) {
            (4, (6, 0)) => (13, 0),
            // The emulator counts gates of 16 bytes where the CPU counts vectors (SDM volume 3, 6.13).
            (3, (13, error)) if error == 0x80 * 16 + 2 => (13, 0x80 * 8 + 2),
            (_, pair) => pair,
        };
        equal((n, found), (n, (vector, error)))?;
    }
    task.start([command::STORE_TABLE, 0, 0]);
    equal(pair(task.serve()), (13, 0))
}

fn pair(end: End) -> (u64, u64) {
    match end {
        End::Exception { vector, error, .. } => (vector, error),
        _ => (u64::MAX, u64::MAX),
    }
}

fn bad_addresses() -> Found {
    let guest = load()?;
    let task = attach(&guest, [command::GETPID, 0, 0])?;
    equal(sys::guest::run(), Ok(reason::SYSCALL))?;
    for address in NOT_USERS {
        for (field, number) in [(field!(rip), word::RIP), (field!(fs_base), word::FS_BASE), (field!(gs_base), word::GS_BASE)] {
            let good = task.page.get(field);
            task.page.set(field, address);
            equal(sys::guest::run(), Err(Refused { error: Error::BadArgument, word: number }))?;
            equal(task.page.get(field), address)?;
            task.page.set(field, good);
        }
    }
    equal(sys::guest::run(), Ok(reason::SYSCALL))
}

fn bad_flags() -> Found {
    let guest = load()?;
    for how in [0, 1] {
        let task = attach(&guest, [command::GETPID, 0, 0])?;
        equal(sys::guest::run(), Ok(reason::SYSCALL))?;
        // All but the trap flag, interrupts off.
        task.page.set(field!(rflags), !0x300);
        task.page.set(field!(resume), how);
        equal(sys::guest::run(), Ok(reason::SYSCALL))?;
        let flags = task.page.get(field!(rflags));
        equal(flags & !0x24_0cd5, 0x202)?;
        // Privileged instructions are still none of its business.
        task.page.set(field!(rflags), 0x3000);
        task.page.set(field!(rdi), command::HALT + 1);
        task.page.set(field!(rip), guest.entry);
        equal(sys::guest::run(), Ok(reason::EXCEPTION))?;
        equal(task.page.get(field!(vector)), 13)?;
    }
    Ok(())
}

fn no_stack() -> Found {
    let guest = load()?;
    let task = attach(&guest, [command::GETPID, 0, 0])?;
    for stack in NOT_USERS.into_iter().chain([0, 1, 7]) {
        for how in [0, 1] {
            task.page.set(field!(rsp), stack);
            task.page.set(field!(resume), how);
            equal(sys::guest::run(), Ok(reason::SYSCALL))?;
            equal(task.page.get(field!(rsp)), stack)?;
        }
    }
    Ok(())
}

/// What the sibling changes, and when it is to stop.
static SIBLING: rt::sync::Mutex<Option<sys::Memory>> = rt::sync::Mutex::new(None);
static DONE: AtomicBool = AtomicBool::new(false);

fn change() {
    SIBLING.with(|sibling| {
        let Some(memory) = *sibling else { return };
        let Ok(shared) = rt::memory::Shared::map(memory, sys::PAGE_BYTES, sys::Rights::READ | sys::Rights::WRITE) else { return };
        let mut seed = 88_172_645_463_325_252u64;
        while !DONE.load(SeqCst) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let value = match seed >> 60 {
                0..4 => NOT_USERS[(seed % 6) as usize],
                4..6 => seed,
                6..8 => u64::MAX,
                _ => 0x40_1000 + seed % 0x200,
            };
            let number = [16, 17, 18, 19, 21, 7, seed as usize % 25][seed as usize >> 8 & 3];
            let _ = shared.write(number * 8, &value.to_le_bytes());
            if seed.is_multiple_of(64) {
                // It may have been sent into a loop.
                let _ = Thread(start::THREAD).kick_guest();
                sys::yield_now();
            }
        }
    });
}

fn changed_while_entering() -> Found {
    let guest = load()?;
    let task: Task = attach(&guest, [command::GETPID, 0, 0])?;
    SIBLING.with(|sibling| *sibling = Some(task.page.memory()));
    let me = Thread(start::THREAD);
    let sibling = must("starting a sibling", spawn("sibling", 40, 32 * 1024, None, change))?;
    must("stepping down", me.schedule(40, 0, 0, u64::MAX))?;
    let (mut refused, mut inside, mut rounds) = (0u64, 0u64, 0u64);
    while rounds < 200_000 && (rounds < 20_000 || refused == 0 || inside == 0) {
        rounds += 1;
        match sys::guest::run() {
            Ok(_) => inside += 1,
            Err(Refused { error: Error::BadArgument, word: 16 | 18 | 19 }) => refused += 1,
            other => {
                DONE.store(true, SeqCst);
                return Err(text(format_args!("{other:?}")));
            }
        }
        if rounds.is_multiple_of(64) {
            sys::yield_now();
        }
    }
    DONE.store(true, SeqCst);
    let nobody = must("making a notification", Pool(start::POOL).create_notification())?;
    let _ = nobody.wait(5_000_000);
    must("ending the sibling", sibling.end())?;
    must("deleting", nobody.delete())?;
    that(refused > 0 && inside > 0, &text(format_args!("{rounds} rounds, {refused} refused, {inside} went in")))
}
