// SPDX-License-Identifier: PMPL-1.0-or-later
//! Capability tables: what a process may do. A slot names an object, with rights and a badge; its generation makes old
//! handles stale. Slots that were derived from one another stand in one list, each deeper than what it came from, so
//! that revoking is cutting a piece out of the list.

use super::Pool;
use crate::Kernel;
use crate::invoke::{Call, Done, Failure, Flow, at};
use abi::error::Error;
use abi::handle::Handle;
use abi::right::{Kind, Rights};
use machine::memory::{Array, Frames, RawRef, Ref};

/// Slots looked at in one step of a long operation.
const STEP: u32 = 64;

/// A slot's place: its table's place and its index, in one number; 0 = none. The table's place fits: RAM ends below
/// 2^44 bytes, and a place counts in units of 8.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place(u64);

impl Place {
    fn new(table: Ref<Table>, index: u32) -> Place {
        Place(table.place() << 18 | index as u64)
    }
    fn table(self) -> u64 {
        self.0 >> 18
    }
    fn index(self) -> u32 {
        self.0 as u32 & 0x3_ffff
    }
}

/// A power of two, so that finding one takes no division.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct Slot {
    pub object: RawRef,
    /// Endpoints and notifications: their badge; port ranges: first port and last, shifted by 16; replies: the number
    /// of the reply right.
    pub badge: u64,
    /// In the derivation list; of an empty slot: in the table's free list.
    previous: Place,
    next: Place,
    generation: u16,
    depth: u16,
    pub kind: Kind,
    rights: u8,
}

const EMPTY: Slot = Slot {
    object: RawRef::NOTHING,
    badge: 0,
    previous: Place(0),
    next: Place(0),
    generation: 1,
    depth: 0,
    kind: Kind::Null,
    rights: 0,
};

impl Slot {
    pub fn rights(&self) -> Rights {
        Rights(self.rights as u16)
    }
}

pub struct Table {
    pub pool: Ref<Pool>,
    slots: Array<Slot>,
    /// Empty slots, the longest empty first: that puts off the reuse of a handle.
    free_head: u32,
    free_tail: u32,
    free_count: u32,
    /// Slots below this one are cleared: progress of destruction.
    pub cleared: u32,
}

impl Table {
    pub const MAX_SLOTS: u32 = 65_536;

    pub fn cost(slots: u32) -> u32 {
        Array::<Slot>::cost(slots)
    }

    pub fn new(frames: &mut Frames, pool: Ref<Pool>, slots: u32) -> Option<Table> {
        let mut array = Array::new(frames, slots, EMPTY)?;
        for n in 1..slots {
            let slot = array.get_mut(n)?;
            // Free links are plain indices.
            slot.previous = Place(n as u64 - 1);
            slot.next = Place(if n + 1 < slots { n as u64 + 1 } else { 0 });
        }
        Some(Table { pool, slots: array, free_head: 1, free_tail: slots - 1, free_count: slots - 1, cleared: 0 })
    }

    pub fn destroy(self, frames: &mut Frames) -> u32 {
        self.slots.destroy(frames)
    }

    pub fn len(&self) -> u32 {
        self.slots.len()
    }

    /// What a handle, as it stands in a register, names, if its slot is in that life.
    #[inline(always)]
    pub fn present(&self, handle: u64) -> Option<&Slot> {
        let slot = self.slots.get(Handle(handle as u32).index())?;
        (slot.generation as u64 == handle >> Handle::INDEX_BITS).then_some(slot)
    }

    fn unlink_free(&mut self, index: u32) -> Option<()> {
        let slot = self.slots.get_mut(index)?;
        let (previous, next) = (slot.previous.0 as u32, slot.next.0 as u32);
        (slot.previous, slot.next) = (Place(0), Place(0));
        match previous {
            0 => self.free_head = next,
            p => self.slots.get_mut(p)?.next = Place(next as u64),
        }
        match next {
            0 => self.free_tail = previous,
            n => self.slots.get_mut(n)?.previous = Place(previous as u64),
        }
        self.free_count -= 1;
        Some(())
    }

