// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a death looks like on the console: `SERVER-FAULT {json}`, with a back-trace where the bundle has symbols.

use abi::fault::Cause;
use alloc::string::String;
use core::fmt::Write;
use manifest::{layout, symbols};
use rt::child::Child;
use rt::memory::Shared;
use sys::Rights;

/// Frames of a back-trace.
const MAX_FRAMES: usize = 16;
/// Room for the longest line, so that writing one allocates nothing.
pub const LINE_BYTES: usize = 4096;

/// Why a component is dead.
#[derive(Clone, Copy, Debug)]
pub enum Death {
    /// Words of the kernel's message (`abi::fault::label::FAULT`).
    Fault([u64; 21]),
    Exit(u64),
    /// It did not say that it is ready in time.
    Silent { ms: u32 },
}

/// Order of the registers in a fault's message, from word 3 on.
const REGISTERS: [&str; 18] = [
    "rip", "rsp", "rflags", "rbp", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
];

/// Writes the line into `line`. `names` is the component's symbol table, empty in production.
pub fn write(line: &mut String, name: &str, death: &Death, deaths: u32, child: Option<&Child>, names: &[u8]) {
    line.clear();
    // Names are checked by the orchestrator, but a quote would break whoever reads the line.
    let name = name.split('"').next().unwrap_or("");
    let _ = write!(line, "SERVER-FAULT {{\"name\":\"{name}\",");
    match death {
        Death::Exit(code) => drop(write!(line, "\"cause\":\"exit\",\"code\":{code}")),
        Death::Silent { ms } => drop(write!(line, "\"cause\":\"not ready\",\"after_ms\":{ms}")),
        Death::Fault(words) => fault(line, words, child, names),
    }
    let _ = write!(line, ",\"deaths\":{deaths}}}");
}

fn fault(line: &mut String, words: &[u64; 21], child: Option<&Child>, names: &[u8]) {
    let [cause, address, error, rip, _, _, rbp, ..] = *words;
    let cause = u8::try_from(cause).ok().and_then(Cause::from_vector).map_or("unknown", Cause::name);
    let _ = write!(line, "\"cause\":\"{cause}\",\"address\":\"{address:#x}\",\"error\":{error},\"rip\":\"{rip:#x}\"");
    if let Some((symbol, offset)) = symbols::lookup(names, rip) {
        let _ = write!(line, ",\"symbol\":\"{symbol}+{offset:#x}\"");
    }
    line.push_str(",\"registers\":{");
    for (n, (register, value)) in REGISTERS.iter().zip(words.iter().skip(3)).enumerate() {
        let _ = write!(line, "{}\"{register}\":\"{value:#x}\"", if n == 0 { "" } else { "," });
    }
    line.push('}');
    if let Some(child) = child.filter(|_| !names.is_empty()) {
        line.push_str(",\"trace\":[");
        trace(child, rbp, |n, at| {
            let comma = if n == 0 { "" } else { "," };
            let _ = match symbols::lookup(names, at) {
                Some((symbol, offset)) => write!(line, "{comma}\"{at:#x} {symbol}+{offset:#x}\""),
                None => write!(line, "{comma}\"{at:#x}\""),
            };
        });
        line.push(']');
    }
}

/// Follows frame pointers through the dead component's stack; whatever stands there, it ends.
fn trace(child: &Child, mut frame: u64, mut each: impl FnMut(usize, u64)) {
    let Ok(stack) = Shared::map(child.stack, child.stack_bytes, Rights::READ) else { return };
    let bottom = layout::STACK_TOP - child.stack_bytes;
    for n in 0..MAX_FRAMES {
        let Some(offset) = frame.checked_sub(bottom).filter(|_| frame < layout::STACK_TOP) else { return };
        let mut pair = [0; 16];
        if stack.read(offset as usize, &mut pair).is_none() {
            return;
        }
        let (next, back) = pair.split_at(8);
        let word = |bytes: &[u8]| bytes.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
        let back = word(back);
        if back == 0 {
            return;
        }
        each(n, back);
        // Frames lie one above the other; anything else is no chain.
        if word(next) <= frame {
            return;
        }
        frame = word(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_fault_names_cause_address_and_function() {
        let names = symbols::encode(alloc::vec![(0x401000, "virtio_blk::device::read".to_string())]);
        let mut words = [0; 21];
        words[..4].copy_from_slice(&[14, 0xdead, 6, 0x401010]);
        let mut line = String::new();
        write(&mut line, "virtio-blk", &Death::Fault(words), 2, None, &names);
        let start = "SERVER-FAULT {\"name\":\"virtio-blk\",\"cause\":\"page fault\",\"address\":\"0xdead\",\"error\":6,\"rip\":\"0x401010\",";
        assert!(line.starts_with(start), "{line}");
        assert!(line.contains("\"symbol\":\"virtio_blk::device::read+0x10\""), "{line}");
        assert!(line.ends_with("\"deaths\":2}"), "{line}");
        assert_eq!(line.matches('{').count(), line.matches('}').count());
    }

    #[test]
    fn an_exit_and_a_silence_say_what_they_are() {
        let mut line = String::new();
        write(&mut line, "a\"b", &Death::Exit(101), 1, None, &[]);
        assert_eq!(line, "SERVER-FAULT {\"name\":\"a\",\"cause\":\"exit\",\"code\":101,\"deaths\":1}");
        write(&mut line, "c", &Death::Silent { ms: 5000 }, 1, None, &[]);
        assert_eq!(line, "SERVER-FAULT {\"name\":\"c\",\"cause\":\"not ready\",\"after_ms\":5000,\"deaths\":1}");
    }
}
