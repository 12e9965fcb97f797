// SPDX-License-Identifier: PMPL-1.0-or-later
//! A virtio network device. Hardware in `device.rs`, the interface in `serve.rs`; see README.adoc.
#![cfg_attr(target_os = "none", no_std)]

mod device;
#[cfg(test)]
mod fake;
mod serve;

use rt::channel::Event;
use rt::start::grant;

fn main() {
    let (configuration, bars, interrupt) = grant::device().expect("the manifest grants a virtio network device");
    let (endpoint, _, _) = grant::serve().expect("the manifest says that this component serves net");
    let (memory, length) = grant::memory("dma").expect("the manifest grants DMA memory");
    let area = dma::Mapped::new(memory, length).expect("the granted DMA memory can be mapped");
    let frames = serve::Frames::claim(grant::memory("dma-shared")).expect("the manifest grants DMA memory for frames");
    let news = serve::News::claim(interrupt).expect("the pool holds a notification");

    let registers = virtio::claim::registers(bars);
    let transport = virtio::claim::transport(configuration, &registers);
    let vector = news.interrupt.map(|_| 0);
    let device = device::Net::new(transport, area, frames.physical, vector).expect("the device starts");
    rt::info!("{}, {} bytes a frame", device::Named(device.address()), device.mtu_bytes());

    let mut service = serve::Service::new(device, frames, news);
    grant::say_ready();
    rt::channel::serve_keeping(endpoint, |event| match event {
        Event::Call(_, client, request) => service.answer(client, &request),
        Event::Bits(_) => {
            service.move_frames();
            None
        }
    });
}
