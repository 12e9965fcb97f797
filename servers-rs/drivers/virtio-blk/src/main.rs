// SPDX-License-Identifier: PMPL-1.0-or-later
//! A virtio disk. Hardware in `device.rs`, the interface in `serve.rs`; see README.adoc.
#![cfg_attr(target_os = "none", no_std)]

mod device;
mod serve;

use rt::channel::Event;
use rt::start::grant;
use virtio::claim::Interrupted;

fn main() {
    let (configuration, bars, interrupt) = grant::device().expect("the manifest grants a virtio block device");
    let (endpoint, _, _) = grant::serve().expect("the manifest says that this component serves block");
    let (memory, length) = grant::memory("dma").expect("the manifest grants DMA memory");
    let area = dma::Mapped::new(memory, length).expect("the granted DMA memory can be mapped");
    let buffer = serve::Buffer::claim(grant::memory("dma-shared"));

    let registers = virtio::claim::registers(bars);
    let transport = virtio::claim::transport(configuration, &registers);
    let wait = Interrupted::claim(interrupt, serve::WAIT_NS);
    let disk = device::Disk::new(transport, area, wait).expect("the device starts");
    rt::info!("{} blocks of 512 bytes{}", disk.block_count(), if disk.is_read_only() { ", read-only" } else { "" });

    let mut service = serve::Service::new(disk, buffer);
    grant::say_ready();
    rt::channel::serve(endpoint, |event| match event {
        Event::Call(_, client, request) => Some(api_block::dispatch(&mut service, client, &request)),
        Event::Bits(_) => None,
    });
}
