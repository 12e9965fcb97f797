// SPDX-License-Identifier: PMPL-1.0-or-later
//! No rows: the longest operations that a program can ask for, so that `kernel.longest_interrupts_off` is of them as well.

use stage::{POOL, Trouble, must, same};
use sys::{Capability, Endpoint, PAGE_BYTES, Rights};

/// Objects of the pool that is destroyed.
const OBJECTS: u64 = 100_000;
/// Frames enough for that many of the smallest objects.
const FRAMES: u64 = 16_384;
/// Copies that are revoked.
const COPIES: u64 = 10_000;
const MEMORY_BYTES: u64 = 64 << 20;

pub fn all() -> Result<(), Trouble> {
    destroy_pool()?;
    revoke()?;
    memory()
}

fn destroy_pool() -> Result<(), Trouble> {
    let before = must("usage", POOL.usage())?;
    let pool = must("splitting", POOL.split(FRAMES))?;
    for _ in 0..OBJECTS {
        // The object stays, without a capability to it.
        must("deleting", must("making an endpoint", pool.create_endpoint())?.delete())?;
    }
    must("destroying", rt::child::destroy_pool(pool))?;
    same("the pool's frames", must("usage", POOL.usage())?, before)
}

fn revoke() -> Result<(), Trouble> {
    let pool = must("splitting", POOL.split(FRAMES))?;
    let table = must("making a table", pool.create_table(COPIES + 2))?;
    let endpoint: Endpoint = must("making an endpoint", pool.create_endpoint())?;
    for _ in 0..COPIES {
        must("copying", table.insert(endpoint.handle(), Rights::ALL, 0, 0))?;
    }
    same("copies revoked", endpoint.revoke(), Ok(COPIES))?;
    must("destroying", rt::child::destroy_pool(pool))
}

fn memory() -> Result<(), Trouble> {
    let pool = must("splitting", POOL.split(MEMORY_BYTES / PAGE_BYTES + 1_024))?;
    let space = must("making a space", rt::guest::Space::new(pool))?;
    let memory = must("making memory", pool.create_memory(MEMORY_BYTES))?;
    must("mapping", space.map(memory, 0, 1 << 30, MEMORY_BYTES, Rights::READ | Rights::WRITE))?;
    must("protecting", space.protect(1 << 30, MEMORY_BYTES, Rights::READ))?;
    same("pages unmapped", space.unmap(1 << 30, MEMORY_BYTES), Ok(MEMORY_BYTES / PAGE_BYTES))?;
    must("destroying", rt::child::destroy_pool(pool))
}
