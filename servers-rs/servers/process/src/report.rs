// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a death looks like on the console: the registers and a back-trace for a person, then `SERVER-FAULT {json}` for a
//! machine. Each line fits into one of the kernel's debug console (256 bytes), where lines go without a log server.

use abi::fault::Cause;
use alloc::string::String;
use core::fmt::Write;
use manifest::{layout, symbols};
use rt::child::Running;
use rt::memory::Shared;
use sys::Rights;

/// Frames of a back-trace.
const MAX_FRAMES: usize = 16;
/// Room for the longest line, so that writing one allocates nothing.
pub const LINE_BYTES: usize = 512;
/// Of a function's name; generic ones are longer than a line.
const NAME_BYTES: usize = 90;
/// Order of the registers in a fault's message, from word 3 on.
const REGISTERS: [&str; 18] = [
    "rip", "rsp", "rflags", "rbp", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
];
const REGISTERS_A_LINE: usize = 6;

/// Why a component is dead.
#[derive(Clone, Copy, Debug)]
pub enum Death {
    /// Words of the kernel's message (`abi::fault::label::FAULT`).
    Fault([u64; 21]),
    Exit(u64),
    /// It did not say that it is ready in time.
    Silent {
        ms: u32,
    },
    /// It ran for so long without coming back to its loop.
    Hung {
        ms: u32,
    },
    /// Someone who may asked for it.
    Ended,
}

impl Death {
    /// As the status interface tells it.
    pub fn cause(&self) -> (api_supervisor::Cause, u64) {
        use api_supervisor::Cause;
        match *self {
            Death::Fault([vector, ..]) => (Cause::Fault, vector),
            Death::Exit(code) => (Cause::Exit, code),
            Death::Silent { ms } => (Cause::NotReady, u64::from(ms)),
            Death::Hung { ms } => (Cause::Hangs, u64::from(ms)),
            Death::Ended => (Cause::Ended, 0),
        }
    }
}

/// A dead component.
#[derive(Clone, Copy)]
pub struct Victim<'a> {
    pub name: &'a str,
    pub death: &'a Death,
    /// Deaths in the current window, this one included.
    pub deaths: u32,
    pub child: Option<&'a Running>,
    /// Its symbol table, empty in production.
    pub names: &'a [u8],
}

/// Calls `say` with each line; `line` is room to write in.
pub fn tell(it: &Victim<'_>, line: &mut String, mut say: impl FnMut(&str)) {
    if let Death::Fault(words) = it.death {
        registers(it, words, line, &mut say);
        trace(it, words, line, &mut say);
    }
    line.clear();
    machine_line(it, line);
    say(line);
}

fn registers(it: &Victim<'_>, words: &[u64; 21], line: &mut String, say: &mut dyn FnMut(&str)) {
    let values = words.get(3..).unwrap_or(&[]);
    for (names, values) in REGISTERS.chunks(REGISTERS_A_LINE).zip(values.chunks(REGISTERS_A_LINE)) {
        line.clear();
        let _ = write!(line, "process: {}:", it.name);
        for (name, value) in names.iter().zip(values) {
            let _ = write!(line, " {name}={value:#x}");
        }
        say(line);
    }
}

/// Follows frame pointers through the dead component's stack; whatever stands there, it ends.
fn trace(it: &Victim<'_>, words: &[u64; 21], line: &mut String, say: &mut dyn FnMut(&str)) {
    let [_, _, _, rip, _, _, mut frame, ..] = *words;
    let mut each = |n: usize, at: u64| {
        line.clear();
        let _ = write!(line, "process: {}: #{n} {at:#x} ", it.name);
        symbol(line, it.names, at);
        say(line);
    };
    if it.names.is_empty() {
        return;
    }
    each(0, rip);
    let Some(child) = it.child else { return };
    let Ok(stack) = Shared::map(child.stack, child.stack_bytes, Rights::READ) else { return };
    let bottom = layout::STACK_TOP - child.stack_bytes;
    for n in 1..MAX_FRAMES {
        let Some(offset) = frame.checked_sub(bottom).filter(|_| frame < layout::STACK_TOP) else { return };
        let mut pair = [0; 16];
        if stack.read(offset as usize, &mut pair).is_none() {
            return;
        }
        let word = |bytes: &[u8]| bytes.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
        let (next, back) = (word(pair.split_at(8).0), word(pair.split_at(8).1));
        if back == 0 {
            return;
        }
        each(n, back);
        // Frames lie one above the other; anything else is no chain.
        if next <= frame {
            return;
        }
        frame = next;
    }
}

