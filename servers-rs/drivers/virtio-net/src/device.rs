// SPDX-License-Identifier: PMPL-1.0-or-later
//! A virtio network device: virtio 1.2, section 5.1. One pair of queues; each slot holds one frame behind its header.
//!
//! No offloads: checksums are the stack's, so that what is verified is what was received.

use api_net::ring::{FRAME, MAX_FRAME_BYTES, SLOTS, receive_frame, transmit_frame};
use dma::Area;
use mmio::Registers;
use virtio::transport::NO_VECTOR;
use virtio::{Buffer, Fault, Slots, Transport};

/// 5.1.3 feature bits.
const FEATURE_MTU: u64 = 1 << 3;
const FEATURE_MAC: u64 = 1 << 5;
const FEATURE_STATUS: u64 = 1 << 16;
/// 5.1.4 device configuration.
const CONFIG_MAC: usize = 0;
const CONFIG_STATUS: usize = 6;
const CONFIG_MTU: usize = 10;
const STATUS_LINK_UP: u16 = 1;
/// 5.1.6: `virtio_net_hdr` with `num_buffers`, which version 1 always has.
pub const HEADER_BYTES: usize = 12;
/// 5.1.2 queue numbers.
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
/// Where the queues are in the driver's own DMA memory.
const QUEUES: [usize; 2] = [0, 16 * 1024];
const STANDARD_MTU_BYTES: u16 = 1500;

#[derive(Debug)]
struct Side {
    number: u16,
    slots: Slots,
    notify_offset: usize,
}

#[derive(Debug)]
pub struct Net<R, A> {
    transport: Transport<R>,
    area: A,
    /// Where the device finds the shared memory with the frames.
    frames: u64,
    vector: Option<u16>,
    features: u64,
    receive: Side,
    transmit: Side,
}

/// An Ethernet address as people write it.
pub struct Named(pub [u8; 6]);
impl core::fmt::Display for Named {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl<R: Registers, A: Area> Net<R, A> {
    /// Resets the device and makes it ready (3.1.1), with all receive slots given to it. Errors: see [`Fault`].
    pub fn new(transport: Transport<R>, area: A, frames: u64, vector: Option<u16>) -> Result<Self, Fault> {
        // Reset before the queues are cleared: a predecessor's buffers may still be with the device.
        transport.reset()?;
        let side = |number: u16| {
            let start = QUEUES.get(usize::from(number)).copied().unwrap_or(0);
            Ok(Side { number, slots: Slots::new(&area, start, SLOTS)?, notify_offset: 0 })
        };
        let (receive, transmit) = (side(RECEIVE)?, side(TRANSMIT)?);
        let mut net = Net { transport, area, frames, vector, features: 0, receive, transmit };
        net.start()?;
        Ok(net)
    }

    /// Resets it and gives it all receive slots anew. Afterwards it has no transmit slot. Errors: see [`Fault`].
    pub fn start(&mut self) -> Result<(), Fault> {
        self.features = self.transport.begin(FEATURE_MTU | FEATURE_STATUS, FEATURE_MAC)?;
        for side in [&mut self.receive, &mut self.transmit] {
            if self.transport.queue_size(side.number) < SLOTS {
                return Err(Fault::NoQueue);
            }
            let start = QUEUES.get(usize::from(side.number)).copied().unwrap_or(0);
            side.slots = Slots::new(&self.area, start, SLOTS)?;
            let vector = self.vector.unwrap_or(NO_VECTOR);
            side.notify_offset = self.transport.set_queue(side.number, &side.slots.rings(&self.area), vector)?;
        }
        // Sent frames are looked for when there is something else to do, see `want_slots`.
        self.transmit.slots.set_quiet(&self.area, true);
        self.transport.finish();
        (0..SLOTS).try_for_each(|slot| self.give_receive(slot))?;
        self.notify_receive();
        Ok(())
    }

    pub fn address(&self) -> [u8; 6] {
        let device = self.transport.device();
        let mut address = [0; 6];
        address.iter_mut().enumerate().for_each(|(n, byte)| *byte = device.read8(CONFIG_MAC + n));
        address
    }
    /// Never more than a slot holds.
    pub fn mtu_bytes(&self) -> u16 {
        let has = self.features & FEATURE_MTU != 0;
        let said = if has { self.transport.device().read16(CONFIG_MTU) } else { STANDARD_MTU_BYTES };
        said.min(STANDARD_MTU_BYTES)
    }
    pub fn link_is_up(&self) -> bool {
        self.features & FEATURE_STATUS == 0 || self.transport.device().read16(CONFIG_STATUS) & STATUS_LINK_UP != 0
    }

