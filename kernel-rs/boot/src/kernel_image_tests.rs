// SPDX-License-Identifier: PMPL-1.0-or-later
//! A small kernel written by hand, and one refusal per fault in it.

use super::*;
use crate::testing::{DATA, READ_WRITE, TEXT, kernel, program_header, set};

fn refused_when(change: impl FnOnce(&mut Vec<u8>)) -> Refusal {
    let mut file = kernel();
    change(&mut file);
    plan(&file).expect_err("the change must be refused")
}

#[test]
fn a_good_kernel_is_planned() {
    let plan = plan(&kernel()).expect("good");
    assert_eq!(plan.length_bytes, 0x5000);
    assert_eq!(plan.entry, KERNEL_BASE + TEXT + 16);
    assert_eq!(plan.segments.len(), 2);
    assert_eq!(plan.segments[0].access, Access::ReadExecute);
    assert_eq!(plan.segments[1].pages(), 0x2000..0x5000);
}

#[test]
fn refused_empty_or_cut_short() {
    assert_eq!(plan(&[]), Err(Refusal::Truncated));
    assert_eq!(plan(&kernel()[..100]), Err(Refusal::Truncated));
}

#[test]
fn refused_not_elf() {
    assert_eq!(refused_when(|file| file[0] = 0), Refusal::NotElf64);
    assert_eq!(refused_when(|file| file[4] = 1), Refusal::NotElf64);
}

#[test]
fn refused_position_independent() {
    assert_eq!(refused_when(|file| file[16] = 3), Refusal::NotExecutable);
}

#[test]
fn refused_other_machine() {
    assert_eq!(refused_when(|file| file[18] = 183), Refusal::NotX86);
}

#[test]
fn refused_program_headers_past_the_end() {
    assert_eq!(refused_when(|file| set(file, 32, &u64::MAX.to_le_bytes())), Refusal::Truncated);
    assert_eq!(refused_when(|file| set(file, 32, &0x1ff0_u64.to_le_bytes())), Refusal::Truncated);
}

#[test]
fn refused_no_segment() {
    assert_eq!(refused_when(|file| set(file, 56, &[0, 0])), Refusal::NoSegments);
}

#[test]
fn refused_segment_past_the_end_of_the_file() {
    let past = |file: &mut Vec<u8>| program_header(file, 1, READ_WRITE, [0x1900, KERNEL_BASE + DATA, 0x800, 0x800]);
    assert_eq!(refused_when(past), Refusal::OutsideFile);
    let wraps = |file: &mut Vec<u8>| program_header(file, 1, READ_WRITE, [u64::MAX, KERNEL_BASE + DATA, 0x800, 0x800]);
    assert_eq!(refused_when(wraps), Refusal::OutsideFile);
}

#[test]
fn refused_more_bytes_in_the_file_than_in_memory() {
    let change = |file: &mut Vec<u8>| program_header(file, 1, READ_WRITE, [0x1800, KERNEL_BASE + DATA, 0x800, 0x10]);
    assert_eq!(refused_when(change), Refusal::FileLargerThanMemory);
}

#[test]
fn refused_below_the_kernels_base() {
    let change = |file: &mut Vec<u8>| program_header(file, 1, READ_WRITE, [0x1800, 0x10_0000, 0x800, 0x800]);
    assert_eq!(refused_when(change), Refusal::OutsideKernelSpace);
}

#[test]
fn refused_too_large() {
    let change = |file: &mut Vec<u8>| program_header(file, 1, READ_WRITE, [0x1800, KERNEL_BASE + DATA, 0x800, 65 << 20]);
    assert_eq!(refused_when(change), Refusal::TooLarge);
    let wraps = |file: &mut Vec<u8>| program_header(file, 1, READ_WRITE, [0x1800, KERNEL_BASE + DATA, 0x800, u64::MAX]);
    assert_eq!(refused_when(wraps), Refusal::TooLarge);
}

#[test]
fn refused_writable_and_executable() {
    let change = |file: &mut Vec<u8>| program_header(file, 1, 7, [0x1800, KERNEL_BASE + DATA, 0x800, 0x800]);
    assert_eq!(refused_when(change), Refusal::WritableAndExecutable);
}

#[test]
fn refused_two_segments_on_one_page() {
    let change = |file: &mut Vec<u8>| program_header(file, 1, READ_WRITE, [0x1800, KERNEL_BASE + TEXT + 0x800, 0x800, 0x800]);
    assert_eq!(refused_when(change), Refusal::SharedPage);
}

#[test]
fn refused_entry_outside_the_text() {
    let change = |file: &mut Vec<u8>| set(file, 24, &(KERNEL_BASE + DATA).to_le_bytes());
    assert_eq!(refused_when(change), Refusal::EntryNotExecutable);
}

#[test]
fn any_flipped_byte_of_the_headers_is_planned_or_refused_never_a_panic() {
    let good = kernel();
    for at in 0..64 + 2 * 56 {
        for bit in 0..8 {
            let mut file = good.clone();
            file[at] ^= 1 << bit;
            if let Ok(plan) = plan(&file) {
                assert!(plan.length_bytes <= MAX_IMAGE_BYTES);
            }
        }
    }
}
