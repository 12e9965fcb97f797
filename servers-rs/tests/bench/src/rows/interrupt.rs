// SPDX-License-Identifier: PMPL-1.0-or-later
//! From a device's interrupt to the user thread that waits for it. The device is the interval timer (8254), the
//! interrupted program a partner that writes down the counter for ever: the last value that it wrote, taken from the
//! counter when the waiting thread runs, is what lies between, and at most one pass of its loop.

use crate::meter::{ITERATIONS, tell};
use crate::partner::CLOCK;
use core::sync::atomic::Ordering;
use rt::measure::{begin, counter, end};
use rt::memory::Shared;
use stage::{Give, POOL, PRIORITY, Part, Stage};
use stage::{Trouble, must, same};
use sys::{FOREVER, InterruptControl, PAGE_BYTES, PortRange, Rights, Trigger, start};

/// The timer's output: interrupt 0 of the ISA bus, which the firmware's tables put on input 2 of the I/O APIC.
const GSI: u32 = 2;
const CHANNEL_0: u16 = 0x40;
const CONTROL: u16 = 0x43;
/// 8254 control word: channel 0, low byte then high byte, mode 2 (rate generator).
const RATE_GENERATOR: u8 = 0x34;
/// Of 1.193182 MHz: an interrupt every 50 microseconds, 50,000 instructions.
const DIVISOR: u16 = 60;
const WARM_UPS: u64 = 100;

pub fn to_user_thread(stage: &Stage) -> Result<(), Trouble> {
    let memory = must("making memory", POOL.create_memory(PAGE_BYTES))?;
    let shared = must("mapping", Shared::map(memory, PAGE_BYTES, Rights::READ | Rights::WRITE))?;
    let place = shared.atomic(0).ok_or("the first word of a page")?;
    let partner = stage.start(&Part {
        priority: PRIORITY - 1,
        ..Part::new("clock", &[Give::Memory(CLOCK, memory, PAGE_BYTES, Rights::ALL)], stage.accidents)
    })?;
    let notification = must("making a notification", POOL.create_notification())?;
    let interrupt = must("taking the interrupt", InterruptControl(start::INTERRUPT_CONTROL).line(GSI, Trigger::Edge, POOL))?;
    must("binding it", interrupt.bind(notification, 1))?;
    program_timer(DIVISOR)?;
    let mut all = 0;
    let mut heard = 0;
    for n in 0..WARM_UPS + ITERATIONS {
        if n == WARM_UPS {
            begin();
        }
        heard += notification.wait(FOREVER).unwrap_or(0);
        let now = counter() as u32;
        if n >= WARM_UPS {
            all += u64::from(now.wrapping_sub(place.load(Ordering::Relaxed)));
        }
    }
    end();
    // Mode 0: one last interrupt, then silence.
    program_timer(0)?;
    partner.destroy();
    tell("irq.to_user_thread", ITERATIONS, all);
    same("interrupts heard", heard, WARM_UPS + ITERATIONS)
}

fn program_timer(divisor: u16) -> Result<(), Trouble> {
    let ports = PortRange(start::PORTS);
    let control = if divisor == 0 { RATE_GENERATOR & 0x30 } else { RATE_GENERATOR };
    must("the timer's mode", ports.write8(CONTROL, control))?;
    let [low, high] = divisor.to_le_bytes();
    must("the timer's divisor", ports.write8(CHANNEL_0, low))?;
    must("the timer's divisor", ports.write8(CHANNEL_0, high))
}
