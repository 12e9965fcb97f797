// SPDX-License-Identifier: PMPL-1.0-or-later
//! What root keeps for every process server: `manifest::startup::kept`. Here it becomes typed, and a pool new.

use crate::launch::Edge;
use crate::voice::Ring;
use alloc::vec::Vec;
use ipc::{Message, Transport};
use manifest::component::Program;
use manifest::startup::kept;
use manifest::{Manifest, What};
use rt::channel::Channel;
use rt::child::Running;
use rt::memory::Shared;
use rt::start::grant;
use sys::{Capability, Endpoint, Error, Memory, Notification, Pool, Result, Rights};

fn kept(number: u32, name: &str) -> Option<&'static What> {
    rt::start::startup().kept(number, name)
}
fn memory(number: u32, name: &str) -> Option<(Memory, u64)> {
    match kept(number, name)? {
        What::Memory { memory, length_bytes } => Some((grant::typed(*memory), *length_bytes)),
        _ => None,
    }
}
fn endpoint(number: u32, name: &str) -> Option<Endpoint> {
    match kept(number, name)? {
        What::Call { endpoint, .. } => Some(grant::typed(*endpoint)),
        _ => None,
    }
}

pub fn own() -> Result<Endpoint> {
    endpoint(kept::OF_PROCESS, kept::OWN).ok_or(Error::BadHandle)
}
pub fn ring() -> Option<Ring> {
    let (memory, length_bytes) = memory(kept::OF_PROCESS, kept::RING)?;
    let bell: Notification = match kept(kept::OF_PROCESS, kept::BELL)? {
        What::Notification { notification } => grant::typed(*notification),
        _ => return None,
    };
    Some(Ring { memory, length_bytes, bell })
}
pub fn vault() -> Option<Shared> {
    let (memory, length_bytes) = memory(kept::OF_PROCESS, kept::VAULT)?;
    Shared::map(memory, length_bytes, Rights::READ | Rights::WRITE).ok()
}
pub fn pools(count: usize) -> Result<Vec<Pool>> {
    let pool = |n: usize| match kept(n as u32, kept::POOL) {
        Some(What::Pool { pool }) => Ok(grant::typed(*pool)),
        _ => Err(Error::BadHandle),
    };
    (0..count).map(pool).collect()
}
/// `None` where a component serves nothing, or its endpoint was closed.
pub fn endpoints(count: usize) -> Vec<Option<Endpoint>> {
    (0..count).map(|n| endpoint(n as u32, kept::ENDPOINT)).collect()
}

/// Who calls whom, with the memory between them.
pub fn edges(manifest: &'static Manifest) -> Vec<Edge> {
    let mut edges = Vec::new();
    let mut add = |client: Option<usize>, interface: &str| {
        let Some((server, number)) = manifest.server_of(interface) else { return };
        let of = client.map_or(kept::OF_PROCESS, |n| n as u32);
        let buffer = memory(of, &alloc::format!("{}{interface}", kept::BUFFER));
        edges.push(Edge { client, server, interface: number, buffer });
    };
    for (n, component) in manifest.components.iter().enumerate() {
        component.calls.iter().for_each(|call| add(Some(n), &call.interface));
    }
    // Its own, which needs no grant: it starts what the manifest says, and the manifest says where from.
    if manifest.components.iter().any(|c| matches!(c.program, Program::Root(_))) {
        add(None, api_file::NAME);
    }
    edges
}

/// Whether something was made from a component's pool: its own split, by this process server or one before.
pub fn runs(pool: Pool) -> bool {
    // An empty pool has paid for its own record only.
    pool.usage().is_ok_and(|(_, used)| used > 1)
}

/// The memory in which components count, and its length in bytes.
pub fn vitals() -> Result<(Memory, u64)> {
    memory(kept::OF_PROCESS, kept::VITALS).ok_or(Error::BadHandle)
}

/// What a process server before this one started, if it has not ended.
pub fn running(n: usize) -> Option<Running> {
    match kept(n as u32, kept::RUNNING)? {
        What::Running { pool, thread, stack, stack_bytes, code } => Some(Running {
            pool: grant::typed(*pool),
            thread: grant::typed(*thread),
            stack: grant::typed(*stack),
            stack_bytes: *stack_bytes,
            code: code.map(|(memory, address)| (grant::typed(memory), address)),
        }),
        _ => None,
    }
}

/// Has root note what was started, for a process server after this one.
pub fn keep(n: usize, it: &Running) -> Result<()> {
    let mut request = Message::new(kept::KEEP);
    let code_address = it.code.map_or(0, |(_, address)| address);
    [n as u64, it.stack_bytes, code_address].iter().for_each(|word| request.put_word(*word));
    [it.pool.handle(), it.thread.handle(), it.stack.handle()].iter().for_each(|cap| request.put_cap(*cap));
    if let Some((code, _)) = it.code {
        request.put_cap(code.handle());
    }
    ask_guardian(&request).map(drop)
}

fn ask_guardian(request: &Message) -> Result<Message> {
    let (guardian, _) = grant::call("guardian").ok_or(Error::BadHandle)?;
    Channel(guardian).call(request).map_err(|_| Error::Gone)
}

/// Has root end whatever runs in a component's pool; returns the new one.
pub fn renew(n: usize) -> Result<Pool> {
    let mut request = Message::new(kept::RENEW);
    request.put_word(n as u64);
    let answer = ask_guardian(&request)?;
    match answer.caps() {
        [pool] => Ok(Pool::of(*pool)),
        _ => Err(Error::from_u64(u64::from(answer.label)).unwrap_or(Error::BadState)),
    }
}
