// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `net` over the device: moves slots between the device's queues and the rings that the client shares. It never
//! looks into a frame.

use crate::device::Net;
use api_net::ring::{self, Broken, End, Entry, PAIR_BYTES, Which};
use api_net::{Ends, Error, Info, Serve, label};
use core::sync::atomic::AtomicU32;
use dma::Area;
use ipc::{Badge, Cap, Message};
use mmio::Registers;
use rt::memory::Shared;
use sys::{Capability, Interrupt, Memory, Notification, Pool, Reply, Rights, Thread};
use virtio::Fault;

/// What the client may do with the frames' memory: map it, and no more. Not learn where it lies.
const CLIENT_RIGHTS: Rights = Rights(Rights::READ.0 | Rights::WRITE.0 | Rights::COPY.0);
/// Bits of the driver's notification.
const INTERRUPT: u64 = 1;
const BELL: u64 = 2;
/// Of the client's bell: frames came, or slots are free.
const MOVED: u64 = 1;
/// Slots moved before calls are looked at again.
const BATCH: usize = 1024;

/// The part of the DMA grant that the client shares.
pub struct Frames {
    /// What the client gets.
    capability: Memory,
    pub physical: u64,
    length_bytes: u64,
    shared: Shared,
}

impl Frames {
    /// `None`: the manifest grants too little DMA memory for a pair.
    pub fn claim(granted: Option<(Memory, u64)>) -> Option<Frames> {
        let (memory, length_bytes) = granted.filter(|g| g.1 >= PAIR_BYTES as u64)?;
        let shared = Shared::map(memory, length_bytes, Rights::READ | Rights::WRITE).ok()?;
        Some(Frames { capability: memory.copy(CLIENT_RIGHTS, 0).ok()?, physical: memory.physical(0).ok()?, length_bytes, shared })
    }
}

impl ring::Memory for Frames {
    fn atomic(&self, offset: usize) -> Option<&AtomicU32> {
        self.shared.atomic(offset)
    }
}

/// One notification for the device's interrupt and the client's bell, bound to the thread that serves.
pub struct News {
    pub interrupt: Option<Interrupt>,
    notification: Notification,
    /// What the client gets: it may ring and nothing else.
    bell: Notification,
}

impl News {
    pub fn claim(interrupt: Option<Interrupt>) -> sys::Result<News> {
        let notification = Pool(sys::start::POOL).create_notification()?;
        Thread(sys::start::THREAD).bind(Some(notification))?;
        let bell = notification.copy(Rights::WRITE | Rights::COPY, BELL)?;
        let interrupt = interrupt.filter(|i| i.bind(notification, INTERRUPT).is_ok());
        Ok(News { interrupt, notification, bell })
    }
}

/// The driver's ends of the four rings.
struct Rings {
    filled: End,
    free: End,
    ready: End,
    done: End,
    client: Notification,
}

pub struct Service<R, A> {
    device: Net<R, A>,
    frames: Frames,
    news: News,
    rings: Option<Rings>,
    /// Kept until this program ends, which is the answer.
    attending: Option<Reply>,
}

impl<R: Registers, A: Area> Service<R, A> {
    pub fn new(device: Net<R, A>, frames: Frames, news: News) -> Self {
        Service { device, frames, news, rings: None, attending: None }
    }

    pub fn answer(&mut self, client: Badge, request: &Message) -> Option<Message> {
        if request.label == label::attend && request.caps().is_empty() {
            // An older one is dropped: its caller hears that it is to ask again.
            if let Some(older) = self.attending.take() {
                let _ = older.delete();
            }
            self.attending = sys::reply_save().ok();
            return None;
        }
        let answer = api_net::dispatch(self, client, request);
        if request.label != label::connect || answer.label != ipc::interface::code::OK {
            rt::channel::drop_caps(request);
        }
        Some(answer)
    }

