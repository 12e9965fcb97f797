// SPDX-License-Identifier: PMPL-1.0-or-later
//! Starts the process server, and starts it again when it dies, with the same grants and all that `keep.rs` kept: its
//! components run on meanwhile. When it dies too often the machine is reset: a slot that was not confirmed then loses
//! a try, and the loader falls back to the other one.

use crate::{cut, fall_back, keep};
use abi::boot_info::RootInfo;
use abi::fault::label;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use manifest::bundle::Bundle;
use manifest::component::Program as Where;
use manifest::startup::{Bar, kept};
use manifest::{Grant, Startup, What};
use program::Program;
use rt::child::{Child, Limits, Running};
use rt::health::{LOOKS, Pulse, Vitals};
use sys::{Capability, Endpoint, Error, FOREVER, Handle, Memory, PAGE_BYTES, Pool, Power, Rights, start};

/// Deaths within `WINDOW_NS` that are borne.
const LIMIT: usize = 3;
const WINDOW_NS: u64 = 60_000_000_000;
/// Heartbeats of the process server until it hangs: its death costs more than another's, and a virtual CPU that gets no turn on
/// its host looks like a hang.
const PATIENCE: u64 = 8;
/// What a holder needs to use a grant and to pass it on.
const PASS_ON: Rights = Rights(Rights::ALL.0 & !Rights::DESTROY.0);

/// Never returns but when nothing can be started.
pub fn run(bundle: &Bundle<'_>, info: &RootInfo, held: &mut Vec<(u32, Grant)>) {
    let Ok(faults) = Pool(start::POOL).create_endpoint() else {
        return rt::error!("no memory for the endpoint of faults");
    };
    let mut deaths: Vec<u64> = Vec::with_capacity(LIMIT + 1);
    loop {
        match begin(bundle, info, held, faults) {
            Ok(child) => {
                watch(bundle, held, faults, child.running());
                child.destroy();
            }
            Err(problem) => rt::error!("process cannot be started: {problem}"),
        }
        let now = rt::clock::now_ns();
        deaths.retain(|&then| now.saturating_sub(then) < WINDOW_NS);
        deaths.push(now);
        if deaths.len() > LIMIT {
            rt::error!("process died {} times in {} s; the machine is reset", deaths.len(), WINDOW_NS / 1_000_000_000);
            fall_back::give_up_slot(&bundle.manifest, held);
            let error = Power(start::POWER).reset();
            return rt::error!("it cannot be reset: {error:?}");
        }
    }
}

fn begin(bundle: &Bundle<'_>, info: &RootInfo, held: &[(u32, Grant)], faults: Endpoint) -> Result<Child, String> {
    let said = &bundle.manifest.process;
    let Where::Bundle(span) = said.program else { return Err("it is not in the bundle".into()) };
    let file = bundle.bytes(span);
    let program = Program::parse(file).map_err(|fault| format!("{fault}"))?;
    let limits = Limits {
        memory_bytes: said.memory_bytes,
        stack_bytes: said.stack_bytes,
        heap_bytes: said.heap_bytes,
        table_slots: said.table_slots,
        priority: said.priority,
        budget_us: said.budget_us,
        period_us: said.period_us,
    };
    let child = Child::new(Pool(start::POOL), &limits).map_err(|e| format!("its pool: {e:?}"))?;
    let started = furnish(bundle, info, held, &child, faults)
        .and_then(|startup| child.load(&program, file).map(|()| startup))
        .and_then(|startup| {
            if let Some((memory, length_bytes)) = vitals(held) {
                child.map_vitals(memory, length_bytes - PAGE_BYTES)?;
            }
            child.start(&program, &startup, faults, &limits)
        });
    match started {
        Ok(()) => Ok(child),
        Err(error) => {
            child.destroy();
            Err(format!("{error:?}"))
        }
    }
}

/// Puts everything into the process server's table and says where.
fn furnish(bundle: &Bundle<'_>, info: &RootInfo, held: &[(u32, Grant)], child: &Child, faults: Endpoint) -> sys::Result<Startup> {
    let said = &bundle.manifest.process;
    let put = |handle: Handle, rights: Rights| child.insert(handle, rights, 0).map(|h| h.0);
    let bundle_memory = put(start::BUNDLE, Rights::READ | Rights::COPY)?;
    let grants = alloc::vec![
        Grant { name: "bundle".into(), what: What::Memory { memory: bundle_memory, length_bytes: info.bundle_length_bytes } },
        Grant { name: "power".into(), what: What::Power { power: put(start::POWER, Rights::WRITE)? } },
        Grant {
            name: "guardian".into(),
            what: What::Call { endpoint: put(faults.handle(), Rights::WRITE | Rights::TRANSFER)?, buffer: None }
        },
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
            // DMA memory is cut here; nobody below makes more of it.
            What::Pool { pool } => What::Pool { pool: put(Handle(*pool), Rights(PASS_ON.0 & !Rights::DMA.0))? },
            What::Notification { notification } => What::Notification { notification: place(*notification)? },
            What::Running { .. } => match running(child, &grant.what) {
                Ok(what) => what,
                // It has ended since.
                Err(_) => continue,
            },
            // One that was closed, since its server was given up, is gone: then nobody gets it.
            What::Call { endpoint, .. } => match put(Handle(*endpoint), Rights::ALL) {
                Ok(endpoint) => What::Call { endpoint, buffer: None },
                Err(_) => continue,
            },
            other => other.clone(),
        };
        passed.push((*number, Grant { name: grant.name.clone(), what }));
    }
    Ok(Startup {
        name: said.name.clone(),
        arguments: said.arguments.clone(),
        heap_bytes: said.heap_bytes,
        log_level: said.log_level,
        is_watched: true,
        facts: cut::facts(&info.origin, info, &bundle.manifest),
        grants,
        held: passed,
    })
}

