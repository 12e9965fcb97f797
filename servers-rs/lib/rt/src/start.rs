// SPDX-License-Identifier: PMPL-1.0-or-later
//! What this program was given when it started.

#[cfg(target_os = "none")]
use abi::boot_info;
use abi::boot_info::RootInfo;
use alloc::string::String;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use manifest::startup::{Bar, Buffer, Client, Facts};
use manifest::{Startup, What, layout};
use sys::{Capability, Endpoint, Handle, Interrupt, Memory, Notification, Pool, PortRange};

/// Root has no manifest entry; its heap holds the manifest and little else.
#[cfg(target_os = "none")]
const ROOT_HEAP_BYTES: u64 = 1 << 20;

static STARTUP: AtomicPtr<Startup> = AtomicPtr::new(core::ptr::null_mut());
static ROOT_INFO: AtomicU64 = AtomicU64::new(0);
pub(crate) static MAIN_BUFFER: AtomicU64 = AtomicU64::new(layout::MESSAGE_BUFFER);

/// The startup block; for root, one with its name and nothing else.
pub fn startup() -> &'static Startup {
    static NONE: Startup = Startup {
        name: String::new(),
        arguments: alloc::vec::Vec::new(),
        heap_bytes: 0,
        log_level: 4,
        is_watched: false,
        facts: Facts {
            version: String::new(),
            slot: 0,
            flags: 0,
            partition_guid: [0; 16],
            verity_root: [0; 32],
            verity_salt: alloc::vec::Vec::new(),
            verity_data_blocks: 0,
            clock_offset_ns: 0,
            wall_clock_s: 0,
            cpus: 1,
        },
        grants: alloc::vec::Vec::new(),
        held: alloc::vec::Vec::new(),
    };
    // SAFETY: the pointer is null, or from a box that `begin` leaked before any other code ran.
    unsafe { STARTUP.load(Ordering::Acquire).as_ref() }.unwrap_or(&NONE)
}
pub fn facts() -> &'static Facts {
    &startup().facts
}
/// For root: what the kernel tells.
pub fn root_info() -> Option<&'static RootInfo> {
    // SAFETY: the address is 0, or one where `begin` found a `RootInfo`, which the kernel mapped read-only for ever.
    unsafe { (ROOT_INFO.load(Ordering::Acquire) as *const RootInfo).as_ref() }
}

/// Grants by name, as their types. `None`: the manifest did not grant it.
pub mod grant {
    use super::*;

    /// The endpoint of an interface in `calls`, and the buffer shared with its server.
    pub fn call(interface: &str) -> Option<(Endpoint, Option<Buffer>)> {
        match startup().find(interface)? {
            What::Call { endpoint, buffer } => Some((Endpoint(Handle(*endpoint)), *buffer)),
            _ => None,
        }
    }
    /// Where calls to what this program serves arrive, the interfaces by number, and who may call.
    pub fn serve() -> Option<(Endpoint, &'static [String], &'static [Client])> {
        startup().grants.iter().find_map(|g| match &g.what {
            What::Serve { endpoint, interfaces, clients } => Some((Endpoint(Handle(*endpoint)), &**interfaces, &**clients)),
            _ => None,
        })
    }
    /// The first PCI function: configuration space as it was at the start, registers, interrupt.
    pub fn device() -> Option<(&'static [u8], &'static [Bar], Option<Interrupt>)> {
        startup().grants.iter().find_map(|g| match &g.what {
            What::Device { configuration, bars, interrupt } => {
                Some((&**configuration, &**bars, interrupt.map(|i| Interrupt(Handle(i)))))
            }
            _ => None,
        })
    }
    /// The first range of ports.
    pub fn ports() -> Option<(PortRange, u16)> {
        startup().grants.iter().find_map(|g| match g.what {
            What::Ports { ports, first, .. } => Some((PortRange(Handle(ports)), first)),
            _ => None,
        })
    }
    /// The first wired interrupt.
    pub fn interrupt() -> Option<Interrupt> {
        startup().grants.iter().find_map(|g| match g.what {
            What::Interrupt { interrupt, .. } => Some(Interrupt(Handle(interrupt))),
            _ => None,
        })
    }
    pub fn memory(name: &str) -> Option<(Memory, u64)> {
        match startup().find(name)? {
            What::Memory { memory, length_bytes } => Some((Memory(Handle(*memory)), *length_bytes)),
            _ => None,
        }
    }
    pub fn notification(name: &str) -> Option<Notification> {
        match startup().find(name)? {
            What::Notification { notification } => Some(Notification(Handle(*notification))),
            _ => None,
        }
    }
    pub fn pool(name: &str) -> Option<Pool> {
        match startup().find(name)? {
            What::Pool { pool } => Some(Pool(Handle(*pool))),
            _ => None,
        }
    }
    /// Says to the process server that this component serves now.
    pub fn say_ready() {
        if let Some((endpoint, _)) = call(api_process::NAME) {
            // Nobody is left to hear of a failure: the process server's death ends this program too.
            let _ = api_process::Client(crate::channel::Channel(endpoint)).ready();
        }
    }
    /// A typed capability of a raw number in a grant.
    pub fn typed<C: Capability>(handle: u32) -> C {
        C::of(Handle(handle))
    }
}

