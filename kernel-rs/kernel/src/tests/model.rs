// SPDX-License-Identifier: PMPL-1.0-or-later
//! Random operations, checked against a model that is too simple to be wrong: what each handle may do, who derived from
//! whom, what is mapped where, what each pool made. Promises: no right ever grows, revoke cuts what was derived and no
//! more, nothing leaks from a destroyed pool.

use super::*;
use abi::right::Rights;
use std::collections::BTreeMap;

/// Xorshift64: the same numbers for the same seed, on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len() as u64) as usize])
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Cap {
    object: usize,
    rights: u64,
    badge: u64,
    /// Number of the capability it was derived from.
    parent: Option<usize>,
    number: usize,
}

struct Object {
    kind: Kind,
    /// The object that pays, itself a pool; `None`: the round's pool.
    pool: Option<usize>,
    alive: bool,
    pages: u64,
}

/// The model: root's table, one other table, root's address space.
struct Model {
    w: World,
    random: Random,
    caps: BTreeMap<Handle, Cap>,
    objects: Vec<Object>,
    /// Page number in root's space -> object, its page, access.
    pages: BTreeMap<u64, (usize, u64, u64, u64)>,
    next: usize,
    /// Pays for everything.
    arena: Handle,
}

const KINDS: [Kind; 6] = [Kind::Memory, Kind::Table, Kind::AddressSpace, Kind::Thread, Kind::Endpoint, Kind::Notification];
const FIRST_PAGE: u64 = 0x10_0000;

impl Model {
    fn new(seed: u64) -> Model {
        Model {
            w: World::with_frames(1500),
            random: Random(seed),
            caps: BTreeMap::new(),
            objects: Vec::new(),
            pages: BTreeMap::new(),
            next: 0,
            arena: Handle::NULL,
        }
    }

    fn add(&mut self, handle: Handle, object: usize, rights: u64, badge: u64, parent: Option<usize>) {
        self.next += 1;
        let old = self.caps.insert(handle, Cap { object, rights, badge, parent, number: self.next });
        assert_eq!(old, None, "a handle in use was given out again");
    }

    fn any(&mut self) -> Option<(Handle, Cap)> {
        let all: Vec<_> = self.caps.iter().map(|(h, c)| (*h, *c)).collect();
        self.random.pick(&all)
    }

    fn any_of(&mut self, kind: Kind) -> Option<(Handle, Cap)> {
        let all: Vec<_> = self.caps.iter().filter(|(_, c)| self.objects[c.object].kind == kind).map(|(h, c)| (*h, *c)).collect();
        self.random.pick(&all)
    }

    fn alive(&self, cap: Cap) -> bool {
        self.objects[cap.object].alive
    }

    /// Whether a capability of that rights on a living object would be refused, and how.
    fn refusal(&self, cap: Cap, rights: Rights) -> Option<Error> {
        if cap.rights & rights.0 as u64 != rights.0 as u64 {
            Some(Error::NoRight)
        } else {
            (!self.alive(cap)).then_some(Error::BadHandle)
        }
    }

    fn is_below(&self, cap: Cap, ancestor: usize) -> bool {
        let mut at = cap.parent;
        while let Some(p) = at {
            if p == ancestor {
                return true;
            }
            at = self.caps.values().find(|c| c.number == p).and_then(|c| c.parent);
        }
        false
    }

    /// Takes a capability out; what was derived from it hangs on its parent now.
    fn drop_cap(&mut self, handle: Handle) {
        if let Some(gone) = self.caps.remove(&handle) {
            for cap in self.caps.values_mut().filter(|c| c.parent == Some(gone.number)) {
                cap.parent = gone.parent;
            }
        }
    }

    fn kill(&mut self, object: usize) {
        self.objects[object].alive = false;
        if self.objects[object].kind == Kind::Memory {
            self.pages.retain(|_, (o, ..)| *o != object);
        }
        if self.objects[object].kind == Kind::Pool {
            let made: Vec<_> =
                (0..self.objects.len()).filter(|o| self.objects[*o].alive && self.objects[*o].pool == Some(object)).collect();
            made.into_iter().for_each(|o| self.kill(o));
        }
    }

    fn pool(&mut self) -> Option<(Handle, Option<usize>, u64, Option<Error>)> {
        if self.random.below(2) == 0 {
            return Some((self.arena, None, ALL, None));
        }
        let (handle, cap) = self.any_of(Kind::Pool)?;
        Some((handle, Some(cap.object), cap.rights, self.refusal(cap, Rights::EDIT)))
    }

