// SPDX-License-Identifier: PMPL-1.0-or-later
//! Mapping, W^X, physical addresses, and a page that must stay as it was.

use crate::report::{Found, Test, equal, must, that};
use alloc::string::String;
use rt::memory::{Private, Shared};
use sys::{AddressSpace, Capability, Error, Memory, PAGE_BYTES, Pool, Rights, start};

const POOL: Pool = Pool(start::POOL);
/// Nothing of `manifest::layout` lies here.
const FREE: u64 = 0x6800_0000_0000;

pub const TESTS: &[Test] = &[
    Test { promise: "memory begins zeroed", run: zeroed },
    Test { promise: "writable and executable at once is refused", run: write_and_execute },
    Test { promise: "a mapping gets no access beyond its capability", run: no_more_than_capability },
    Test { promise: "a range in use, beyond the object, beyond user space or off a page is refused", run: bad_ranges },
    Test { promise: "two mappings of one object show the same bytes", run: shared },
    Test { promise: "ordinary memory tells no physical address", run: no_physical },
    Test { promise: "page tables are paid by the pool of the space", run: tables_are_paid },
];

const READ_WRITE: Rights = Rights(Rights::READ.0 | Rights::WRITE.0);

/// A page filled before the first test, of which no capability is given to anyone.
pub struct Canary(Option<Private>);
impl Canary {
    pub fn new() -> Canary {
        let mut page = Private::new(POOL, PAGE_BYTES).ok();
        if let Some(page) = &mut page {
            page.as_mut_slice().iter_mut().enumerate().for_each(|(n, byte)| *byte = sign(n));
        }
        Canary(page)
    }
    pub fn is_untouched(&self) -> Found {
        let Some(page) = &self.0 else { return that(false, "it could not be made") };
        that(page.as_slice().iter().enumerate().all(|(n, byte)| *byte == sign(n)), "it was changed")
    }
}
fn sign(n: usize) -> u8 {
    (n as u32).wrapping_mul(2_654_435_761).to_le_bytes()[2]
}

fn memory(bytes: u64) -> Result<Memory, String> {
    must("making memory", POOL.create_memory(bytes))
}
/// A space of a child pool: what is mapped there ends with it.
fn space() -> Result<(Pool, AddressSpace), String> {
    let child = must("splitting", POOL.split(64))?;
    Ok((child, must("making a space", child.create_address_space())?))
}

fn zeroed() -> Found {
    // Filled and given back first, so that its frames are not fresh ones.
    let mut used = must("making memory", Private::new(POOL, 8 * PAGE_BYTES))?;
    used.as_mut_slice().fill(0xff);
    drop(used);
    let new = must("making memory", Private::new(POOL, 8 * PAGE_BYTES))?;
    that(new.as_slice().iter().all(|byte| *byte == 0), "it holds what was there before")
}
fn write_and_execute() -> Found {
    let (child, space) = space()?;
    let it = memory(PAGE_BYTES)?;
    equal(space.map(it, 0, FREE, PAGE_BYTES, READ_WRITE | Rights::EXECUTE), Err(Error::WriteAndExecute))?;
    must("mapping executable", space.map(it, 0, FREE, PAGE_BYTES, Rights::READ | Rights::EXECUTE))?;
    must("destroying", rt::child::destroy_pool(child))
}
fn no_more_than_capability() -> Found {
    let (child, space) = space()?;
    let read_only = must("copying", memory(PAGE_BYTES)?.copy(Rights::READ, 0))?;
    equal(space.map(read_only, 0, FREE, PAGE_BYTES, READ_WRITE), Err(Error::NoRight))?;
    equal(space.map(read_only, 0, FREE, PAGE_BYTES, Rights::READ | Rights::EXECUTE), Err(Error::NoRight))?;
    must("mapping readable", space.map(read_only, 0, FREE, PAGE_BYTES, Rights::READ))?;
    must("destroying", rt::child::destroy_pool(child))
}
fn bad_ranges() -> Found {
    let (child, space) = space()?;
    let it = memory(2 * PAGE_BYTES)?;
    must("mapping", space.map(it, 0, FREE, PAGE_BYTES, READ_WRITE))?;
    equal(space.map(it, 0, FREE, PAGE_BYTES, READ_WRITE), Err(Error::Overlap))?;
    equal(space.map(it, 0, FREE - PAGE_BYTES, 2 * PAGE_BYTES, READ_WRITE), Err(Error::Overlap))?;
    let elsewhere = FREE + (1 << 30);
    equal(space.map(it, PAGE_BYTES, elsewhere, 2 * PAGE_BYTES, READ_WRITE), Err(Error::OutOfRange))?;
    equal(space.map(it, u64::MAX - 4095, elsewhere, PAGE_BYTES, READ_WRITE), Err(Error::OutOfRange))?;
    equal(space.map(it, 0, abi::boot_info::USER_END, 2 * PAGE_BYTES, READ_WRITE), Err(Error::OutOfRange))?;
    equal(space.map(it, 0, 0xffff_8000_0000_0000, PAGE_BYTES, READ_WRITE), Err(Error::OutOfRange))?;
    equal(space.map(it, 0, elsewhere + 1, PAGE_BYTES, READ_WRITE), Err(Error::Misaligned))?;
    equal(space.map(it, 0, elsewhere, 100, READ_WRITE), Err(Error::Misaligned))?;
    must("destroying", rt::child::destroy_pool(child))
}
fn shared() -> Found {
    let it = memory(PAGE_BYTES)?;
    let one = must("mapping", Shared::map(it, PAGE_BYTES, READ_WRITE))?;
    let other = must("mapping again", Shared::map(it, PAGE_BYTES, Rights::READ))?;
    that(one.write(100, b"seen by both").is_some(), "it cannot be written")?;
    let mut found = [0; 12];
    that(other.read(100, &mut found).is_some(), "it cannot be read")?;
    equal(&found, b"seen by both")
}
fn no_physical() -> Found {
    equal(memory(PAGE_BYTES)?.physical(0), Err(Error::NoRight))
}
fn tables_are_paid() -> Found {
    let (child, space) = space()?;
    let it = memory(PAGE_BYTES)?;
    let before = must("usage", child.usage())?.1;
    must("mapping", space.map(it, 0, FREE, PAGE_BYTES, READ_WRITE))?;
    that(must("usage", child.usage())?.1 > before, "nobody paid for the page tables")?;
    must("destroying", rt::child::destroy_pool(child))
}
