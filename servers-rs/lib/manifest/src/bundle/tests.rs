// SPDX-License-Identifier: PMPL-1.0-or-later
//! A small bundle there and back, and bundles that are none.

use super::*;
use crate::component::{Call, Component, Inbound, Kind, Origin, PciMatch, PortSpan, Profile, Protocol, Restart, Then};
use alloc::vec;

fn component(name: &str, program: Program) -> Component {
    Component {
        name: name.into(),
        program,
        kind: Kind::Service,
        memory_bytes: 1 << 20,
        stack_bytes: 65536,
        heap_bytes: 65536,
        table_slots: 64,
        priority: 100,
        budget_us: 0,
        period_us: 0,
        arguments: vec!["-v".into()],
        devices: vec![PciMatch { vendor: 0x1af4, devices: vec![0x1042, 0x1001] }],
        io_ports: vec![PortSpan { first: 0x3f8, last: 0x3ff }],
        interrupts: vec![4],
        dma_bytes: 1 << 20,
        serves: vec!["block".into()],
        calls: vec![Call { interface: "log".into(), buffer_bytes: 0 }],
        inbound: vec![Inbound { protocol: Protocol::Tcp, first: 22, last: 22, from: Origin::Link }],
        restart: Restart { delay_ms: 10, max_delay_ms: 1000, limit: 5, window_ms: 10_000, then: Then::Degrade },
        ready_within_ms: 5000,
        heartbeat_ms: 250,
        log_level: 3,
        symbols: None,
    }
}
const KERNEL: KernelConfig = KernelConfig {
    max_cpus: 64,
    timer_slice_us: 10_000,
    log_level: 3,
    reserve_frames: 256,
    root_table_slots: 4096,
    serial_console: 1,
    root_priority: 250,
    reserved: 0,
};
fn example() -> Vec<u8> {
    let mut builder = Builder::default();
    let segment = Segment { address: 0x400000, memory_bytes: 8192, access: 5, ..Segment::default() };
    let root = Root { entry: 0x400010, stack_bytes: 65536, segments: vec![(segment, builder.add(b"root's text"))] };
    let (elf, names) = (builder.add(b"elf of process"), builder.add(b"names"));
    builder
        .finish(KERNEL, &root, Some(names), |at| Manifest {
            format: FORMAT,
            profile: Profile::Dev,
            version: "0.1.0".into(),
            serial_console: true,
            process: component("process", Program::Bundle(at(elf))),
            components: vec![component("hello", Program::Root("/programs/hello".into()))],
        })
        .unwrap()
}

#[test]
fn a_bundle_comes_back_as_it_was_built_and_is_the_same_twice() {
    let bytes = example();
    assert_eq!(bytes, example());
    let bundle = Bundle::parse(&bytes).unwrap();
    assert_eq!(bundle.head.kernel, KERNEL);
    assert_eq!(bundle.head.root_segments[0].file_offset % 4096, 0);
    let Program::Bundle(span) = bundle.manifest.process.program else { panic!("process is in the bundle") };
    assert_eq!(bundle.bytes(span), b"elf of process");
    assert_eq!(bundle.manifest.server_of("block"), Some((0, 0)));
    assert_eq!(bundle.manifest.client_name(1), Some("hello"));
}

#[test]
fn the_head_has_the_kernels_own_layout() {
    let bytes = example();
    assert_eq!(encode_head(&decode_head(&bytes).unwrap()).len(), HEAD_BYTES);
    assert_eq!(bytes[..HEAD_BYTES], encode_head(&decode_head(&bytes).unwrap()));
    let at = core::mem::offset_of!(Head, manifest_offset);
    assert_eq!(bytes[at..at + 8], (HEAD_BYTES as u64).to_le_bytes());
}

#[test]
fn each_fault_has_its_name() {
    let good = example();
    let with = |at: usize, value: u64| {
        let mut bad = good.clone();
        bad[at..at + 8].copy_from_slice(&value.to_le_bytes());
        Bundle::parse(&bad).err()
    };
    let length = good.len() as u64;
    assert_eq!(Bundle::parse(b"short").err(), Some(Fault::TooShort));
    assert_eq!(with(0, 1), Some(Fault::NotABundle));
    assert_eq!(with(8, 1), Some(Fault::WrongLength { head: 1, file: length }));
    assert_eq!(Bundle::parse(&good[..good.len() - 1]).err(), Some(Fault::WrongLength { head: length, file: length - 1 }));
    let count = core::mem::offset_of!(Head, root_segment_count);
    let segment = core::mem::offset_of!(Head, root_segments);
    assert_eq!(with(count, 9), Some(Fault::TooManySegments));
    assert_eq!(with(count, u64::MAX), Some(Fault::TooManySegments));
    assert_eq!(with(segment + 16, 1), Some(Fault::BadPiece { what: "a segment of root", offset: 1 }));
    assert_eq!(with(segment + 24, u64::MAX), Some(Fault::BadPiece { what: "a segment of root", offset: 4096 }));
    assert_eq!(with(segment + 32, 7), Some(Fault::WriteAndExecute));
    assert_eq!(with(core::mem::offset_of!(Head, manifest_length_bytes), 3), Some(Fault::BadManifest));
    assert_eq!(with(HEAD_BYTES, 2), Some(Fault::BadManifest));
}

#[test]
fn no_byte_changed_in_head_or_manifest_makes_it_panic() {
    let good = example();
    for at in 0..HEAD_BYTES + 400 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] = value;
            let _ = Bundle::parse(&bad);
        }
    }
}
