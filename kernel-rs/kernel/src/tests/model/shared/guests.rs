// SPDX-License-Identifier: PMPL-1.0-or-later
//! Arms of the model for guests: who is attached to what, kicks, vector registers. Entering a guest is `machine`'s, so a
//! thread of the model runs its guest only where the operation comes back at once.

use super::state::*;
use super::steps::both;
use super::*;
use abi::guest::reason;

impl Facts {
    /// Frames that are paid more than once: state pages, by each thread that is attached and by the memory object.
    pub fn paid_twice(&self) -> u64 {
        let mut payers = BTreeMap::new();
        for (_, page) in self.threads.iter().filter_map(|t| self.thread(*t).guest) {
            *payers.entry(page).or_insert(self.is_alive(page) as u64) += 1;
        }
        payers.values().map(|count| count - 1).sum()
    }
}

impl Model {
    pub fn guest_attach(&mut self, a: Actor, space: u64, memory: u64) {
        // What a thread that stays pays would stay as well.
        if self.w.things[a.thread].pool == self.top {
            return;
        }
        let checked = self.w.need(a.table, space, Kind::AddressSpace, Rights::EDIT);
        let page = self.w.need(a.table, memory, Kind::Memory, Rights::READ | Rights::WRITE);
        let both = both(checked, page);
        let objects = checked.and_then(|s| page.map(|m| (self.w.cap(s).object, self.w.cap(m).object)));
        let mut must = both.err().unwrap_or(0);
        let mut may = self.tight(self.w.things[a.thread].pool, 2);
        if let Ok((space, page)) = objects {
            let Part::Memory { device, pages, .. } = self.w.things[page].part else { panic!("no memory") };
            must |= if device { e(Error::BadArgument) } else { 0 };
            // It may have been made for large pages.
            may |= if pages.is_multiple_of(512) { e(Error::BadArgument) } else { 0 };
            must |= if self.w.thread(a.thread).space == Some(space) { e(Error::BadState) } else { 0 };
        }
        let answer = self.ask(a, Op::GuestAttach, space, [memory, 0, 0, 0, 0]);
        if self.judge(&answer, must, may) {
            self.w.thread_mut(a.thread).guest = objects.ok();
        }
        self.settle();
    }

    /// Whether to try what only an attached thread can: the others mostly not.
    fn worth_it(&mut self, a: Actor) -> bool {
        self.w.thread(a.thread).guest.is_some() || self.random.below(8) == 0
    }

    pub fn guest_run(&mut self, a: Actor) {
        if !self.worth_it(a) {
            return;
        }
        let t = self.w.thread(a.thread);
        let expect = match (t.guest, t.kicked) {
            (None, _) => Expect::Fails(e(Error::BadState)),
            (Some((_, page)), true) => {
                self.w.thread_mut(a.thread).kicked = false;
                if let Part::Memory { words, .. } = &mut self.w.things[page].part {
                    words[20] = reason::KICKED;
                }
                Expect::Values([reason::KICKED, 0, 0, 0])
            }
            (Some((space, _)), false) if !self.w.is_alive(space) => Expect::Fails(e(Error::Gone)),
            // It would go in.
            _ => return,
        };
        self.expect(a, expect);
        self.perform(a, Op::GuestRun, 0, [0; 5]);
    }

    pub fn guest_kick(&mut self, a: Actor, thread: u64) {
        let checked = self.w.need(a.table, thread, Kind::Thread, Rights::WRITE);
        let attached = checked.is_ok_and(|id| self.w.thread(self.w.cap(id).object).guest.is_some());
        let checked = checked.and_then(|id| if attached { Ok(id) } else { Err(e(Error::BadState)) });
        self.simple(a, Op::GuestKick, thread, [0; 5], checked, |m, t| m.w.thread_mut(t).kicked = true);
    }

    pub fn guest_vector(&mut self, a: Actor, op: Op) {
        if !self.worth_it(a) {
            return;
        }
        let expect = match (op, self.w.thread(a.thread).guest) {
            (_, None) => Expect::Fails(e(Error::BadState)),
            (Op::GuestSaveVector, _) => Expect::Values([832, 0, 0, 0]),
            // What stands in the page was saved, or is zero.
            _ => Expect::Values([0; 4]),
        };
        self.expect(a, expect);
        self.perform(a, op, 0, [0; 5]);
    }
}
