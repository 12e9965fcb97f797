// SPDX-License-Identifier: PMPL-1.0-or-later
//! Builds a component: pool, program, capabilities, startup block. What it gets is its manifest entry, and fresh each time.

use crate::{inherit, inject, voice};
use alloc::string::String;
use alloc::vec::Vec;
use manifest::bundle::Bundle;
use manifest::component::Component;
use manifest::startup::{Bar, Buffer, Client, kept};
use manifest::{Grant, Manifest, Startup, What, layout};
use program::Program;
use rt::child::{Child, Limits, Running};
use sys::{Capability, Endpoint, Error, Handle, Memory, PAGE_BYTES, Pool, Result, Rights};

/// Badges of the process endpoint, with the component's client number: what it may say there.
pub const CALLS: u32 = 0;
/// The kernel only: faults and exits.
pub const FAULTS: u32 = 1;
/// Whom the manifest grants `supervisor`.
pub const SUPERVISES: u32 = 2;
/// Whom it grants `power`.
pub const POWERS: u32 = 3;
/// Whom it grants `injector`.
pub const INJECTS: u32 = 4;

/// What a driver may do with what root prepared for it; not destroy it, since it outlives the driver.
const DEVICE: Rights = Rights(Rights::READ.0 | Rights::WRITE.0 | Rights::EDIT.0 | Rights::COPY.0 | Rights::DMA.0);
const BUFFER: Rights = Rights(Rights::READ.0 | Rights::WRITE.0);
const CALL: Rights = Rights(Rights::WRITE.0 | Rights::TRANSFER.0);
/// A server may make further ends of its own endpoint: a capability for each thing that it serves.
const SERVE: Rights = Rights(Rights::READ.0 | Rights::WRITE.0 | Rights::COPY.0 | Rights::TRANSFER.0);

/// A client that calls a server, and the memory between them.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// Place in the manifest; `None` is the process server itself.
    pub client: Option<usize>,
    pub server: usize,
    /// The interface's number among those that the server serves.
    pub interface: u32,
    pub buffer: Option<(Memory, u64)>,
}

/// Everything that lives as long as the process server does.
pub struct Board {
    pub manifest: &'static Manifest,
    pub bundle: &'static Bundle<'static>,
    /// One for each component; the running one's is split from it.
    pub pools: Vec<Pool>,
    pub own: Endpoint,
    /// One for each component, copied with its badge for faults.
    pub faults: Vec<Endpoint>,
    /// One for each component that serves something. They outlive their servers: a client's call waits for the next one.
    pub endpoints: Vec<Option<Endpoint>>,
    pub edges: Vec<Edge>,
    pub ring: Option<voice::Ring>,
    /// Where components count that they live, a page for each.
    pub vitals: (Memory, u64),
}

pub fn limits(said: &Component) -> Limits {
    Limits {
        memory_bytes: said.memory_bytes,
        stack_bytes: said.stack_bytes,
        heap_bytes: said.heap_bytes,
        table_slots: said.table_slots,
        priority: said.priority,
        budget_us: said.budget_us,
        period_us: said.period_us,
    }
}

/// Client number of an edge's client.
fn number(client: Option<usize>) -> u32 {
    client.map_or(0, Manifest::client_number)
}

impl Board {
    /// Makes a component and starts it. After an error nothing is left of it.
    pub fn launch(&self, n: usize, file: &[u8]) -> core::result::Result<Running, String> {
        let said = self.manifest.components.get(n).ok_or("there is no such component")?;
        let program = Program::parse(file).map_err(|fault| alloc::format!("its program {fault}"))?;
        let limits = limits(said);
        let pool = *self.pools.get(n).ok_or("it has no pool")?;
        let mut child =
            Child::new(pool, &limits).map_err(|e| alloc::format!("its pool of {} bytes: {e:?}", said.memory_bytes))?;
        let open = inject::is_allowed(self.manifest);
        let loaded = if open { child.load_open(&program, file) } else { child.load(&program, file) };
        let started = loaded.and_then(|()| {
            let startup = self.startup(n, said, &child)?;
            child.map_vitals(self.vitals.0, n as u64 * PAGE_BYTES)?;
            inherit::keep(n, &child.running())?;
            child.start(&program, &startup, *self.faults.get(n).ok_or(Error::BadState)?, &limits)
        });
        match started {
            Ok(()) => Ok(child.running()),
            Err(error) => {
                child.destroy();
                Err(alloc::format!("{error:?}"))
            }
        }
    }