/// What the kept memory of sign of life is, and which page is the process server's.
fn vitals(held: &[(u32, Grant)]) -> Option<(Memory, u64)> {
    held.iter().find_map(|(of, grant)| match grant.what {
        What::Memory { memory, length_bytes } if *of == kept::OF_PROCESS && grant.name == kept::VITALS => {
            Some((Memory(Handle(memory)), length_bytes))
        }
        _ => None,
    })
}

/// Returns when the process server is dead, or hangs. Until then it renews pools for it, and keeps what it starts.
fn watch(bundle: &Bundle<'_>, held: &mut Vec<(u32, Grant)>, faults: Endpoint, child: Running) {
    let heartbeat_ns = u64::from(bundle.manifest.process.heartbeat_ms) * PATIENCE * 1_000_000;
    let signs = vitals(held).filter(|_| heartbeat_ns > 0).and_then(|(memory, length)| Vitals::map(memory, length).ok());
    let number = bundle.manifest.components.len();
    let mut pulse = Pulse::default();
    let mut next_ns = rt::clock::now_ns();
    loop {
        let timeout_ns = match &signs {
            None => FOREVER,
            Some(signs) => {
                let now_ns = rt::clock::now_ns();
                if now_ns >= next_ns {
                    if pulse.is_lost(signs.beats(number), child.thread, heartbeat_ns) {
                        return rt::error!("process hangs: it ran for {} ms", heartbeat_ns / 1_000_000);
                    }
                    next_ns = now_ns + heartbeat_ns / LOOKS;
                }
                next_ns - now_ns
            }
        };
        let news = match faults.receive(timeout_ns) {
            Ok(news) => news,
            Err(Error::TimedOut) => continue,
            Err(error) => return rt::error!("no faults can be heard: {error:?}"),
        };
        match news.tag.label() {
            label::FAULT => {
                let [cause, address, _, rip] = news.words;
                return rt::error!("process died of fault {cause} at address {address:#x}, rip {rip:#x}");
            }
            label::EXIT => return rt::error!("process ended with code {}", news.words[0]),
            kept::RENEW => {
                let answer = match renew(bundle, held, news.words[0]) {
                    Ok(pool) => {
                        let mut answer = rt::ipc::Message::new(0);
                        answer.put_cap(pool.handle());
                        answer
                    }
                    Err(error) => rt::ipc::Message::new(error as u32),
                };
                let words = rt::channel::put(&answer);
                // If it died meanwhile its end is the next news.
                let _ = sys::reply(answer.tag(), words);
                for copy in answer.caps() {
                    let _ = Pool(*copy).delete();
                }
            }
            kept::KEEP => {
                let request = rt::channel::take(&news);
                keep_running(held, &request);
                let _ = sys::reply(rt::ipc::Message::new(0).tag(), [0; 4]);
            }
            // Nobody but the kernel and the process server calls here; whoever does gets no answer.
            _ => {}
        }
    }
}

/// Notes what the process server started. What was noted before is over.
fn keep_running(held: &mut Vec<(u32, Grant)>, request: &rt::ipc::Message) {
    let (&[number, stack_bytes, code_address], &[pool, thread, stack, ref code @ ..]) = (request.words(), request.caps()) else {
        return rt::channel::drop_caps(request);
    };
    held.retain(|(of, grant)| match grant.what {
        What::Running { pool, thread, stack, code, .. } if u64::from(*of) == number => {
            // Of what has ended, the slots are empty already.
            for handle in [pool, thread, stack].into_iter().chain(code.map(|c| c.0)) {
                let _ = Pool(Handle(handle)).delete();
            }
            false
        }
        _ => true,
    });
    let code = code.first().map(|memory| (memory.0, code_address));
    let what = What::Running { pool: pool.0, thread: thread.0, stack: stack.0, stack_bytes, code };
    held.push((number as u32, Grant { name: kept::RUNNING.into(), what }));
}

/// Puts what runs into the process server's table. Errors: it has ended.
fn running(child: &Child, what: &What) -> sys::Result<What> {
    let put = |handle: u32| child.insert(Handle(handle), Rights(Rights::ALL.0 & !Rights::DMA.0), 0).map(|h| h.0);
    match *what {
        What::Running { pool, thread, stack, stack_bytes, code } => Ok(What::Running {
            pool: put(pool)?,
            thread: put(thread)?,
            stack: put(stack)?,
            stack_bytes,
            code: code.map(|(memory, address)| Ok((put(memory)?, address))).transpose()?,
        }),
        _ => Err(Error::WrongKind),
    }
}

/// Ends all that runs in a component's pool and makes the pool anew.
fn renew(bundle: &Bundle<'_>, held: &mut [(u32, Grant)], number: u64) -> sys::Result<Pool> {
    let component = usize::try_from(number).ok().and_then(|n| bundle.manifest.components.get(n)).ok_or(Error::BadArgument)?;
    let place = held.iter_mut().find(|(of, grant)| u64::from(*of) == number && grant.name == kept::POOL);
    let Some((_, Grant { what: What::Pool { pool }, .. })) = place else { return Err(Error::BadArgument) };
    rt::child::destroy_pool(Pool(Handle(*pool)))?;
    let new = keep::pool(component)?;
    *pool = new.handle().0;
    new.copy(PASS_ON, 0)
}
