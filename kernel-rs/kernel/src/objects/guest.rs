// SPDX-License-Identifier: PMPL-1.0-or-later
//! Guest execution: a thread and the address space of a foreign program that it enters and leaves in place.
//!
//! There is no object of its own: a guest is what a thread is attached to. `machine::guest` goes in and out without
//! coming here; here are what makes that possible, and what stands in its way: a kick, an address space that may be gone.

use super::{Memory, Space, Thread};
use crate::Kernel;
use crate::invoke::{Call, Done, Flow, at};
use abi::error::Error;
use abi::guest::reason;
use abi::right::{Kind, Rights};
use machine::memory::{PageTable, Ref};

impl Kernel {
    /// `Op::GuestAttach`.
    pub(crate) fn guest_attach(&mut self, call: &Call) -> Done {
        let (space, _) = self.object::<Space>(call, Kind::AddressSpace, Rights::EDIT)?;
        let (memory, _) = self.object_argument::<Memory>(call, 0, Kind::Memory, Rights::READ | Rights::WRITE)?;
        let page = self.get(memory)?.frame(0).filter(|f| self.frames.is_single(*f)).ok_or(at(Error::BadArgument, 0))?;
        if !machine::has_guests() {
            return Err(Error::Unsupported.into());
        }
        let t = self.get(call.thread)?;
        if t.space == Some(space) || self.live_table(Some(space)).is_none() || self.get(memory)?.dying {
            return Err(Error::BadState.into());
        }
        let (pool, first) = (t.pool, !t.user.is_attached());
        self.can_pay(pool, t.user.context.is_none() as u32 + first as u32)?;
        self.has_context(call.thread)?;
        if first {
            // For the page, should its memory object go.
            self.charge(pool, 1)?;
        }
        let Some(t) = self.threads.get_mut(call.thread) else { return Err(Error::BadHandle.into()) };
        let attached = t.user.attach_guest(&mut self.frames, page);
        debug_assert!(attached, "a memory object's frames are user memory");
        t.guest = Some(space);
        Ok(Flow::NOTHING)
    }

    /// `Op::GuestRun`, when the short way does not do: says that the thread was kicked, or finds both address spaces, so
    /// that the short way does it the next time. The thread executes the operation again.
    pub(crate) fn guest_run(&mut self, call: &Call) -> Done {
        let t = self.get_mut(call.thread)?;
        let (home, guest) = (t.space, t.guest.ok_or(Error::BadState)?);
        if t.user.take_kick() {
            return Ok(Flow::value(reason::KICKED));
        }
        let live = |space: Option<Ref<Space>>| {
            space.and_then(|s| self.spaces.get(s)).filter(|s| !s.dying).and_then(|s| s.table.as_ref())
        };
        let (home, inside) = (live(home).ok_or(Error::BadState)?, live(Some(guest)).ok_or(Error::Gone)?);
        self.threads.get_mut(call.thread).ok_or(Error::BadHandle)?.user.prepare_guest(home, inside);
        Ok(Flow::Again)
    }

    fn live_table(&self, space: Option<Ref<Space>>) -> Option<&PageTable> {
        space.and_then(|s| self.spaces.get(s)).filter(|s| !s.dying)?.table.as_ref()
    }

    /// `Op::GuestKick`. The latch is set before the CPU is asked for: whichever it sees first, the thread looks at the
    /// latch on its next way out of the kernel.
    pub(crate) fn guest_kick(&mut self, call: &Call) -> Done {
        let (thread, _) = self.object::<Thread>(call, Kind::Thread, Rights::WRITE)?;
        let t = self.get(thread)?;
        if !t.user.is_attached() {
            return Err(Error::BadState.into());
        }
        t.user.kick_guest();
        if let Some(other) = self.running_on(thread).filter(|c| *c != call.cpu) {
            machine::kick(other);
        }
        Ok(Flow::NOTHING)
    }

    /// `Op::GuestSaveVector`.
    pub(crate) fn guest_save_vector(&mut self, call: &Call) -> Done {
        let length = self.get_mut(call.thread)?.user.save_vector().ok_or(Error::BadState)?;
        Ok(Flow::value(length as u64))
    }

    /// `Op::GuestLoadVector`.
    pub(crate) fn guest_load_vector(&mut self, call: &Call) -> Done {
        match self.get_mut(call.thread)?.user.load_vector().ok_or(Error::BadState)? {
            true => Ok(Flow::NOTHING),
            false => Err(at(Error::BadArgument, 0)),
        }
    }
}
