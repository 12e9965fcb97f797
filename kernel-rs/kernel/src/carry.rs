// SPDX-License-Identifier: PMPL-1.0-or-later
//! A message with one capability, between threads of one CPU. With all locks held the capability is looked at (`carried`);
//! the message goes as in local mode, or is declined with nothing changed; then the capability follows it (`carry`). Nobody
//! comes between. What else is to be said of capabilities in messages, `ipc` says: it does what is declined here.

use crate::Kernel;
use crate::fast::{FAULT_REPLY, Own};
use crate::ipc::CAPS_OFFSET;
use crate::objects::Table;
use abi::handle::Handle;
use abi::message::Tag;
use abi::op::Op;
use abi::right::{Kind, Rights};
use machine::memory::{Frame, Ref};
use machine::registers::Registers;
use machine::{Local, Outcome};

/// What a tag says of capabilities.
const CAPS: u64 = Tag::new(0, 0, 7).0 | Tag::MOVE_CAPS;

/// A capability that can go with a message.
pub struct Carried {
    table: Ref<Table>,
    handle: Handle,
    /// Or a copy of it.
    moves: bool,
    to: Ref<Table>,
    /// The receiver's buffer.
    buffer: Frame,
}

impl Kernel {
    /// The capability that goes with the message of the thread that runs on a CPU.
    #[inline(always)]
    pub(crate) fn carried(&self, cpu: usize) -> Option<Carried> {
        let t = self.threads.get(self.threads.running(cpu)?)?;
        let Registers { rax, rdi, rsi, .. } = t.registers;
        let tag = Tag(rsi);
        if tag.caps() != 1 || !tag.is_valid() {
            return None;
        }
        let from = t.table?;
        let table = self.tables.get(from)?;
        let receiver = if rax == Op::Call as u64 {
            let slot = table.present(rdi).filter(|slot| slot.rights().contains(Rights::TRANSFER))?;
            self.endpoints.get(Ref::from_raw(slot.object)?)?.receivers.front()?
        } else if rax == Op::ReplyReceive as u64 {
            t.reply.filter(|r| r.number & FAULT_REPLY == 0)?.caller
        } else {
            return None;
        };
        let handle = self.frames.read_user_word(self.buffer_of(t)?, CAPS_OFFSET) as u32;
        let slot = table.present(handle as u64)?;
        if slot.kind == Kind::Null || !slot.rights().contains(Rights::COPY) || !self.is_alive(slot) {
            return None;
        }
        let r = self.threads.get(receiver)?;
        let (to, buffer) = (r.table?, self.buffer_of(r)?);
        self.tables.get(to)?.has_free_slot().then_some(Carried {
            table: from,
            handle: Handle(handle),
            moves: tag.moves_caps(),
            to,
            buffer,
        })
    }

    /// The message is there; nothing changed since [`Kernel::carried`] but that.
    #[inline(always)]
    pub(crate) fn carry(&mut self, carried: Carried) {
        let Carried { table, handle, moves, to, buffer } = carried;
        let place = (table, handle.index());
        let new = if moves {
            self.move_slot(place, to)
        } else {
            self.slot(table, handle).and_then(|slot| self.derive(place, to, None, Rights::ALL, slot.badge))
        };
        debug_assert!(new.is_ok(), "all was looked at before");
        self.frames.write_user_half(buffer, CAPS_OFFSET, new.unwrap_or(Handle::NULL).0);
    }
}

/// Call and ReplyReceive of the thread that runs, its message less its capabilities.
#[inline(always)]
pub fn message<'a>(own: &mut Own, local: &'a Local) -> Outcome<'a> {
    let Some(running) = own.running(local) else { return Outcome::Declined };
    let Registers { rax, rdi, rsi, .. } = *running;
    let outcome = if rax == Op::Call as u64 {
        let done = own.call::<true>(local, rdi, rsi & !CAPS);
        own.end(local, done, |own, handle, tag| own.call::<true>(local, handle, tag & !CAPS))
    } else {
        let done = own.reply_receive::<true, false, false>(local, rdi, rsi & !CAPS);
        own.end(local, done, |own, handle, tag| own.reply_receive::<true, false, false>(local, handle, tag & !CAPS))
    };
    match outcome {
        Outcome::Message { badge, words, .. } => Outcome::Message { badge, tag: rsi & !Tag::MOVE_CAPS, words },
        other => other,
    }
}
