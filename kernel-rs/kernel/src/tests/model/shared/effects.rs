// SPDX-License-Identifier: PMPL-1.0-or-later
//! Arms of the model for capabilities, memory, threads and devices: what must be refused, and what else happens.

use super::state::*;
use super::steps::{FIRST_PAGE, both};
use super::*;
use abi::boot_info::USER_END;

/// Vectors and inputs of the made-up machine.
const GSIS: u64 = 24;
/// Small pages of a large one.
const LARGE: u64 = 512;

impl Model {
    /// A capability that may be copied: there, its object alive, with the copy right.
    fn copyable(&self, table: Object, raw: u64) -> Result<CapId, Errors> {
        let id = self.w.find(table, raw)?;
        let cap = self.w.cap(id);
        let mut why = if self.w.is_alive(cap.object) { 0 } else { e(Error::BadHandle) };
        why |= if cap.rights & Rights::COPY.0 as u64 == 0 { e(Error::NoRight) } else { 0 };
        if why == 0 { Ok(id) } else { Err(why) }
    }

    /// What stands against a copy with those rights and that badge; the badge that it gets.
    fn copy_terms(&self, source: Result<CapId, Errors>, keep: u64, badge: u64) -> (Errors, u64) {
        let mut must = source.err().unwrap_or(0);
        must |= if keep > ALL { e(Error::BadArgument) } else { 0 };
        let Ok(id) = source else { return (must, 0) };
        let cap = self.w.cap(id);
        if badge == 0 {
            return (must, cap.badge);
        }
        must |= match self.w.things[cap.object].kind {
            Kind::Endpoint | Kind::Notification if cap.badge == 0 => 0,
            Kind::Endpoint | Kind::Notification => e(Error::BadState),
            _ => e(Error::BadArgument),
        };
        (must, badge)
    }

    pub fn copy(&mut self, a: Actor, h: u64, keep: u64, badge: u64) {
        if self.w.is_unsure(a.table) {
            return;
        }
        let source = self.copyable(a.table, h);
        let (mut must, badge_given) = self.copy_terms(source, keep, badge);
        if must == 0 && !self.w.has_room(a.table, 1) {
            must = e(Error::TableFull);
        }
        let answer = self.ask(a, Op::Copy, h, [keep, badge, 0, 0, 0]);
        if self.judge(&answer, must, 0) {
            let id = source.unwrap();
            let (object, rights) = (self.w.cap(id).object, self.w.cap(id).rights & keep);
            self.w.insert(a.table, answer.handle(), object, rights, badge_given, Some(id));
        }
        self.settle();
    }

    pub fn table_insert(&mut self, a: Actor, to: u64, h: u64, keep: u64, badge: u64, index: u64) {
        let target = self.w.need(a.table, to, Kind::Table, Rights::EDIT);
        if target.is_ok_and(|id| self.w.is_unsure(self.w.cap(id).object)) {
            return;
        }
        let source = self.copyable(a.table, h);
        let (mut must, badge_given) = self.copy_terms(source, keep, badge);
        must |= target.err().unwrap_or(0);
        if let Ok(target) = target {
            let table = self.w.cap(target).object;
            let Part::Table { slots, by_slot, .. } = &self.w.things[table].part else { panic!("no table") };
            if index >= *slots {
                must |= e(Error::OutOfRange);
            } else if let Some(taken) = by_slot.get(&(index as u32)).copied() {
                if self.w.is_alive(self.w.cap(taken).object) {
                    must |= e(Error::Overlap);
                } else if must == 0 {
                    self.w.drop_cap(taken);
                }
            }
            if must == 0 && index == 0 && !self.w.has_room(table, 1) {
                must = e(Error::TableFull);
            }
        }
        let answer = self.ask(a, Op::TableInsert, to, [h, keep, badge, index, 0]);
        if self.judge(&answer, must, 0) {
            let (table, id) = (self.w.cap(target.unwrap()).object, source.unwrap());
            assert!(index == 0 || answer.handle().index() as u64 == index);
            let (object, rights) = (self.w.cap(id).object, self.w.cap(id).rights & keep);
            self.w.insert(table, answer.handle(), object, rights, badge_given, Some(id));
        }
        self.settle();
    }

