// SPDX-License-Identifier: PMPL-1.0-or-later
//! Capability tables: what a process may do. A slot names an object, with rights and a badge; its generation makes old
//! handles stale. Slots that were derived from one another form a tree: deleting one hands its children to its parent
//! and revoking empties first children until none is left, both without a look at the rest.

use super::Pool;
use crate::Kernel;
use crate::invoke::{Call, Done, Failure, Flow, at};
use abi::error::Error;
use abi::handle::Handle;
use abi::right::{Kind, Rights};
use machine::memory::{Array, Frames, RawRef, Ref, Store};

/// Slots emptied in one step of a long operation, and slots looked at.
const STEP: u32 = 5;
const LOOK_STEP: u32 = 32;

/// A slot's place: its table's place and its index, in one number; 0 = none. The table's place fits: RAM ends below
/// 2^44 bytes, and places count in units of 8.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place(u64);

impl Place {
    fn new(tables: &Store<Table>, table: Ref<Table>, index: u32) -> Place {
        Place(tables.place(table) << 18 | index as u64)
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
    /// Neighbours among its parent's children: the first child has the parent before it, the last has it behind it, so
    /// that every slot is taken out without a search. Of an empty slot: in the table's free list.
    previous: Place,
    next: Place,
    /// What was derived from it.
    first_child: Place,
    last_child: Place,
    /// The handle that names it now.
    handle: u32,
    pub kind: Kind,
    rights: u8,
}

/// Handle of a slot that is used no more: none names it.
const RETIRED: u32 = 0;

const EMPTY: Slot = Slot {
    object: RawRef::NOTHING,
    badge: 0,
    previous: Place(0),
    next: Place(0),
    first_child: Place(0),
    last_child: Place(0),
    handle: 0,
    kind: Kind::Null,
    rights: 0,
};

impl Slot {
    pub fn rights(&self) -> Rights {
        Rights(self.rights as u16)
    }

    fn generation(&self) -> u32 {
        Handle(self.handle).generation()
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
    /// Being destroyed: no slot is filled any more.
    pub dying: bool,
    /// Frames that are paid for.
    pub paid: u32,
    /// Where the next look for slots whose object is gone begins.
    swept: u32,
}

impl Table {
    pub const MAX_SLOTS: u32 = 65_536;

    pub fn cost(slots: u32) -> u32 {
        Array::<Slot>::cost(slots)
    }

    /// A table without slots yet: [`Table::grow`] makes them. `None` without frames for all.
    pub fn new(frames: &mut Frames, pool: Ref<Pool>, slots: u32) -> Option<Table> {
        let paid = Table::cost(slots);
        let slots = Array::reserve(frames, slots)?;
        Some(Table { pool, slots, paid, free_head: 0, free_tail: 0, free_count: 0, cleared: 0, dying: false, swept: 0 })
    }

    /// Makes the slots of one more frame; true when all are there. Slot 0 stays empty for ever.
    pub fn grow(&mut self, frames: &mut Frames) -> bool {
        let first = self.slots.len();
        let done = self.slots.grow(frames, EMPTY);
        for n in first.max(1)..self.slots.len() {
            let (previous, last) = (self.free_tail, n + 1 == self.slots.len());
            if let Some(slot) = self.slots.get_mut(n) {
                slot.handle = Handle::new(n, 1).0;
                // Free links are plain indices.
                slot.previous = Place(if n == first.max(1) { previous as u64 } else { n as u64 - 1 });
                slot.next = Place(if last { 0 } else { n as u64 + 1 });
            }
            self.free_count += 1;
        }
        let (new, last) = (first.max(1), self.slots.len() - 1);
        if let Some(tail) = self.slots.get_mut(self.free_tail).filter(|_| self.free_tail != 0) {
            tail.next = Place(new as u64);
        }
        if self.free_head == 0 && new <= last {
            self.free_head = new;
        }
        self.free_tail = last;
        done
    }

    /// Whether it is to have that many slots.
    pub fn is_for(&self, slots: u32) -> bool {
        self.slots.whole() == slots
    }

    /// Gives one frame back; how many it gave, and whether that was the last.
    pub fn shrink(&mut self, frames: &mut Frames) -> (u32, bool) {
        self.slots.shrink(frames)
    }

    pub fn len(&self) -> u32 {
        self.slots.len()
    }

    /// What a handle, as it stands in a register, names, if its slot is in that life.
    #[inline(always)]
    pub fn present(&self, handle: u64) -> Option<&Slot> {
        let slot = self.slots.get(Handle(handle as u32).index())?;
        (slot.handle as u64 == handle).then_some(slot)
    }

