// SPDX-License-Identifier: PMPL-1.0-or-later
//! Frames that go on a stack and come back, and those that must not.

use super::*;
use crate::signal::set::Set;
use crate::user::testing::Flat;
use linux_raw_sys::general::{SIGSEGV, SIGUSR1, SS_ONSTACK};

const FEATURES: u64 = 7;
const MXCSR_MASK: u32 = 0xffff;
const BASE: u64 = 0x7000_0000;
const AVX_IMAGE_BYTES: usize = LEGACY_BYTES + HEADER_BYTES + 256;

fn action(flags: u32) -> Action {
    Action { handler: 0x40_1000, flags: u64::from(flags | SA_RESTORER), restorer: 0x40_2000, mask: Set::EMPTY }
}

fn registers() -> State {
    let mut r = State { rsp: BASE + 0x8000 - 24, rip: 0x40_5000, rflags: 0x246, fs_base: 77, ..State::default() };
    (r.rax, r.rbx, r.rcx, r.r8, r.r15, r.address, r.error, r.vector) = (1, 2, 3, 8, 15, 0xdead, 6, 14);
    r
}

fn image() -> Vec<u8> {
    let mut image: Vec<u8> = (0..AVX_IMAGE_BYTES).map(|n| n as u8).collect();
    image[24..28].copy_from_slice(&0x1f80_u32.to_le_bytes());
    image[LEGACY_BYTES..LEGACY_BYTES + HEADER_BYTES].fill(0);
    image[LEGACY_BYTES] = 7;
    image[SOFTWARE..LEGACY_BYTES].fill(0);
    image
}

fn deliver(memory: &mut Flat, stack: &mut AltStack, flags: u32) -> Result<State> {
    let (r, vector) = (registers(), image());
    let of = Interrupted { registers: &r, mask: Set::of(&[SIGUSR1]), vector: &vector, features: FEATURES };
    build(memory, stack, &action(flags), &Info::kernel(SIGSEGV), &of)
}

/// As the handler's `ret` leaves the registers.
fn returned(start: &State) -> State {
    State { rsp: start.rsp + 8, ..*start }
}

#[test]
fn a_thread_goes_on_as_it_was_after_its_handler_returned() {
    let mut memory = Flat::new(BASE, 0x8000);
    let start = deliver(&mut memory, &mut AltStack::default(), 0).unwrap();
    assert_eq!((start.rip, start.rdi, start.fs_base), (0x40_1000, u64::from(SIGSEGV), 77));
    assert_eq!(start.rsp % 16, 8);
    assert!(start.rsp + (FRAME_BYTES as u64) < registers().rsp - RED_ZONE_BYTES);
    let back = restore(&mut memory, &returned(&start), FEATURES, MXCSR_MASK).unwrap();
    assert_eq!(in_order(&back.registers), in_order(&State { rflags: 0x246 & FLAGS, ..registers() }));
    assert_eq!((back.mask, back.vector), (Set::of(&[SIGUSR1]), Some(image())));
}

#[test]
fn a_handler_finds_where_and_why_it_was_called() {
    let mut memory = Flat::new(BASE, 0x8000);
    let start = deliver(&mut memory, &mut AltStack::default(), 0).unwrap();
    let mut word = |at: usize| memory.read_u64(start.rsp + at as u64).unwrap();
    assert_eq!([word(0), word(at::ERROR), word(at::TRAP), word(at::FAULT_ADDRESS)], [0x40_2000, 6, 14, 0xdead]);
    assert_eq!(word(at::REGISTERS + 16 * 8), 0x40_5000);
    assert_eq!(memory.read_u32(start.rsi).unwrap(), SIGSEGV);
}

#[test]
fn a_handler_on_the_alternate_stack_returns_to_the_stack_it_came_from() {
    let mut memory = Flat::new(BASE, 0x8000);
    let mut stack = AltStack { base: BASE, flags: 0, size_bytes: 0x2000 };
    let start = deliver(&mut memory, &mut stack, SA_ONSTACK).unwrap();
    assert!(stack.holds(start.rsp) && stack.shown(start.rsp).flags == SS_ONSTACK);
    let back = restore(&mut memory, &returned(&start), FEATURES, MXCSR_MASK).unwrap();
    assert_eq!((back.registers.rsp, back.stack), (registers().rsp, AltStack { base: BASE, flags: 0, size_bytes: 0x2000 }));
}

