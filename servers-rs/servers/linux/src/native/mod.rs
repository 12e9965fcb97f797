// SPDX-License-Identifier: PMPL-1.0-or-later
//! The platform made of our kernel's objects: the grant, guest spaces, and a pool of threads that run guests.

mod root;
mod space;
mod worker;

pub use root::Root;
pub use worker::NativeWorker;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux::call::{Clock, Clocks, Cpu};
use linux::cell::Cell;
use linux::errno::{EAGAIN, ENOMEM, Result};
use linux::fs::device::Random;
use linux::platform::{GuestSpace, Platform, Worker};
use linux::wait::Waker;
use rt::grant::Grant;
use rt::sync::SleepLock;
use spin::Mutex;
use sys::{Endpoint, Pool, Tag, start};

/// Label of a message: the first process has ended; its word is the status.
pub const ENDED_LABEL: u32 = 1;

/// What all workers share.
pub struct Native {
    pub grant: Arc<Grant>,
    /// Hears of faults of our own threads, and of [`ENDED_LABEL`]: either ends the cell.
    pub fault: Endpoint,
    parked: Mutex<Vec<Arc<NativeWorker>>>,
    cell: Mutex<Option<&'static SleepLock<Cell>>>,
}

impl core::fmt::Debug for Native {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Native({})", self.grant.length_bytes())
    }
}

/// The one of this program: workers find it here.
static NATIVE: Mutex<Option<Arc<Native>>> = Mutex::new(None);

impl Native {
    pub fn new(grant: Grant, fault: Endpoint) -> Arc<Native> {
        let native = Arc::new(Native { grant: Arc::new(grant), fault, parked: Mutex::default(), cell: Mutex::new(None) });
        *NATIVE.lock() = Some(native.clone());
        native
    }
    /// The cell that workers serve calls with.
    pub fn set_cell(&self, cell: &'static SleepLock<Cell>) {
        *self.cell.lock() = Some(cell);
    }
    fn cell(&self) -> Option<&'static SleepLock<Cell>> {
        *self.cell.lock()
    }
    fn park(&self, worker: Arc<NativeWorker>) {
        self.parked.lock().push(worker);
    }
}

impl Platform for Native {
    fn grow(&self) -> bool {
        self.grant.grow().is_ok()
    }
    fn read(&self, at: u64, into: &mut [u8]) {
        if self.grant.read(at, into).is_none() {
            into.fill(0);
        }
    }
    fn write(&self, at: u64, from: &[u8]) {
        let _ = self.grant.write(at, from);
    }
    fn zero(&self, at: u64, count: usize) {
        let _ = self.grant.zero(at, count);
    }
    fn copy(&self, from: u64, to: u64, count: usize) {
        let _ = self.grant.copy(from, to, count);
    }
    fn update_u32(&self, at: u64, change: &mut dyn FnMut(u32) -> Option<u32>) -> u32 {
        use core::sync::atomic::Ordering::SeqCst;
        let Some(word) = self.grant.atomic(at) else { return 0 };
        word.fetch_update(SeqCst, SeqCst, change).unwrap_or_else(|unchanged| unchanged)
    }
    fn new_space(&self) -> Result<Arc<dyn GuestSpace>> {
        space::NativeSpace::new(&self.grant).map(|space| Arc::new(space) as Arc<dyn GuestSpace>).ok_or(ENOMEM)
    }
    fn memory_bytes(&self) -> u64 {
        let (limit, used) = Pool(start::POOL).usage().unwrap_or_default();
        let free = limit.saturating_sub(used) * sys::PAGE_BYTES;
        self.grant.length_bytes() + free
    }
    fn cpus(&self) -> u32 {
        rt::start::facts().cpus
    }
    fn ended(&self, status: i32) {
        let _ = self.fault.send(Tag::new(ENDED_LABEL, 1, 0), [status as u64, 0, 0, 0]);
    }
    fn note(&self, what: core::fmt::Arguments<'_>) {
        rt::warning!("{what}");
    }
    fn worker(&self) -> Result<Arc<dyn Worker>> {
        if let Some(worker) = self.parked.lock().pop() {
            return Ok(worker);
        }
        let native = NATIVE.lock().clone().ok_or(EAGAIN)?;
        let worker = worker::spawn(&native).map_err(|_| EAGAIN)?;
        Ok(worker)
    }
}

/// Time, and timers for who does not wait himself.
pub struct Time {
    /// What is added to the monotonic clock for that of the world.
    pub realtime_offset_ns: u64,
    timers: Mutex<BTreeMap<u64, Vec<Arc<dyn Waker>>>>,
    bell: sys::Notification,
}

impl core::fmt::Debug for Time {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Time({})", self.realtime_offset_ns)
    }
}

impl Time {
    /// With a thread that rings.
    pub fn start(realtime_offset_ns: u64, fault: Endpoint, priority: u8) -> sys::Result<Arc<Time>> {
        let bell = Pool(start::POOL).create_notification()?;
        let time = Arc::new(Time { realtime_offset_ns, timers: Mutex::default(), bell });
        let own = time.clone();
        rt::thread::spawn_with("timers", priority, TIMER_STACK_BYTES, Some(fault), alloc::boxed::Box::new(move || own.run()))?;
        Ok(time)
    }
    fn run(&self) {
        loop {
            let now_ns = rt::clock::now_ns();
            let (due, next) = {
                let mut timers = self.timers.lock();
                let later = timers.split_off(&(now_ns + 1));
                let due = core::mem::replace(&mut *timers, later);
                (due, timers.first_key_value().map(|(at, _)| *at))
            };
            due.values().flatten().for_each(|waker| waker.wake());
            let _ = self.bell.wait(next.map_or(sys::FOREVER, |at| at.saturating_sub(now_ns)));
        }
    }
}

const TIMER_STACK_BYTES: u64 = 32 << 10;

impl Clocks for Time {
    fn now_ns(&self, clock: Clock) -> u64 {
        let now_ns = rt::clock::now_ns();
        match clock {
            Clock::Monotonic => now_ns,
            Clock::Realtime => now_ns.saturating_add(self.realtime_offset_ns),
        }
    }
    /// The kernel does not tell it.
    fn used_ns(&self, _: Cpu, _: u32) -> Option<u64> {
        None
    }
    fn wake_at(&self, deadline_ns: u64, waker: &Arc<dyn Waker>) {
        let mut timers = self.timers.lock();
        timers.values_mut().for_each(|wakers| wakers.retain(|one| !Arc::ptr_eq(one, waker)));
        timers.retain(|_, wakers| !wakers.is_empty());
        timers.entry(deadline_ns).or_default().push(waker.clone());
        drop(timers);
        let _ = self.bell.signal(1);
    }
}

/// Random numbers of the machine: the CPU's, until the system's generator is asked.
#[derive(Debug)]
pub struct Chance;

impl Random for Chance {
    fn fill(&self, into: &mut [u8]) {
        for part in into.chunks_mut(8) {
            let word = rt::cpu::random().unwrap_or_else(rt::clock::now_ns);
            part.copy_from_slice(&word.to_le_bytes()[..part.len()]);
        }
    }
}