    pub fn delete(&mut self, a: Actor, h: u64) {
        let found = self.w.find(a.table, h);
        if found.is_ok_and(|id| self.w.cap(id).kept && self.w.is_alive(self.w.cap(id).object)) {
            return;
        }
        match found {
            Err(why) => self.expect(a, Expect::Fails(why)),
            Ok(id) => {
                self.expect(a, Expect::Values([0; 4]));
                self.w.drop_cap(id);
            }
        }
        self.perform(a, Op::Delete, h, [0; 5]);
    }

    pub fn revoke(&mut self, a: Actor, h: u64) {
        let expect = match self.w.find(a.table, h) {
            Err(why) => Expect::Fails(why),
            Ok(id) => {
                let cap = self.w.cap(id);
                let mut why = if self.w.is_alive(cap.object) { 0 } else { e(Error::BadHandle) };
                why |= if cap.rights & Rights::EDIT.0 as u64 == 0 { e(Error::NoRight) } else { 0 };
                if why == 0 {
                    let below = self.w.descendants(id);
                    if below.iter().any(|c| self.w.cap(*c).kept) {
                        return;
                    }
                    below.iter().for_each(|c| self.w.drop_cap(*c));
                    Expect::Values([below.len() as u64, 0, 0, 0])
                } else {
                    Expect::Fails(why)
                }
            }
        };
        self.expect(a, expect);
        self.perform(a, Op::Revoke, h, [0; 5]);
    }

    pub fn inspect(&mut self, a: Actor, h: u64) {
        let found = self.w.find(a.table, h);
        let mut must = found.err().unwrap_or(0);
        if let Ok(id) = found {
            must |= if self.w.is_alive(self.w.cap(id).object) { 0 } else { e(Error::BadHandle) };
        }
        let answer = self.ask(a, Op::Inspect, h, [0; 5]);
        if self.judge(&answer, must, 0) {
            let cap = self.w.cap(found.unwrap());
            let kind = self.w.things[cap.object].kind;
            assert_eq!((answer.values[0], answer.values[1]), (kind as u64, cap.rights), "kind and rights of {:?}", cap.handle);
            // A reply right's badge is the kernel's own number of it.
            assert!(kind == Kind::Reply || answer.values[2] == cap.badge, "badge of {:?}", cap.handle);
        }
        self.settle();
    }

    /// Threads outside that would lose the space they run in: the model has no say in when they notice.
    fn strands(&self, gone: impl Fn(Object) -> bool) -> bool {
        self.w.threads.iter().any(|t| {
            let thread = self.w.thread(*t);
            !gone(*t) && thread.space.is_some_and(&gone) && thread.state != State::Inactive
        })
    }

    pub fn destroy(&mut self, a: Actor, h: u64) {
        let expect = match self.w.find(a.table, h) {
            Err(why) => Expect::Fails(why),
            Ok(id) => {
                let (object, rights) = (self.w.cap(id).object, self.w.cap(id).rights);
                let mut why = if self.w.is_alive(object) { 0 } else { e(Error::BadHandle) };
                why |= if rights & Rights::DESTROY.0 as u64 == 0 { e(Error::NoRight) } else { 0 };
                let me = self.w.thread(a.thread);
                why |= match self.w.things[object].kind {
                    Kind::Pool => e(Error::BadState),
                    Kind::Thread if object == a.thread => e(Error::BadState),
                    Kind::Table if object == a.table => e(Error::BadState),
                    Kind::AddressSpace if me.space == Some(object) => e(Error::BadState),
                    Kind::Reply | Kind::PortRange | Kind::InterruptControl | Kind::DeviceRange | Kind::Power => {
                        e(Error::WrongKind)
                    }
                    _ => 0,
                };
                if why == 0 {
                    let wakes =
                        matches!(self.w.things[object].kind, Kind::Thread | Kind::Table | Kind::Endpoint | Kind::Notification);
                    // Whom it wakes may preempt the caller halfway, and the model knows no halves.
                    let halves = wakes && a.thread != self.root.thread;
                    if self.w.things[object].root || halves || self.strands(|o| o == object) {
                        return;
                    }
                    self.w.kill(object);
                    if self.w.caps[id].is_some() {
                        self.w.drop_cap(id);
                    }
                    Expect::Values([0; 4])
                } else {
                    Expect::Fails(why)
                }
            }
        };
        self.expect(a, expect);
        self.perform(a, Op::Destroy, h, [0; 5]);
    }