    /// Gives an empty receive slot to the device. Errors: `Broken` if it has it already.
    pub fn give_receive(&mut self, slot: u16) -> Result<(), Fault> {
        let physical = self.frames + (receive_frame(0, slot) - HEADER_BYTES) as u64;
        let length_bytes = (HEADER_BYTES + MAX_FRAME_BYTES) as u32;
        self.receive.slots.give(&self.area, slot, Buffer { physical, length_bytes, device_writes: true })
    }
    /// A slot in which a frame came, and the frame's length. Errors: `Broken` if the device tells a length that is none.
    pub fn take_receive(&mut self) -> Result<Option<(u16, u16)>, Fault> {
        let Some((slot, written)) = self.receive.slots.take(&self.area)? else { return Ok(None) };
        let length = (written as usize).checked_sub(HEADER_BYTES).filter(|&n| n <= MAX_FRAME_BYTES);
        Ok(Some((slot, length.ok_or(Fault::Broken)? as u16)))
    }
    /// Sends the frame in a transmit slot, whose header is zero: nothing is asked of the device. Errors: `Broken` if the
    /// device has that slot already.
    pub fn give_transmit(&mut self, slot: u16, length_bytes: u16) -> Result<(), Fault> {
        let physical = self.frames + (transmit_frame(0, slot) - HEADER_BYTES) as u64;
        let length_bytes = HEADER_BYTES as u32 + u32::from(length_bytes);
        self.transmit.slots.give(&self.area, slot, Buffer { physical, length_bytes, device_writes: false })
    }
    /// A transmit slot whose frame was sent.
    pub fn take_transmit(&mut self) -> Result<Option<u16>, Fault> {
        Ok(self.transmit.slots.take(&self.area)?.map(|(slot, _)| slot))
    }
    /// Interrupts for sent frames only while half of the slots or more are under way: then somebody may wait for one.
    pub fn want_slots(&mut self) {
        let few = self.transmit.slots.in_flight() < SLOTS / 2;
        self.transmit.slots.set_quiet(&self.area, few);
    }
    pub fn notify_receive(&self) {
        self.transport.notify(self.receive.number, self.receive.notify_offset);
    }
    pub fn notify_transmit(&self) {
        self.transport.notify(self.transmit.number, self.transmit.notify_offset);
    }
    pub fn is_broken(&self) -> bool {
        self.transport.is_broken()
    }
}

const _: () = assert!(FRAME >= HEADER_BYTES);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::bench;

    #[test]
    fn a_started_device_has_all_receive_slots_and_tells_its_address() {
        let (device, _, net) = bench();
        let net = net.unwrap();
        assert_eq!((device.waiting(0), device.waiting(1)), (SLOTS, 0));
        assert_eq!((net.address(), net.mtu_bytes(), net.link_is_up()), ([0x52, 0x54, 0, 0x12, 0x34, 0x56], 1500, true));
    }
    #[test]
    fn frames_come_in_where_the_client_looks_for_them() {
        let (device, frames, net) = bench();
        let mut net = net.unwrap();
        for n in 0..1000u16 {
            let frame = [n as u8; 60];
            device.deliver(&frame, 0);
            let (slot, length) = net.take_receive().unwrap().unwrap();
            let mut found = [0; 60];
            frames.read(receive_frame(0, slot), &mut found).unwrap();
            assert_eq!((found, length), (frame, 60));
            net.give_receive(slot).unwrap();
        }
        assert_eq!(net.take_receive(), Ok(None));
    }
    #[test]
    fn frames_go_out_as_the_client_put_them() {
        let (device, frames, net) = bench();
        let mut net = net.unwrap();
        for slot in [7, 0, 255, 7] {
            frames.write(transmit_frame(0, slot), &[slot as u8; 100]).unwrap();
            net.give_transmit(slot, 100).unwrap();
            assert_eq!(net.give_transmit(slot, 100), Err(Fault::Broken), "the device has it");
            assert_eq!(device.send(), [slot as u8; 100]);
            assert_eq!(net.take_transmit(), Ok(Some(slot)));
        }
    }
    #[test]
    fn a_length_that_no_frame_has_is_broken() {
        for more in [-61, -72, 1455, i32::MAX - 72] {
            let (device, _, net) = bench();
            let mut net = net.unwrap();
            device.deliver(&[0; 60], more);
            assert_eq!(net.take_receive(), Err(Fault::Broken), "{more}");
        }
    }
    #[test]
    fn started_again_it_forgets_what_was_under_way() {
        let (device, _, net) = bench();
        let mut net = net.unwrap();
        device.deliver(&[1; 60], 0);
        net.give_transmit(3, 60).unwrap();
        net.start().unwrap();
        assert_eq!((device.waiting(0), device.waiting(1)), (SLOTS, 0));
        assert_eq!((net.take_receive(), net.take_transmit()), (Ok(None), Ok(None)));
    }
}
