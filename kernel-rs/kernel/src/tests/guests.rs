// SPDX-License-Identifier: PMPL-1.0-or-later
//! Guests: attached, entered, kicked, preempted, stopped, and left behind when something goes away. What is done without
//! the kernel (`machine`'s short way) is done here by its hosted twin.

use super::*;
use abi::guest::{reason, word};
use abi::right::Rights;
use machine::guest::Exit;
use machine::{guest_faults, guest_runs, guest_syscall};

const GUEST_RIP: u64 = 0x1234_5000;

/// A thread on CPU 1 that is attached to a space and a state page.
struct Attached {
    w: World,
    space: Handle,
    page: Handle,
    thread: Handle,
}

fn attached() -> Attached {
    let mut w = World::new();
    let (space, page) = (w.create(Kind::AddressSpace), w.memory(1));
    let thread = w.thread(1);
    w.call(1, Op::GuestAttach, space, &[page.0 as u64]).unwrap().ok();
    let mut a = Attached { w, space, page, thread };
    a.set(word::RIP, GUEST_RIP);
    a
}

impl Attached {
    fn set(&mut self, n: u64, value: u64) {
        let frame = self.frame();
        self.w.kernel.frames.write_user_word(frame, n as usize * 8, value);
    }

    fn frame(&self) -> machine::memory::Frame {
        let kernel = &self.w.kernel;
        let table = kernel.threads.get(kernel.cpus[1].current.unwrap()).unwrap().table.unwrap();
        let slot = kernel.slot(table, self.page).unwrap();
        kernel.memories.get(machine::memory::Ref::from_raw(slot.object).unwrap()).unwrap().frame(0).unwrap()
    }

    /// What the entry code does with `GuestRun`: the short way if it can, else the long one and again. `Err`: what the
    /// operation gave without going in.
    fn run(&mut self) -> Result<(), Answer> {
        for _ in 0..3 {
            let current = self.w.kernel.cpus[1].current.unwrap();
            let r = self.w.registers(1);
            (r.rax, r.rdi, r.vector, r.rip) = (Op::GuestRun as u64, 0, SYSCALL, RIP);
            let mut registers = *r;
            let user = &mut self.w.kernel.threads.get_mut(current).unwrap().user;
            match guest_runs(user, &mut registers) {
                Some(Ok(())) => {
                    *self.w.registers(1) = registers;
                    return Ok(());
                }
                Some(Err(word)) => panic!("word {word} is refused"),
                None => {}
            }
            self.w.enter(1, Event::Syscall);
            if self.w.registers(1).rip != RIP - SYSCALL_BYTES {
                return Err(self.w.answer(1));
            }
        }
        panic!("GuestRun is never done")
    }

    fn is_inside(&self) -> bool {
        let kernel = &self.w.kernel;
        kernel.cpus[1].current.is_some_and(|t| kernel.threads.get(t).unwrap().user.is_inside())
    }

    /// Out again by a system call; what `GuestRun` gives.
    fn system_call(&mut self) -> Answer {
        let current = self.w.kernel.cpus[1].current.unwrap();
        let mut registers = *self.w.registers(1);
        guest_syscall(&mut self.w.kernel.threads.get_mut(current).unwrap().user, &mut registers);
        *self.w.registers(1) = registers;
        self.w.answer(1)
    }

    /// What `machine` does right before it goes on with user code.
    fn leaves(&mut self) -> bool {
        let Some(current) = self.w.kernel.cpus[1].current else { return false };
        let mut registers = *self.w.registers(1);
        let out = guest_faults(&mut self.w.kernel.threads.get_mut(current).unwrap().user, &mut registers, None);
        *self.w.registers(1) = registers;
        out
    }
}

#[test]
fn a_guest_goes_in_by_the_long_way_once_and_by_the_short_way_ever_after() {
    let mut a = attached();
    for _ in 0..3 {
        a.run().unwrap();
        assert!(a.is_inside());
        assert_eq!(a.w.registers(1).rip, GUEST_RIP);
        assert_eq!(a.system_call().ok(), reason::SYSCALL);
        assert_eq!((a.w.registers(1).rip, a.is_inside()), (RIP, false));
    }
}

