// SPDX-License-Identifier: PMPL-1.0-or-later
//! What only real paging and real registers show of objects: physical addresses, pages of 2 MiB, registers of a stopped thread.

use crate::Attack;
use abi::op::Op;
use abi::thread::WORD;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use rt::channel::with_buffer;
use rt::guest::Space;
use rt::hostile::Doomed;
use rt::memory::Shared;
use stage::{POOL, PRIORITY, Stage, Trouble, must, same};
use sys::{Capability, Endpoint, Error, Handle, Memory, Notification, PAGE_BYTES, Pool, Rights};

pub const ATTACKS: &[Attack] = &[
    Attack { promise: "a physical address is told through the DMA right and to nobody else", run: physical },
    Attack { promise: "a page of 2 MiB needs no table of small ones, until one is cut out of it, and that is paid", run: large },
    Attack {
        promise: "registers of a thread that was stopped in a wait are read, and what is written there goes on",
        run: registers,
    },
];

const WITHOUT_DMA: Rights = Rights(Rights::ALL.0 & !Rights::DMA.0);

fn weaker(handle: Handle) -> Result<Handle, Trouble> {
    must("a copy without the DMA right", Endpoint(handle).copy(WITHOUT_DMA, 0)).map(|copy| copy.handle())
}

fn physical(_: &Stage) -> Result<(), Trouble> {
    let before = must("usage", POOL.usage())?;
    let memory = must("making DMA memory", POOL.create_dma_memory(4 * PAGE_BYTES))?;
    let first = must("its address", memory.physical(0))?;
    same("the address of its last page", memory.physical(3 * PAGE_BYTES), Ok(first + 3 * PAGE_BYTES))?;
    same("an address behind it", memory.physical(4 * PAGE_BYTES), Err(Error::OutOfRange))?;
    let copy = Memory(weaker(memory.handle())?);
    same("the address without the right", copy.physical(0), Err(Error::NoRight))?;
    let ordinary = must("making memory", POOL.create_memory(PAGE_BYTES))?;
    same("the address of ordinary memory", ordinary.physical(0), Err(Error::NoRight))?;
    // Who has a pool without the right makes no such memory, nor do pools that are split from it.
    let pool = Pool(weaker(POOL.handle())?);
    same("DMA memory of such a pool", pool.create_dma_memory(PAGE_BYTES).err(), Some(Error::NoRight))?;
    let part = must("splitting it", pool.split(16))?;
    same("DMA memory of a part of it", part.create_dma_memory(PAGE_BYTES).err(), Some(Error::NoRight))?;
    must("destroying the part", rt::child::destroy_pool(part))?;
    must("deleting", pool.delete())?;
    must("deleting", copy.delete())?;
    must("giving it back", rt::memory::discard(ordinary))?;
    must("giving it back", rt::memory::discard(memory))?;
    same("the pool's frames", must("usage", POOL.usage())?, before)
}

