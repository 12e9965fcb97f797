// SPDX-License-Identifier: PMPL-1.0-or-later
//! What the kernel reads from firmware, loader and bundle. Beside "never panics": what was accepted keeps its limits.

use abi::right::Rights;
use machine::acpi;

/// Physical memory from 0 on. If the first byte is odd, checksums of what looks like a table are made right first.
pub fn acpi(data: &[u8]) {
    let Some((mode, memory)) = data.split_first() else { return };
    let mut memory = memory.to_vec();
    if mode % 2 == 1 {
        seal(&mut memory);
    }
    let read = |address: u64, length: usize| memory.get(usize::try_from(address).ok()?..)?.get(..length);
    let found = acpi::parse(&read, 0);
    assert!(found.cpu_count <= machine::MAX_CPUS);
    acpi::parse(&read, u64::MAX - 7);
    acpi::find_rsdp(&read);
}

fn seal(memory: &mut [u8]) {
    for at in (0..memory.len()).step_by(16) {
        let Some(head) = memory.get(at..at + 36) else { return };
        if head.starts_with(b"RSD PTR ") {
            fix(&mut memory[at..at + 20], 8);
            fix(&mut memory[at..at + 36], 32);
        } else if head[..4].iter().all(u8::is_ascii_uppercase) {
            let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            if length >= 36
                && let Some(table) = memory.get_mut(at..at + length)
            {
                fix(table, 9);
            }
        }
    }
}

fn fix(bytes: &mut [u8], at: usize) {
    bytes[at] = 0;
    bytes[at] = bytes.iter().fold(0u8, |sum, b| sum.wrapping_sub(*b));
}

/// The head of a boot bundle.
pub fn bundle(data: &[u8]) {
    if let Some(head) = kernel::config::head(data) {
        let length = data.len() as u64;
        assert!(head.length_bytes <= length && (1..=machine::MAX_CPUS as u32).contains(&head.kernel.max_cpus));
        for s in &head.root_segments[..head.root_segment_count as usize] {
            let rights = Rights(s.access as u16);
            assert!(!(rights.contains(Rights::WRITE) && rights.contains(Rights::EXECUTE)));
            assert!(s.file_offset + s.file_bytes <= length && s.file_bytes <= s.memory_bytes);
        }
    }
}

pub fn command_line(data: &[u8]) {
    let mut origin = machine::command_line::UNKNOWN;
    machine::command_line::apply(data, &mut origin);
    assert!(origin.verity_salt_len <= 32 && origin.slot <= 2);
}
