// SPDX-License-Identifier: PMPL-1.0-or-later
//! What each CPU did last: system calls, faults, interrupts, and who runs after them. In kernels with debug facilities
//! only; a production kernel has neither the rings nor a call here.
//!
//! A ring is written by its own CPU and read from outside, out of the memory of a machine that stands still: no
//! operation leads here. `build/src/trace/ring.ts` reads what is written here, field by field.

use crate::Kernel;
use crate::fast::Own;
use crate::fault::Fault;
use abi::op::Op;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use machine::memory::Ref;
use machine::{Event, Local, Outcome};

/// CPUs beyond these are not traced.
const CPUS: usize = 8;
/// Of one CPU; the newest takes the place of the oldest.
const RECORDS: usize = 2048;
/// Time in nanoseconds of the kernel's clock; what happened; name of the thread; more of what happened.
const WORDS: usize = 4;

/// In this order, for those who read it from outside.
#[repr(C)]
struct Ring {
    /// Records ever written.
    count: AtomicU64,
    records: [[AtomicU64; WORDS]; RECORDS],
}

static RINGS: [Ring; CPUS] =
    [const { Ring { count: AtomicU64::new(0), records: [const { [const { AtomicU64::new(0) }; WORDS] }; RECORDS] } }; CPUS];

/// Bits 0..7 of the second word.
#[repr(u64)]
enum Kind {
    /// Number: operation. Fourth word: the handle.
    Call = 1,
    /// Number: vector, error code above. Fourth word: the address.
    Fault = 2,
    /// Number: vector of a device.
    Interrupt = 3,
    Timer = 4,
    /// Another CPU asks for attention.
    Kick = 5,
    /// The thread runs from now on; without a name nobody does. Fourth word: which one, among those of a name.
    Run = 6,
}

/// Writes one record; `number` goes above the kind.
#[inline]
fn write(cpu: usize, kind: Kind, number: u64, name: [u8; 8], detail: u64) {
    let Some(ring) = RINGS.get(cpu) else { return };
    let count = ring.count.load(Relaxed);
    let record = &ring.records[count as usize % RECORDS];
    let words = [machine::now_ns(), kind as u64 | number << 8, u64::from_le_bytes(name), detail];
    for (word, value) in record.iter().zip(words) {
        word.store(value, Relaxed);
    }
    ring.count.store(count + 1, Relaxed);
}

/// A call that was done in local mode, and who runs after it.
#[inline]
pub fn local<'a>(own: &Own, local: &Local, op: Op, handle: u64, outcome: Outcome<'a>) -> Outcome<'a> {
    if outcome != Outcome::Declined {
        let (name, thread) = own.runs(local);
        write(local.cpu(), Kind::Call, op as u64, [0; 8], handle);
        write(local.cpu(), Kind::Run, 0, name, thread.map_or(0, Ref::id));
    }
    outcome
}

/// A fault that a handler was told of in local mode, and that the handler runs.
#[inline]
pub fn local_fault<'a>(own: &Own, local: &Local, fault: Option<Fault>, outcome: Outcome<'a>) -> Outcome<'a> {
    if outcome != Outcome::Declined
        && let Some(Fault { vector, error, address }) = fault
    {
        let (name, thread) = own.runs(local);
        write(local.cpu(), Kind::Fault, u64::from(vector) | (error & 0xffff) << 8, [0; 8], address);
        write(local.cpu(), Kind::Run, 0, name, thread.map_or(0, Ref::id));
    }
    outcome
}

impl Kernel {
    /// Before an event is seen to.
    pub(crate) fn trace_event(&self, cpu: usize, event: Event, rax: u64, rdi: u64) {
        let name = self.running_name(cpu);
        match event {
            Event::Syscall => write(cpu, Kind::Call, rax & 0xffff_ffff, name, rdi),
            Event::Fault { vector, error, address } => {
                write(cpu, Kind::Fault, u64::from(vector) | (error & 0xffff) << 8, name, address)
            }
            Event::Interrupt(vector) => write(cpu, Kind::Interrupt, u64::from(vector), name, 0),
            Event::Timer => write(cpu, Kind::Timer, 0, name, 0),
            Event::Kick => write(cpu, Kind::Kick, 0, name, 0),
            Event::Nothing => {}
        }
    }

    /// After the choice of who runs.
    pub(crate) fn trace_run(&self, cpu: usize) {
        write(cpu, Kind::Run, 0, self.running_name(cpu), self.cpus[cpu].current.map_or(0, Ref::id));
    }

    fn running_name(&self, cpu: usize) -> [u8; 8] {
        self.cpus[cpu].current.and_then(|t| self.threads.get(t)).map_or([0; 8], |t| t.name)
    }
}
