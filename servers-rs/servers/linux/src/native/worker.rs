// SPDX-License-Identifier: PMPL-1.0-or-later
//! A thread that runs guest threads, one after another: it waits until it is given one, and goes round with it until it is over.

use super::Native;
use super::space::NativeSpace;
use abi::guest::{State, reason, resume};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use linux::cell::Cell;
use linux::errno::{EINVAL, ENOMEM, Result};
use linux::platform::{GuestSpace, Worker};
use linux::task::{Current, Start, Step};
use linux::wait::Waker;
use linux_raw_sys::general::{__NR_getpid, __NR_gettid};
use rt::field;
use rt::guest::Page;
use rt::sync::SleepLock;
use spin::Mutex;
use sys::{Handle, Notification, Pool, Thread, start};

/// Below what serves the cell's servers, above programs that only count.
const PRIORITY: u8 = 60;
const STACK_BYTES: u64 = 64 << 10;

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;
/// Woken: the next wait ends at once.
const WOKEN: u32 = 2;

pub struct NativeWorker {
    state: AtomicU32,
    bell: Notification,
    /// Its handle, once it has started.
    thread: AtomicU32,
    page: Page,
    next: Mutex<Option<Box<Start>>>,
}

impl core::fmt::Debug for NativeWorker {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Worker({})", self.thread.load(SeqCst))
    }
}

/// Starts one more; it waits to be given something.
pub fn spawn(native: &Arc<Native>) -> sys::Result<Arc<NativeWorker>> {
    let bell = Pool(start::POOL).create_notification()?;
    let (thread, worker) = rt::thread::spawn_guest("guest", PRIORITY, STACK_BYTES, Some(native.fault), |page| {
        let worker = Arc::new(NativeWorker {
            state: AtomicU32::new(AWAKE),
            bell,
            thread: AtomicU32::new(0),
            page,
            next: Mutex::new(None),
        });
        let (own, native) = (worker.clone(), native.clone());
        let work = move || own.work(&native);
        (Box::new(work) as Box<dyn FnOnce() + Send>, worker)
    })?;
    worker.thread.store(thread.0.0, SeqCst);
    Ok(worker)
}

impl NativeWorker {
    fn work(self: Arc<Self>, native: &Native) {
        loop {
            let given = self.next.lock().take();
            match (given, native.cell()) {
                (Some(start), Some(cell)) => {
                    self.serve(*start, cell);
                    native.park(self.clone());
                }
                _ => self.sleep(None),
            }
        }
    }

    /// Until it is woken, at the latest until the time.
    fn sleep(&self, deadline_ns: Option<u64>) {
        if self.state.compare_exchange(AWAKE, ASLEEP, SeqCst, SeqCst).is_ok() {
            let time_ns = deadline_ns.map_or(sys::FOREVER, |at| at.saturating_sub(rt::clock::now_ns()));
            if time_ns > 0 {
                let _ = self.bell.wait(time_ns);
            }
        }
        // A ring that comes now ends the next wait at once: whoever waits looks again, and loses nothing.
        self.state.store(AWAKE, SeqCst);
    }

    /// Says whether it slept.
    fn ring(&self) -> bool {
        let asleep = self.state.swap(WOKEN, SeqCst) == ASLEEP;
        if asleep {
            let _ = self.bell.signal(1);
        }
        asleep
    }

    fn serve(&self, start: Start, lock: &'static SleepLock<Cell>) {
        let Start { mut current, state, vector } = start;
        let native = current.memory.lock().native.clone();
        let ready = self.attach(&native).is_ok() && self.load_vector(vector.as_deref()).is_ok();
        self.set_state(&state);
        let mut step = if ready { current.begun(&mut lock.lock()) } else { current.lost(&mut lock.lock()) };
        loop {
            step = match step {
                Step::Run => self.run(&mut current, lock),
                Step::Wait(deadline_ns) => {
                    self.sleep(deadline_ns);
                    current.resume(&mut lock.lock())
                }
                Step::Exit => {
                    // What the thread held may close files, which concerns others.
                    let cell = lock.lock();
                    drop(current);
                    drop(cell);
                    return;
                }
            };
        }
    }

