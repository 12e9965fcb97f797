// SPDX-License-Identifier: PMPL-1.0-or-later
//! A guest: its address space, and each of its threads' state page, mapped here: registers by name, read and written one
//! word at a time.

use crate::memory::Window;
use core::mem::offset_of;
use sys::guest::{MAX_VECTOR_BYTES, State, VECTOR_OFFSET_BYTES};
use sys::{AddressSpace, Capability, Error, Memory, PAGE_BYTES, Pool, Rights, start};

/// Most ranges that one `Op::MapMany` maps.
const MAX_RECORDS: usize = 128;

/// An address space for foreign programs, never one in which ours run: so what happens in it is no matter of Rust's.
#[derive(Debug)]
pub struct Space(AddressSpace);

impl Space {
    /// Empty, paid by `pool`.
    pub fn new(pool: Pool) -> sys::Result<Space> {
        pool.create_address_space().map(Space)
    }
    /// The capability: for what others do with it.
    pub fn handle(&self) -> AddressSpace {
        self.0
    }
    /// The calling thread runs in this space from now on, with that state page, whenever it runs its guest.
    pub fn attach(&self, page: &Page) -> sys::Result<()> {
        self.0.attach_guest(page.memory)
    }
    /// As `Op::Map`.
    pub fn map(&self, memory: Memory, offset_bytes: u64, address: u64, length_bytes: u64, access: Rights) -> sys::Result<()> {
        self.0.map(memory, offset_bytes, address, length_bytes, access)
    }
    /// As `Op::MapMany`, for any number of ranges: what was mapped before an error stays.
    pub fn map_many(&self, ranges: &[Range]) -> sys::Result<()> {
        if let [one] = ranges {
            return self.map(one.memory, one.offset_bytes, one.address, one.length_bytes, one.access);
        }
        for part in ranges.chunks(MAX_RECORDS) {
            crate::channel::with_buffer(|buffer| {
                for (n, one) in part.iter().enumerate() {
                    buffer.set_mapping(n, one.memory, one.offset_bytes, one.address, one.length_bytes, one.access);
                }
            });
            self.0.map_many(part.len() as u64)?;
        }
        Ok(())
    }
    /// As `Op::Unmap`; pages unmapped.
    pub fn unmap(&self, address: u64, length_bytes: u64) -> sys::Result<u64> {
        // SAFETY: `new` made the space, so it is not the caller's own.
        unsafe { self.0.unmap(address, length_bytes) }
    }
    /// As `Op::Protect`.
    pub fn protect(&self, address: u64, length_bytes: u64, access: Rights) -> sys::Result<()> {
        // SAFETY: as `unmap`.
        unsafe { self.0.protect(address, length_bytes, access) }
    }
    /// Whoever runs in it comes out with `Gone`.
    pub fn destroy(&self) -> sys::Result<()> {
        // SAFETY: as `unmap`.
        unsafe { self.0.destroy() }
    }
}

/// Part of a memory object, and where in a space it shall be.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    pub memory: Memory,
    pub offset_bytes: u64,
    pub address: u64,
    pub length_bytes: u64,
    pub access: Rights,
}

/// The page of one guest thread. The kernel writes it during `guest::run` of the thread that is attached to it.
#[derive(Debug)]
pub struct Page {
    memory: Memory,
    address: u64,
    /// Where it is mapped; without one, beside the thread's stack for ever.
    window: Option<Window>,
}

/// A word of the page: `guest::field!(rip)`.
#[derive(Clone, Copy, Debug)]
pub struct Field(usize);

impl Field {
    /// The field at an offset that is a multiple of 8, below that of vector state.
    pub const fn at(offset: usize) -> Field {
        assert!(offset < size_of::<State>() && offset.is_multiple_of(8));
        Field(offset)
    }
}

#[doc(hidden)]
pub use sys::guest::State as PageState;

/// The field of that name of `State`.
#[macro_export]
macro_rules! field {
    ($name:ident) => {
        const { $crate::guest::Field::at(core::mem::offset_of!($crate::guest::PageState, $name)) }
    };
}

impl Page {
    /// A zeroed page, paid by `pool`. Errors: those of `Op::Create` and [`Window::map`].
    pub fn new(pool: Pool) -> sys::Result<Page> {
        let memory = pool.create_memory(PAGE_BYTES)?;
        let window = Window::map(memory, PAGE_BYTES, Rights::READ | Rights::WRITE)?;
        Ok(Page { memory, address: window.address(), window: Some(window) })
    }

    /// As [`Page::new`], mapped for ever at a free address that the caller chose: no window is used.
    pub(crate) fn at(pool: Pool, address: u64) -> sys::Result<Page> {
        let memory = pool.create_memory(PAGE_BYTES)?;
        match AddressSpace(start::ADDRESS_SPACE).map(memory, 0, address, PAGE_BYTES, Rights::READ | Rights::WRITE) {
            Ok(()) => Ok(Page { memory, address, window: None }),
            Err(error) => {
                crate::memory::discard(memory)?;
                Err(error)
            }
        }
    }

    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// Destroys the memory object; the mapping here goes first. A thread that is attached keeps what it has.
    /// Errors: `BadState` for one beside a stack, which stays.
    pub fn destroy(self) -> sys::Result<()> {
        let Page { memory, window, .. } = self;
        drop(window.ok_or(Error::BadState)?);
        // SAFETY: nothing maps it here any more.
        unsafe { memory.destroy() }
    }

    #[inline(always)]
    pub fn get(&self, field: Field) -> u64 {
        // SAFETY: 1. a `Field` lies in the page, aligned; 2. mapped while `self` lives; 3. volatile: the kernel writes it, and
        // whoever else has the memory.
        unsafe { ((self.address + field.0 as u64) as *const u64).read_volatile() }
    }

    #[inline(always)]
    pub fn set(&self, field: Field, value: u64) {
        // SAFETY: as `get`; 4. the page is memory for anyone to write, not behind any reference.
        unsafe { ((self.address + field.0 as u64) as *mut u64).write_volatile(value) }
    }

    /// Word `n` of the general registers and what follows, in the order of `State`.
    pub fn set_word(&self, n: usize, value: u64) {
        if n < size_of::<State>() / 8 {
            self.set(Field(n * 8), value);
        }
    }

    /// All that is in the page but vector registers.
    pub fn state(&self) -> State {
        // SAFETY: as `get`; 4. any bits are a `State`.
        unsafe { (self.address as *const State).read_volatile() }
    }

    pub fn set_state(&self, state: &State) {
        // SAFETY: as `set`.
        unsafe { (self.address as *mut State).write_volatile(*state) }
    }

    /// Word `n` of the image of the vector registers; 0 beyond it.
    pub fn vector(&self, n: usize) -> u64 {
        if n < MAX_VECTOR_BYTES / 8 { self.get(Field(VECTOR_OFFSET_BYTES + n * 8)) } else { 0 }
    }

    pub fn set_vector(&self, n: usize, value: u64) {
        if n < MAX_VECTOR_BYTES / 8 {
            self.set(Field(VECTOR_OFFSET_BYTES + n * 8), value);
        }
    }
}

const _: () = assert!(offset_of!(State, rax) == 0);
