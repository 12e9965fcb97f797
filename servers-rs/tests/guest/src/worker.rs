// SPDX-License-Identifier: PMPL-1.0-or-later
//! Further threads, each with a guest thread: started on a CPU, watched, and waited for with a limit.

use crate::personality::{Guest, Task};
use crate::report::{must, text};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use rt::sync::Mutex;
use sys::{Pool, Thread, start};

/// Everybody's, so that who waits for a lock gives the other its turn.
pub const PRIORITY: u64 = 40;
pub const ANY_CPU: u64 = u64::MAX;
const STACK: u64 = 32 * 1024;
const MOST: usize = 64;

/// What a worker does with its guest thread; the result is for who waits.
pub type Work = fn(&mut Task) -> u64;

struct Job {
    number: usize,
    guest: Arc<Guest>,
    arguments: [u64; 3],
    work: Work,
}

static JOBS: Mutex<Vec<Job>> = Mutex::new(Vec::new());
static STARTED: AtomicUsize = AtomicUsize::new(0);
/// 0 = not yet attached, 1 = at work, else the result + 2.
static STATES: [AtomicU64; MOST] = [const { AtomicU64::new(0) }; MOST];

#[derive(Clone, Copy)]
pub struct Worker {
    pub thread: Thread,
    number: usize,
}

/// Whether there is a second CPU.
pub fn two_cpus() -> bool {
    Thread(start::THREAD).schedule(PRIORITY, 0, 0, 1).is_ok()
}

/// Puts the main thread among the workers, on the first CPU.
pub fn step_down() -> Result<(), String> {
    must("stepping down", Thread(start::THREAD).schedule(PRIORITY, 0, 0, 0))
}

/// Runs in a new thread, attached to the guest and ready to start with the arguments.
pub fn begin(guest: &Arc<Guest>, arguments: [u64; 3], cpu: u64, work: Work) -> Result<Worker, String> {
    begin_limited(guest, arguments, cpu, (0, 0), work)
}

/// As [`begin`], with a budget and a period in microseconds.
pub fn begin_limited(
    guest: &Arc<Guest>,
    arguments: [u64; 3],
    cpu: u64,
    (budget_us, period_us): (u64, u64),
    work: Work,
) -> Result<Worker, String> {
    let number = STARTED.fetch_add(1, SeqCst);
    JOBS.with(|jobs| jobs.push(Job { number, guest: guest.clone(), arguments, work }));
    let thread = must("starting a worker", rt::thread::spawn("worker", PRIORITY as u8, STACK, None, run))?;
    must("placing a worker", thread.schedule(PRIORITY, budget_us, period_us, cpu))?;
    let worker = Worker { thread, number };
    match wait_until(5_000, || worker.state() > 0) {
        true => Ok(worker),
        false => Err(text(format_args!("worker {number} does not begin"))),
    }
}

fn run() {
    let Some(job) = JOBS.with(|jobs| jobs.pop()) else { return };
    let Ok(mut task) = Task::attach(&job.guest, job.arguments) else { return };
    STATES[job.number % MOST].store(1, SeqCst);
    let result = (job.work)(&mut task);
    STATES[job.number % MOST].store(result + 2, SeqCst);
}

impl Worker {
    fn state(&self) -> u64 {
        STATES[self.number % MOST].load(SeqCst)
    }
    /// What its work gave, if it does so in time.
    pub fn result(&self, limit_ms: u64) -> Option<u64> {
        wait_until(limit_ms, || self.state() >= 2).then(|| self.state() - 2)
    }
    pub fn is_done(&self) -> bool {
        self.state() >= 2
    }
}

/// Looks every millisecond; false when the time is over.
pub fn wait_until(limit_ms: u64, done: impl Fn() -> bool) -> bool {
    let Ok(nobody) = Pool(start::POOL).create_notification() else { return false };
    let end_ns = rt::clock::now_ns() + limit_ms * 1_000_000;
    while !done() && rt::clock::now_ns() < end_ns {
        let _ = nobody.wait(1_000_000);
    }
    let _ = sys::Capability::delete(nobody);
    done()
}