    fn link_free(&mut self, index: u32) -> Option<()> {
        let tail = self.free_tail;
        let slot = self.slots.get_mut(index)?;
        let generation = (slot.generation + 1) & ((1 << Handle::GENERATION_BITS) - 1);
        *slot = Slot { generation: generation.max(1), previous: Place(tail as u64), ..EMPTY };
        match tail {
            0 => self.free_head = index,
            t => self.slots.get_mut(t)?.next = Place(index as u64),
        }
        self.free_tail = index;
        self.free_count += 1;
        Some(())
    }
}

impl Kernel {
    /// What a handle names, whatever it is.
    pub(crate) fn slot(&self, table: Ref<Table>, handle: Handle) -> Result<Slot, Error> {
        let t = self.get(table)?;
        let slot = t.slots.get(handle.index()).filter(|_| handle.index() != 0).ok_or(Error::BadHandle)?;
        if slot.generation as u32 != handle.generation() {
            return Err(if handle.generation() == 0 { Error::BadHandle } else { Error::StaleHandle });
        }
        if slot.kind == Kind::Null {
            return Err(Error::BadHandle);
        }
        Ok(*slot)
    }

    /// What a handle names, if the object is of that kind, is still there, and the capability has the rights.
    pub(crate) fn capability(&self, table: Ref<Table>, handle: Handle, kind: Kind, rights: Rights) -> Result<Slot, Error> {
        let slot = self.slot(table, handle)?;
        if slot.kind != kind {
            return Err(Error::WrongKind);
        }
        if !slot.rights().contains(rights) {
            return Err(Error::NoRight);
        }
        if !self.is_alive(&slot) {
            return Err(Error::BadHandle);
        }
        Ok(slot)
    }

    fn slot_at(&mut self, place: Place) -> Option<&mut Slot> {
        let table = self.tables.at(place.table())?;
        self.tables.get_mut(table)?.slots.get_mut(place.index())
    }

    /// Whether `count` more capabilities fit. Slots whose object is gone are emptied first if it needs them.
    pub(crate) fn table_has_room(&mut self, table: Ref<Table>, count: u32) -> Result<(), Error> {
        if self.get(table)?.free_count < count {
            self.sweep(table)?;
        }
        if self.get(table)?.free_count < count { Err(Error::TableFull) } else { Ok(()) }
    }

    /// Empties the slots whose object is gone.
    fn sweep(&mut self, table: Ref<Table>) -> Result<(), Error> {
        for index in 1..self.get(table)?.len() {
            let slot = *self.get(table)?.slots.get(index).ok_or(Error::BadHandle)?;
            if slot.kind != Kind::Null && !self.is_alive(&slot) {
                self.clear_slot(table, index);
            }
        }
        Ok(())
    }

    /// Fills a free slot: the named one, or the longest free one. Room was checked.
    fn fill(&mut self, table: Ref<Table>, index: Option<u32>, slot: Slot, after: Option<Place>) -> Result<Handle, Error> {
        let t = self.get_mut(table)?;
        let index = index.unwrap_or(t.free_head);
        if index == 0 {
            return Err(Error::TableFull);
        }
        t.unlink_free(index).ok_or(Error::BadHandle)?;
        let place = Place::new(table, index);
        let mut next = Place(0);
        if let Some(before) = after {
            next = core::mem::replace(&mut self.slot_at(before).ok_or(Error::BadHandle)?.next, place);
            if next != Place(0)
                && let Some(n) = self.slot_at(next)
            {
                n.previous = place;
            }
        }
        let to = self.slot_at(place).ok_or(Error::BadHandle)?;
        *to = Slot { generation: to.generation, previous: after.unwrap_or_default(), next, ..slot };
        Ok(Handle::new(index, to.generation as u32))
    }

    /// A first capability to an object. Room was checked.
    pub(crate) fn insert_new(
        &mut self,
        table: Ref<Table>,
        kind: Kind,
        object: RawRef,
        rights: Rights,
        badge: u64,
    ) -> Result<Handle, Error> {
        self.fill(table, None, Slot { kind, object, rights: rights.0 as u8, badge, ..EMPTY }, None)
    }

