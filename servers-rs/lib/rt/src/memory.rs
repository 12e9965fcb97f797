// SPDX-License-Identifier: PMPL-1.0-or-later
//! Memory mapped by the program itself: its own, or shared with others.
//!
//! Each mapping has a window of [`WINDOW_BYTES`]; nothing longer is mapped. Dropping a mapping unmaps it.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use manifest::layout;
use sys::{AddressSpace, Capability, Error, Memory, PAGE_BYTES, Pool, Rights, start};

/// Room of one mapping.
pub const WINDOW_BYTES: u64 = 64 << 20;
/// Most mappings that one `Op::MapMany` makes.
const MAX_RECORDS: usize = 128;
/// One bit per window that is in use.
static USED: AtomicU64 = AtomicU64::new(0);

/// A range of addresses that holds a mapping of this program's.
#[derive(Debug)]
pub struct Window {
    address: u64,
    length_bytes: u64,
}

impl Window {
    /// Maps `length_bytes` (rounded up to pages) of a memory object. Errors: `NoQuota` when all windows are in use or
    /// the length is beyond one, and those of `Op::Map`.
    pub fn map(memory: Memory, length_bytes: u64, access: Rights) -> sys::Result<Window> {
        Window::map_from(memory, 0, length_bytes, access)
    }
    /// As [`Window::map`], from `offset_bytes` of the memory object on.
    pub fn map_from(memory: Memory, offset_bytes: u64, length_bytes: u64, access: Rights) -> sys::Result<Window> {
        let length_bytes = length_bytes.checked_next_multiple_of(PAGE_BYTES).ok_or(Error::OutOfRange)?;
        if length_bytes == 0 || length_bytes > WINDOW_BYTES {
            return Err(Error::NoQuota);
        }
        let number = claim().ok_or(Error::NoQuota)?;
        let address = address_of(number);
        match AddressSpace(start::ADDRESS_SPACE).map(memory, offset_bytes, address, length_bytes, access) {
            Ok(()) => Ok(Window { address, length_bytes }),
            Err(error) => {
                USED.fetch_and(!(1 << number), Ordering::Release);
                Err(error)
            }
        }
    }
    /// As [`Window::map_from`], each page as a mapping of its own.
    pub fn map_pages(memory: Memory, offset_bytes: u64, pages: usize, access: Rights) -> sys::Result<Window> {
        let length_bytes = pages as u64 * PAGE_BYTES;
        if length_bytes == 0 || length_bytes > WINDOW_BYTES {
            return Err(Error::NoQuota);
        }
        let number = claim().ok_or(Error::NoQuota)?;
        let window = Window { address: address_of(number), length_bytes };
        let mut at = 0;
        while at < pages {
            let records = (pages - at).min(MAX_RECORDS);
            crate::channel::with_buffer(|buffer| {
                for n in 0..records {
                    let page = (at + n) as u64 * PAGE_BYTES;
                    let (offset_bytes, address) = (offset_bytes + page, window.address + page);
                    buffer.set_mapping(n, memory, offset_bytes, address, PAGE_BYTES, access);
                }
            });
            // After an error the window's end unmaps what is there already.
            AddressSpace(start::ADDRESS_SPACE).map_many(records as u64)?;
            at += records;
        }
        Ok(window)
    }
    /// Where it is. For crates that make safe access out of it.
    pub fn address(&self) -> u64 {
        self.address
    }
    /// Whole pages.
    pub fn length_bytes(&self) -> u64 {
        self.length_bytes
    }
    /// Whether `count` bytes at `offset` lie in it.
    pub fn holds(&self, offset: usize, count: usize) -> bool {
        offset.checked_add(count).is_some_and(|end| end as u64 <= self.length_bytes)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: every reference into the window borrows from its owner, which is going.
        let unmapped = unsafe { AddressSpace(start::ADDRESS_SPACE).unmap(self.address, self.length_bytes) };
        if unmapped.is_ok() {
            let number = (self.address - layout::WINDOWS) / WINDOW_BYTES;
            USED.fetch_and(!(1 << number), Ordering::Release);
        }
    }
}

