// SPDX-License-Identifier: PMPL-1.0-or-later
//! The device as smoltcp sees it. Each frame is copied once out of memory that others may write, looked at, and handed on.

use crate::advert::News;
use crate::inspect::{Segment, Verdict, inspect};
use crate::own::Own;
use alloc::boxed::Box;
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// A multiple of 8 above the longest frame.
pub const FRAME_BYTES: usize = 1520;
pub const ETHERNET_HEADER_BYTES: usize = 14;
/// News of one turn of the stack; what comes beyond it is not heard, and its frame not seen.
const MAX_NEWS: usize = 16;
pub type Buffer = [u8; FRAME_BYTES];

/// Where frames come from and go to.
pub trait Frames {
    /// Copies the next frame out; its length.
    fn receive(&mut self, into: &mut Buffer) -> Option<usize>;
    fn can_send(&self) -> bool;
    /// Sends a frame; without room for it, it is lost, as on any wire.
    fn send(&mut self, frame: &[u8]);
    /// All that was sent or taken since the last time is seen by the other side.
    fn flush(&mut self);
}

pub struct Link<F> {
    pub frames: F,
    /// Of IP: without the Ethernet header.
    pub mtu_bytes: u16,
    incoming: Box<Buffer>,
    outgoing: Box<Buffer>,
    news: [Option<News>; MAX_NEWS],
    count: usize,
    /// Length of the frame in `incoming` that the stack is to see next.
    staged: Option<usize>,
    /// Whether that one is from ourselves.
    staged_is_own: bool,
    pub own: Own,
    /// Frames that broke a rule of neighbour discovery or of their own length.
    pub refused: u64,
}

impl<F: Frames> Link<F> {
    pub fn new(frames: F, mtu_bytes: u16) -> Self {
        let buffer = || Box::new([0; FRAME_BYTES]);
        Link {
            frames,
            mtu_bytes,
            incoming: buffer(),
            outgoing: buffer(),
            news: [None; MAX_NEWS],
            count: 0,
            staged: None,
            staged_is_own: false,
            own: Own::default(),
            refused: 0,
        }
    }

    /// The oldest news.
    pub fn take_news(&mut self) -> Option<News> {
        let first = self.news.first_mut()?.take()?;
        self.news.rotate_left(1);
        self.count -= 1;
        Some(first)
    }

    /// Takes the next frame that breaks no rule: the stack sees it next, unless it is [`Self::dismiss`]ed. `None`: there is
    /// none, or the news of this turn are full: whoever floods waits for the next one.
    pub fn stage(&mut self) -> Option<Staged> {
        while self.count < MAX_NEWS && self.frames.can_send() {
            let own = self.own.take(&mut self.incoming);
            self.staged_is_own = own.is_some();
            let length = own.or_else(|| self.frames.receive(&mut self.incoming))?;
            let frame = self.incoming.get(..length)?;
            if !self.staged_is_own && self.own.is_from_us(frame) {
                self.refused += 1;
                continue;
            }
            let staged = match inspect(frame) {
                Verdict::Drop => {
                    self.refused += 1;
                    continue;
                }
                Verdict::Pass => Staged::Other,
                Verdict::Port(segment) => Staged::Port(segment),
                Verdict::PassWith(news) => {
                    if let Some(place) = self.news.get_mut(self.count) {
                        *place = Some(news);
                        self.count += 1;
                    }
                    Staged::Other
                }
            };
            self.staged = Some(length);
            return Some(staged);
        }
        None
    }
    /// The staged frame.
    pub fn frame(&self) -> &[u8] {
        self.staged.and_then(|length| self.incoming.get(..length)).unwrap_or(&[])
    }
    pub fn is_own(&self) -> bool {
        self.staged_is_own
    }
    pub fn dismiss(&mut self) {
        self.staged = None;
    }
}

/// What the staged frame is.
pub enum Staged {
    Port(Segment),
    Other,
}

impl<F: Frames> Device for Link<F> {
    type RxToken<'a>
        = Received<'a>
    where
        F: 'a;
    type TxToken<'a>
        = Sending<'a, F>
    where
        F: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sending<'_, F>)> {
        let length = self.staged.take()?;
        let frame = self.incoming.get(..length)?;
        Some((Received(frame), Sending { frames: &mut self.frames, own: &mut self.own, buffer: &mut self.outgoing }))
    }
    fn transmit(&mut self, _: Instant) -> Option<Sending<'_, F>> {
        let can_send = self.frames.can_send();
        can_send.then_some(Sending { frames: &mut self.frames, own: &mut self.own, buffer: &mut self.outgoing })
    }
    fn capabilities(&self) -> DeviceCapabilities {
        let mut it = DeviceCapabilities::default();
        it.medium = Medium::Ethernet;
        it.max_transmission_unit = usize::from(self.mtu_bytes) + ETHERNET_HEADER_BYTES;
        it.checksum = ChecksumCapabilities::default();
        // `inspect` verified those already.
        it.checksum.icmpv6 = Checksum::Tx;
        it
    }
}

pub struct Received<'a>(&'a [u8]);
impl RxToken for Received<'_> {
    fn consume<R, W: FnOnce(&[u8]) -> R>(self, work: W) -> R {
        work(self.0)
    }
}

pub struct Sending<'a, F> {
    frames: &'a mut F,
    own: &'a mut Own,
    buffer: &'a mut Buffer,
}
impl<F: Frames> TxToken for Sending<'_, F> {
    fn consume<R, W: FnOnce(&mut [u8]) -> R>(self, length: usize, work: W) -> R {
        // smoltcp keeps to the MTU; were it ever to ask for more, the frame is built aside and not sent.
        match self.buffer.get_mut(..length) {
            Some(frame) => {
                let result = work(frame);
                if !self.own.keep(frame) {
                    self.frames.send(frame);
                }
                result
            }
            None => work(&mut alloc::vec![0; length]),
        }
    }
}