#[test]
fn attaching_costs_two_frames_and_the_threads_end_gives_them_back() {
    let mut w = World::new();
    let pool = w.root(Op::PoolSplit, POOL, &[64]).handle();
    let (space, page) = (w.create(Kind::AddressSpace), w.memory(1));
    let thread = w.thread_in(pool, 1, Handle::NULL);
    let before = w.used(pool);
    for _ in 0..3 {
        w.call(1, Op::GuestAttach, space, &[page.0 as u64]).unwrap().ok();
        assert_eq!(w.used(pool), before + 2);
    }
    w.root(Op::Destroy, page, &[]).ok();
    assert_eq!(w.used(pool), before + 2, "the page is the thread's now");
    w.root(Op::Destroy, thread, &[]).ok();
    w.root(Op::PoolDestroy, pool, &[]).ok();
}

#[test]
fn attach_names_what_is_wrong_and_costs_nothing_then() {
    let mut w = World::new();
    let pool = w.root(Op::PoolSplit, POOL, &[64]).handle();
    let (space, page) = (w.create(Kind::AddressSpace), w.memory(1));
    w.thread_in(pool, 1, Handle::NULL);
    let before = w.used(pool);
    let read = w.root(Op::Copy, page, &[Rights::READ.0 as u64, 0]).handle();
    let no_edit = w.root(Op::Copy, space, &[(Rights::ALL.0 & !Rights::EDIT.0) as u64, 0]).handle();
    let device = w.root(Op::DeviceMemory, slots::DEVICE_RANGE, &[POOL.0 as u64, 0xf000_0000, 4096]).handle();
    let mut attach = |space: Handle, page: Handle| w.call(1, Op::GuestAttach, space, &[page.0 as u64]).unwrap();
    attach(page, page).fails(Error::WrongKind);
    attach(no_edit, page).fails(Error::NoRight);
    attach(space, space).fails_at(Error::WrongKind, 0);
    attach(space, read).fails_at(Error::NoRight, 0);
    attach(space, device).fails_at(Error::BadArgument, 0);
    attach(SPACE, page).fails(Error::BadState);
    assert_eq!(w.used(pool), before);
    for kind in [Kind::Memory, Kind::Endpoint] {
        while w.root(Op::Create, pool, &[kind as u64, if kind == Kind::Memory { 4096 } else { 0 }]).status == 0 {}
    }
    w.call(1, Op::GuestAttach, space, &[page.0 as u64]).unwrap().fails(Error::NoQuota);
}

#[test]
fn a_thread_without_a_guest_runs_none_and_is_not_kicked() {
    let mut w = World::new();
    let t = w.thread(1);
    w.call(1, Op::GuestRun, Handle::NULL, &[]).unwrap().fails(Error::BadState);
    w.call(1, Op::GuestSaveVector, Handle::NULL, &[]).unwrap().fails(Error::BadState);
    w.call(1, Op::GuestLoadVector, Handle::NULL, &[]).unwrap().fails(Error::BadState);
    w.root(Op::GuestKick, t, &[]).fails(Error::BadState);
}

#[test]
fn a_kick_needs_the_right_and_is_told_once() {
    let mut a = attached();
    let read = a.w.root(Op::Copy, a.thread, &[Rights::READ.0 as u64, 0]).handle();
    a.w.root(Op::GuestKick, read, &[]).fails(Error::NoRight);
    a.w.root(Op::GuestKick, a.thread, &[]).ok();
    a.w.root(Op::GuestKick, a.thread, &[]).ok();
    assert_eq!(a.run().unwrap_err().ok(), reason::KICKED);
    a.run().unwrap();
}

#[test]
fn a_kick_brings_a_guest_out_that_runs_on_another_cpu() {
    let mut a = attached();
    a.run().unwrap();
    machine::fake(|m| m.kicked.clear());
    a.w.root(Op::GuestKick, a.thread, &[]).ok();
    assert_eq!(machine::fake(|m| m.kicked.clone()), [1]);
    assert!(a.w.enter(1, Event::Kick));
    assert!(a.is_inside(), "the kernel has nothing to do with it");
    assert!(a.leaves());
    assert_eq!(a.w.answer(1).ok(), reason::KICKED);
}