fn large(_: &Stage) -> Result<(), Trouble> {
    const LARGE: u64 = 2 << 20;
    const PLACE: u64 = 1 << 30;
    let access = Rights::READ | Rights::WRITE;
    let pool = must("splitting", POOL.split(2_000))?;
    let space = must("making a space", Space::new(pool))?;
    let used = || must("usage", pool.usage()).map(|(_, used)| used);
    // The upper tables of that gigabyte, the kernel's record of mappings.
    let first = must("making memory", pool.create_memory(PAGE_BYTES))?;
    must("mapping", space.map(first, 0, PLACE - PAGE_BYTES, PAGE_BYTES, access))?;
    must("mapping", space.map(first, 0, PLACE + 64 * LARGE, PAGE_BYTES, access))?;
    let (whole, pieces) =
        (must("large pages", pool.create_large_memory(2 * LARGE))?, must("small ones", pool.create_memory(LARGE))?);
    let before = used()?;
    must("mapping large pages", space.map(whole, 0, PLACE, 2 * LARGE, access))?;
    same("tables for two large pages", used()? - before, 0)?;
    must("mapping small pages", space.map(pieces, 0, PLACE + 8 * LARGE, LARGE, access))?;
    same("tables for 512 small pages", used()? - before, 1)?;
    // One page in the middle of the first becomes read-only: 511 others stay as they were, and one table is paid.
    must("protecting", space.protect(PLACE + 5 * PAGE_BYTES, PAGE_BYTES, Rights::READ))?;
    same("tables when one is cut out", used()? - before, 2)?;
    same("executable and writable", space.protect(PLACE, PAGE_BYTES, access | Rights::EXECUTE), Err(Error::WriteAndExecute))?;
    same("pages that are unmapped", space.unmap(PLACE + LARGE - PAGE_BYTES, 2 * PAGE_BYTES), Ok(2))?;
    same("the rest of them", space.unmap(PLACE, 2 * LARGE), Ok(1022))?;
    // This program sees the same memory, from the first byte to the last.
    let shared = must("mapping it here", Shared::map(whole, 2 * LARGE, access))?;
    for (n, offset) in (0..2 * LARGE).step_by(LARGE as usize / 4).enumerate() {
        shared.write(offset as usize, &[n as u8 + 1; 8]).ok_or("a write within it")?;
    }
    for (n, offset) in (0..2 * LARGE).step_by(LARGE as usize / 4).enumerate() {
        let mut bytes = [0; 8];
        shared.read(offset as usize, &mut bytes).ok_or("a read within it")?;
        same("what stands there", bytes, [n as u8 + 1; 8])?;
    }
    drop(shared);
    must("destroying", rt::child::destroy_pool(pool))
}

static BELL: AtomicU32 = AtomicU32::new(0);
static HEARD: AtomicU64 = AtomicU64::new(0);

fn waits() {
    let heard = Notification(Handle(BELL.load(SeqCst))).wait(sys::FOREVER);
    HEARD.store(heard.unwrap_or(u64::MAX), SeqCst);
}

fn registers(_: &Stage) -> Result<(), Trouble> {
    const WRITTEN: u64 = 0x1234_5678_9abc;
    let bell = must("making a notification", POOL.create_notification())?;
    BELL.store(bell.handle().0, SeqCst);
    // As important as this thread: it runs, and waits, while this one waits.
    let thread = must("starting a thread", rt::thread::spawn("waits", PRIORITY, 32 * 1024, None, waits))?;
    same("registers of a thread that is not stopped", thread.read_registers(), Err(Error::BadState))?;
    let pause = must("making a notification", POOL.create_notification())?;
    same("a wait of this program", pause.wait(50_000_000), Err(Error::TimedOut))?;
    must("stopping it", thread.stop())?;
    must("reading its registers", thread.read_registers())?;
    let [rax, rip, rsp] = with_buffer(|b| [WORD.rax, WORD.rip, WORD.rsp].map(|n| b.word(n)));
    same("what its wait gave", rax, Error::Cancelled as u64)?;
    same("an instruction and a stack of this program", rip > 0x40_0000 && rip < 1 << 32 && rsp > 1 << 32, true)?;
    let write = || Doomed::new().call(Op::ThreadWriteRegisters as u64, [u64::from(thread.handle().0), 0, 0, 0, 0, 0]).status;
    with_buffer(|b| b.set_word(WORD.rip, 1 << 63));
    same("an instruction that is nobody's", write(), Error::OutOfRange as u64)?;
    with_buffer(|b| {
        b.set_word(WORD.rip, rip);
        b.set_word(WORD.rax, 0);
        b.set_word(WORD.rdi, WRITTEN);
    });
    same("writing them", write(), 0)?;
    must("letting it go on", thread.resume())?;
    for _ in 0..1_000 {
        if HEARD.load(SeqCst) != 0 {
            break;
        }
        let _ = pause.wait(1_000_000);
    }
    same("what its wait gave in the end", HEARD.load(SeqCst), WRITTEN)
}