    /// A capability derived from the one in a slot. Room was checked.
    pub(crate) fn derive(
        &mut self,
        from: (Ref<Table>, u32),
        to: Ref<Table>,
        index: Option<u32>,
        rights: Rights,
        badge: u64,
    ) -> Result<Handle, Error> {
        let place = Place::new(from.0, from.1);
        let parent = *self.slot_at(place).ok_or(Error::BadHandle)?;
        let depth = parent.depth.checked_add(1).ok_or(Error::TableFull)?;
        let rights = parent.rights().intersect(rights).0 as u8;
        self.fill(to, index, Slot { rights, badge, depth, ..parent }, Some(place))
    }

    /// Moves a capability to another slot, with its place in the derivation. Room was checked.
    pub(crate) fn move_slot(&mut self, from: (Ref<Table>, u32), to: Ref<Table>) -> Result<Handle, Error> {
        let place = Place::new(from.0, from.1);
        let old = *self.slot_at(place).ok_or(Error::BadHandle)?;
        let handle = self.fill(to, None, old, Some(place))?;
        self.unlink_derivation(place);
        self.get_mut(from.0)?.link_free(from.1);
        Ok(handle)
    }

    fn unlink_derivation(&mut self, place: Place) {
        let Some(slot) = self.slot_at(place) else { return };
        let (previous, next) = (slot.previous, slot.next);
        if let Some(p) = self.slot_at(previous) {
            p.next = next;
        }
        if let Some(n) = self.slot_at(next) {
            n.previous = previous;
        }
    }

    /// Empties a slot. What was derived from it counts as derived from what it was derived from.
    pub(crate) fn clear_slot(&mut self, table: Ref<Table>, index: u32) {
        let place = Place::new(table, index);
        let Some(&mut slot) = self.slot_at(place) else { return };
        if slot.kind == Kind::Null {
            return;
        }
        let mut at = slot.next;
        while let Some(child) = self.slot_at(at)
            && child.depth > slot.depth
        {
            child.depth -= 1;
            at = child.next;
        }
        self.unlink_derivation(place);
        if let Ok(t) = self.get_mut(table) {
            t.link_free(index);
        }
        if slot.kind == Kind::Reply {
            self.drop_reply_capability(&slot);
        }
    }

    /// Clears the next few slots of a table that is being destroyed; true when all are.
    pub(crate) fn clear_table_step(&mut self, table: Ref<Table>) -> bool {
        let Ok(t) = self.get(table) else { return true };
        let (first, end) = (t.cleared, t.len().min(t.cleared + STEP));
        for index in first..end {
            self.clear_slot(table, index);
        }
        self.get_mut(table).map_or(true, |t| {
            t.cleared = end;
            end == t.len()
        })
    }

    /// The badge that a copy gets: a badge is given once and never changed.
    fn new_badge(slot: &Slot, badge: u64, argument: u64) -> Result<u64, Failure> {
        match (badge, slot.kind) {
            (0, _) => Ok(slot.badge),
            (_, Kind::Endpoint | Kind::Notification) if slot.badge == 0 => Ok(badge),
            (_, Kind::Endpoint | Kind::Notification) => Err(Error::BadState.into()),
            _ => Err(at(Error::BadArgument, argument)),
        }
    }

    fn live_slot(&self, table: Ref<Table>, handle: Handle) -> Result<Slot, Error> {
        let slot = self.slot(table, handle)?;
        if self.is_alive(&slot) { Ok(slot) } else { Err(Error::BadHandle) }
    }

    /// `Op::Copy`.
    pub(crate) fn copy(&mut self, call: &Call) -> Done {
        let slot = self.live_slot(call.table, call.handle)?;
        if !slot.rights().contains(Rights::COPY) {
            return Err(Error::NoRight.into());
        }
        let rights = rights_argument(call.arguments[0], 0)?;
        let badge = Self::new_badge(&slot, call.arguments[1], 1)?;
        self.table_has_room(call.table, 1)?;
        let handle = self.derive((call.table, call.handle.index()), call.table, None, rights, badge)?;
        Ok(Flow::value(handle.0 as u64))
    }

