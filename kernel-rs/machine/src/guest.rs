// SPDX-License-Identifier: PMPL-1.0-or-later
//! Guest execution, the part that is the same everywhere: what a thread keeps for it, what is believed of the state
//! page, how registers go in and out. `abi::guest` says what it is for; `x86_64/guest.rs` has the short way, in assembly,
//! and must do what the hosted `enter` and [`Guest::leave`] do.
//!
//! # Which page tables are loaded
//!
//! The short way loads roots of page tables without asking whether they still exist. It may, since:
//! 1. roots get into a `Guest` from live page tables only ([`UserState::prepare_guest`]), with the count of
//!    roots retired so far ([`RETIRED`]);
//! 2. whoever retires a root counts first, then asks each CPU that has it loaded, or whose thread could load it (`pins`),
//!    and waits; that CPU marks its thread stale, and a stale thread does not take the short way;
//! 3. a thread that comes onto a CPU pins first, then compares the count: if it changed, it is stale.

use crate::context::{Context, Image, UserState};
use crate::memory::frames::Frame;
use crate::memory::{Frames, PageTable};
use crate::registers::{Registers, SYSCALL};
use abi::guest::{State, VECTOR_OFFSET_BYTES, reason, resume};
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

/// Somebody kicked the thread.
pub(crate) const KICK: u32 = 1;
/// The roots may be no more.
pub(crate) const STALE: u32 = 2;

/// Roots retired since the start.
pub(crate) static RETIRED: AtomicU64 = AtomicU64::new(0);

/// Why the guest comes out, and what is known of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exit {
    pub reason: u64,
    pub vector: u64,
    pub error: u64,
    pub address: u64,
}

impl Exit {
    pub const SYSCALL: Exit = Exit { reason: reason::SYSCALL, vector: 0, error: 0, address: 0 };
    pub const KICKED: Exit = Exit { reason: reason::KICKED, vector: 0, error: 0, address: 0 };

    /// The space is no more; `GuestRun` fails.
    pub const GONE: Exit = Exit { reason: 0, vector: 0, error: 0, address: 0 };

    pub fn exception(vector: u64, error: u64, address: u64) -> Exit {
        Exit { reason: reason::EXCEPTION, vector, error, address }
    }
}

/// Registers of the thread's own program that survive `GuestRun`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Home {
    pub rbx: u64,
    pub rbp: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub fs_base: u64,
    pub gs_base: u64,
}

/// What other CPUs may look at, and set, while the thread runs.
#[repr(C)]
pub(crate) struct Latch {
    /// [`KICK`] and [`STALE`]; the short way into the guest is for threads with neither.
    pub attention: AtomicU32,
    /// There is a state page. Changes with all flags held only.
    attached: AtomicBool,
}

impl Latch {
    pub(crate) fn set(&self, what: u32) {
        self.attention.fetch_or(what, SeqCst);
    }

    pub(crate) fn has(&self, what: u32) -> bool {
        self.attention.load(SeqCst) & what != 0
    }

    /// Whether it was set; it is not any more.
    pub(crate) fn take(&self, what: u32) -> bool {
        self.attention.fetch_and(!what, SeqCst) & what != 0
    }
}

/// What a thread with a guest has in its context. All zero: it has none.
#[repr(C)]
pub(crate) struct Guest {
    /// The state page, which this has a reference to; null = not attached.
    pub state: *mut State,
    /// Whether the guest's registers are the thread's now.
    pub inside: u32,
    pub home: Home,
    pub home_root: u64,
    pub guest_root: u64,
    /// What [`RETIRED`] was when the roots were written.
    pub retired: u64,
    frame: u32,
}

impl Guest {
    /// Reads a word of the page, once.
    pub(crate) fn read(&self, offset: usize) -> u64 {
        // SAFETY: 1. attached: the page has a reference, so it stays a user frame; 2. `offset` is that of a field;
        // 3. volatile, since user code may write meanwhile.
        unsafe { (self.state as *const u64).byte_add(offset).read_volatile() }
    }

    fn write(&mut self, offset: usize, value: u64) {
        // SAFETY: as `read`.
        unsafe { (self.state as *mut u64).byte_add(offset).write_volatile(value) }
    }

    /// Out of the guest; gets the bases of FS and GS and gives those to load.
    pub(crate) fn leave(&mut self, r: &mut Registers, bases: [u64; 2], exit: Exit) -> [u64; 2] {
        for (offset, register) in general(r) {
            self.write(offset, *register);
        }
        let resume = if exit.reason == reason::SYSCALL { resume::FROM_SYSCALL } else { resume::ALL };
        let rest = [
            (offset_of!(State, rip), r.rip),
            (offset_of!(State, rflags), r.rflags),
            (offset_of!(State, fs_base), bases[0]),
            (offset_of!(State, gs_base), bases[1]),
            (offset_of!(State, reason), exit.reason),
            (offset_of!(State, resume), resume),
            (offset_of!(State, vector), exit.vector),
            (offset_of!(State, error), exit.error),
            (offset_of!(State, address), exit.address),
        ];
        rest.into_iter().for_each(|(offset, value)| self.write(offset, value));
        self.come_home(r, exit.reason);
        [self.home.fs_base, self.home.gs_base]
    }