    pub fn pool_destroy(&mut self, a: Actor, h: u64) {
        let expect = match self.w.need(a.table, h, Kind::Pool, Rights::DESTROY) {
            Err(why) => Expect::Fails(why),
            Ok(id) => {
                let pool = self.w.cap(id).object;
                let space = self.w.thread(a.thread).space;
                let own = [Some(a.thread), Some(a.table), space].into_iter().flatten().any(|o| self.w.is_within(o, pool));
                if own {
                    Expect::Fails(e(Error::BadState))
                } else if a.thread != self.root.thread {
                    // Whom it wakes may preempt it halfway, and the model knows no halves.
                    return;
                } else if pool == self.arena || self.strands(|o| self.w.is_within(o, pool)) {
                    return;
                } else {
                    self.w.kill(pool);
                    Expect::Values([0; 4])
                }
            }
        };
        self.expect(a, expect);
        self.perform(a, Op::PoolDestroy, h, [0; 5]);
    }

    fn window(&mut self) -> u64 {
        FIRST_PAGE + self.random.below(32) + 512 * self.random.below(3)
    }

    /// Arguments of a mapping: mostly good ones.
    fn mapping(&mut self, a: Actor) -> [u64; 5] {
        let memory = self.pick(a.table, Kind::Memory);
        let known = self.w.need(a.table, memory, Kind::Memory, Rights::READ);
        let whole = known.map_or(9, |id| self.pages_of(self.w.cap(id).object));
        let (mut page, mut count) = (self.window(), 1 + self.random.below(4));
        let mut offset = self.random.below(whole + 1) * 4096;
        if whole >= LARGE && self.random.below(2) == 0 {
            (page, count, offset) = (FIRST_PAGE + LARGE * self.random.below(3), LARGE, 0);
        }
        let access = 1 + 2 * self.random.below(4);
        let access = self.mostly(access, &[0, 2, 9]);
        let address = self.mostly(page * 4096, &[0, page * 4096 + 8, USER_END, FOREVER & !4095]);
        let length = self.mostly(count * 4096, &[0, 100, 1 << 47, FOREVER & !4095]);
        let offset = self.mostly(offset, &[4, FOREVER & !4095]);
        [memory, offset, address, length, access]
    }

    /// What stands against a mapping, what may besides, and what it would be.
    fn mapping_terms(
        &self,
        a: Actor,
        space: Result<Object, Errors>,
        [memory, offset, address, length, access]: [u64; 5],
    ) -> (Errors, Errors, Vec<(u64, Page)>) {
        let checked = self.w.need(a.table, memory, Kind::Memory, Rights::READ);
        let mut must = checked.err().unwrap_or(0) | space.err().unwrap_or(0) | range_errors(address, length);
        must |= if offset.is_multiple_of(4096) { 0 } else { e(Error::Misaligned) };
        must |= access_errors(access);
        let may = space.map_or(0, |s| self.tight(self.w.things[s].pool, 5));
        let Ok(id) = checked else { return (must, may, vec![]) };
        let (cap, whole) = (self.w.cap(id), self.pages_of(self.w.cap(id).object));
        must |= if cap.rights & access & 7 != access & 7 { e(Error::NoRight) } else { 0 };
        must |= if offset.checked_add(length).is_none_or(|end| end > whole * 4096) { e(Error::OutOfRange) } else { 0 };
        if must != 0 {
            return (must, may, vec![]);
        }
        let (page, space) = (address / 4096, space.unwrap());
        let end = page + length / 4096;
        if self.w.pages.range((space, page)..(space, end)).next().is_some() {
            return (e(Error::Overlap), may, vec![]);
        }
        let one = |p| (p, Page { memory: cap.object, offset: offset / 4096 + p - page, access, most: cap.rights & 7 });
        (0, may, (page..end).map(one).collect())
    }

