// SPDX-License-Identifier: PMPL-1.0-or-later
//! A page that one CPU takes away while another uses it.

use crate::Attack;
use crate::partner::{COUNTER, PAGE};
use abi::fault::{Cause, label};
use core::sync::atomic::Ordering;
use rt::memory::Shared;
use stage::{Give, POOL, PRIORITY, Part, Stage, Trouble, must, same};
use sys::{FOREVER, PAGE_BYTES, Rights, Tag, Thread, start};

pub const ATTACKS: &[Attack] = &[Attack { promise: "no CPU uses a page after its unmapping has returned", run: after_unmap }];

const ROUNDS: u32 = 300;

fn after_unmap(stage: &Stage) -> Result<(), Trouble> {
    let access = Rights::READ | Rights::WRITE;
    let counted = must("making memory", POOL.create_memory(PAGE_BYTES))?;
    let shared = must("mapping", Shared::map(counted, PAGE_BYTES, access))?;
    let counter = shared.atomic(0).ok_or("the first word of a page")?;
    let page = must("making memory", POOL.create_memory(PAGE_BYTES))?;
    let faults = must("making an endpoint", POOL.create_endpoint())?;
    let gives = [Give::Memory(COUNTER, counted, PAGE_BYTES, access)];
    let toucher = stage.start(&Part { priority: PRIORITY - 1, ..Part::new("toucher", &gives, faults) })?;
    // This program on the first CPU, the other on the last: with one CPU the attack is a weak one.
    let last = rt::start::root_info().map_or(0, |info| info.cpu_count - 1);
    must("pinning", toucher.pin(PRIORITY - 1, last))?;
    must("pinning", Thread(start::THREAD).schedule(u64::from(PRIORITY), 0, 0, 0))?;
    let mut news = must("its first fault", faults.receive(FOREVER))?;
    for round in 0..ROUNDS {
        same("what happened", (news.tag.label(), news.words[0], news.words[1]), (label::FAULT, Cause::PageFault as u64, PAGE))?;
        must("mapping", toucher.map_shared(page, 0, PAGE, PAGE_BYTES, access))?;
        must("letting it go on", sys::reply(Tag::new(0, 0, 0), [0; 4]))?;
        let before = counter.load(Ordering::SeqCst);
        while counter.load(Ordering::SeqCst) == before {
            sys::yield_now();
            if last == 0 {
                let pause = must("making a notification", POOL.create_notification())?;
                let _ = pause.wait(1_000_000);
                must("destroying", rt::child::destroy_notification(pause))?;
            }
        }
        must("unmapping", toucher.unmap(PAGE, PAGE_BYTES))?;
        let at_return = counter.load(Ordering::SeqCst);
        news = must("hearing of its fault", faults.receive(FOREVER))?;
        let in_the_end = counter.load(Ordering::SeqCst);
        // It may have touched before and counted after.
        if in_the_end > at_return + 1 {
            return Err(alloc::format!("round {round}: {} touches after the unmapping", in_the_end - at_return - 1));
        }
    }
    must("unpinning", Thread(start::THREAD).schedule(u64::from(PRIORITY), 0, 0, u64::MAX))?;
    toucher.destroy();
    Ok(())
}