    /// The registers of the thread's own program again, as `GuestRun` returns them.
    pub(crate) fn come_home(&mut self, r: &mut Registers, value: u64) {
        let h = self.home;
        *r = Registers { rbx: h.rbx, rbp: h.rbp, r12: h.r12, r13: h.r13, r14: h.r14, r15: h.r15, ..Registers::default() };
        (r.rip, r.rflags, r.rsp, r.vector) = (h.rip, h.rflags, h.rsp, SYSCALL);
        r.rdi = value;
        r.confine();
        self.inside = 0;
    }

    /// The thread is on a CPU that has pinned its roots: stale if one was retired since they were written.
    pub(crate) fn check_roots(&self, latch: &Latch) {
        if self.retired != RETIRED.load(SeqCst) {
            latch.set(STALE);
        }
    }
}

/// The general registers, each with its place in the page.
pub(crate) fn general(r: &mut Registers) -> [(usize, &mut u64); 16] {
    [
        (offset_of!(State, rax), &mut r.rax),
        (offset_of!(State, rbx), &mut r.rbx),
        (offset_of!(State, rcx), &mut r.rcx),
        (offset_of!(State, rdx), &mut r.rdx),
        (offset_of!(State, rsi), &mut r.rsi),
        (offset_of!(State, rdi), &mut r.rdi),
        (offset_of!(State, rbp), &mut r.rbp),
        (offset_of!(State, rsp), &mut r.rsp),
        (offset_of!(State, r8), &mut r.r8),
        (offset_of!(State, r9), &mut r.r9),
        (offset_of!(State, r10), &mut r.r10),
        (offset_of!(State, r11), &mut r.r11),
        (offset_of!(State, r12), &mut r.r12),
        (offset_of!(State, r13), &mut r.r13),
        (offset_of!(State, r14), &mut r.r14),
        (offset_of!(State, r15), &mut r.r15),
    ]
}

impl Context {
    pub(crate) fn is_attached(&self) -> bool {
        self.latch().attached.load(Relaxed)
    }

    /// Gives up the state page. True if there was one.
    fn detach(&mut self, frames: &mut Frames) -> bool {
        let guest = &mut self.block_mut().guest;
        if guest.state.is_null() {
            return false;
        }
        guest.state = core::ptr::null_mut();
        frames.unreference(Frame(guest.frame));
        self.latch().attached.store(false, Relaxed);
        true
    }

    /// Gives context and state page back; how many frames the owner paid for.
    pub(crate) fn end(mut self, frames: &mut Frames) -> u32 {
        let attached = self.detach(frames);
        self.destroy(frames);
        1 + attached as u32
    }
}

impl UserState {
    fn guest(&mut self) -> Option<&mut Guest> {
        self.context.as_mut().filter(|c| c.is_attached()).map(|c| &mut c.block_mut().guest)
    }

    fn attached(&self) -> Option<&Context> {
        self.context.as_ref().filter(|c| c.is_attached())
    }

    pub fn is_attached(&self) -> bool {
        self.attached().is_some()
    }

    /// Attaches the thread, which has a context, to a state page. The page stays what it is for as long, also when its
    /// memory object goes: who pays for the thread pays for that. `false`: the frame is no user memory.
    pub fn attach_guest(&mut self, frames: &mut Frames, page: Frame) -> bool {
        let Some(context) = &mut self.context else { return false };
        if !frames.reference(page, 1) {
            return false;
        }
        context.detach(frames);
        let guest = &mut context.block_mut().guest;
        (guest.state, guest.frame) = (frames.view().pointer(page.0) as *mut State, page.0);
        context.latch().attached.store(true, Relaxed);
        context.latch().set(STALE);
        true
    }

    /// Whether the guest's registers are the thread's now: then it runs in the guest's space, not in its own.
    #[inline(always)]
    pub fn is_inside(&self) -> bool {
        self.context.as_ref().is_some_and(|c| c.block().guest.inside != 0)
    }

    /// The thread leaves its guest, or does not enter it, as soon as it can. Stays until it was told.
    pub fn kick_guest(&self) {
        if let Some(context) = self.attached() {
            context.latch().set(KICK);
        }
    }

    /// Whether the thread was kicked since it was last told, which it is now: the page says so.
    pub fn take_kick(&mut self) -> bool {
        let kicked = self.attached().is_some_and(|context| context.latch().take(KICK));
        if let Some(guest) = self.guest().filter(|_| kicked) {
            guest.write(offset_of!(State, reason), reason::KICKED);
        }
        kicked
    }