    /// `Op::TableInsert`.
    pub(crate) fn table_insert(&mut self, call: &Call) -> Done {
        let (to, _) = self.object::<Table>(call, Kind::Table, Rights::EDIT)?;
        let [handle, rights, badge, index, _] = call.arguments;
        let handle = call.handle_argument(0, handle)?;
        let slot = self.live_slot(call.table, handle)?;
        if !slot.rights().contains(Rights::COPY) {
            return Err(Error::NoRight.into());
        }
        let rights = rights_argument(rights, 1)?;
        let badge = Self::new_badge(&slot, badge, 2)?;
        let index = match u32::try_from(index).ok().filter(|i| *i < self.tables.get(to).map_or(0, |t| t.len())) {
            None => return Err(at(Error::OutOfRange, 3)),
            Some(0) => None,
            Some(index) => Some(index),
        };
        if let Some(index) = index {
            let taken = *self.get(to)?.slots.get(index).ok_or(Error::BadHandle)?;
            if taken.kind != Kind::Null {
                if self.is_alive(&taken) {
                    return Err(Error::Overlap.into());
                }
                self.clear_slot(to, index);
            }
        } else {
            self.table_has_room(to, 1)?;
        }
        let handle = self.derive((call.table, handle.index()), to, index, rights, badge)?;
        Ok(Flow::value(handle.0 as u64))
    }

    /// `Op::Delete`.
    pub(crate) fn delete(&mut self, call: &Call) -> Done {
        self.slot(call.table, call.handle)?;
        self.clear_slot(call.table, call.handle.index());
        Ok(Flow::NOTHING)
    }

    /// `Op::Revoke`: a few slots at a time; the number emptied is kept in the thread meanwhile.
    pub(crate) fn revoke(&mut self, call: &Call) -> Done {
        let slot = self.live_slot(call.table, call.handle)?;
        if !slot.rights().contains(Rights::EDIT) {
            return Err(Error::NoRight.into());
        }
        let place = Place::new(call.table, call.handle.index());
        let mut emptied = 0;
        loop {
            let next = self.slot_at(place).ok_or(Error::BadHandle)?.next;
            let done = self.slot_at(next).is_none_or(|child| child.depth <= slot.depth);
            if done || emptied == STEP as u64 {
                let t = self.get_mut(call.thread)?;
                t.progress += emptied;
                return Ok(if done { Flow::value(t.progress) } else { Flow::Again });
            }
            if let Some(table) = self.tables.at(next.table()) {
                self.clear_slot(table, next.index());
            }
            emptied += 1;
        }
    }

    /// `Op::Inspect`.
    pub(crate) fn inspect(&mut self, call: &Call) -> Done {
        let slot = self.live_slot(call.table, call.handle)?;
        Ok(Flow::Done([slot.kind as u64, slot.rights as u64, slot.badge, 0]))
    }

    /// `Op::DebugDump`.
    #[cfg(feature = "debug")]
    pub(crate) fn debug_dump(&mut self, call: &Call) -> Done {
        for index in 1..self.get(call.table)?.len() {
            let slot = *self.get(call.table)?.slots.get(index).ok_or(Error::BadHandle)?;
            if slot.kind != Kind::Null {
                let gone = if self.is_alive(&slot) { "" } else { " (gone)" };
                let handle = Handle::new(index, slot.generation as u32);
                machine::print(format_args!(
                    "kernel: {handle:?} {:?} {:?} badge {:#x} depth {}{gone}",
                    slot.kind,
                    slot.rights(),
                    slot.badge,
                    slot.depth
                ));
            }
        }
        Ok(Flow::NOTHING)
    }
}

fn rights_argument(value: u64, argument: u64) -> Result<Rights, Failure> {
    match u16::try_from(value).map(Rights) {
        Ok(rights) if Rights::ALL.contains(rights) => Ok(rights),
        _ => Err(at(Error::BadArgument, argument)),
    }
}