    /// An empty slot, without looking for slots whose object is gone.
    pub fn has_free_slot(&self) -> bool {
        self.free_count > 0 && !self.dying
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
        let generation = slot.generation() + 1;
        if generation >> Handle::GENERATION_BITS != 0 {
            // Its handles are used up: a further life would answer to an old one. It stays empty for ever.
            *slot = Slot { handle: RETIRED, ..EMPTY };
            return Some(());
        }
        *slot = Slot { handle: Handle::new(index, generation).0, previous: Place(tail as u64), ..EMPTY };
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
        if slot.generation() != handle.generation() {
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

    #[inline]
    fn slot_at(&mut self, place: Place) -> Option<&mut Slot> {
        if place == Place(0) {
            return None;
        }
        let table = self.tables.at(place.table())?;
        self.tables.get_mut(table)?.slots.get_mut(place.index())
    }

    /// Whether `count` more capabilities fit. Slots whose object is gone are emptied first if it needs them: some at a
    /// time, so the answer may be that the operation is to be executed again.
    pub(crate) fn table_has_room(&mut self, table: Ref<Table>, count: u32) -> Result<(), Failure> {
        if self.get(table)?.free_count >= count {
            return Ok(());
        }
        let emptied = self.sweep(table, LOOK_STEP)?;
        let slots = self.get(table)?.len() as u64;
        let thread = self.cpus[self.here].current.ok_or(Error::TableFull)?;
        let thread = self.get_mut(thread)?;
        thread.progress = if emptied > 0 { 0 } else { thread.progress + LOOK_STEP as u64 };
        // Each slot was looked at by this operation: there is no room.
        if thread.progress >= slots + LOOK_STEP as u64 { Err(Error::TableFull.into()) } else { Err(Failure::AGAIN) }
    }

    /// As [`Kernel::table_has_room`] for an operation that cannot be executed again: it looks at some slots only.
    pub(crate) fn table_has_room_now(&mut self, table: Ref<Table>, count: u32) -> Result<(), Error> {
        if self.get(table)?.free_count < count {
            self.sweep(table, LOOK_STEP)?;
        }
        if self.get(table)?.free_count < count { Err(Error::TableFull) } else { Ok(()) }
    }

    /// Empties slots whose object is gone, among the next `count` slots of a table; how many.
    fn sweep(&mut self, table: Ref<Table>, count: u32) -> Result<u32, Error> {
        let t = self.get(table)?;
        let (first, length) = (t.swept, t.len());
        let mut emptied = 0;
        for n in 0..count.min(length) {
            let index = (first + n) % length;
            let slot = *self.get(table)?.slots.get(index).ok_or(Error::BadHandle)?;
            if slot.kind != Kind::Null && !self.is_alive(&slot) {
                self.clear_slot(table, index);
                emptied += 1;
            }
            self.get_mut(table)?.swept = (index + 1) % length;
            if emptied == STEP {
                break;
            }
        }
        Ok(emptied)
    }

    /// Fills a free slot: the named one, or the longest free one. Room was checked.
    #[inline(always)]
    fn fill(&mut self, table: Ref<Table>, index: Option<u32>, slot: &Slot) -> Result<Handle, Error> {
        let t = self.get_mut(table)?;
        let index = index.unwrap_or(t.free_head);
        if index == 0 || t.dying {
            return Err(Error::TableFull);
        }
        t.unlink_free(index).ok_or(Error::BadHandle)?;
        let to = t.slots.get_mut(index).ok_or(Error::BadHandle)?;
        *to = Slot { handle: to.handle, ..*slot };
        Ok(Handle(to.handle))
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
        self.fill(table, None, &Slot { kind, object, rights: rights.0 as u8, badge, ..EMPTY })
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
        let place = Place::new(&self.tables, from.0, from.1);
        let parent = *self.slot_at(place).ok_or(Error::BadHandle)?;
        let rights = parent.rights().intersect(rights).0 as u8;
        let new = Slot { object: parent.object, kind: parent.kind, rights, badge, previous: place, ..EMPTY };
        let handle = self.fill(to, index, &new)?;
        let child = Place::new(&self.tables, to, handle.index());
        let second = parent.first_child;
        if let Some(c) = self.slot_at(child) {
            c.next = if second == Place(0) { place } else { second };
        }
        if let Some(s) = self.slot_at(second) {
            s.previous = child;
        }
        if let Some(p) = self.slot_at(place) {
            p.first_child = child;
            if second == Place(0) {
                p.last_child = child;
            }
        }
        Ok(handle)
    }

    /// Moves a capability to another slot, with its place in the derivation. Room was checked.
    #[inline(always)]
    pub(crate) fn move_slot(&mut self, from: (Ref<Table>, u32), to: Ref<Table>) -> Result<Handle, Error> {
        let old = *self.get(from.0)?.slots.get(from.1).ok_or(Error::BadHandle)?;
        let handle = self.fill(to, None, &old)?;
        if old.previous != Place(0) || old.first_child != Place(0) {
            let (place, new) = (Place::new(&self.tables, from.0, from.1), Place::new(&self.tables, to, handle.index()));
            self.relink(place, old, (new, new));
            if let Some(child) = self.slot_at(old.first_child) {
                child.previous = new;
            }
            if let Some(child) = self.slot_at(old.last_child) {
                child.next = new;
            }
        }
        self.get_mut(from.0)?.link_free(from.1);
        Ok(handle)
    }

    /// Puts a row of slots (its first and last) in the place that a slot has among its parent's children; the row's own
    /// outer links are the caller's. An empty row takes the slot out.
    fn relink(&mut self, place: Place, slot: Slot, (first, last): (Place, Place)) {
        let nothing = first == Place(0);
        let is_first = self.slot_at(slot.previous).is_some_and(|p| p.first_child == place);
        let is_last = self.slot_at(slot.next).is_some_and(|n| n.last_child == place);
        if let Some(p) = self.slot_at(slot.previous) {
            match is_first {
                true if nothing && is_last => p.first_child = Place(0),
                true => p.first_child = if nothing { slot.next } else { first },
                false => p.next = if nothing { slot.next } else { first },
            }
        }
        if let Some(n) = self.slot_at(slot.next) {
            match is_last {
                true if nothing && is_first => n.last_child = Place(0),
                true => n.last_child = if nothing { slot.previous } else { last },
                false => n.previous = if nothing { slot.previous } else { last },
            }
        }
    }

    /// Empties a slot. What was derived from it counts as derived from what it was derived from.
    pub(crate) fn clear_slot(&mut self, table: Ref<Table>, index: u32) {
        let place = Place::new(&self.tables, table, index);
        let Some(&mut slot) = self.slot_at(place) else { return };
        if slot.kind == Kind::Null {
            return;
        }
        self.relink(place, slot, (slot.first_child, slot.last_child));
        if let Some(child) = self.slot_at(slot.first_child) {
            child.previous = slot.previous;
        }
        if let Some(child) = self.slot_at(slot.last_child) {
            child.next = slot.next;
        }
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
        let (mut at, length) = (t.cleared.min(t.len()), t.len());
        let (end, mut emptied) = (length.min(at + LOOK_STEP), 0);
        while at < end && emptied < STEP {
            if self.get(table).is_ok_and(|t| t.slots.get(at).is_some_and(|s| s.kind != Kind::Null)) {
                self.clear_slot(table, at);
                emptied += 1;
            }
            at += 1;
        }
        self.get_mut(table).map_or(true, |t| {
            t.cleared = at;
            at == length
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
            if taken.handle == RETIRED {
                return Err(Error::TableFull.into());
            }
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
        let place = Place::new(&self.tables, call.table, call.handle.index());
        let mut emptied = 0;
        loop {
            let child = self.slot_at(place).ok_or(Error::BadHandle)?.first_child;
            let table = self.tables.at(child.table());
            if table.is_none() || emptied == STEP as u64 {
                let t = self.get_mut(call.thread)?;
                t.progress += emptied;
                return Ok(if table.is_none() { Flow::value(t.progress) } else { Flow::Again });
            }
            if let Some(table) = table {
                // Its children are this one's from now on.
                self.clear_slot(table, child.index());
            }
            emptied += 1;
        }
    }

    /// `Op::Inspect`.
    pub(crate) fn inspect(&mut self, call: &Call) -> Done {
        let slot = self.live_slot(call.table, call.handle)?;
        Ok(Flow::Done([slot.kind as u64, slot.rights as u64, slot.badge, 0]))
    }

    /// Every slot of a table that is not empty: its handle, itself, and the place of what it was derived from.
    #[cfg(feature = "debug")]
    pub(crate) fn slots_of(&self, table: Ref<Table>) -> impl Iterator<Item = (Handle, Slot, Option<(Ref<Table>, u32)>)> + '_ {
        let slots = self.get(table).ok().map(|t| &t.slots);
        let all = slots.into_iter().flat_map(|slots| (1..slots.len()).filter_map(|n| Some((n, *slots.get(n)?))));
        all.filter(|(_, slot)| slot.kind != Kind::Null)
            .map(move |(n, slot)| (Handle(slot.handle), slot, self.parent_of(Place::new(&self.tables, table, n))))
    }

    /// Back over the siblings: the first of them has the parent before it.
    #[cfg(feature = "debug")]
    fn parent_of(&self, place: Place) -> Option<(Ref<Table>, u32)> {
        let slot = |place: Place| {
            let table = self.tables.at(place.table())?;
            Some((table, *self.tables.get(table)?.slots.get(place.index())?))
        };
        let mut at = place;
        loop {
            let before = slot(at)?.1.previous;
            let (table, found) = slot(before)?;
            if found.first_child == at {
                return Some((table, before.index()));
            }
            at = before;
        }
    }
}

fn rights_argument(value: u64, argument: u64) -> Result<Rights, Failure> {
    match u16::try_from(value).map(Rights) {
        Ok(rights) if Rights::ALL.contains(rights) => Ok(rights),
        _ => Err(at(Error::BadArgument, argument)),
    }
}