/// Addresses of one window, [`WINDOW_BYTES`] long, with nothing mapped: for [`crate::pieces`]. They are never given back.
#[derive(Debug)]
pub struct Room(u64);

impl Room {
    /// Errors: `NoQuota` when all windows are in use.
    pub fn claim() -> sys::Result<Room> {
        claim().map(|number| Room(address_of(number))).ok_or(Error::NoQuota)
    }
    pub fn address(&self) -> u64 {
        self.0
    }
}

const fn address_of(number: u32) -> u64 {
    layout::WINDOWS + number as u64 * WINDOW_BYTES
}

fn claim() -> Option<u32> {
    let mut used = USED.load(Ordering::Acquire);
    loop {
        let number = used.trailing_ones();
        if number >= u64::BITS {
            return None;
        }
        match USED.compare_exchange_weak(used, used | (1 << number), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Some(number),
            Err(now) => used = now,
        }
    }
}

/// Zeroed memory that only this program reaches, until [`Private::into_memory`] gives it away. Dropping it gives the
/// frames back to the pool.
#[derive(Debug)]
pub struct Private {
    memory: Memory,
    /// `None` only once it is given away.
    window: Option<Window>,
}

impl Private {
    /// Paid by `pool`. Errors: those of `Op::Create` and [`Window::map`].
    pub fn new(pool: Pool, length_bytes: u64) -> sys::Result<Private> {
        let length_bytes = length_bytes.checked_next_multiple_of(PAGE_BYTES).ok_or(Error::OutOfRange)?;
        let memory = pool.create_memory(length_bytes)?;
        match Window::map(memory, length_bytes, Rights::READ | Rights::WRITE) {
            Ok(window) => Ok(Private { memory, window: Some(window) }),
            Err(error) => {
                // SAFETY: nothing maps it.
                let _ = unsafe { memory.destroy() };
                Err(error)
            }
        }
    }
    fn place(&self) -> (u64, usize) {
        self.window.as_ref().map_or((PAGE_BYTES, 0), |w| (w.address, w.length_bytes as usize))
    }
    pub fn as_slice(&self) -> &[u8] {
        let (address, length) = self.place();
        // SAFETY: 1. the window is mapped while `self` lives. 2. Nobody else has the memory's capability, so nobody
        // else writes. 3. Rust's own borrows keep `as_mut_slice` away. 4. Without a window the length is 0.
        unsafe { core::slice::from_raw_parts(address as *const u8, length) }
    }
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        let (address, length) = self.place();
        // SAFETY: as above; `&mut self` is the only access.
        unsafe { core::slice::from_raw_parts_mut(address as *mut u8, length) }
    }
    /// The memory object, no longer mapped here.
    pub fn into_memory(mut self) -> Memory {
        self.window = None;
        self.memory
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if self.window.take().is_some() {
            // SAFETY: it is mapped nowhere any more, and no reference outlives `self`.
            let _ = unsafe { self.memory.destroy() };
        }
    }
}

/// Destroys a memory object that was made for [`Shared`] or for another program.
pub fn discard(memory: Memory) -> sys::Result<()> {
    // SAFETY: no reference points into such memory: a `Shared` gives out none but atomics, and touching one that is gone
    // is a fault of this program; a `Private` never tells its handle while it lives, a `Piece` is used up first.
    unsafe { memory.destroy() }
}

/// Memory that others may write at any moment: what is checked must be copied out first.
#[derive(Debug)]
pub struct Shared {
    window: Window,
}

