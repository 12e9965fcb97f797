// SPDX-License-Identifier: PMPL-1.0-or-later
//! Partners: this program again, in an address space, a table and a pool of its own. The role is its name there.

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
/// That of this program's own thread in root's place.
pub const PRIORITY: u8 = 100;

/// What is given to be used stays when the partner wants to end it.
const USE: Rights = Rights(Rights::ALL.0 & !Rights::DESTROY.0);

/// What a partner gets beside its own pool and table.
#[derive(Clone, Copy)]
pub enum Give {
    /// Receives here; `rt::start::grant::serve` finds it.
    Serve(Endpoint),
    /// Calls here, with a badge, and may not send capabilities.
    Call(&'static str, Endpoint, u64),
    Notification(&'static str, Notification),
    Memory(&'static str, Memory, u64, Rights),
}

const HEAP_BYTES: u64 = 65536;

/// A partner's role and limits.
pub struct Part<'a> {
    pub role: &'static str,
    pub arguments: Vec<String>,
    pub gives: &'a [Give],
    /// Hears of its faults and its end.
    pub faults: Endpoint,
    pub priority: u8,
    pub memory_bytes: u64,
}

impl<'a> Part<'a> {
    pub fn new(role: &'static str, gives: &'a [Give], faults: Endpoint) -> Part<'a> {
        Part { role, arguments: Vec::new(), gives, faults, priority: PRIORITY, memory_bytes: 2 << 20 }
    }
}

pub struct Stage {
    file: &'static [u8],
    program: Program,
    arguments: Vec<String>,
    /// Hears of faults of partners that should have none; nobody listens, so such a partner stands still.
    pub accidents: Endpoint,
}

impl Stage {
    pub(crate) fn new() -> Result<Stage, Trouble> {
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

    /// The number behind `name=` among the arguments.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.arguments.iter().find_map(|one| one.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    }

    /// One that has no faults.
    pub fn partner(&self, role: &'static str, gives: &[Give]) -> Result<Child, Trouble> {
        self.start(&Part::new(role, gives, self.accidents))
    }

    pub fn start(&self, part: &Part<'_>) -> Result<Child, Trouble> {
        let limits = Limits {
            memory_bytes: part.memory_bytes,
            stack_bytes: 16384,
            heap_bytes: HEAP_BYTES,
            table_slots: 256,
            priority: part.priority,
            budget_us: 0,
            period_us: 0,
        };
        let child = must("a partner's pool", Child::new(POOL, &limits))?;
        match self.furnish(&child, part, &limits) {
            Ok(()) => Ok(child),
            Err(trouble) => {
                child.destroy();
                Err(trouble)
            }
        }
    }

    fn furnish(&self, child: &Child, part: &Part<'_>, limits: &Limits) -> Result<(), Trouble> {
        let put = |handle: Handle, rights: Rights, badge: u64| {
            must("giving a capability", child.insert(handle, rights, badge)).map(|h| h.0)
        };
        let mut grants = Vec::new();
        for give in part.gives {
            let (name, what) = match *give {
                Give::Serve(it) => {
                    let endpoint = put(it.handle(), USE, 0)?;
                    ("serve", What::Serve { endpoint, interfaces: Vec::new(), clients: Vec::new() })
                }
                Give::Call(name, it, badge) => {
                    (name, What::Call { endpoint: put(it.handle(), Rights::WRITE, badge)?, buffer: None })
                }
                Give::Notification(name, it) => (name, What::Notification { notification: put(it.handle(), USE, 0)? }),
                Give::Memory(name, it, length_bytes, rights) => {
                    (name, What::Memory { memory: put(it.handle(), rights, 0)?, length_bytes })
                }
            };
            grants.push(Grant { name: name.into(), what });
        }
        let arguments = part.arguments.clone();
        let startup =
            Startup { name: part.role.into(), arguments, heap_bytes: HEAP_BYTES, log_level: 4, grants, ..Startup::default() };
        must("loading a partner", child.load(&self.program, self.file))?;
        must("starting a partner", child.start(&self.program, &startup, part.faults, limits))
    }
}