    /// The running thread's page tables: its own and its guest's. They exist now.
    pub fn prepare_guest(&mut self, home: &PageTable, inside: &PageTable) {
        if let Some(context) = self.attached() {
            context.latch().take(STALE);
        }
        if let Some(guest) = self.guest() {
            (guest.home_root, guest.guest_root, guest.retired) = (home.root(), inside.root(), RETIRED.load(SeqCst));
            crate::pin_roots(self);
        }
    }

    /// The thread's own page tables, or its guest's, may be others from now on.
    pub fn forget_roots(&mut self) {
        if let Some(context) = self.attached() {
            context.latch().set(STALE);
        }
    }

    /// The thread that runs comes out of its guest.
    pub fn leave_guest(&mut self, registers: &mut Registers, exit: Exit) {
        if let Some(guest) = self.guest() {
            let bases = guest.leave(registers, crate::bases(), exit);
            crate::set_bases(bases);
        }
    }

    /// Writes the running thread's vector registers to its state page; the length of the image, `None` without a page.
    pub fn save_vector(&mut self) -> Option<usize> {
        let context = self.context.as_mut().filter(|c| c.is_attached())?;
        let length = crate::save_vector(context.block_mut());
        let block = context.block_mut();
        for (n, piece) in block.vector.0[..length].chunks_exact(8).enumerate() {
            block.guest.write(VECTOR_OFFSET_BYTES + n * 8, u64::from_le_bytes(piece.try_into().unwrap_or_default()));
        }
        Some(length)
    }

    /// Gives the running thread the vector registers that stand in its state page. `Some(false)`, and nothing changes, if the
    /// CPU would refuse them; `None` without a page.
    pub fn load_vector(&mut self) -> Option<bool> {
        let context = self.context.as_mut().filter(|c| c.is_attached())?;
        let block = context.block_mut();
        let (components, mxcsr_mask) = crate::vector_limits();
        // First all of it into memory of ours, then the checks.
        for n in 0..block.staging.0.len() / 8 {
            let word = block.guest.read(VECTOR_OFFSET_BYTES + n * 8);
            block.staging.0[n * 8..n * 8 + 8].copy_from_slice(&word.to_le_bytes());
        }
        if !block.staging.is_loadable(components, mxcsr_mask) {
            return Some(false);
        }
        block.vector.0 = block.staging.0;
        crate::load_vector(block);
        Some(true)
    }
}