    fn startup(&self, n: usize, said: &Component, child: &Child) -> Result<Startup> {
        let mut grants = Vec::new();
        let mut add = |name: &str, what| grants.push(Grant { name: name.into(), what });
        let badge = layout::badge(CALLS, Manifest::client_number(n));
        let parent = child.insert(self.own.handle(), CALL, badge)?.0;
        add(api_process::NAME, What::Call { endpoint: parent, buffer: None });
        let extra = [(api_supervisor::NAME, SUPERVISES), (api_power::NAME, POWERS), (api_injector::NAME, INJECTS)];
        for (name, interface) in extra {
            if interface == INJECTS && !inject::is_allowed(self.manifest) {
                continue;
            }
            if said.calls.iter().any(|c| c.interface == name) {
                let badge = layout::badge(interface, Manifest::client_number(n));
                let endpoint = child.insert(self.own.handle(), CALL, badge)?.0;
                add(name, What::Call { endpoint, buffer: None });
            }
        }
        for edge in self.edges.iter().filter(|e| e.client == Some(n)) {
            // A server that was given up or is absent has no endpoint: its clients are not granted one.
            let Some(Some(endpoint)) = self.endpoints.get(edge.server) else { continue };
            let badge = layout::badge(edge.interface, number(edge.client));
            let endpoint = child.insert(endpoint.handle(), CALL, badge)?.0;
            add(self.interface(edge), What::Call { endpoint, buffer: share(child, edge.buffer)? });
        }
        if let Some(Some(endpoint)) = self.endpoints.get(n) {
            let mut clients = Vec::new();
            for edge in self.edges.iter().filter(|e| e.server == n) {
                let number = number(edge.client);
                clients.push(Client {
                    badge: layout::badge(edge.interface, number),
                    name: self.manifest.client_name(number).unwrap_or("unknown").into(),
                    buffer: share(child, edge.buffer)?,
                    inbound: edge.client.and_then(|n| self.manifest.components.get(n)).map_or(Vec::new(), |c| c.inbound.clone()),
                });
            }
            let endpoint = child.insert(endpoint.handle(), SERVE, 0)?.0;
            add("serve", What::Serve { endpoint, interfaces: said.serves.clone(), clients });
        }
        if let Some(ring) = self.ring.filter(|_| said.serves.iter().any(|s| s == api_log::NAME)) {
            let memory = child.insert(ring.memory.handle(), BUFFER, 0)?.0;
            add(api_log::ring::MEMORY_GRANT, What::Memory { memory, length_bytes: ring.length_bytes });
            let notification = child.insert(ring.bell.handle(), Rights::READ | Rights::EDIT, 0)?.0;
            add(api_log::ring::BELL_GRANT, What::Notification { notification });
        }
        let held = rt::start::startup().held.iter().filter(|h| h.0 as usize == n);
        for (_, grant) in held.filter(|(_, grant)| !grant.name.starts_with(kept::PREFIX)) {
            add(&grant.name, pass_on(child, &grant.what)?);
        }
        Ok(Startup {
            name: said.name.clone(),
            arguments: said.arguments.clone(),
            heap_bytes: said.heap_bytes,
            log_level: said.log_level,
            is_watched: true,
            facts: rt::start::facts().clone(),
            grants,
            held: Vec::new(),
        })
    }

    fn interface(&self, edge: &Edge) -> &'static str {
        let server = self.manifest.components.get(edge.server);
        server.and_then(|s| s.serves.get(edge.interface as usize)).map_or("", String::as_str)
    }

    /// Whether every device that the manifest names for it is in this machine.
    pub fn is_present(&self, n: usize) -> bool {
        let wanted = self.manifest.components.get(n).map_or(0, |c| c.devices.len());
        let held = rt::start::startup().held.iter();
        held.filter(|(of, grant)| *of as usize == n && matches!(grant.what, What::Device { .. })).count() == wanted
    }
}

fn share(child: &Child, buffer: Option<(Memory, u64)>) -> Result<Option<Buffer>> {
    let Some((memory, length_bytes)) = buffer else { return Ok(None) };
    Ok(Some(Buffer { memory: child.insert(memory.handle(), BUFFER, 0)?.0, length_bytes }))
}

/// A grant of root's, in the component's own table.
fn pass_on(child: &Child, what: &What) -> Result<What> {
    let put = |handle: u32| child.insert(Handle(handle), DEVICE, 0).map(|h| h.0);
    Ok(match what {
        What::Device { configuration, bars, interrupt } => What::Device {
            configuration: configuration.clone(),
            bars: bars.iter().map(|b| Ok(Bar { memory: put(b.memory)?, ..*b })).collect::<Result<_>>()?,
            interrupt: interrupt.map(put).transpose()?,
        },
        What::Ports { ports, first, last } => What::Ports { ports: put(*ports)?, first: *first, last: *last },
        What::Interrupt { interrupt, gsi } => What::Interrupt { interrupt: put(*interrupt)?, gsi: *gsi },
        What::Memory { memory, length_bytes } => What::Memory { memory: put(*memory)?, length_bytes: *length_bytes },
        // Root holds nothing else for a component.
        _ => return Err(Error::BadArgument),
    })
}