impl Shared {
    pub fn map(memory: Memory, length_bytes: u64, access: Rights) -> sys::Result<Shared> {
        Shared::map_from(memory, 0, length_bytes, access)
    }
    /// As [`Shared::map`], from `offset_bytes` (whole pages) of the memory object on.
    pub fn map_from(memory: Memory, offset_bytes: u64, length_bytes: u64, access: Rights) -> sys::Result<Shared> {
        Window::map_from(memory, offset_bytes, length_bytes, access).map(|window| Shared { window })
    }
    pub fn length_bytes(&self) -> u64 {
        self.window.length_bytes
    }
    /// Copies out; `None`, with nothing copied, if the range is not in it.
    pub fn read(&self, offset: usize, out: &mut [u8]) -> Option<()> {
        if !self.window.holds(offset, out.len()) {
            return None;
        }
        let from = (self.window.address as usize + offset) as *const u8;
        // SAFETY: 1. in the window, which is mapped. 2. Volatile in `copy`, since others may write meanwhile; any bytes are fine.
        unsafe { copy(from, out.as_mut_ptr(), out.len()) };
        Some(())
    }
    /// Copies in; `None`, with nothing copied, if the range is not in it. It must have been mapped writable.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Option<()> {
        if !self.window.holds(offset, bytes.len()) {
            return None;
        }
        let to = (self.window.address as usize + offset) as *mut u8;
        // SAFETY: as in `read`.
        unsafe { copy(bytes.as_ptr(), to, bytes.len()) };
        Some(())
    }
    /// A number that both sides change; `None` if it is not in the window or not on a multiple of 4.
    pub fn atomic(&self, offset: usize) -> Option<&AtomicU32> {
        if !self.window.holds(offset, 4) || !offset.is_multiple_of(4) {
            return None;
        }
        // SAFETY: 1. in the window, aligned, mapped as long as `self`. 2. An atomic may be shared with anyone.
        Some(unsafe { &*((self.window.address as usize + offset) as *const AtomicU32) })
    }
}

impl api_log::ring::Memory for Shared {
    fn length_bytes(&self) -> usize {
        self.window.length_bytes as usize
    }
    fn atomic(&self, offset: usize) -> Option<&AtomicU32> {
        Shared::atomic(self, offset)
    }
    fn read(&self, offset: usize, out: &mut [u8]) -> Option<()> {
        Shared::read(self, offset, out)
    }
    fn write(&self, offset: usize, bytes: &[u8]) -> Option<()> {
        Shared::write(self, offset, bytes)
    }
}

/// Copies with volatile accesses, eight bytes at a time where both sides allow it.
///
/// # Safety
/// `length` bytes at `from` are readable and at `to` writable, and the ranges do not overlap.
unsafe fn copy(from: *const u8, to: *mut u8, length: usize) {
    let mut done = 0;
    if (from as usize).is_multiple_of(8) && (to as usize).is_multiple_of(8) {
        while length - done >= 8 {
            // SAFETY: `done + 8` is at most `length`; both addresses are multiples of 8.
            unsafe { to.add(done).cast::<u64>().write_volatile(from.add(done).cast::<u64>().read_volatile()) };
            done += 8;
        }
    }
    while done < length {
        // SAFETY: `done` is below `length`.
        unsafe { to.add(done).write_volatile(from.add(done).read_volatile()) };
        done += 1;
    }
}

/// The boot bundle: mapped for ever. `None` if the capability could write it or it cannot be mapped.
pub fn boot_bundle(memory: Memory, length_bytes: u64) -> Option<&'static [u8]> {
    let (_, rights, _) = memory.inspect().ok()?;
    if rights.contains(Rights::WRITE) || memory.size_bytes().ok()? < length_bytes {
        return None;
    }
    let window = core::mem::ManuallyDrop::new(Window::map(memory, length_bytes, Rights::READ).ok()?);
    // SAFETY: 1. mapped, and never unmapped: the window is not dropped. 2. The kernel makes the bundle's capability
    // without the write right, so nobody ever had one with it. 3. The length is within the object.
    Some(unsafe { core::slice::from_raw_parts(window.address as *const u8, length_bytes as usize) })
}

/// What the kernel mapped for root already.
pub fn root_bundle() -> Option<&'static [u8]> {
    let info = crate::start::root_info()?;
    // SAFETY: the kernel mapped the bundle read-only, for ever, with this length (`RootInfo`).
    Some(unsafe { core::slice::from_raw_parts(info.bundle_address as *const u8, info.bundle_length_bytes as usize) })
}
