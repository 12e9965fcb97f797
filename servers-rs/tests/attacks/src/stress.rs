// SPDX-License-Identifier: PMPL-1.0-or-later
//! Calls between all CPUs while their threads are moved, and endpoints are revoked and pools destroyed under them.

use crate::Attack;
use crate::migration::{LOW, move_one};
use crate::partner::{COUNTER, SERVER};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use rt::child::Child;
use rt::memory::Shared;
use stage::{Give, POOL, Part, Random, Stage, Trouble, must, same};
use sys::{Capability, Endpoint, PAGE_BYTES, Rights};

pub const ATTACKS: &[Attack] = &[Attack {
    promise: "calls between threads that change CPUs, revoked and destroyed under way, lose nothing and leave nothing",
    run: stress,
}];

const ROUNDS: u64 = 60;
const PAIRS: u64 = 3;
/// In each round, before the rug is pulled.
const MOVES: u64 = 30;

fn stress(stage: &Stage) -> Result<(), Trouble> {
    let cpus = rt::start::root_info().map_or(1, |info| info.cpu_count);
    round(stage, 0, cpus)?;
    let before = must("usage", POOL.usage())?.1;
    let mut calls = 0;
    for n in 1..ROUNDS {
        calls += round(stage, n, cpus)?;
        let used = must("usage", POOL.usage())?.1;
        if used > before {
            return Err(alloc::format!("round {n}: {used} frames in use, {before} before"));
        }
    }
    if calls < ROUNDS { Err(alloc::format!("only {calls} calls in all")) } else { Ok(()) }
}

/// Pairs of a caller and its server, on CPUs that change by the round; then the rug is pulled in three ways.
fn round(stage: &Stage, n: u64, cpus: u64) -> Result<u64, Trouble> {
    let access = Rights::READ | Rights::WRITE;
    let pause = must("making a notification", POOL.create_notification())?;
    let (mut pairs, mut random) = (Vec::new(), Random::new(n));
    for pair in 0..PAIRS {
        let endpoint: Endpoint = must("making an endpoint", POOL.create_endpoint())?;
        let counted = must("making memory", POOL.create_memory(PAGE_BYTES))?;
        let shared = must("mapping", Shared::map(counted, PAGE_BYTES, access))?;
        let server = stage.start(&Part { priority: LOW, ..Part::new("echo", &[Give::Serve(endpoint)], stage.accidents) })?;
        let gives = [Give::Call(SERVER, endpoint, pair + 1), Give::Memory(COUNTER, counted, PAGE_BYTES, access)];
        let caller = stage.start(&Part { priority: LOW, ..Part::new("caller", &gives, stage.accidents) })?;
        must("pinning", server.pin(LOW, (n + pair) % cpus))?;
        must("pinning", caller.pin(LOW, (n / 2 + pair * n) % cpus))?;
        pairs.push((endpoint, counted, shared, server, caller));
    }
    let movable: Vec<&Child> = pairs.iter().flat_map(|(.., server, caller)| [server, caller]).collect();
    for _ in 0..MOVES {
        move_one(&movable, pause, &mut random, cpus)?;
    }
    let mut calls = 0;
    for (number, (endpoint, counted, shared, server, caller)) in pairs.into_iter().enumerate() {
        match (number as u64 + n) % 3 {
            0 => {
                must("revoking", endpoint.revoke())?;
                server.destroy();
            }
            1 => {
                server.destroy();
                must("revoking", endpoint.revoke())?;
            }
            _ => {
                must("closing", endpoint.close())?;
                server.destroy();
            }
        }
        caller.destroy();
        let (done, wrong) = (shared.atomic(0), shared.atomic(4));
        calls += u64::from(done.map_or(0, |word| word.load(Ordering::SeqCst)));
        same("wrong answers", wrong.map(|word| word.load(Ordering::SeqCst)), Some(0))?;
        drop(shared);
        must("giving it back", rt::memory::discard(counted))?;
        // Gone already if it was closed.
        let _ = endpoint.close();
    }
    must("destroying", rt::child::destroy_notification(pause))?;
    Ok(calls)
}