    #[inline]
    fn run(&self, current: &mut Current, lock: &'static SleepLock<Cell>) -> Step {
        loop {
            match sys::guest::run() {
                Ok(reason::SYSCALL) => {
                    let number = self.page.get(field!(rax));
                    // Two that need nothing but what the thread knows of itself.
                    if number == u64::from(__NR_getpid) {
                        self.page.set(field!(rax), current.process.pid.into());
                        continue;
                    }
                    if number == u64::from(__NR_gettid) {
                        self.page.set(field!(rax), current.tid.into());
                        continue;
                    }
                    let arguments = [field!(rdi), field!(rsi), field!(rdx), field!(r10), field!(r8), field!(r9)];
                    let step = current.call(&mut lock.lock(), number, arguments.map(|field| self.page.get(field)));
                    if step != Step::Run {
                        return step;
                    }
                }
                Ok(reason::EXCEPTION) => {
                    let [vector, error, address] = [field!(vector), field!(error), field!(address)].map(|f| self.page.get(f));
                    return current.exception(&mut lock.lock(), vector, error, address);
                }
                Ok(_) => return current.kicked(&mut lock.lock()),
                Err(_) => return current.refused(&mut lock.lock()),
            }
        }
    }
}

impl Waker for NativeWorker {
    fn wake(&self) {
        self.ring();
    }
}

impl Worker for NativeWorker {
    fn kick(&self) {
        if !self.ring() {
            // Not attached to a guest yet: then it looks before it runs one.
            let _ = Thread(Handle(self.thread.load(SeqCst))).kick_guest();
        }
    }
    fn begin(&self, what: Box<Start>) {
        *self.next.lock() = Some(what);
        self.ring();
    }
    fn state(&self) -> State {
        self.page.state()
    }
    fn set_state(&self, state: &State) {
        self.page.set_state(&State { resume: resume::ALL, ..*state });
    }
    fn set_answer(&self, value: u64) {
        self.page.set(field!(rax), value);
    }
    fn save_vector(&self) -> Vec<u8> {
        let length = sys::guest::save_vector().unwrap_or(0);
        let mut image = Vec::with_capacity(length);
        (0..length / 8).for_each(|n| image.extend_from_slice(&self.page.vector(n).to_le_bytes()));
        image
    }
    fn load_vector(&self, image: Option<&[u8]>) -> Result<()> {
        let length = sys::guest::save_vector().map_err(|_| ENOMEM)?;
        let fresh = [CONTROL_WORD, 0, 0, MXCSR];
        for n in 0..length / 8 {
            let word = match image {
                Some(bytes) => bytes.as_chunks::<8>().0.get(n).map_or(0, |word| u64::from_le_bytes(*word)),
                None => fresh.get(n).copied().unwrap_or(0),
            };
            self.page.set_vector(n, word);
        }
        sys::guest::load_vector().map_err(|_| EINVAL)
    }
    fn vector_features(&self) -> (u64, u32) {
        // x87 and SSE, and AVX where the kernel lets it.
        (if rt::vector::has_avx() { 7 } else { 3 }, MXCSR_BITS)
    }
    fn attach(&self, space: &Arc<dyn GuestSpace>) -> Result<()> {
        let native = space.as_any().downcast_ref::<NativeSpace>().ok_or(EINVAL)?;
        native.space.attach(&self.page).map_err(|_| ENOMEM)
    }
}

/// As after FNINIT, and MXCSR at its reset value (SDM volume 1, 8.1.5 and 11.6.4), where an image has them.
const CONTROL_WORD: u64 = 0x37f;
const MXCSR: u64 = 0x1f80;
/// Bits of MXCSR that every CPU with DAZ has (SDM volume 1, 11.6.6).
const MXCSR_BITS: u32 = 0xffff;
