// SPDX-License-Identifier: PMPL-1.0-or-later
//! A handle names one slot of the calling process's capability table, at one time of that slot's life.

/// A slot number (low 18 bits) and the slot's generation (high 14 bits). A handle whose generation is not the slot's
/// is stale and answers `Error::StaleHandle`; it never reaches what the slot holds now. A slot that has had 16,383 lives
/// is used no more: a table that was filled and emptied that often has fewer slots than it was made with.
/// 0 is never a valid handle: slot 0 stays empty for ever.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Handle(pub u32);

impl Handle {
    pub const NULL: Handle = Handle(0);
    pub const INDEX_BITS: u32 = 18;
    pub const GENERATION_BITS: u32 = 32 - Self::INDEX_BITS;

    /// The handle of slot `index` in its life number `generation`; both are cut to their width.
    pub const fn new(index: u32, generation: u32) -> Self {
        Handle((generation << Self::INDEX_BITS) | (index & ((1 << Self::INDEX_BITS) - 1)))
    }
    pub const fn index(self) -> u32 {
        self.0 & ((1 << Self::INDEX_BITS) - 1)
    }
    pub const fn generation(self) -> u32 {
        self.0 >> Self::INDEX_BITS
    }
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }
}

impl core::fmt::Debug for Handle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "handle {}.{}", self.index(), self.generation())
    }
}

/// Slots that every process finds filled when its first thread starts, by convention between root, the process
/// server and `lib/rt`; generation 1. The kernel fills them for root only.
pub mod start {
    use super::Handle;
    /// The process's own capability table.
    pub const TABLE: Handle = Handle::new(1, 1);
    /// The process's own address space.
    pub const ADDRESS_SPACE: Handle = Handle::new(2, 1);
    /// The pool that pays for what the process makes.
    pub const POOL: Handle = Handle::new(3, 1);
    /// The first thread.
    pub const THREAD: Handle = Handle::new(4, 1);
    /// Root only: interrupt authority ([`crate::right::Kind::InterruptControl`]).
    pub const INTERRUPT_CONTROL: Handle = Handle::new(5, 1);
    /// Root only: all I/O ports ([`crate::right::Kind::PortRange`], 0 to 65535).
    pub const PORTS: Handle = Handle::new(6, 1);
    /// Root only: all physical address space that is not RAM ([`crate::right::Kind::DeviceRange`]).
    pub const DEVICE_RANGE: Handle = Handle::new(7, 1);
    /// Root only: the boot bundle as a read-only memory object.
    pub const BUNDLE: Handle = Handle::new(8, 1);
    /// Root only: the page with [`crate::boot_info::RootInfo`], a read-only memory object.
    pub const ROOT_INFO: Handle = Handle::new(9, 1);
    /// Root only: power and reset authority ([`crate::right::Kind::Power`]).
    pub const POWER: Handle = Handle::new(10, 1);
    /// The first slot that a starter may fill with the manifest's grants.
    pub const FIRST_GRANT: u32 = 16;
}
