// SPDX-License-Identifier: PMPL-1.0-or-later
//! Random operations in a booted kernel, on every kind of object that a program may make, and each compared with what the
//! model says: `shared` is a link to the model of the kernel's own tests (`kernel-rs/kernel/src/tests/model/shared`), `computer`
//! makes the operations. Now and then both tell their graph, the kernel in lines that begin with `GRAPH`, the model with
//! `MODEL` (`told.rs`); `tests/kernel/graph.test.ts` compares them. For kernels with debug facilities.
//!
//! Threads are made, given tables and spaces, bound and destroyed here, but not started: what threads do to each other the
//! tests on the host compare. `seed=`, `rounds=` and `steps=` among the arguments.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod computer;
#[allow(dead_code, reason = "some of it only the tests on the host need: time, kicks, faults, a transcript")]
mod shared;
mod told;

use abi::error::Error;
use abi::handle::{Handle, start as slots};
use abi::op::Op;
use abi::right::{Kind, Rights};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use computer::{Answer, Computer};
use shared::state::Expect;
use shared::{Model, Random};
use stage::{Stage, Trouble, console, same};

const POOL: Handle = slots::POOL;
const TABLE: Handle = slots::TABLE;
const SPACE: Handle = slots::ADDRESS_SPACE;
const FOREVER: u64 = u64::MAX;
const ALL: u64 = 0xff;

/// The pool of a round: everything that its steps make is made from it.
const ROUND_FRAMES: u64 = 900;
/// Steps between two comparisons.
const STRETCH: u64 = 250;

fn main() {
    stage::run("graph", lead, || ());
}

fn lead(stage: &Stage) -> Result<(), Trouble> {
    let seed = stage.number("seed").unwrap_or(1);
    let (rounds, steps) = (stage.number("rounds").unwrap_or(4), stage.number("steps").unwrap_or(1_500));
    let (mut operations, mut pages) = (0, BTreeMap::new());
    for round in 0..rounds {
        // Objects that died stay in a model for ever, and this program's heap is small: each round has a model of its own,
        // which inherits what is mapped in the program's own space.
        let mut model = Model::begin(seed + round);
        model.w.pages = pages;
        model.round(steps)?;
        operations += model.operations;
        pages = model.w.pages;
    }
    console::say(format_args!("graph done seed {seed} operations {operations}"));
    Ok(())
}

impl Model {
    /// Random steps in a pool of their own; then it dies, and everything must have come back.
    fn round(&mut self, steps: u64) -> Result<(), Trouble> {
        let a = self.root;
        let before = self.usage.get(&self.top).copied();
        let handle = self.split(a, POOL.0 as u64, ROUND_FRAMES).ok_or("no pool for the round")?;
        let above = self.arena;
        self.arena = self.w.pools.last().copied().ok_or("no pool")?;
        self.arena_handle = handle;
        for n in 0..steps {
            self.make_room();
            if self.random.below(40) == 0 {
                self.spawn()
            } else {
                self.any_operation(a)
            }
            if n % STRETCH == 0 {
                self.tell();
            }
        }
        self.tell();
        let arena = core::mem::replace(&mut self.arena, above);
        self.w.kill(arena);
        self.expect(a, Expect::Values([0; 4]));
        self.perform(a, Op::PoolDestroy, handle.0 as u64, [0; 5]);
        let left: Vec<_> = self.w.table_caps(a.table).to_vec();
        for id in left {
            let Some(cap) = self.w.caps.get(id).and_then(|c| c.clone()) else { continue };
            if !cap.kept || !self.w.is_alive(cap.object) {
                self.delete(a, cap.handle.0 as u64);
            }
        }
        self.tell();
        // Page tables of this program's own space come, stay and go with it: three for the window, one above them.
        let kept = self.usage.get(&self.top).zip(before).map_or(0, |(now, before)| now.abs_diff(before));
        same("frames that stay in use, at most four", kept.min(4), kept)
    }
}
