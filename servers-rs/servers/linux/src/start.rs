// SPDX-License-Identifier: PMPL-1.0-or-later
//! Puts the cell together, starts its first process, and hears when one of its own threads fails: then the component ends, and whoever
//! started it starts it again.

use crate::console::Console;
use crate::native::{Chance, ENDED_LABEL, Native, Root, Time};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use linux::call::Ids;
use linux::cell::Cell;
use linux::errno::{ENOMEM, Result};
use linux::fs::dev::CellDevices;
use linux::fs::device::{self, Random};
use linux::fs::root::RootFs;
use linux::fs::tmpfs::{Means, Tmpfs};
use linux::fs::tree::{self, Parts};
use linux::fs::tty::Terminals;
use linux::memory::object::CellPages;
use linux::signal::request::Requests;
use linux::task::credentials::Credentials;
use linux::task::exit::INIT;
use linux::task::first;
use linux::task::image::Arguments;
use linux::vfs::{Caller, FileTable, FsContext, Namespace, OnExec, OpenFile, Pages};
use linux::wait::Waker;
use linux_raw_sys::general::O_RDWR;
use rt::sync::SleepLock;
use sys::{Endpoint, Pool, start};

/// Exit code when a thread of ours failed: its own report stands in the log.
const THREAD_FAILED: u64 = 104;
const TIMER_PRIORITY: u8 = 70;
/// Of a file system in memory that says nothing of its size.
const MOST_FILE_BYTES: u64 = 64 << 20;
const STACK_BYTES: u64 = 64 << 10;
/// Each of /dev/shm, /run and /tmp.
const SHARED_BYTES: u64 = 32 << 20;
/// The serial line, as /dev/ttyS0.
const CONSOLE: u64 = device::number(4, 64);
/// Of files that have no name; the cell's memory ends before.
const MOST_MEMORY_FILE_BYTES: u64 = 1 << 40;

pub fn run() {
    let pool = Pool(start::POOL);
    let fault = pool.create_endpoint().expect("the pool has room for an endpoint");
    let grant = rt::grant::Grant::new(pool).expect("there is one");
    let native = Native::new(grant, fault);
    let time = Time::start(realtime_offset_ns(), fault, TIMER_PRIORITY).expect("the pool has room for a thread");
    let random: Arc<dyn Random> = Arc::new(Chance);
    let bell = pool.create_notification().expect("the pool has room for a notification");
    let cell = Cell::new(native.clone(), time.clone(), random.clone());
    let pages: Arc<dyn Pages> = Arc::new(CellPages(cell.pages.clone()));
    let lock: &'static SleepLock<Cell> = Box::leak(Box::new(SleepLock::new(bell, cell)));
    native.set_cell(lock);
    let jobs = lock.lock().jobs.clone();
    let terminals = Terminals::new(Arc::new(Console::default()), jobs);
    let devices = CellDevices::new(terminals, random);
    let means = Means { pages, clock: time, devices: devices.clone(), limit_bytes: MOST_FILE_BYTES };
    let begun = start_alarm(lock, fault).and_then(|()| begin(lock, means, &devices));
    rt::start::grant::say_ready();
    if let Err(error) = begun {
        rt::error!("the first process cannot be started: {error:?}");
        return;
    }
    let code = match fault.receive(sys::FOREVER) {
        Ok(message) if message.tag.label() == ENDED_LABEL => {
            let status = message.words[0] as i32;
            rt::info!("the first process ended, {}", Ending(status));
            exit_code(status)
        }
        // Whatever else arrives is the end of one of our own threads.
        _ => {
            rt::error!("a thread of the personality failed");
            THREAD_FAILED
        }
    };
    sys::thread_exit(code)
}

/// As a shell tells it: the code, or 128 and the signal.
fn exit_code(status: i32) -> u64 {
    let signal = (status & 0x7f) as u64;
    if signal == 0 { (status >> 8 & 0xff) as u64 } else { 128 + signal }
}

struct Ending(i32);
impl core::fmt::Display for Ending {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 & 0x7f {
            0 => write!(f, "code {}", self.0 >> 8 & 0xff),
            signal => write!(f, "signal {signal}"),
        }
    }
}

fn begin(lock: &SleepLock<Cell>, means: Means, devices: &CellDevices) -> Result<()> {
    let root = RootFs::new(Root::new()?, "erofs", means.pages.clone(), means.devices.clone())?;
    let memory = Tmpfs::new(&means, "tmpfs", MOST_MEMORY_FILE_BYTES, 0o777);
    let namespace = Namespace::new(root, b"/dev/root", linux_raw_sys::general::MS_RDONLY, memory);
    let fs = FsContext::new(namespace);
    let requests = Requests::default();
    let cpus = rt::start::facts().cpus;
    let parts = Parts { means: &means, terminals: &devices.terminals, proc: None, cpus, limit_bytes: SHARED_BYTES };
    tree::mount(&nobody(&means, &requests), &fs, &parts)?;
    let mut files = FileTable::new();
    let console = devices.terminals.open(CONSOLE, O_RDWR, &nobody(&means, &requests))?;
    let console = OpenFile::unnamed(console, O_RDWR);
    for _ in 0..3 {
        files.add(console.clone(), OnExec::Keep, 0, 3)?;
    }
    let given: Vec<Vec<u8>> = rt::start::startup().arguments.iter().map(|one| one.clone().into_bytes()).collect();
    let path = given.first().cloned().unwrap_or_else(|| b"/bin/sh".to_vec());
    let environment = [&b"PATH=/usr/sbin:/usr/bin:/sbin:/bin"[..], b"HOME=/root", b"TERM=vt100", b"LANG=C.UTF-8"];
    let environment = environment.iter().map(|one| one.to_vec()).collect();
    let arguments = if given.is_empty() { alloc::vec![path.clone()] } else { given };
    first::begin(&mut lock.lock(), fs, files, Arguments { path, arguments, environment })
}

/// Before there is a process: the first one to be.
fn nobody<'a>(means: &'a Means, signals: &'a Requests) -> Caller<'a> {
    static ROOT: Credentials = Credentials::root();
    let ids = Ids { pid: INIT, tid: INIT, parent: 0, group: INIT, session: INIT };
    Caller { ids, credentials: &ROOT, clock: &*means.clock, signals }
}

/// A thread that sends what timers of processes are due for.
fn start_alarm(lock: &'static SleepLock<Cell>, fault: Endpoint) -> Result<()> {
    let bell = Pool(start::POOL).create_notification().map_err(|_| ENOMEM)?;
    lock.lock().alarm = Some(Arc::new(Bell(bell)));
    let run = move || loop {
        let next = lock.lock().expire();
        let _ = bell.wait(next.map_or(sys::FOREVER, |at| at.saturating_sub(rt::clock::now_ns())));
    };
    let work: Box<dyn FnOnce() + Send> = Box::new(move || run());
    rt::thread::spawn_with("alarm", TIMER_PRIORITY, STACK_BYTES, Some(fault), work).map(drop).map_err(|_| ENOMEM)
}

#[derive(Debug)]
struct Bell(sys::Notification);
impl Waker for Bell {
    fn wake(&self) {
        let _ = self.0.signal(1);
    }
}

/// What the clock of the world is ahead of the monotonic one.
fn realtime_offset_ns() -> u64 {
    let facts = rt::start::facts();
    facts.wall_clock_s.saturating_mul(1_000_000_000).saturating_sub(rt::clock::now_ns())
}
