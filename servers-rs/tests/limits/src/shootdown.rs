// SPDX-License-Identifier: PMPL-1.0-or-later
//! A partner's threads write to a page each, on every other CPU, while this program takes pages and access away from
//! them: after the operation returned no write may arrive. This program sees the pages through a mapping of its own.

use alloc::format;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use rt::memory::Shared;
use rt::start::grant;
use stage::{Give, Part, Stage, Trouble, must, same};
use sys::{Endpoint, Error, FOREVER, PAGE_BYTES, Rights, Tag, Thread, start};

const MEMORY: &str = "pages";
const LEAD: &str = "lead";
const READ_WRITE: Rights = Rights(Rights::READ.0 | Rights::WRITE.0);
const PRIORITY: u8 = 90;
/// Reads of a page that must not change.
const READS: u32 = 100;
/// How long a writer may take to go on.
const PATIENCE_NS: u64 = 5_000_000_000;

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// The partner: `writers=` threads.
pub fn play() {
    let Some((memory, length_bytes)) = grant::memory(MEMORY) else { return };
    let Some((lead, _)) = grant::call(LEAD) else { return };
    let Ok(pages) = Shared::map(memory, length_bytes, READ_WRITE) else { return };
    let Some(first) = pages.atomic(0) else { return };
    let address = core::ptr::from_ref(first).addr() as u64;
    for cpu in 1..=length_bytes / PAGE_BYTES {
        let Ok(thread) = rt::thread::spawn("writer", PRIORITY, 16384, Some(lead), write) else { return };
        let _ = thread.schedule(u64::from(PRIORITY), 0, 0, cpu);
    }
    let _ = lead.call(Tag::new(0, 1, 0), [address, 0, 0, 0]);
    let _ = sys::Pool(start::POOL).create_notification().and_then(|n| n.wait(FOREVER));
    drop(pages);
}

fn write() {
    let Some((memory, length_bytes)) = grant::memory(MEMORY) else { return };
    // All threads write through the first mapping, whose place is the partner's window.
    let Ok(own) = Shared::map(memory, length_bytes, READ_WRITE) else { return };
    let page = NEXT.fetch_add(1, Relaxed) * PAGE_BYTES as usize;
    let Some(number) = own.atomic(page) else { return };
    let Some((lead, _)) = grant::call(LEAD) else { return };
    let _ = lead.call(Tag::new(1, 2, 0), [core::ptr::from_ref(number).addr() as u64, page as u64 / PAGE_BYTES, 0, 0]);
    loop {
        number.fetch_add(1, Relaxed);
    }
}

pub fn lead(stage: &Stage) -> Result<(), Trouble> {
    let writers = stage.number("writers").unwrap_or(1);
    // Where no writer is, or it would keep one from running.
    must("staying on the first CPU", Thread(start::THREAD).schedule(u64::from(stage::PRIORITY), 0, 0, 0))?;
    let length = writers * PAGE_BYTES;
    let endpoint = must("an endpoint", stage::POOL.create_endpoint())?;
    let memory = must("memory", stage::POOL.create_memory(length))?;
    let seen = must("mapping it", Shared::map(memory, length, Rights::READ))?;
    let gives = [Give::Memory(MEMORY, memory, length, READ_WRITE | Rights::COPY), Give::Call(LEAD, endpoint, 1)];
    let mut part = Part::new("writers", &gives, endpoint);
    part.memory_bytes = 4 << 20;
    let child = stage.start(&part)?;
    let mut places = alloc::vec![0; writers as usize];
    let mut known = 0;
    while known < writers {
        let message = must("a writer's place", endpoint.receive(PATIENCE_NS))?;
        if message.tag.label() == 1 {
            *places.get_mut(message.words[1] as usize).ok_or("a page that is none")? = message.words[0];
            known += 1;
        }
        must("answering", sys::reply(Tag::new(0, 0, 0), [0; 4]))?;
    }
    let number = |n: usize| seen.atomic(n * PAGE_BYTES as usize).ok_or_else(|| format!("page {n} is not there"));
    let mut faults = 0u64;
    let rounds = stage.number("rounds").unwrap_or(200);
    for round in 0..rounds {
        for (n, &place) in places.iter().enumerate() {
            let page = number(n)?;
            goes_on(page, endpoint, &mut faults)?;
            let takes_all = round % 2 == 0;
            if takes_all {
                same("pages unmapped", must("unmapping", child.unmap(place_of(place), PAGE_BYTES))?, 1)?;
            } else {
                must("protecting", child.protect(place_of(place), PAGE_BYTES, Rights::READ))?;
                let both = READ_WRITE | Rights::EXECUTE;
                same("writable and executable", child.protect(place_of(place), PAGE_BYTES, both), Err(Error::WriteAndExecute))?;
            }
            let stays = page.load(Relaxed);
            for _ in 0..READS {
                same("a number after its page was taken away", page.load(Relaxed), stays)?;
            }
            if takes_all {
                must("mapping", child.map_shared(memory, n as u64 * PAGE_BYTES, place_of(place), PAGE_BYTES, READ_WRITE))?;
            } else {
                must("unprotecting", child.protect(place_of(place), PAGE_BYTES, READ_WRITE))?;
            }
        }
    }
    // How often a writer met an absent page above depends on the machine. One stays away until its writer is caught.
    let place = place_of(*places.first().ok_or("no writer")?);
    goes_on(number(0)?, endpoint, &mut faults)?;
    must("unmapping", child.unmap(place, PAGE_BYTES))?;
    must("the fault of a writer whose page stays away", endpoint.receive(PATIENCE_NS))?;
    faults += 1;
    stage::console::say(format_args!("limits shootdown rounds {rounds} faults {faults}"));
    child.destroy();
    Ok(())
}

/// The page of a number.
const fn place_of(address: u64) -> u64 {
    address & !(PAGE_BYTES - 1)
}

/// Sends writers that faulted on, until this one writes again.
fn goes_on(page: &AtomicU32, endpoint: Endpoint, faults: &mut u64) -> Result<(), Trouble> {
    let (before, end) = (page.load(Relaxed), rt::clock::now_ns() + PATIENCE_NS);
    loop {
        if endpoint.receive(sys::POLL).is_ok() {
            *faults += 1;
            must("sending a writer on", sys::reply(Tag::new(0, 0, 0), [0; 4]))?;
        }
        if page.load(Relaxed) != before {
            return Ok(());
        }
        if rt::clock::now_ns() > end {
            return Err("a writer never wrote again".into());
        }
    }
}