    pub fn map(&mut self, a: Actor) {
        let h = self.pick(a.table, Kind::AddressSpace);
        let space = self.w.need(a.table, h, Kind::AddressSpace, Rights::EDIT).map(|id| self.w.cap(id).object);
        let arguments = self.mapping(a);
        let (must, may, pages) = self.mapping_terms(a, space, arguments);
        let answer = self.ask(a, Op::Map, h, arguments);
        if self.judge(&answer, must, may) {
            self.w.pages.extend(pages.into_iter().map(|(p, page)| ((space.unwrap(), p), page)));
        }
        self.settle();
    }

    pub fn map_many(&mut self, a: Actor) {
        let h = self.pick(a.table, Kind::AddressSpace);
        let space = self.w.need(a.table, h, Kind::AddressSpace, Rights::EDIT).map(|id| self.w.cap(id).object);
        let buffer = self.w.thread(a.thread).buffer.filter(|b| self.w.things[*b].alive);
        let count = 1 + self.random.below(4);
        let count = self.mostly(count, &[0, 129]);
        let mut must = if buffer.is_none() { e(Error::BadState) } else { 0 };
        must |= if (1..=128).contains(&count) { 0 } else { e(Error::BadArgument) };
        must |= space.err().unwrap_or(0);
        let mut records = vec![];
        if let Some(b) = buffer.filter(|_| count < 16) {
            for n in 0..count as usize {
                let [memory, offset, address, length, access] = self.mapping(a);
                let record = [memory & 0xffff_ffff, offset, address, length, access];
                let words = [record[0] | access << 32, offset, address, length];
                (0..4).for_each(|w| self.write(b, n * 4 + w, words[w]));
                records.push(record);
            }
        }
        let answer = self.ask(a, Op::MapMany, h, [count, 0, 0, 0, 0]);
        if must != 0 {
            self.judge(&answer, must, 0);
            return self.settle();
        }
        let refused = if answer.status == 0 { count } else { answer.values[1] >> 8 };
        for (n, record) in records.into_iter().enumerate().take(refused as usize + 1) {
            let (must, may, pages) = self.mapping_terms(a, space, record);
            let answer = if n as u64 == refused { answer } else { Answer { status: 0, ..answer } };
            if self.judge(&answer, must, may) {
                self.w.pages.extend(pages.into_iter().map(|(p, page)| ((space.unwrap(), p), page)));
            }
        }
        self.settle();
    }

    pub fn unmap(&mut self, a: Actor) {
        let h = self.pick(a.table, Kind::AddressSpace);
        let (page, count) = (self.window(), 1 + self.random.below(6));
        let address = self.mostly(page * 4096, &[0, page * 4096 + 8, USER_END]);
        let length = self.mostly(count * 4096, &[0, 100, FOREVER & !4095]);
        let space = self.w.need(a.table, h, Kind::AddressSpace, Rights::EDIT).map(|id| self.w.cap(id).object);
        let must = space.err().unwrap_or(0) | range_errors(address, length);
        let may = space.map_or(0, |s| self.tight(self.w.things[s].pool, 2));
        let answer = self.ask(a, Op::Unmap, h, [address, length, 0, 0, 0]);
        if self.judge(&answer, must, may) {
            let space = space.unwrap();
            let gone: Vec<_> = self.w.pages.range((space, page)..(space, page + count)).map(|(k, _)| *k).collect();
            assert_eq!(answer.values[0], gone.len() as u64, "pages unmapped");
            gone.iter().for_each(|k| {
                self.w.pages.remove(k);
            });
        }
        self.settle();
    }

