// SPDX-License-Identifier: PMPL-1.0-or-later
//! The `.frkeys` section: public keys and the minimal rollback index, filled by `slot embed-keys` in the finished file,
//! before it is signed. As compiled it holds no key, and a loader without keys refuses every slot.

pub const SECTION_BYTES: usize = 4096;

/// `FRkeys01`, then zeroes: count 0, minimal rollback index 0.
#[unsafe(link_section = ".frkeys")]
#[used]
static SECTION: [u8; SECTION_BYTES] = {
    let mut section = [0; SECTION_BYTES];
    let magic = *b"FRkeys01";
    let mut index = 0;
    while index < magic.len() {
        section[index] = magic[index];
        index += 1;
    }
    section
};

/// The section as it is in memory now.
pub fn section() -> [u8; SECTION_BYTES] {
    // SAFETY: 1. `SECTION` is a valid, aligned, initialised static that nobody writes while the loader runs. 2. Volatile,
    // because the bytes are not those that the compiler saw: another tool changed them in the file.
    unsafe { core::ptr::read_volatile(&raw const SECTION) }
}