    fn create(&mut self) -> Option<()> {
        let (handle, pool, through, refusal) = self.pool()?;
        let split = self.random.below(6) == 0;
        let kind = if split { Kind::Pool } else { KINDS[self.random.below(6) as usize] };
        let pages = 1 + self.random.below(8);
        let answer = match kind {
            Kind::Pool => {
                let frames = 1 + self.random.below(60);
                self.w.root(Op::PoolSplit, handle, &[frames])
            }
            Kind::Memory => self.w.root(Op::Create, handle, &[kind as u64, pages * 4096]),
            Kind::Table => self.w.root(Op::Create, handle, &[kind as u64, 2 + pages]),
            _ => self.w.root(Op::Create, handle, &[kind as u64]),
        };
        if let Some(error) = refusal {
            answer.fails(error);
        } else if answer.status == 0 {
            self.objects.push(Object { kind, pool, alive: true, pages });
            let dma = Rights::DMA.0 as u64;
            let rights = match kind {
                Kind::Memory => ALL & !dma,
                Kind::Pool => ALL & !(dma & !through),
                _ => ALL,
            };
            self.add(answer.handle(), self.objects.len() - 1, rights, 0, None);
        } else {
            assert!(matches!(Error::from_u64(answer.status), Some(Error::NoQuota | Error::TableFull)), "{answer:?}");
        }
        Some(())
    }

    fn copy(&mut self) -> Option<()> {
        let (handle, cap) = self.any()?;
        let (keep, badge) = (self.random.below(256), self.random.below(3));
        let answer = self.w.root(Op::Copy, handle, &[keep, badge]);
        let badged = matches!(self.objects[cap.object].kind, Kind::Endpoint | Kind::Notification);
        if !self.alive(cap) {
            answer.fails(Error::BadHandle);
        } else if cap.rights & Rights::COPY.0 as u64 == 0 {
            answer.fails(Error::NoRight);
        } else if badge != 0 && !badged {
            answer.fails_at(Error::BadArgument, 1);
        } else if badge != 0 && cap.badge != 0 {
            answer.fails(Error::BadState);
        } else if answer.status == Error::TableFull as u64 {
            assert!(self.caps.len() > 400, "there was room");
        } else {
            let badge = if badge == 0 { cap.badge } else { badge };
            self.add(answer.handle(), cap.object, cap.rights & keep, badge, Some(cap.number));
        }
        Some(())
    }

    fn delete(&mut self) -> Option<()> {
        let (handle, _) = self.any()?;
        self.w.root(Op::Delete, handle, &[]).ok();
        self.drop_cap(handle);
        self.w.root(Op::Inspect, handle, &[]).fails(Error::StaleHandle);
        Some(())
    }

    fn revoke(&mut self) -> Option<()> {
        let (handle, cap) = self.any()?;
        let answer = self.w.root(Op::Revoke, handle, &[]);
        if !self.alive(cap) {
            answer.fails(Error::BadHandle);
        } else if cap.rights & Rights::EDIT.0 as u64 == 0 {
            answer.fails(Error::NoRight);
        } else {
            let below: Vec<_> = self.caps.iter().filter(|(_, c)| self.is_below(**c, cap.number)).map(|(h, _)| *h).collect();
            assert_eq!(answer.ok(), below.len() as u64);
            below.into_iter().for_each(|h| {
                self.caps.remove(&h);
            });
        }
        Some(())
    }

    fn inspect(&mut self) -> Option<()> {
        let (handle, cap) = self.any()?;
        let answer = self.w.root(Op::Inspect, handle, &[]);
        if self.alive(cap) {
            assert_eq!(
                [answer.ok(), answer.values[1], answer.values[2]],
                [self.objects[cap.object].kind as u64, cap.rights, cap.badge]
            );
        } else {
            answer.fails(Error::BadHandle);
        }
        Some(())
    }

    fn destroy(&mut self) -> Option<()> {
        let (handle, cap) = self.any()?;
        let pool = self.objects[cap.object].kind == Kind::Pool;
        let answer = self.w.root(if pool { Op::PoolDestroy } else { Op::Destroy }, handle, &[]);
        match self.refusal(cap, Rights::DESTROY) {
            Some(error) => answer.fails(error),
            None => {
                answer.ok();
                self.kill(cap.object);
                if !pool {
                    self.drop_cap(handle);
                }
            }
        }
        Some(())
    }