/// Reads the startup page and makes the heap.
///
/// # Safety
/// Called once, before any other code of the program; `address` is what the starter passed: a mapped, readable page
/// that begins with a magic number and is followed by as many as it says.
#[cfg(target_os = "none")]
pub(crate) unsafe fn begin(address: u64) {
    // SAFETY: the caller's promise: at least one page is there.
    let magic = unsafe { (address as *const u64).read() };
    if magic == boot_info::MAGIC {
        // SAFETY: a page with this magic is a `RootInfo`, which the kernel mapped.
        let info = unsafe { &*(address as *const RootInfo) };
        MAIN_BUFFER.store(info.message_buffer, Ordering::Release);
        ROOT_INFO.store(address, Ordering::Release);
        make_heap(ROOT_HEAP_BYTES);
        keep(Startup { name: "root".into(), log_level: 4, ..Startup::default() });
        return;
    }
    // SAFETY: the header is within the first page, which is there.
    let header = unsafe { core::slice::from_raw_parts(address as *const u8, manifest::startup::HEADER_BYTES) };
    let Some(length) = manifest::startup::block_length(header) else { sys::thread_exit(NO_STARTUP) };
    // SAFETY: the starter mapped as many pages as the block's length needs, read-only.
    let bytes = unsafe { core::slice::from_raw_parts(address as *const u8, length) };
    // From the header, since decoding the block needs the heap already.
    let heap_bytes = manifest::startup::heap_bytes(bytes).unwrap_or(0);
    if heap_bytes == 0 {
        sys::thread_exit(NO_HEAP);
    }
    // SAFETY: 1. the starter mapped it (`child::Child::new`), and it is never unmapped. 2. Called once, from here.
    unsafe { crate::heap::init(layout::HEAP, heap_bytes as usize) };
    match Startup::decode(bytes) {
        Some(startup) => {
            if startup.is_watched {
                crate::health::begin();
            }
            keep(startup)
        }
        None => sys::thread_exit(NO_STARTUP),
    }
}

/// Exit code of a program whose startup block is none.
#[cfg(target_os = "none")]
const NO_STARTUP: u64 = 102;

#[cfg(target_os = "none")]
fn keep(startup: Startup) {
    STARTUP.store(alloc::boxed::Box::leak(alloc::boxed::Box::new(startup)), Ordering::Release);
}

#[cfg(target_os = "none")]
fn make_heap(length_bytes: u64) {
    let access = sys::Rights::READ | sys::Rights::WRITE;
    let pool = Pool(sys::start::POOL);
    let space = sys::AddressSpace(sys::start::ADDRESS_SPACE);
    let mapped = pool.create_memory(length_bytes).and_then(|m| space.map(m, 0, layout::HEAP, length_bytes, access));
    if mapped.is_err() {
        sys::thread_exit(NO_HEAP);
    }
    // SAFETY: 1. just mapped, and never unmapped. 2. Called once, from `begin`.
    unsafe { crate::heap::init(layout::HEAP, length_bytes as usize) };
}

/// Exit code of a program whose pool does not hold its heap.
#[cfg(target_os = "none")]
const NO_HEAP: u64 = 103;
