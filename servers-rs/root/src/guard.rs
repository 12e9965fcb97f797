// SPDX-License-Identifier: PMPL-1.0-or-later
//! Starts the process server, and starts it again when it dies: with fresh pools and the same grants.
//!
//! Its components end with it, since their pools are cut from one that it held. When it dies too often the machine is
//! reset: a slot that was not confirmed then loses a try, and the loader falls back to the other one.

use crate::cut;
use abi::boot_info::RootInfo;
use abi::fault::label;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use manifest::bundle::Bundle;
use manifest::component::Program as Where;
use manifest::startup::Bar;
use manifest::{Grant, Startup, What};
use program::Program;
use rt::child::{Child, Limits};
use sys::{Capability, Endpoint, FOREVER, Handle, PAGE_BYTES, Pool, Power, Rights, start};

/// Deaths within `WINDOW_NS` that are borne.
const LIMIT: usize = 3;
const WINDOW_NS: u64 = 60_000_000_000;
/// Frames per component beside its memory: its pool's own record, and what the process server keeps of it.
const FRAMES_BESIDE: u64 = 16;
/// What a holder needs to use a grant and to pass it on.
const PASS_ON: Rights = Rights(Rights::ALL.0 & !Rights::DESTROY.0);

/// Never returns but when nothing can be started.
pub fn run(bundle: &Bundle<'_>, info: &RootInfo, held: &[(u32, Grant)]) {
    let Ok(faults) = Pool(start::POOL).create_endpoint() else {
        return rt::error!("no memory for the endpoint of faults");
    };
    let mut deaths: Vec<u64> = Vec::with_capacity(LIMIT + 1);
    loop {
        match begin(bundle, info, held, faults) {
            Ok((child, pool)) => {
                watch(faults);
                child.destroy();
                if let Err(error) = rt::child::destroy_pool(pool) {
                    rt::error!("the components' pool stays: {error:?}");
                }
            }
            Err(problem) => rt::error!("process cannot be started: {problem}"),
        }
        let now = rt::clock::now_ns();
        deaths.retain(|&then| now.saturating_sub(then) < WINDOW_NS);
        deaths.push(now);
        if deaths.len() > LIMIT {
            rt::error!("process died {} times in {} s; the machine is reset", deaths.len(), WINDOW_NS / 1_000_000_000);
            let error = Power(start::POWER).reset();
            return rt::error!("it cannot be reset: {error:?}");
        }
    }
}

fn begin(bundle: &Bundle<'_>, info: &RootInfo, held: &[(u32, Grant)], faults: Endpoint) -> Result<(Child, Pool), String> {
    let said = &bundle.manifest.process;
    let Where::Bundle(span) = said.program else { return Err("it is not in the bundle".into()) };
    let file = bundle.bytes(span);
    let program = Program::parse(file).map_err(|fault| format!("{fault}"))?;
    let limits = Limits {
        memory_bytes: said.memory_bytes,
        stack_bytes: said.stack_bytes,
        table_slots: said.table_slots,
        priority: said.priority,
        budget_us: said.budget_us,
        period_us: said.period_us,
    };
    let child = Child::new(Pool(start::POOL), &limits).map_err(|e| format!("its pool: {e:?}"))?;
    let pool = match Pool(start::POOL).split(frames(bundle)) {
        Ok(pool) => pool,
        Err(error) => {
            child.destroy();
            return Err(format!("the components' pool of {} frames: {error:?}", frames(bundle)));
        }
    };
    let started = furnish(bundle, info, held, &child, pool, faults)
        .and_then(|startup| child.load(&program, file).and_then(|()| child.start(&program, &startup, faults, &limits)));
    match started {
        Ok(()) => Ok((child, pool)),
        Err(error) => {
            child.destroy();
            let _ = rt::child::destroy_pool(pool);
            Err(format!("{error:?}"))
        }
    }
}

/// All the components' memory, and the buffers between them.
fn frames(bundle: &Bundle<'_>) -> u64 {
    let components = bundle.manifest.components.iter();
    components
        .map(|c| {
            let buffers: u64 = c.calls.iter().map(|call| call.buffer_bytes.div_ceil(PAGE_BYTES)).sum();
            c.memory_bytes / PAGE_BYTES + buffers + FRAMES_BESIDE
        })
        .sum()
}

/// Puts everything into the process server's table and says where.
fn furnish(bundle: &Bundle<'_>, info: &RootInfo, held: &[(u32, Grant)], child: &Child, pool: Pool, faults: Endpoint) -> sys::Result<Startup> {
    let said = &bundle.manifest.process;
    let put = |handle: Handle, rights: Rights| child.insert(handle, rights, 0).map(|h| h.0);
    let bundle_memory = put(start::BUNDLE, Rights::READ | Rights::COPY)?;
    let grants = alloc::vec![
        Grant { name: "components".into(), what: What::Pool { pool: put(pool.handle(), PASS_ON)? } },
        Grant { name: "bundle".into(), what: What::Memory { memory: bundle_memory, length_bytes: info.bundle_length_bytes } },
        Grant { name: "power".into(), what: What::Power { power: put(start::POWER, Rights::WRITE)? } },
        Grant { name: "guardian".into(), what: What::Call { endpoint: put(faults.handle(), Rights::WRITE)?, buffer: None } },
    ];
    let mut passed = Vec::with_capacity(held.len());
    for (number, grant) in held {
        let place = |handle: u32| put(Handle(handle), PASS_ON);
        let what = match &grant.what {
            What::Device { configuration, bars, interrupt } => What::Device {
                configuration: configuration.clone(),
                bars: bars.iter().map(|b| Ok(Bar { memory: place(b.memory)?, ..*b })).collect::<sys::Result<_>>()?,
                interrupt: interrupt.map(place).transpose()?,
            },
            What::Ports { ports, first, last } => What::Ports { ports: place(*ports)?, first: *first, last: *last },
            What::Interrupt { interrupt, gsi } => What::Interrupt { interrupt: place(*interrupt)?, gsi: *gsi },
            What::Memory { memory, length_bytes } => What::Memory { memory: place(*memory)?, length_bytes: *length_bytes },
            other => other.clone(),
        };
        passed.push((*number, Grant { name: grant.name.clone(), what }));
    }
    Ok(Startup {
        name: said.name.clone(),
        arguments: said.arguments.clone(),
        heap_bytes: said.heap_bytes,
        log_level: said.log_level,
        facts: cut::facts(&info.origin, info, &bundle.manifest),
        grants,
        held: passed,
    })
}

/// Returns when the process server is dead.
fn watch(faults: Endpoint) {
    loop {
        match faults.receive(FOREVER) {
            Ok(news) if news.tag.label() == label::FAULT => {
                let message = rt::channel::take(&news);
                let at = message.words().get(3).copied().unwrap_or(0);
                return rt::error!("process died of fault {} at address {:#x}, rip {at:#x}", news.words[0], news.words[1]);
            }
            Ok(news) if news.tag.label() == label::EXIT => {
                return rt::error!("process ended with code {}", news.words[0]);
            }
            Ok(_) => {
                // Nobody but the kernel calls here; whoever does gets no answer.
            }
            Err(error) => return rt::error!("no faults can be heard: {error:?}"),
        }
    }
}