    fn map(&mut self) -> Option<()> {
        let (handle, cap) = self.any_of(Kind::Memory)?;
        let whole = self.objects[cap.object].pages;
        let (offset, count) = (self.random.below(whole + 1), 1 + self.random.below(4));
        let page = FIRST_PAGE + self.random.below(32) + 512 * self.random.below(3);
        let access = 1 + 2 * self.random.below(4);
        let answer = self.w.root(Op::Map, SPACE, &[handle.0 as u64, offset * 4096, page * 4096, count * 4096, access]);
        let taken = (page..page + count).any(|p| self.pages.contains_key(&p));
        let expected = if let Some(error) = self.refusal(cap, Rights::READ) {
            Some(error)
        } else if access == 7 {
            Some(Error::WriteAndExecute)
        } else if cap.rights & access != access {
            Some(Error::NoRight)
        } else if offset + count > whole {
            Some(Error::OutOfRange)
        } else if taken {
            Some(Error::Overlap)
        } else {
            None
        };
        match expected {
            Some(error) => answer.fails(error),
            None if answer.status == Error::NoQuota as u64 => {}
            None => {
                answer.ok();
                for n in 0..count {
                    self.pages.insert(page + n, (cap.object, offset + n, access, cap.rights & 7));
                }
            }
        }
        Some(())
    }

    fn unmap(&mut self) -> Option<()> {
        let (page, count) = (FIRST_PAGE + self.random.below(32) + 512 * self.random.below(3), 1 + self.random.below(6));
        let mapped: Vec<_> = self.pages.range(page..page + count).map(|(p, _)| *p).collect();
        assert_eq!(self.w.root(Op::Unmap, SPACE, &[page * 4096, count * 4096]).ok(), mapped.len() as u64);
        mapped.iter().for_each(|p| {
            self.pages.remove(p);
        });
        Some(())
    }

    fn protect(&mut self) -> Option<()> {
        let (page, count) = (FIRST_PAGE + self.random.below(32), 1 + self.random.below(3));
        let access = 1 + 2 * self.random.below(3);
        let answer = self.w.root(Op::Protect, SPACE, &[page * 4096, count * 4096, access]);
        let first_problem = (page..page + count).find_map(|p| match self.pages.get(&p) {
            None => Some(Error::NotMapped),
            Some((.., most)) => (most & access != access).then_some(Error::NoRight),
        });
        match first_problem {
            Some(error) => answer.fails(error),
            None => {
                answer.ok();
                (page..page + count).for_each(|p| self.pages.get_mut(&p).unwrap().2 = access);
            }
        }
        Some(())
    }

    /// Compares every page of the window with the model.
    fn check_pages(&self) {
        let thread = self.w.kernel.cpus[0].current.unwrap();
        let space = self.w.kernel.threads.get(thread).unwrap().space.unwrap();
        let table = self.w.kernel.spaces.get(space).unwrap().table.as_ref().unwrap();
        for page in FIRST_PAGE..FIRST_PAGE + 1600 {
            let found = table.lookup(page * 4096);
            match self.pages.get(&page) {
                None => assert_eq!(found, None, "page {page:#x}"),
                Some((.., access, _)) => {
                    let found = found.unwrap_or_else(|| panic!("page {page:#x} is not there"));
                    assert_eq!((found.access.write, found.access.execute), (access & 2 != 0, access & 4 != 0));
                }
            }
        }
    }

    fn step(&mut self) {
        let _ = match self.random.below(20) {
            0..5 => self.create(),
            5..9 => self.copy(),
            9..11 => self.delete(),
            11 => self.revoke(),
            12..14 => self.inspect(),
            14..16 => self.destroy(),
            16..18 => self.map(),
            18 => self.unmap(),
            _ => self.protect(),
        };
    }
}

/// The pool of a round: everything but its own capability is made from it.
const ROUND_FRAMES: u64 = 900;
const ROUND_STEPS: u64 = 2500;

impl Model {
    /// Random operations; then the round's pool dies, and everything must have come back.
    fn round(&mut self) {
        let (used, free) = (self.w.used(POOL), self.w.kernel.frames.free());
        self.arena = self.w.root(Op::PoolSplit, POOL, &[ROUND_FRAMES]).handle();
        for n in 0..ROUND_STEPS {
            self.step();
            if n % 250 == 0 {
                self.check_pages();
                let usage = self.w.root(Op::PoolUsage, self.arena, &[]);
                assert!(usage.values[1] <= usage.values[0]);
            }
        }
        self.w.root(Op::PoolDestroy, self.arena, &[]).ok();
        (0..self.objects.len()).for_each(|o| self.kill(o));
        self.check_pages();
        self.w.root(Op::Delete, self.arena, &[]).ok();
        for handle in core::mem::take(&mut self.caps).into_keys() {
            self.w.root(Op::Inspect, handle, &[]).fails(Error::BadHandle);
            self.w.root(Op::Delete, handle, &[]).ok();
        }
        self.objects.clear();
        // Page tables of root's own space stay with it: three for the window, one above them.
        let kept = self.w.used(POOL) - used;
        assert!(kept <= 4, "{kept} frames leaked");
        assert_eq!((free - self.w.kernel.frames.free()) as u64, kept);
    }
}

#[test]
fn random_operations_agree_with_the_model() {
    for seed in 1..=8u64 {
        let mut model = Model::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (0..10).for_each(|_| model.round());
    }
}
