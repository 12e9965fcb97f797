// SPDX-License-Identifier: PMPL-1.0-or-later
//! The driver's rings as [`Frames`], and the thread that hears when the driver dies and when there is one again.

use crate::link::{Buffer, FRAME_BYTES, Frames};
use alloc::vec::Vec;
use api_net::ring::{self, End, Entry, MAX_FRAME_BYTES, SLOTS, Which, receive_frame, transmit_frame};
use api_net::{Client, Info};
use core::sync::atomic::{AtomicU32, Ordering};
use ipc::Cap;
use rt::channel::Channel;
use rt::memory::Shared;
use rt::start::grant;
use sys::{Capability, Handle, Memory, Notification, Rights};

/// Bits of the server's notification.
pub const MOVED: u64 = 1;
pub const LOST: u64 = 2;
pub const BACK: u64 = 4;

const PRIORITY: u8 = 90;
const STACK_BYTES: u64 = 32 * 1024;
/// Between two questions whether there is a driver again, when its endpoint does not make us wait.
const ASK_NS: u64 = 200_000_000;

static NEWS: AtomicU32 = AtomicU32::new(0);

/// The client's ends of a pair.
struct Rings {
    memory: Window,
    filled: End,
    free: End,
    ready: End,
    done: End,
    /// Transmit slots that are ours.
    slots: Vec<u16>,
    capability: Memory,
    bell: Notification,
}

struct Window(Shared);
impl ring::Memory for Window {
    fn atomic(&self, offset: usize) -> Option<&AtomicU32> {
        self.0.atomic(offset)
    }
}

/// The device, while there is a driver for it.
#[derive(Default)]
pub struct Nic {
    rings: Option<Rings>,
    moved: bool,
    /// Frames that found no room.
    pub dropped: u64,
}

impl Nic {
    /// Asks the driver what the device is. `None`: there is no device in this machine, or no driver for it any more.
    pub fn info() -> Option<Info> {
        let (endpoint, _) = grant::call(api_net::NAME)?;
        Client(Channel(endpoint)).info().ok()
    }

    /// Takes the device over, anew after its driver died. `news` gets `MOVED` from the driver.
    pub fn connect(&mut self, news: Notification) -> bool {
        self.disconnect();
        let Some((endpoint, _)) = grant::call(api_net::NAME) else { return false };
        let Ok(bell) = news.copy(Rights::WRITE | Rights::COPY, MOVED) else { return false };
        let ends = Client(Channel(endpoint)).connect(0, Cap(bell.handle()));
        let _ = bell.delete();
        let Ok(ends) = ends else { return false };
        let (capability, bell) = (Memory(ends.memory.0), Notification(ends.bell.0));
        let Ok(memory) = Shared::map(capability, ends.length_bytes, Rights::READ | Rights::WRITE) else { return false };
        let end = |which| End::new(0, which);
        self.rings = Some(Rings {
            memory: Window(memory),
            filled: end(Which::Filled),
            free: end(Which::Free),
            ready: end(Which::Ready),
            done: end(Which::Done),
            slots: (0..SLOTS).rev().collect(),
            capability,
            bell,
        });
        true
    }

    pub fn disconnect(&mut self) {
        if let Some(rings) = self.rings.take() {
            drop(rings.memory);
            let _ = rings.capability.delete();
            let _ = rings.bell.delete();
        }
    }
}

impl Rings {
    fn receive(&mut self, into: &mut Buffer) -> Result<Option<usize>, ring::Broken> {
        let Some(entry) = self.filled.take(&self.memory)? else { return Ok(None) };
        let length = usize::from(entry.length_bytes);
        // Whole words: the copy is faster, and what lies behind the frame is of its slot.
        let rounded = length.next_multiple_of(8).min(FRAME_BYTES);
        let frame = into.get_mut(..rounded).ok_or(ring::Broken)?;
        self.memory.0.read(receive_frame(0, entry.slot), frame).ok_or(ring::Broken)?;
        // A ring of as many entries as slots is never full.
        self.free.put(&self.memory, Entry { slot: entry.slot, length_bytes: 0 })?;
        Ok(Some(length))
    }
    fn reclaim(&mut self) -> Result<(), ring::Broken> {
        while let Some(entry) = self.done.take(&self.memory)? {
            if self.slots.len() >= usize::from(SLOTS) {
                return Err(ring::Broken);
            }
            self.slots.push(entry.slot);
        }
        Ok(())
    }
    fn send(&mut self, frame: &[u8]) -> Result<bool, ring::Broken> {
        if self.slots.is_empty() {
            self.reclaim()?;
        }
        let Some(slot) = self.slots.pop() else { return Ok(false) };
        self.memory.0.write(transmit_frame(0, slot), frame).ok_or(ring::Broken)?;
        self.ready.put(&self.memory, Entry { slot, length_bytes: frame.len() as u16 })
    }
}

impl Frames for Nic {
    fn receive(&mut self, into: &mut Buffer) -> Option<usize> {
        let result = self.rings.as_mut()?.receive(into);
        match result {
            Ok(length) => {
                self.moved |= length.is_some();
                length
            }
            Err(ring::Broken) => {
                rt::error!("the driver broke the rings; its device is not used until it is started again");
                self.disconnect();
                None
            }
        }
    }
    fn can_send(&self) -> bool {
        // Without a driver frames are lost, and the stack goes on.
        true
    }
    fn send(&mut self, frame: &[u8]) {
        let fits = frame.len() <= MAX_FRAME_BYTES;
        let sent = self.rings.as_mut().filter(|_| fits).is_some_and(|rings| rings.send(frame) == Ok(true));
        self.moved |= sent;
        self.dropped += u64::from(!sent);
    }
    fn flush(&mut self) {
        if let Some(rings) = self.rings.as_ref().filter(|_| self.moved) {
            let _ = rings.bell.signal(1);
        }
        self.moved = false;
    }
}

/// Starts the thread that waits for the driver's end. `news` gets `LOST`, then `BACK` when there is one again.
pub fn watch(news: Notification) -> sys::Result<()> {
    NEWS.store(news.handle().0, Ordering::Relaxed);
    rt::thread::spawn("watch", PRIORITY, STACK_BYTES, None, attend).map(drop)
}

fn attend() {
    let Some((endpoint, _)) = grant::call(api_net::NAME) else { return };
    let news = Notification(Handle(NEWS.load(Ordering::Relaxed)));
    let Ok(pause) = sys::Pool(sys::start::POOL).create_notification() else { return };
    loop {
        // Ends with the driver.
        let _ = Client(Channel(endpoint)).attend();
        let _ = news.signal(LOST);
        while Client(Channel(endpoint)).info().is_err() {
            let _ = pause.wait(ASK_NS);
        }
        let _ = news.signal(BACK);
    }
}
