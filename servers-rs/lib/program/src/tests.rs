// SPDX-License-Identifier: PMPL-1.0-or-later
//! A small good file, and one refusal per fault.

extern crate std;
use super::*;
use std::vec::Vec;

const HEADER: usize = 64;
const ENTRY: usize = 56;

/// (type, flags, offset, address, file bytes, memory bytes)
type Load = (u32, u32, u64, u64, u64, u64);
const TEXT: Load = (PT_LOAD, PF_R | PF_X, 0x200, 0x401000, 16, 16);
const DATA: Load = (PT_LOAD, PF_R | PF_W, 0x210, 0x402010, 8, 0x2000);

fn file(kind: u16, entry: u64, loads: &[Load]) -> Vec<u8> {
    let mut f = Vec::from(&b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"[..]);
    f.extend(kind.to_le_bytes());
    f.extend(EM_X86_64.to_le_bytes());
    f.extend(1u32.to_le_bytes());
    f.extend(entry.to_le_bytes());
    f.extend((HEADER as u64).to_le_bytes());
    f.extend(0u64.to_le_bytes());
    f.extend(0u32.to_le_bytes());
    for n in [HEADER as u16, ENTRY as u16, loads.len() as u16, 64, 0, 0] {
        f.extend(n.to_le_bytes());
    }
    for l in loads {
        f.extend(l.0.to_le_bytes());
        f.extend(l.1.to_le_bytes());
        for n in [l.2, l.3, l.3, l.4, l.5, 0x1000] {
            f.extend(n.to_le_bytes());
        }
    }
    f.resize(0x400, 0xcc);
    f
}
fn parse(loads: &[Load]) -> Result<Program, Fault> {
    Program::parse(&file(ET_EXEC, 0x401000, loads))
}

#[test]
fn a_good_file_becomes_whole_pages() {
    let program = parse(&[TEXT, DATA]).unwrap();
    let all: Vec<_> = program.segments().copied().collect();
    assert_eq!((all[0].address, all[0].memory_bytes, all[0].access), (0x401000, 0x1000, Access::ReadExecute));
    assert_eq!((all[1].address, all[1].memory_bytes, all[1].lead_bytes), (0x402000, 0x3000, 0x10));
    assert_eq!(program.memory_bytes(), 0x4000);
}

#[test]
fn each_fault_has_its_name() {
    let cases: &[(&[Load], Fault)] = &[
        (&[], Fault::NoSegments),
        (&[(PT_LOAD, PF_W | PF_X, 0x200, 0x401000, 1, 1)], Fault::WriteAndExecute { address: 0x401000 }),
        (&[(PT_INTERP, PF_R, 0, 0, 0, 0), TEXT], Fault::NotStatic),
        (&[(PT_LOAD, PF_R, 0x3ff, 0x401000, 2, 2)], Fault::OutsideFile { address: 0x401000 }),
        (&[(PT_LOAD, PF_R, u64::MAX, 0x401000, 2, 2)], Fault::OutsideFile { address: 0x401000 }),
        (&[(PT_LOAD, PF_R, 0, 0x401000, 3, 2)], Fault::OutsideFile { address: 0x401000 }),
        (&[(PT_LOAD, PF_R, 0, 0x10, 1, 1)], Fault::OutsideProgramSpace { address: 0x10 }),
        (&[(PT_LOAD, PF_R, 0, u64::MAX, 1, 1)], Fault::OutsideProgramSpace { address: u64::MAX }),
        (&[(PT_LOAD, PF_R, 0, PROGRAM_END, 1, 1)], Fault::OutsideProgramSpace { address: PROGRAM_END }),
        (&[(PT_LOAD, PF_R, 0, 0x401000, 1, 1 << 31)], Fault::OutsideProgramSpace { address: 0x401000 }),
        (&[TEXT, (PT_LOAD, PF_R, 0, 0x401800, 1, 1)], Fault::Overlap { address: 0x401800 }),
        (&[(PT_LOAD, PF_R, 0x200, 0x401000, 16, 16)], Fault::EntryNotExecutable { address: 0x401000 }),
        (&[TEXT; 9], Fault::Overlap { address: 0x401000 }),
    ];
    for (loads, fault) in cases {
        assert_eq!(parse(loads).err(), Some(*fault), "{loads:x?}");
    }
    let many: Vec<Load> = (0..9).map(|n| (PT_LOAD, PF_R | PF_X, 0, 0x401000 + n * 0x1000, 1, 1)).collect();
    assert_eq!(parse(&many).err(), Some(Fault::TooManySegments));
    assert_eq!(Program::parse(b"#!/bin/sh").err(), Some(Fault::NotElf));
    assert_eq!(Program::parse(&file(3, 0x401000, &[TEXT])).err(), Some(Fault::WrongKind));
}

#[test]
fn no_byte_changed_anywhere_makes_it_panic() {
    let good = file(ET_EXEC, 0x401000, &[TEXT, DATA]);
    for at in 0..200 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] = value;
            if let Ok(program) = Program::parse(&bad) {
                program.segments().for_each(|s| assert!(s.bytes(&bad).len() as u64 <= s.memory_bytes));
            }
        }
    }
    for n in 0..good.len() {
        let _ = Program::parse(&good[..n]);
    }
}