#[test]
fn a_guest_goes_on_where_it_was_preempted_and_a_kick_meanwhile_waits_for_it() {
    let mut a = attached();
    a.run().unwrap();
    a.w.registers(1).r12 = 77;
    let (other, buffer) = (a.w.create(Kind::Thread), a.w.memory(1));
    a.w.root(Op::ThreadConfigure, other, &[SPACE.0 as u64, TABLE.0 as u64, 0, buffer.0 as u64]).ok();
    a.w.root(Op::ThreadSchedule, other, &[150, 0, 0, 1]).ok();
    a.w.root(Op::ThreadStart, other, &[0x40_0000, 0]).ok();
    assert!(a.w.enter(1, Event::Kick));
    assert!(!a.is_inside(), "another thread runs");
    a.w.root(Op::GuestKick, a.thread, &[]).ok();
    assert!(!a.leaves());
    a.w.root(Op::Destroy, other, &[]);
    a.w.enter(1, Event::Kick);
    a.w.root(Op::Destroy, other, &[]);
    assert!(a.w.enter(1, Event::Kick));
    assert!(a.is_inside());
    assert_eq!((a.w.registers(1).rip, a.w.registers(1).r12), (GUEST_RIP, 77));
    assert!(a.leaves());
}

#[test]
fn a_guest_that_is_stopped_resumes_inside() {
    let mut a = attached();
    a.run().unwrap();
    a.w.root(Op::ThreadStop, a.thread, &[]).ok();
    assert!(!a.w.enter(1, Event::Kick));
    a.w.root(Op::ThreadResume, a.thread, &[]).ok();
    assert!(a.w.enter(1, Event::Kick));
    assert!(a.is_inside());
    assert_eq!(a.w.registers(1).rip, GUEST_RIP);
}

#[test]
fn a_thread_that_is_started_again_is_not_inside() {
    let mut a = attached();
    a.run().unwrap();
    a.w.root(Op::ThreadStop, a.thread, &[]).ok();
    assert!(!a.w.enter(1, Event::Kick));
    a.w.root(Op::ThreadStart, a.thread, &[0x40_0000, 0x50_0000, 1]);
    assert!(a.w.enter(1, Event::Kick));
    assert!(!a.is_inside());
    a.run().unwrap();
}

#[test]
fn a_guest_whose_space_is_destroyed_comes_out_with_gone_and_never_goes_in_again() {
    let mut a = attached();
    a.run().unwrap();
    a.w.root(Op::Destroy, a.space, &[]).ok();
    assert!(a.w.enter(1, Event::Kick));
    assert!(!a.is_inside());
    assert_eq!(a.w.registers(1).rip, RIP);
    a.w.answer(1).fails(Error::Gone);
    assert_eq!(a.w.kernel.frames.read_user_word(a.frame(), word::RIP as usize * 8), GUEST_RIP, "its registers are told");
    a.run().unwrap_err().fails(Error::Gone);
}

#[test]
fn an_exception_of_the_guest_is_no_fault_of_the_thread() {
    let mut a = attached();
    a.run().unwrap();
    let current = a.w.kernel.cpus[1].current.unwrap();
    let mut registers = *a.w.registers(1);
    let user = &mut a.w.kernel.threads.get_mut(current).unwrap().user;
    assert!(guest_faults(user, &mut registers, Some(Exit::exception(14, 6, 0x5000))));
    *a.w.registers(1) = registers;
    assert_eq!(a.w.answer(1).ok(), reason::EXCEPTION);
    assert!(a.w.enter(1, Event::Kick), "the thread lives");
    a.run().unwrap();
}

#[test]
fn a_thread_destroyed_inside_its_guest_leaves_nothing() {
    let mut a = attached();
    a.run().unwrap();
    a.w.root(Op::Destroy, a.thread, &[]).ok();
    assert!(!a.w.enter(1, Event::Kick));
    a.w.root(Op::Destroy, a.page, &[]).ok();
    a.w.root(Op::Destroy, a.space, &[]).ok();
}