fn machine_line(it: &Victim<'_>, line: &mut String) {
    // The orchestrator checks names, but a quote would break whoever reads the line.
    let name = it.name.split('"').next().unwrap_or("");
    let _ = write!(line, "SERVER-FAULT {{\"name\":\"{name}\",");
    let _ = match it.death {
        Death::Exit(code) => write!(line, "\"cause\":\"exit\",\"code\":{code}"),
        Death::Ended => write!(line, "\"cause\":\"ended by request\""),
        Death::Hung { ms } => write!(line, "\"cause\":\"hangs\",\"after_ms\":{ms}"),
        Death::Silent { ms } => write!(line, "\"cause\":\"not ready\",\"after_ms\":{ms}"),
        Death::Fault([cause, address, error, rip, ..]) => {
            let cause = u8::try_from(*cause).ok().and_then(Cause::from_vector).map_or("unknown", Cause::name);
            let _ = write!(line, "\"cause\":\"{cause}\",\"address\":\"{address:#x}\",\"error\":{error},\"rip\":\"{rip:#x}\"");
            if symbols::lookup(it.names, *rip).is_some() {
                line.push_str(",\"symbol\":\"");
                symbol(line, it.names, *rip);
                line.push('"');
            }
            Ok(())
        }
    };
    // The same fields whatever the cause, so that a reader needs no cases.
    if !matches!(it.death, Death::Fault(_)) {
        line.push_str(",\"address\":\"none\",\"rip\":\"none\"");
    }
    let _ = write!(line, ",\"deaths\":{}}}", it.deaths);
}

/// `function+0x10`, or nothing.
fn symbol(line: &mut String, names: &[u8], at: u64) {
    if let Some((name, offset)) = symbols::lookup(names, at) {
        let end = (0..=NAME_BYTES.min(name.len())).rev().find(|&n| name.is_char_boundary(n)).unwrap_or(0);
        let _ = write!(line, "{}+{offset:#x}", name.get(..end).unwrap_or(""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    fn lines(name: &str, death: Death, names: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        tell(&Victim { name, death: &death, deaths: 2, child: None, names }, &mut String::new(), |line| all.push(line.into()));
        all
    }

    #[test]
    fn a_fault_names_cause_address_and_function_and_shows_all_registers() {
        let long = "a::very::long::name::".repeat(20);
        let names = symbols::encode(alloc::vec![(0x401000, "virtio_blk::device::read".to_string()), (0x402000, long)]);
        let mut words: [u64; 21] = core::array::from_fn(|n| u64::MAX - n as u64);
        words[..4].copy_from_slice(&[14, u64::MAX, 6, 0x401010]);
        let all = lines("virtio-blk", Death::Fault(words), &names);
        let last = all.last().unwrap();
        let start =
            "SERVER-FAULT {\"name\":\"virtio-blk\",\"cause\":\"page fault\",\"address\":\"0xffffffffffffffff\",\"error\":6,";
        assert!(last.starts_with(start), "{last}");
        assert!(last.ends_with("\"symbol\":\"virtio_blk::device::read+0x10\",\"deaths\":2}"), "{last}");
        for register in REGISTERS {
            assert!(all.iter().any(|l| l.contains(&alloc::format!(" {register}=0x"))), "{register} in {all:?}");
        }
        assert!(all.contains(&"process: virtio-blk: #0 0x401010 virtio_blk::device::read+0x10".into()), "{all:?}");
        words[3] = 0x402001;
        let all = lines("virtio-blk", Death::Fault(words), &names);
        assert!(all.iter().all(|l| l.len() <= 256 && l.len() <= LINE_BYTES), "{all:?}");
    }

    #[test]
    fn an_exit_and_a_silence_say_what_they_are() {
        let exit = lines("a\"b", Death::Exit(101), &[]);
        assert_eq!(
            exit,
            ["SERVER-FAULT {\"name\":\"a\",\"cause\":\"exit\",\"code\":101,\"address\":\"none\",\"rip\":\"none\",\"deaths\":2}"]
        );
        let silent = lines("c", Death::Silent { ms: 5000 }, &[]);
        assert_eq!(
            silent,
            [
                "SERVER-FAULT {\"name\":\"c\",\"cause\":\"not ready\",\"after_ms\":5000,\"address\":\"none\",\"rip\":\"none\",\"deaths\":2}"
            ]
        );
    }
}
