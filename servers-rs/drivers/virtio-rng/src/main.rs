// SPDX-License-Identifier: PMPL-1.0-or-later
//! A virtio entropy device. Hardware in `device.rs`, the interface in `serve.rs`; see README.adoc.
#![cfg_attr(target_os = "none", no_std)]

mod device;
mod serve;

use mmio::Mapped;
use rt::channel::Event;
use rt::start::grant;
use sys::Capability;
use virtio::Transport;

fn main() {
    let (configuration, bars, interrupt) = grant::device().expect("the manifest grants a virtio entropy device");
    let (endpoint, _, _) = grant::serve().expect("the manifest says that this component serves entropy");
    let (memory, length) = grant::memory("dma").expect("the manifest grants DMA memory");
    let area = dma::Mapped::new(memory, length).expect("the granted DMA memory can be mapped");

    let mut registers = [const { None::<Mapped> }; 6];
    for bar in bars {
        if let Some(place) = registers.get_mut(usize::from(bar.index)) {
            *place = Mapped::new(sys::Memory::of(sys::Handle(bar.memory)), bar.length_bytes).ok();
        }
    }
    let places = virtio::pci::find(configuration).expect("the granted device is a virtio 1.x device");
    let transport = Transport::new(&places, |n| registers.get(usize::from(n))?.as_ref()).expect("its registers are granted");
    let wait = serve::Interrupted::claim(interrupt);
    let mut source = device::Source::new(transport, area, wait).expect("the device starts");

    grant::say_ready();
    rt::channel::serve(endpoint, |event| match event {
        Event::Call(_, client, request) => Some(api_entropy::dispatch(&mut source, client, &request)),
        Event::Bits(_) => None,
    });
}
