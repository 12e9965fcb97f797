// SPDX-License-Identifier: PMPL-1.0-or-later
//! Starts partners: this program again, in an address space, a table and a pool of its own.

use crate::{Trouble, must};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use manifest::bundle::Bundle;
use manifest::component::Program as Where;
use manifest::{Grant, Startup, What};
use program::Program;
use rt::child::{Child, Limits};
use sys::{Capability, Endpoint, Handle, Memory, Notification, Pool, Rights, start};

pub const POOL: Pool = Pool(start::POOL);
/// That of this program's own thread.
pub const PRIORITY: u8 = 100;

/// What a partner gets beside its own pool and table.
#[derive(Clone, Copy)]
pub enum Give {
    /// Receives here; the name in its startup block is `serve`.
    Serve(Endpoint),
    Notification(&'static str, Notification),
    Memory(&'static str, Memory, u64),
}

pub struct Stage {
    file: &'static [u8],
    program: Program,
    arguments: Vec<String>,
    /// Hears of faults of partners that should have none.
    accidents: Endpoint,
}

impl Stage {
    pub fn new() -> Result<Stage, Trouble> {
        let bytes = rt::memory::root_bundle().unwrap_or(&[]);
        let bundle = Bundle::parse(bytes).map_err(|fault| format!("the boot bundle {fault}"))?;
        let Where::Bundle(span) = bundle.manifest.process.program else { return Err("the partner is not in the bundle".into()) };
        let file = bundle.bytes(span);
        let program = Program::parse(file).map_err(|fault| format!("{fault}"))?;
        let accidents = must("making an endpoint", POOL.create_endpoint())?;
        Ok(Stage { file, program, arguments: bundle.manifest.process.arguments.clone(), accidents })
    }

    pub fn has_argument(&self, wanted: &str) -> bool {
        self.arguments.iter().any(|one| one == wanted)
    }

    pub fn partner(&self, role: &'static str, gives: &[Give]) -> Result<Child, Trouble> {
        self.partner_of(role, gives, self.accidents, PRIORITY, 2 << 20)
    }

    /// `faults` hears of this one's faults.
    pub fn partner_of(
        &self,
        role: &'static str,
        gives: &[Give],
        faults: Endpoint,
        priority: u8,
        memory_bytes: u64,
    ) -> Result<Child, Trouble> {
        let limits = Limits { memory_bytes, stack_bytes: 16384, table_slots: 64, priority, budget_us: 0, period_us: 0 };
        let child = must("a partner's pool", Child::new(POOL, &limits))?;
        let put = |handle: Handle| must("giving a capability", child.insert(handle, Rights::ALL, 0)).map(|h| h.0);
        let mut grants = Vec::new();
        for give in gives {
            grants.push(match *give {
                Give::Serve(endpoint) => Grant {
                    name: "serve".into(),
                    what: What::Serve { endpoint: put(endpoint.handle())?, interfaces: Vec::new(), clients: Vec::new() },
                },
                Give::Notification(name, it) => {
                    Grant { name: name.into(), what: What::Notification { notification: put(it.handle())? } }
                }
                Give::Memory(name, it, length_bytes) => {
                    Grant { name: name.into(), what: What::Memory { memory: put(it.handle())?, length_bytes } }
                }
            });
        }
        let startup = Startup { name: role.into(), heap_bytes: 65536, log_level: 4, grants, ..Startup::default() };
        must("loading a partner", child.load(&self.program, self.file))?;
        must("starting a partner", child.start(&self.program, &startup, faults, &limits))?;
        Ok(child)
    }
}