#[test]
fn a_stack_that_gives_itself_up_is_gone_in_the_handler_and_told_in_the_frame() {
    let mut memory = Flat::new(BASE, 0x8000);
    let armed = AltStack { base: BASE, flags: SS_AUTODISARM, size_bytes: 0x2000 };
    let mut stack = armed;
    let start = deliver(&mut memory, &mut stack, SA_ONSTACK).unwrap();
    assert_eq!(stack, AltStack::default());
    assert_eq!(restore(&mut memory, &returned(&start), FEATURES, MXCSR_MASK).unwrap().stack, armed);
}

#[test]
fn no_frame_is_put_where_it_does_not_fit_or_without_a_restorer() {
    let mut memory = Flat::new(BASE, 0x8000);
    let mut small = AltStack { base: BASE, flags: 0, size_bytes: 1024 };
    assert_eq!(deliver(&mut memory, &mut small, SA_ONSTACK), Err(EFAULT));
    let mut nowhere = Flat::new(0x1000, 0x1000);
    assert_eq!(deliver(&mut nowhere, &mut AltStack::default(), 0), Err(EFAULT));
    let (r, info) = (registers(), Info::kernel(SIGSEGV));
    let of = Interrupted { registers: &r, mask: Set::EMPTY, vector: &[], features: FEATURES };
    let bare = Action { flags: 0, ..action(0) };
    assert_eq!(build(&mut memory, &mut AltStack::default(), &bare, &info, &of), Err(EFAULT));
}

#[test]
fn a_forged_frame_gives_no_flag_that_is_not_the_programs_and_no_feature_that_is_not_there() {
    let mut memory = Flat::new(BASE, 0x8000);
    let start = deliver(&mut memory, &mut AltStack::default(), 0).unwrap();
    memory.write_u64(start.rsp + (at::REGISTERS + 17 * 8) as u64, u64::MAX).unwrap();
    memory.write_u64(start.rsp + at::MASK as u64, u64::MAX).unwrap();
    let back = restore(&mut memory, &returned(&start), FEATURES, MXCSR_MASK).unwrap();
    assert_eq!((back.registers.rflags, back.mask), (FLAGS, Set(!Set::ABSOLUTE.0)));

    let vector = memory.read_u64(start.rsp + at::VECTOR as u64).unwrap();
    memory.write_u64(vector + LEGACY_BYTES as u64, 0x200).unwrap();
    assert_eq!(restore(&mut memory, &returned(&start), FEATURES, MXCSR_MASK), Err(EINVAL));
    memory.write_u64(vector + LEGACY_BYTES as u64, 7).unwrap();
    memory.write_u32(vector + 24, 1 << 31).unwrap();
    assert_eq!(restore(&mut memory, &returned(&start), FEATURES, MXCSR_MASK), Err(EINVAL));
}

#[test]
fn a_frame_without_marks_has_x87_and_sse_alone_and_one_without_an_image_nothing() {
    let mut memory = Flat::new(BASE, 0x8000);
    let start = deliver(&mut memory, &mut AltStack::default(), 0).unwrap();
    let vector = memory.read_u64(start.rsp + at::VECTOR as u64).unwrap();
    memory.write_u32(vector + SOFTWARE as u64, 0).unwrap();
    let back = restore(&mut memory, &returned(&start), FEATURES, MXCSR_MASK).unwrap().vector.unwrap();
    assert_eq!((back.len(), back[LEGACY_BYTES]), (LEGACY_BYTES + HEADER_BYTES, X87_AND_SSE));
    memory.write_u64(start.rsp + at::VECTOR as u64, 0).unwrap();
    assert_eq!(restore(&mut memory, &returned(&start), FEATURES, MXCSR_MASK).unwrap().vector, None);
}

#[test]
fn a_thread_that_never_used_vectors_still_has_an_image_in_its_frame() {
    let mut memory = Flat::new(BASE, 0x8000);
    let r = registers();
    let of = Interrupted { registers: &r, mask: Set::EMPTY, vector: &[], features: FEATURES };
    let start = build(&mut memory, &mut AltStack::default(), &action(0), &Info::kernel(SIGSEGV), &of).unwrap();
    let image = restore(&mut memory, &returned(&start), FEATURES, MXCSR_MASK).unwrap().vector.unwrap();
    assert_eq!(image, initial_image());
}
