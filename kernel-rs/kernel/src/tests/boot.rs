// SPDX-License-Identifier: PMPL-1.0-or-later
//! Root finds what the contract promises; a bundle that lies is refused.

use super::*;
use crate::config;
use abi::right::Rights;

#[test]
fn root_starts_with_its_slots_filled_and_its_information_page() {
    let mut w = World::new();
    let argument = w.argument;
    let kinds = [
        Kind::Table,
        Kind::AddressSpace,
        Kind::Pool,
        Kind::Thread,
        Kind::InterruptControl,
        Kind::PortRange,
        Kind::DeviceRange,
        Kind::Memory,
        Kind::Memory,
        Kind::Power,
    ];
    for (n, kind) in kinds.into_iter().enumerate() {
        assert_eq!(w.root(Op::Inspect, Handle::new(n as u32 + 1, 1), &[]).ok(), kind as u64);
    }
    let thread = w.kernel.cpus[0].current.unwrap();
    let space = w.kernel.threads.get(thread).unwrap().space.unwrap();
    let mut page = [0; size_of::<abi::boot_info::RootInfo>()];
    assert!(w.kernel.read_space(space, argument, &mut page));
    assert_eq!(&page[..8], &MAGIC.to_le_bytes());
    let cpu_count = core::mem::offset_of!(abi::boot_info::RootInfo, cpu_count);
    assert_eq!(page[cpu_count..cpu_count + 8], (CPUS as u64).to_le_bytes());
}

#[test]
fn the_bundle_is_readable_and_nothing_more() {
    let mut w = World::new();
    let rights = w.root(Op::Inspect, slots::BUNDLE, &[]).values[1];
    assert_eq!(rights & (Rights::WRITE | Rights::DESTROY | Rights::DMA).0 as u64, 0);
    w.root(Op::Map, SPACE, &[slots::BUNDLE.0 as u64, 0, 0x900_0000, 4096, 3]).fails(Error::NoRight);
    w.root(Op::Destroy, slots::BUNDLE, &[]).fails(Error::NoRight);
}

#[test]
fn a_whole_bundle_is_taken() {
    assert!(config::head(&bundle()).is_some());
}

/// Each lie by its offset in the head and the value that tells it.
#[test]
fn bundles_that_lie_are_refused() {
    let lies: [(&str, usize, u64); 16] = [
        ("wrong magic", 0, 1),
        ("longer than it is", 8, 8193),
        ("no CPUs", 16, 10_000 << 32),
        ("too many CPUs", 16, 10_000 << 32 | 65),
        ("slice of nothing", 16, 4),
        ("log level 9", 24, 16 << 32 | 9),
        ("no table", 32, 1 << 32),
        ("priority 256", 40, 256),
        ("entry outside of code", 48, 0x40_3000),
        ("no stack", 56, 0),
        ("no segments", 64, 0),
        ("nine segments", 64, 9),
        ("segment at page 0", 72, 0),
        ("segment not aligned", 72, 0x40_0001),
        ("segment outside of the bundle", 88, 8192),
        ("writable and executable", 104, 7),
    ];
    for (name, offset, value) in lies {
        let mut b = bundle();
        b[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        assert!(config::head(&b).is_none(), "{name}");
    }
}

#[test]
fn a_bundle_cut_anywhere_in_its_head_is_refused() {
    let b = bundle();
    assert!((0..424).all(|n| config::head(&b[..n]).is_none()));
}

#[test]
fn random_heads_never_panic() {
    let mut random = model::Random(1);
    for _ in 0..20_000 {
        let mut b = bundle();
        for _ in 0..1 + random.below(4) {
            let at = random.below(424) as usize;
            b[at] = random.next() as u8;
        }
        let _ = config::head(&b);
    }
}
