// SPDX-License-Identifier: PMPL-1.0-or-later
//! Opening UEFI protocols beside their owners, never exclusively: exclusive use of a disk or a console would make the
//! firmware disconnect its own drivers from it.

use uefi::boot::{self, OpenProtocolAttributes, OpenProtocolParams, ScopedProtocol};
use uefi::proto::ProtocolPointer;
use uefi::{Handle, Result};

/// The protocol `P` of `handle`; the firmware's status when it has none.
pub fn open<P: ProtocolPointer + ?Sized>(handle: Handle) -> Result<ScopedProtocol<P>> {
    let params = OpenProtocolParams { handle, agent: boot::image_handle(), controller: None };
    // SAFETY: 1. Nothing is hot-plugged while the loader runs, and it disconnects no driver, so handle and protocol
    // live until ExitBootServices. 2. Every `ScopedProtocol` is dropped before that: `handover::enter` is given none.
    unsafe { boot::open_protocol::<P>(params, OpenProtocolAttributes::GetProtocol) }
}

/// The first handle's protocol `P` in the system.
pub fn first<P: ProtocolPointer + ?Sized>() -> Result<ScopedProtocol<P>> {
    open(boot::get_handle_for_protocol::<P>()?)
}