impl Image {
    /// Whether XRSTOR takes it (SDM volume 1, 13.8.1): the standard form, only components that are there, and no
    /// reserved bit of the header or of MXCSR.
    fn is_loadable(&self, components: u64, mxcsr_mask: u32) -> bool {
        const MXCSR: usize = 24;
        const HEADER: usize = 512;
        let word = |at: usize| u64::from_le_bytes(self.0[at..at + 8].try_into().unwrap_or_default());
        let mxcsr = word(MXCSR) as u32;
        word(HEADER) & !components == 0
            && (HEADER + 8..HEADER + 64).step_by(8).all(|at| word(at) == 0)
            && mxcsr & !mxcsr_mask == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_frames;
    use abi::boot_info::USER_END;
    use abi::guest::word;

    /// An attached thread, its page, and the frames.
    fn attached() -> (UserState, Frame, Frames) {
        let mut frames = test_frames(8);
        let page = frames.take_user().unwrap();
        let mut user = UserState { context: Context::new(&mut frames), ..UserState::default() };
        assert!(user.attach_guest(&mut frames, page));
        (user, page, frames)
    }

    fn set(frames: &mut Frames, page: Frame, offset: usize, value: u64) {
        frames.write_user_word(page, offset, value);
    }

    fn own_registers() -> Registers {
        Registers { rip: 0x40_0000, rsp: 0x7000, rbx: 1, r15: 2, vector: SYSCALL, ..Registers::default() }
    }

    #[test]
    fn registers_of_the_page_go_in_and_out_and_the_threads_own_come_back() {
        let (mut user, page, mut frames) = attached();
        for n in 0..16 {
            set(&mut frames, page, n * 8, 100 + n as u64);
        }
        set(&mut frames, page, offset_of!(State, rip), 0x1234);
        set(&mut frames, page, offset_of!(State, fs_base), 0x5678);
        set(&mut frames, page, offset_of!(State, resume), resume::ALL);
        let mut r = own_registers();
        assert_eq!(user.guest().unwrap().enter(&mut r, [7, 8]), Ok([0x5678, 0]));
        assert!(user.is_inside());
        assert_eq!((r.rip, r.rax, r.rsp, r.r11, r.r15, r.vector), (0x1234, 100, 107, 111, 115, 0));
        (r.rax, r.rip, r.r11) = (9, 0x4321, 11);
        assert_eq!(user.guest().unwrap().leave(&mut r, [0x99, 0x98], Exit::exception(14, 6, 0xdead)), [7, 8]);
        assert!(!user.is_inside());
        assert_eq!((r.rip, r.rsp, r.rbx, r.r15, r.rax, r.rdi), (0x40_0000, 0x7000, 1, 2, 0, reason::EXCEPTION));
        let word = |offset| frames.read_user_word(page, offset);
        assert_eq!((word(0), word(offset_of!(State, r11)), word(offset_of!(State, rip))), (9, 11, 0x4321));
        assert_eq!((word(offset_of!(State, fs_base)), word(offset_of!(State, gs_base))), (0x99, 0x98));
        assert_eq!((word(offset_of!(State, vector)), word(offset_of!(State, error))), (14, 6));
        assert_eq!((word(offset_of!(State, address)), word(offset_of!(State, resume))), (0xdead, resume::ALL));
    }

    #[test]
    fn a_kernel_address_in_rip_or_a_base_is_refused_by_name_and_nothing_changes() {
        for address in [USER_END, 1 << 47, 0xffff_8000_0000_0000, u64::MAX, 0x8000_0000_0000_0000] {
            for number in [word::RIP, word::FS_BASE, word::GS_BASE] {
                let (mut user, page, mut frames) = attached();
                set(&mut frames, page, number as usize * 8, address);
                let mut r = own_registers();
                assert_eq!(user.guest().unwrap().enter(&mut r, [0, 0]), Err(number));
                assert!(!user.is_inside());
                assert_eq!(r, own_registers());
            }
        }
    }

    #[test]
    fn no_privileged_flag_goes_in() {
        let (mut user, page, mut frames) = attached();
        set(&mut frames, page, offset_of!(State, rflags), u64::MAX);
        let mut r = own_registers();
        user.guest().unwrap().enter(&mut r, [0, 0]).unwrap();
        let (privilege, nested, resume_flag, virtual_8086) = (0x3000, 0x4000, 0x1_0000, 0x2_0000);
        let virtual_interrupts = 0x18_0000;
        assert_eq!(r.rflags & (privilege | nested | resume_flag | virtual_8086 | virtual_interrupts), 0);
        assert_eq!(r.rflags >> 22, 0);
        assert_ne!(r.rflags & 0x200, 0, "interrupts on");
    }

    #[test]
    fn a_kick_is_told_once() {
        let (mut user, page, frames) = attached();
        assert!(!user.take_kick());
        user.kick_guest();
        user.kick_guest();
        assert!(user.take_kick());
        assert_eq!(frames.read_user_word(page, offset_of!(State, reason)), reason::KICKED);
        assert!(!user.take_kick());
    }

    #[test]
    fn the_state_page_stays_user_memory_until_the_thread_is_gone() {
        let (mut user, page, mut frames) = attached();
        assert!(!frames.give_user(page), "its memory object is gone, the thread still has it");
        set(&mut frames, page, 0, 5);
        let before = frames.free();
        assert_eq!(user.release(&mut frames), 2);
        assert_eq!(frames.free(), before + 2);
    }

    #[test]
    fn a_retired_root_makes_the_roots_stale() {
        let (mut user, _, mut frames) = attached();
        let (home, inside) = (PageTable::new(&mut frames).unwrap(), PageTable::new(&mut frames).unwrap());
        user.prepare_guest(&home, &inside);
        let context = user.context.as_ref().unwrap();
        let (guest, latch) = (&context.block().guest, context.latch());
        guest.check_roots(latch);
        // Another test may retire meanwhile, so only the other direction is certain.
        RETIRED.fetch_add(1, SeqCst);
        guest.check_roots(latch);
        assert!(latch.has(STALE));
    }

    #[test]
    fn an_image_that_the_cpu_would_refuse_is_refused() {
        let image = |at: usize, value: u8| {
            let mut image = Image([0; crate::context::VECTOR_BYTES]);
            image.clear();
            image.0[512] = 7;
            image.0[at] |= value;
            image
        };
        assert!(image(0, 0).is_loadable(7, 0xffff));
        assert!(image(464, 0xff).is_loadable(7, 0xffff), "bytes for software");
        assert!(!image(512, 8).is_loadable(7, 0xffff), "a component that is not there");
        assert!(!image(527, 0x80).is_loadable(7, 0xffff), "the compacted form");
        assert!(!image(530, 1).is_loadable(7, 0xffff), "reserved bytes of the header");
        assert!(!image(575, 1).is_loadable(7, 0xffff), "the last of them");
        assert!(!image(26, 1).is_loadable(7, 0xffff), "reserved bits of MXCSR");
    }
}
