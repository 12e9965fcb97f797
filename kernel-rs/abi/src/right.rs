// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a capability is to, and what it lets its holder do.

/// The kinds of kernel object that a capability can name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    Null = 0,
    Pool = 1,
    Table = 2,
    AddressSpace = 3,
    Memory = 4,
    Thread = 5,
    Endpoint = 6,
    Notification = 7,
    Reply = 8,
    Interrupt = 9,
    PortRange = 10,
    /// Authority to bind interrupt sources: root's, narrowed to nothing else.
    InterruptControl = 11,
    /// Authority to make memory objects over device addresses within a range.
    DeviceRange = 12,
    /// Authority to reset or power off the machine.
    Power = 13,
    /// Place kept: what a guest may fill by itself. Guests so far are threads with an address space ([`crate::guest`]).
    Guest = 14,
    /// Place kept: DMA translation domain of an IOMMU.
    DmaDomain = 15,
}

impl Kind {
    pub const fn from_u8(n: u8) -> Option<Kind> {
        Some(match n {
            0 => Kind::Null,
            1 => Kind::Pool,
            2 => Kind::Table,
            3 => Kind::AddressSpace,
            4 => Kind::Memory,
            5 => Kind::Thread,
            6 => Kind::Endpoint,
            7 => Kind::Notification,
            8 => Kind::Reply,
            9 => Kind::Interrupt,
            10 => Kind::PortRange,
            11 => Kind::InterruptControl,
            12 => Kind::DeviceRange,
            13 => Kind::Power,
            14 => Kind::Guest,
            15 => Kind::DmaDomain,
            _ => return None,
        })
    }
}

/// A set of rights. Copying a capability can only remove rights. What a bit means depends on the kind; the
/// operation table (`op`) says which bit each operation needs.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Rights(pub u16);

impl Rights {
    pub const NONE: Rights = Rights(0);
    /// Read memory, receive from an endpoint, wait on a notification, read a thread's registers, read ports.
    pub const READ: Rights = Rights(1 << 0);
    /// Write memory, call or send to an endpoint, signal a notification, write a thread's registers, write ports.
    pub const WRITE: Rights = Rights(1 << 1);
    /// Map memory executable.
    pub const EXECUTE: Rights = Rights(1 << 2);
    /// Copy this capability (within the table or into a message).
    pub const COPY: Rights = Rights(1 << 3);
    /// Let capabilities travel with messages through this endpoint.
    pub const TRANSFER: Rights = Rights(1 << 4);
    /// Change the object's structure: map into a space, edit a table, configure a thread, create from or split a pool.
    pub const EDIT: Rights = Rights(1 << 5);
    /// Destroy the object.
    pub const DESTROY: Rights = Rights(1 << 6);
    /// Learn physical addresses (memory objects), make memory that has them (pools): root keeps the pools', drivers get the memory.
    pub const DMA: Rights = Rights(1 << 7);
    pub const ALL: Rights = Rights(0xff);

    pub const fn union(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
    pub const fn intersect(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }
    pub const fn contains(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }
}

impl core::ops::BitOr for Rights {
    type Output = Rights;
    fn bitor(self, other: Rights) -> Rights {
        self.union(other)
    }
}

impl core::fmt::Debug for Rights {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (bit, letter) in "rwxctedm".chars().enumerate() {
            if self.0 & (1 << bit) != 0 {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}