    /// Moves what there is to move in all four directions, and rings the client's bell if there is something for it.
    pub fn move_frames(&mut self) {
        if let Some(interrupt) = self.news.interrupt {
            let _ = interrupt.acknowledge();
        }
        let Some(mut rings) = self.rings.take() else { return };
        match self.turn(&mut rings) {
            Ok(moved) => {
                if moved.for_client && rings.client.signal(MOVED).is_err() {
                    // It is gone; what it had is taken back when the next one connects.
                    return;
                }
                self.rings = Some(rings);
                if moved.more {
                    let _ = self.news.notification.signal(BELL);
                }
            }
            Err(Trouble::Client) => rt::error!("the client broke the rings; they are closed until it connects again"),
            Err(Trouble::Device(fault)) => {
                rt::error!("the device failed: {fault:?}; it is reset");
                // The client's rings are void now. The end of this program is what tells it.
                sys::thread_exit(EXIT_DEVICE);
            }
        }
    }

    fn turn(&mut self, rings: &mut Rings) -> Result<Moved, Trouble> {
        let mut moved = Moved { for_client: false, more: false };
        let mut count = 0;
        let (mut received, mut sent) = (false, false);
        while let Some((slot, length_bytes)) = self.device.take_receive()? {
            // It has room for all slots, so a full ring is a client that counts wrong.
            if !rings.filled.put(&self.frames, Entry { slot, length_bytes })? {
                return Err(Trouble::Client);
            }
            moved.for_client = true;
            count += 1;
            if count >= BATCH {
                moved.more = true;
                break;
            }
        }
        while let Some(entry) = rings.free.take(&self.frames)? {
            self.device.give_receive(entry.slot).map_err(|_| Trouble::Client)?;
            received = true;
        }
        while let Some(entry) = rings.ready.take(&self.frames)? {
            self.device.give_transmit(entry.slot, entry.length_bytes).map_err(|_| Trouble::Client)?;
            sent = true;
        }
        if received {
            self.device.notify_receive();
        }
        if sent {
            self.device.notify_transmit();
        }
        while let Some(slot) = self.device.take_transmit()? {
            if !rings.done.put(&self.frames, Entry { slot, length_bytes: 0 })? {
                return Err(Trouble::Client);
            }
            moved.for_client = true;
        }
        self.device.want_slots();
        if self.device.is_broken() {
            return Err(Trouble::Device(Fault::Broken));
        }
        Ok(moved)
    }
}

/// Exit code after the device failed.
const EXIT_DEVICE: u64 = 104;

struct Moved {
    for_client: bool,
    more: bool,
}

enum Trouble {
    Client,
    Device(Fault),
}
impl From<Broken> for Trouble {
    fn from(_: Broken) -> Trouble {
        Trouble::Client
    }
}
impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Trouble {
        Trouble::Device(fault)
    }
}

impl<R: Registers, A: Area> Serve for Service<R, A> {
    fn info(&mut self, _: Badge) -> Result<Info, Error> {
        let [a, b, c, d, e, f] = self.device.address();
        let address = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        Ok(Info { address, mtu_bytes: self.device.mtu_bytes(), pairs: 1, link_is_up: self.device.link_is_up() })
    }

    fn connect(&mut self, _: Badge, pair: u16, bell: Cap) -> Result<Ends, Error> {
        if pair != 0 {
            return Err(Error::NoPair);
        }
        let client = Notification(bell.0);
        client.signal(MOVED).map_err(|_| Error::NoBell)?;
        if let Some(old) = self.rings.take() {
            let _ = old.client.delete();
        }
        // What was under way belongs to nobody any more, and the new client begins with all slots where they were.
        self.device.start().map_err(|fault| {
            rt::error!("the device does not start again: {fault:?}");
            Error::DeviceFailed
        })?;
        ring::clear(&self.frames, 0).map_err(|_| Error::NoPair)?;
        let end = |which| End::new(0, which);
        self.rings = Some(Rings {
            filled: end(Which::Filled),
            free: end(Which::Free),
            ready: end(Which::Ready),
            done: end(Which::Done),
            client,
        });
        let (memory, bell) = (Cap(self.frames.capability.handle()), Cap(self.news.bell.handle()));
        Ok(Ends { memory, length_bytes: self.frames.length_bytes, bell })
    }

    /// Answered by the end of this program only: see [`Service::answer`].
    fn attend(&mut self, _: Badge) -> Result<(), Error> {
        Ok(())
    }
}