    pub fn protect(&mut self, a: Actor) {
        let h = self.pick(a.table, Kind::AddressSpace);
        let (mut page, mut count) = (self.window(), 1 + self.random.below(3));
        if let Ok(id) = self.w.find(a.table, h)
            && let Some(((_, mapped), _)) = self.w.pages.range((self.w.cap(id).object, page)..).next()
            && self.random.below(2) == 0
        {
            // Something is mapped there.
            (page, count) = (*mapped, 1);
        }
        let access = 1 + 2 * self.random.below(3);
        let access = self.mostly(access, &[7]);
        let space = self.w.need(a.table, h, Kind::AddressSpace, Rights::EDIT).map(|id| self.w.cap(id).object);
        let mut must = space.err().unwrap_or(0) | access_errors(access);
        if must == 0 {
            for p in page..page + count {
                must |= match self.w.pages.get(&(space.unwrap(), p)) {
                    None => e(Error::NotMapped),
                    Some(p) if p.most & access != access => e(Error::NoRight),
                    _ => 0,
                };
            }
        }
        let may = space.map_or(0, |s| self.tight(self.w.things[s].pool, 2));
        let answer = self.ask(a, Op::Protect, h, [page * 4096, count * 4096, access, 0, 0]);
        if self.judge(&answer, must, may) {
            (page..page + count).for_each(|p| self.w.pages.get_mut(&(space.unwrap(), p)).unwrap().access = access);
        }
        self.settle();
    }

    pub fn device_memory(&mut self, a: Actor) {
        let (h, pool) = (self.pick(a.table, Kind::DeviceRange), self.pick(a.table, Kind::Pool));
        let checked =
            both(self.w.need(a.table, h, Kind::DeviceRange, Rights::EDIT), self.w.need(a.table, pool, Kind::Pool, Rights::EDIT));
        let payer = self.w.need(a.table, pool, Kind::Pool, Rights::EDIT);
        if self.outlives_round(payer) || self.w.is_unsure(a.table) {
            return;
        }
        let payer = payer.map(|id| self.w.cap(id).object);
        let pages = 1 + self.random.below(4);
        let (good, ram) = (0xc000_0000 + self.random.below(16) * 4096, 4096 * (1 + self.random.below(100)));
        let physical = self.mostly(good, &[ram, 0xfee0_0000, 1 << 52, good + 1, FOREVER & !4095]);
        let length = self.mostly(pages * 4096, &[0, 5]);
        let full = self.room(a.table);
        let mut must = checked.err().unwrap_or(0) | full;
        must |= if !physical.is_multiple_of(4096) || !length.is_multiple_of(4096) { e(Error::Misaligned) } else { 0 };
        must |= if length == 0 { e(Error::BadArgument) } else { 0 };
        must |= if physical != good && physical.is_multiple_of(4096) { e(Error::OutOfRange) } else { 0 };
        let may = payer.map_or(0, |p| self.tight(p, 1)) | if length == 5 || length == 0 { e(Error::OutOfRange) } else { 0 };
        let answer = self.ask(a, Op::DeviceMemory, h, [pool, physical, length, 0, 0]);
        if self.judge(&answer, must, may) {
            let object = self.w.make(Kind::Memory, payer.unwrap(), plain_memory(length / 4096, false, true));
            let rights = ALL & !(Rights::EXECUTE | Rights::DMA).0 as u64;
            self.w.insert(a.table, answer.handle(), object, rights, 0, None);
        }
        self.settle();
    }

