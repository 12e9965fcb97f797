// SPDX-License-Identifier: PMPL-1.0-or-later
//! The end: a panic, a fault of the kernel, a machine check. Says what happened, for a person and for a program, and
//! stops every CPU.

use super::console::print_urgent;
use super::cpu::halt;
use super::entry::frame_pointer;
use super::{apic, kernel_space};
use crate::registers::Registers;
use core::fmt::{self, Display, Formatter, Write};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};

const MOST_FRAMES: usize = 32;

static STOPPING: AtomicBool = AtomicBool::new(false);
static SYMBOLS: AtomicU64 = AtomicU64::new(0);
static SYMBOLS_BYTES: AtomicU64 = AtomicU64::new(0);

/// Names for back-traces, as `abi::bundle::Head` describes them. The bytes stay where they are and nobody writes them:
/// they are part of the boot bundle, to which no capability with the write right exists.
pub fn set_symbols(table: &'static [u8]) {
    SYMBOLS.store(table.as_ptr() as u64, Relaxed);
    SYMBOLS_BYTES.store(table.len() as u64, Release);
}

fn symbols() -> &'static [u8] {
    let bytes = SYMBOLS_BYTES.load(Acquire) as usize;
    // SAFETY: 1. `set_symbols` got a slice that lives for ever; 2. empty until then, with a pointer that is not null.
    unsafe { core::slice::from_raw_parts(SYMBOLS.load(Relaxed).max(1) as *const u8, bytes) }
}

fn symbol(address: u64) -> Option<(&'static str, u64)> {
    let table = symbols();
    let word = |at: usize| Some(u32::from_le_bytes(table.get(at..at + 4)?.try_into().ok()?));
    let place = |n: usize| Some(word(4 + n * 16)? as u64 | (word(8 + n * 16)? as u64) << 32);
    let (mut low, mut high) = (0, word(0)? as usize);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if place(middle)? <= address { low = middle } else { high = middle }
    }
    let start = place(low)?;
    let name = table.get(word(12 + low * 16)? as usize..)?.get(..word(16 + low * 16)? as usize)?;
    Some((core::str::from_utf8(name).ok()?, address.checked_sub(start)?))
}

fn print_place(n: usize, address: u64) {
    match symbol(address) {
        Some((name, offset)) => print_urgent(format_args!("kernel:   #{n} {address:#018x} {name}+{offset:#x}")),
        None => print_urgent(format_args!("kernel:   #{n} {address:#018x}")),
    }
}

/// Follows frame pointers as far as they make sense.
fn print_trace(rip: Option<u64>, mut frame: u64) {
    let mut n = 0;
    if let Some(rip) = rip {
        print_place(n, rip);
        n += 1;
    }
    while n < MOST_FRAMES && kernel_space::is_readable(frame) && kernel_space::is_readable(frame + 8) {
        // SAFETY: 1. both words are mapped (just checked) and aligned.
        let (next, back) = unsafe { ((frame as *const u64).read(), ((frame + 8) as *const u64).read()) };
        if !kernel_space::is_text(back) {
            break;
        }
        print_place(n, back);
        n += 1;
        // The stack grows down: callers lie above.
        if next <= frame {
            break;
        }
        frame = next;
    }
}

/// Text inside a JSON string.
struct Escaped<T>(T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        struct Escaper<'a, 'b>(&'a mut Formatter<'b>);
        impl Write for Escaper<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                for c in text.chars() {
                    match c {
                        '"' | '\\' => write!(self.0, "\\{c}")?,
                        c if (c as u32) < 0x20 => write!(self.0, "\\u{:04x}", c as u32)?,
                        c => self.0.write_char(c)?,
                    }
                }
                Ok(())
            }
        }
        write!(Escaper(f), "{}", self.0)
    }
}

fn stop_others() {
    if STOPPING.swap(true, AcqRel) {
        halt();
    }
    apic::send_nmi_to_others();
}

fn last_line(cause: &str, message: impl Display, rip: u64) -> ! {
    let origin = super::boot::origin();
    let version = origin.map_or(&[][..], |o| &o.version);
    let version = core::str::from_utf8(version).unwrap_or("").trim_end_matches('\0');
    let slot = ["", "A", "B"][origin.map_or(0, |o| o.slot as usize).min(2)];
    print_urgent(format_args!(
        "KERNEL-PANIC {{\"cause\":\"{cause}\",\"message\":\"{}\",\"cpu\":{},\"rip\":\"{rip:#x}\",\"version\":\"{}\",\"slot\":\"{slot}\"}}",
        Escaped(message),
        apic::id_or_zero(),
        Escaped(version)
    ));
    halt()
}

/// The kernel found itself wrong.
pub fn panic(info: &core::panic::PanicInfo) -> ! {
    stop_others();
    print_urgent(format_args!("kernel: panic: {}", info.message()));
    if let Some(place) = info.location() {
        print_urgent(format_args!("kernel:   at {}:{}", place.file(), place.line()));
    }
    print_trace(None, frame_pointer());
    last_line("panic", info.message(), 0)
}

/// What an exception is, for a program and for a person.
fn name(vector: u64, address: u64) -> (&'static str, &'static str) {
    match vector {
        2 => ("nmi", "non-maskable interrupt"),
        8 if kernel_space::overflowed(address).is_some() => ("stack-overflow", "the kernel's stack overflowed"),
        8 => ("double-fault", "double fault"),
        18 => ("machine-check", "machine check"),
        _ => ("exception", abi::fault::Cause::from_vector(vector as u8).map_or("unexpected exception", |c| c.name())),
    }
}

/// The CPU found the kernel, or itself, wrong.
pub fn exception(frame: &Registers) -> ! {
    if frame.vector == 2 && STOPPING.load(Acquire) {
        halt();
    }
    stop_others();
    let r = frame;
    let address = super::cpu::read_cr2();
    let (cause, name) = name(r.vector, address);
    print_urgent(format_args!("kernel: {} at {:#x}, error {:#x}, address {:#x}", name, r.rip, r.error, address));
    print_urgent(format_args!("kernel:   rax {:016x} rbx {:016x} rcx {:016x} rdx {:016x}", r.rax, r.rbx, r.rcx, r.rdx));
    print_urgent(format_args!("kernel:   rsi {:016x} rdi {:016x} rbp {:016x} rsp {:016x}", r.rsi, r.rdi, r.rbp, r.rsp));
    print_urgent(format_args!("kernel:   r8  {:016x} r9  {:016x} r10 {:016x} r11 {:016x}", r.r8, r.r9, r.r10, r.r11));
    print_urgent(format_args!("kernel:   r12 {:016x} r13 {:016x} r14 {:016x} r15 {:016x}", r.r12, r.r13, r.r14, r.r15));
    print_urgent(format_args!("kernel:   cs {:x} ss {:x} rflags {:x} cr3 {:x}", r.cs, r.ss, r.rflags, super::cpu::read_cr3()));
    if r.cs & 3 == 0 {
        print_trace(Some(r.rip), r.rbp);
    }
    match if r.vector == 18 { super::machine_check::report() } else { None } {
        Some((bank, status)) => last_line(cause, format_args!("{name}, bank {bank}, status {status:#x}"), r.rip),
        None => last_line(cause, name, r.rip),
    }
}
