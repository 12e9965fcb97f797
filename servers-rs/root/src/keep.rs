// SPDX-License-Identifier: PMPL-1.0-or-later
//! What must outlive a process server: pools and endpoints of the components, the memory between them, the ring of
//! lines, and the vault in which the process server writes who runs. Made once, handed to each incarnation.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use manifest::component::{Component, Program};
use manifest::startup::kept;
use manifest::{Grant, Manifest, What};
use sys::{Capability, PAGE_BYTES, Pool, Result, start};

/// Frames of a component's pool beside its memory: records of the pool that is split from it.
const FRAMES_BESIDE: u64 = 4;
/// A few hundred lines.
const RING_BYTES: u64 = 16 * 1024;

/// All of it, as `Startup::held` has it; handles are of root's own table.
pub fn all(manifest: &Manifest) -> core::result::Result<Vec<(u32, Grant)>, String> {
    let mut made = Vec::new();
    for (n, component) in manifest.components.iter().enumerate() {
        of_component(n as u32, component, &mut made)
            .map_err(|e| format!("{}: its pool cannot be made: {e:?}", component.name))?;
    }
    of_process(manifest, &mut made).map_err(|e| format!("process: what it keeps cannot be made: {e:?}"))?;
    Ok(made)
}

/// A component's pool, empty.
pub fn pool(component: &Component) -> Result<Pool> {
    Pool(start::POOL).split(component.memory_bytes / PAGE_BYTES + FRAMES_BESIDE)
}

fn of_component(n: u32, component: &Component, made: &mut Vec<(u32, Grant)>) -> Result<()> {
    let mut add = |name: &str, what| made.push((n, Grant { name: name.into(), what }));
    add(kept::POOL, What::Pool { pool: pool(component)?.handle().0 });
    if !component.serves.is_empty() {
        add(kept::ENDPOINT, endpoint()?);
    }
    for call in component.calls.iter().filter(|c| c.buffer_bytes > 0) {
        add(&format!("{}{}", kept::BUFFER, call.interface), memory(call.buffer_bytes)?);
    }
    Ok(())
}

fn of_process(manifest: &Manifest, made: &mut Vec<(u32, Grant)>) -> Result<()> {
    let mut add = |name: &str, what| made.push((kept::OF_PROCESS, Grant { name: name.into(), what }));
    add(kept::OWN, endpoint()?);
    add(kept::RING, memory(RING_BYTES)?);
    add(kept::BELL, What::Notification { notification: Pool(start::POOL).create_notification()?.handle().0 });
    let vault_bytes = (manifest.components.len() as u64 + 1) * kept::VAULT_EACH_BYTES;
    add(kept::VAULT, memory(vault_bytes.next_multiple_of(PAGE_BYTES))?);
    // The last page is the process server's own.
    add(kept::VITALS, memory((manifest.components.len() as u64 + 1) * PAGE_BYTES)?);
    // The longest buffer of its kind does for the process server as well: it reads programs through it.
    let buffers = manifest.components.iter().flat_map(|c| &c.calls).filter(|c| c.interface == FILE).map(|c| c.buffer_bytes);
    let from_root = manifest.components.iter().any(|c| matches!(c.program, Program::Root(_)));
    if from_root {
        add(&format!("{}{FILE}", kept::BUFFER), memory(buffers.max().unwrap_or(0).max(FILE_BUFFER_BYTES))?);
    }
    Ok(())
}

/// `api_file::NAME`.
const FILE: &str = "file";
/// `api_file::BUFFER_BYTES`; root links no interface. The process server checks that it is long enough.
const FILE_BUFFER_BYTES: u64 = 128 * 1024;

fn endpoint() -> Result<What> {
    Ok(What::Call { endpoint: Pool(start::POOL).create_endpoint()?.handle().0, buffer: None })
}
fn memory(length_bytes: u64) -> Result<What> {
    Ok(What::Memory { memory: Pool(start::POOL).create_memory(length_bytes)?.handle().0, length_bytes })
}