    pub fn interrupt(&mut self, a: Actor, op: Op, h: u64, pool: u64) {
        let checked = self.w.need(a.table, h, Kind::InterruptControl, Rights::EDIT);
        let payer = self.w.need(a.table, pool, Kind::Pool, Rights::EDIT);
        if self.outlives_round(payer) || self.w.is_unsure(a.table) {
            return;
        }
        let full = self.room(a.table);
        let mut must = full | checked.err().unwrap_or(0) | payer.err().unwrap_or(0);
        let (gsi, flags) = (self.random.below(GSIS + 1), self.random.below(5));
        let gsi_of = (op == Op::InterruptGsi).then_some(gsi);
        if let Some(gsi) = gsi_of {
            must |= if gsi >= GSIS || flags > 3 { e(Error::BadArgument) } else { 0 };
            let taken = self
                .w
                .vectors
                .values()
                .any(|i| matches!(self.w.things[*i].part, Part::Interrupt { gsi: Some(g), .. } if g == gsi));
            must |= if taken { e(Error::BadState) } else { 0 };
        }
        let payer = payer.map(|id| self.w.cap(id).object);
        let may = payer.map_or(0, |p| self.tight(p, 1));
        let arguments = if gsi_of.is_some() { [gsi, flags, pool, 0, 0] } else { [pool, 0, 0, 0, 0] };
        let answer = self.ask(a, op, h, arguments);
        if self.judge(&answer, must, may) {
            let vector = (0x30..=255u8).find(|v| !self.w.vectors.contains_key(v)).unwrap();
            assert!(gsi_of.is_some() || answer.values[2] == vector as u64, "vector of a message-signalled interrupt");
            let object = self.w.make(Kind::Interrupt, payer.unwrap(), Part::Interrupt { vector, gsi: gsi_of, target: None });
            self.w.vectors.insert(vector, object);
            self.w.insert(a.table, answer.handle(), object, ALL, 0, None);
        }
        self.settle();
    }

    pub fn port(&mut self, a: Actor, op: Op) {
        let h = self.pick(a.table, Kind::PortRange);
        let right = match op {
            Op::PortNarrow => Rights::COPY,
            Op::PortIn => Rights::READ,
            _ => Rights::WRITE,
        };
        let checked = self.w.need(a.table, h, Kind::PortRange, right);
        let mut must = checked.err().unwrap_or(0);
        let (first, last) = checked.map_or((0, 0), |id| (self.w.cap(id).badge & 0xffff, self.w.cap(id).badge >> 16));
        let port = (first + self.random.below(40)).wrapping_sub(2);
        if op == Op::PortNarrow {
            if self.w.is_unsure(a.table) {
                return;
            }
            let end = port.wrapping_add(self.random.below(200));
            must |= if port > end || port < first || end > last { e(Error::OutOfRange) } else { 0 };
            if must == 0 && !self.w.has_room(a.table, 1) {
                must = e(Error::TableFull);
            }
            let answer = self.ask(a, op, h, [port, end, 0, 0, 0]);
            if self.judge(&answer, must, 0) {
                let id = checked.unwrap();
                let (object, rights) = (self.w.cap(id).object, self.w.cap(id).rights);
                self.w.insert(a.table, answer.handle(), object, rights, port | end << 16, Some(id));
            }
            return self.settle();
        }
        let width = 1 << self.random.below(3);
        let width = self.mostly(width, &[0, 3, 8]);
        let known = matches!(width, 1 | 2 | 4);
        must |= if known { 0 } else { e(Error::BadArgument) };
        must |= if known && (port < first || port.checked_add(width - 1).is_none_or(|end| end > last)) {
            e(Error::OutOfRange)
        } else {
            0
        };
        let value = self.random.next() & 0xffff_ffff;
        let mut result = 0;
        if must == 0 && op == Op::PortOut {
            self.ports.insert(port, value);
        } else if must == 0 {
            result = self.ports.get(&port).copied().unwrap_or(0);
        }
        self.expect(a, if must == 0 { Expect::Values([result, 0, 0, 0]) } else { Expect::Fails(must) });
        self.perform(a, op, h, [port, width, value, 0, 0]);
    }
}

/// What stands against a range of user space.
fn range_errors(address: u64, length: u64) -> Errors {
    let mut why = if !address.is_multiple_of(4096) || !length.is_multiple_of(4096) { e(Error::Misaligned) } else { 0 };
    why |= if length == 0 { e(Error::BadArgument) } else { 0 };
    why | if address == 0 || address.checked_add(length).is_none_or(|end| end > USER_END) { e(Error::OutOfRange) } else { 0 }
}

fn access_errors(access: u64) -> Errors {
    if access & !7 != 0 || access & 1 == 0 {
        e(Error::BadArgument)
    } else if access == 7 {
        e(Error::WriteAndExecute)
    } else {
        0
    }
}
