// SPDX-License-Identifier: PMPL-1.0-or-later
//! Random operations on capabilities in a booted kernel: create, copy, insert into another table, delete, revoke, destroy.
//! A model (`model.rs`) says what each must answer. Now and then both tell their graph, the kernel in lines that begin
//! with `GRAPH`, the model with `MODEL`; `tests/kernel/graph.test.ts` compares them. For kernels with debug facilities.
//!
//! `seed=` and `operations=` among the arguments.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod model;

use alloc::format;
use model::{Capability, KINDS, Model, Place};
use stage::{POOL, Random, Stage, Trouble, console, must, same};
use sys::{Capability as _, Endpoint, Error, Handle, PAGE_BYTES, Rights, Table};

/// Operations between two comparisons.
const STRETCH: u64 = 250;
/// More capabilities than this are not made: the graph stays readable, the table has room.
const MOST: usize = 120;
const CHILD_SLOTS: u64 = 256;

fn main() {
    stage::run("graph", lead, || ());
}

fn lead(stage: &Stage) -> Result<(), Trouble> {
    let seed = stage.number("seed").unwrap_or(1);
    let operations = stage.number("operations").unwrap_or(2_000);
    let before = must("usage", POOL.usage())?;
    let pool = must("splitting", POOL.split(2_000))?;
    let child = must("making a table", pool.create_table(CHILD_SLOTS))?;
    let mut run = Run { random: Random::new(seed), model: Model::default(), child, pool, slot: child.handle().index() };
    run.tell()?;
    for n in 1..=operations {
        run.step().map_err(|trouble| format!("seed {seed}, operation {n}: {trouble}"))?;
        if n % STRETCH == 0 {
            run.tell()?;
        }
    }
    must("destroying the pool", rt::child::destroy_pool(pool))?;
    same("the pool's frames", must("usage", POOL.usage())?, before)?;
    console::say(format_args!("graph done seed {seed} operations {operations}"));
    Ok(())
}

struct Run {
    random: Random,
    model: Model,
    child: Table,
    pool: sys::Pool,
    /// Where the child table's capability is.
    slot: u32,
}

impl Run {
    fn step(&mut self) -> Result<(), Trouble> {
        let all = self.model.usable();
        let one = self.random.of(&all, 0);
        match self.random.below(16) {
            _ if all.is_empty() => self.create(),
            0..=3 if all.len() < MOST => self.create(),
            4..=8 if all.len() < MOST => self.derive(one, Place::Own),
            9..=11 if all.len() < MOST => self.derive(one, Place::Child),
            12 => self.revoke(one),
            13 => self.destroy(one),
            _ => self.delete(one),
        }
    }

    fn create(&mut self) -> Result<(), Trouble> {
        let kind = self.random.of(&KINDS, KINDS[0]);
        let argument = if kind == sys::Kind::Memory { PAGE_BYTES } else { 0 };
        let handle = must("creating", self.pool.create_any(kind as u64, argument, 0))?;
        // Ordinary memory tells no addresses.
        let rights = if kind == sys::Kind::Memory { Rights(Rights::ALL.0 & !Rights::DMA.0) } else { Rights::ALL };
        self.model.create(kind, handle, rights);
        Ok(())
    }

    fn derive(&mut self, from: usize, to: Place) -> Result<(), Trouble> {
        let rights = Rights(self.random.draw() as u16 & Rights::ALL.0 | if self.random.one_in(3) { 0 } else { Rights::COPY.0 });
        let badge = if self.random.one_in(3) { 1 + self.random.below(1 << 40) } else { 0 };
        let Capability { handle, .. } = self.model.get(from);
        let done = match to {
            Place::Own => Endpoint(handle).copy(rights, badge).map(|copy| copy.handle()),
            Place::Child => self.child.insert(handle, rights, badge, 0),
        };
        let wanted = self.model.may_derive(from, badge);
        same("deriving", done.err(), wanted.err())?;
        if let Ok(handle) = done {
            self.model.derive(from, to, handle, rights, badge);
        }
        Ok(())
    }

    fn revoke(&mut self, one: usize) -> Result<(), Trouble> {
        let done = Endpoint(self.model.get(one).handle).revoke();
        let wanted = if self.model.has(one, Rights::EDIT) { Ok(self.model.revoke(one)) } else { Err(Error::NoRight) };
        same("revoking", done, wanted)
    }

    fn destroy(&mut self, one: usize) -> Result<(), Trouble> {
        let done = Endpoint(self.model.get(one).handle).close();
        if !self.model.has(one, Rights::DESTROY) {
            return same("destroying", done, Err(Error::NoRight));
        }
        self.model.destroy(one);
        same("destroying", done, Ok(()))
    }

    fn delete(&mut self, one: usize) -> Result<(), Trouble> {
        let handle: Handle = self.model.get(one).handle;
        must("deleting", Endpoint(handle).delete())?;
        self.model.delete(one);
        // The handle names nothing from now on.
        same("a deleted handle", Endpoint(handle).inspect().is_err(), true)
    }

    /// Both graphs, the kernel's first.
    fn tell(&self) -> Result<(), Trouble> {
        must("the kernel's dump", sys::debug_dump_all())?;
        console::say(format_args!("MODEL {{\"begin\":{}}}", self.slot));
        self.model.tell(|line| console::say(format_args!("MODEL {line}")));
        console::say(format_args!("MODEL {{\"end\":true}}"));
        Ok(())
    }
}
