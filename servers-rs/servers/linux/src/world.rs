// SPDX-License-Identifier: PMPL-1.0-or-later
//! A small cell for tests: a root that is a tmpfs, memory that is a vector, one caller.

use crate::call::{Clock, Clocks, Context, Cpu, Handler, Ids};
use crate::errno::{EFAULT, ENXIO, Errno, Result};
use crate::fs::device::{self, Devices, Random};
use crate::fs::tmpfs::{Means, Tmpfs};
use crate::signal::request::Requests;
use crate::task::credentials::Credentials;
use crate::task::limits::Limits;
use crate::user::UserMemory;
use crate::vfs::{Caller, File, FileTable, FsContext, HeapPages, Kind, Namespace, Pages};
use crate::wait::{Outcome, Progress, Waker};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use spin::Mutex;

/// Where the memory of a test begins; below and behind it is nothing.
pub const BASE: u64 = 0x10_0000;

pub struct Memory(pub Vec<u8>);

impl Memory {
    fn range(&self, address: u64, length: usize) -> Result<core::ops::Range<usize>> {
        let start = address.checked_sub(BASE).ok_or(EFAULT)? as usize;
        let end = start.checked_add(length).filter(|end| *end <= self.0.len()).ok_or(EFAULT)?;
        Ok(start..end)
    }
}
impl UserMemory for Memory {
    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<()> {
        let range = self.range(address, into.len())?;
        into.copy_from_slice(&self.0[range]);
        Ok(())
    }
    fn write(&mut self, address: u64, from: &[u8]) -> Result<()> {
        let range = self.range(address, from.len())?;
        self.0[range].copy_from_slice(from);
        Ok(())
    }
    fn update_u32(&mut self, address: u64, change: &mut dyn FnMut(u32) -> Option<u32>) -> Result<u32> {
        let mut bytes = [0; 4];
        self.read(address, &mut bytes)?;
        let old = u32::from_le_bytes(bytes);
        if let Some(new) = change(old) {
            self.write(address, &new.to_le_bytes())?;
        }
        Ok(old)
    }
}

/// Goes on by a microsecond at each look.
#[derive(Debug, Default)]
pub struct TestClock(AtomicU64);
impl Clocks for TestClock {
    fn now_ns(&self, _: Clock) -> u64 {
        self.0.fetch_add(1000, Ordering::Relaxed) + 1_000_000_000
    }
    /// Half of all time; nobody but number 10 is there.
    fn used_ns(&self, _: Cpu, id: u32) -> Option<u64> {
        (id == 10).then(|| self.0.load(Ordering::Relaxed) / 2)
    }
    fn wake_at(&self, _: u64, _: &Arc<dyn Waker>) {}
}

#[derive(Debug, Default)]
pub struct Woken(pub AtomicU32);
impl Waker for Woken {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Counting;
impl Random for Counting {
    fn fill(&self, into: &mut [u8]) {
        into.iter_mut().enumerate().for_each(|(n, byte)| *byte = n as u8);
    }
}
/// Those of memory alone.
struct MemoryDevices;
impl Devices for MemoryDevices {
    fn open(&self, kind: Kind, number: u64, _: u32, _: &Caller<'_>) -> Result<Arc<dyn File>> {
        match device::split(number) {
            (device::MEMORY_MAJOR, minor) if kind == Kind::Character => {
                device::open_memory(minor, &(Arc::new(Counting) as Arc<dyn Random>))
            }
            _ => Err(ENXIO),
        }
    }
}

pub struct World {
    pub pages: Arc<HeapPages>,
    pub means: Means,
    pub tmpfs: Arc<Tmpfs>,
    pub memory: Memory,
    pub files: Arc<Mutex<FileTable>>,
    pub fs: Arc<Mutex<FsContext>>,
    pub credentials: Credentials,
    pub ids: Ids,
    pub limits: Limits,
    pub signals: Requests,
    pub waker: Arc<Woken>,
    pub progress: Progress,
    pub pending: Option<Arc<dyn Any + Send + Sync>>,
    pub clock: Arc<TestClock>,
    used: usize,
}

pub fn world() -> World {
    let pages = Arc::new(HeapPages::new(10_000));
    let clock = Arc::new(TestClock::default());
    let shared: Arc<dyn Pages> = pages.clone();
    let means = Means { pages: shared, clock: clock.clone(), devices: Arc::new(MemoryDevices), limit_bytes: 16 << 20 };
    let tmpfs = Tmpfs::new(&means, "tmpfs", 16 << 20, 0o755);
    let memory = Tmpfs::new(&means, "tmpfs", 16 << 20, 0o1777);
    let namespace = Namespace::new(tmpfs.clone(), b"none", 0, memory);
    World {
        fs: Arc::new(Mutex::new(FsContext::new(namespace))),
        pages,
        means,
        tmpfs,
        memory: Memory(alloc::vec![0; 1 << 20]),
        files: Arc::default(),
        credentials: Credentials::root(),
        ids: Ids { pid: 10, tid: 10, parent: 1, group: 10, session: 10 },
        limits: Limits::default(),
        signals: Requests::default(),
        waker: Arc::default(),
        progress: Progress::default(),
        pending: None,
        clock,
        used: 0,
    }
}

impl World {
    pub fn pass_ns(&self, time_ns: u64) {
        self.clock.0.fetch_add(time_ns, Ordering::Relaxed);
    }
    pub fn caller(&self) -> Caller<'_> {
        Caller { ids: self.ids, credentials: &self.credentials, clock: &*self.clock, signals: &self.signals }
    }
    /// Bytes in guest memory, a zero behind them; their address.
    pub fn put(&mut self, bytes: &[u8]) -> u64 {
        let address = self.room(bytes.len() + 1);
        let start = (address - BASE) as usize;
        self.memory.0[start..start + bytes.len()].copy_from_slice(bytes);
        address
    }
    /// So many zeroed bytes of guest memory.
    pub fn room(&mut self, length: usize) -> u64 {
        let address = BASE + self.used as u64;
        self.used += length.next_multiple_of(8);
        let start = (address - BASE) as usize;
        self.memory.0[start..start + length].fill(0);
        address
    }
    pub fn bytes(&self, address: u64, length: usize) -> &[u8] {
        &self.memory.0[(address - BASE) as usize..][..length]
    }
    /// Makes a call, once.
    pub fn outcome(&mut self, handler: Handler, arguments: &[u64]) -> Outcome {
        let mut registers = [0; 6];
        registers[..arguments.len()].copy_from_slice(arguments);
        let waker: Arc<dyn Waker> = self.waker.clone();
        let clock: Arc<dyn Clocks> = self.clock.clone();
        let mut cx = Context {
            memory: &mut self.memory,
            waker: &waker,
            progress: &mut self.progress,
            pending: &mut self.pending,
            files: &self.files,
            fs: &self.fs,
            credentials: &self.credentials,
            ids: self.ids,
            limits: &self.limits,
            clock: &clock,
            signals: &self.signals,
        };
        let outcome = handler(&mut cx, registers);
        if let Outcome::Blocked(_) = outcome {
            self.progress.again = true;
        } else {
            self.progress = Progress::default();
            self.pending = None;
        }
        outcome
    }
    /// Makes a call that does not wait.
    pub fn call(&mut self, handler: Handler, arguments: &[u64]) -> core::result::Result<u64, Errno> {
        match self.outcome(handler, arguments) {
            Outcome::Done(result) => result,
            other => panic!("{other:?}"),
        }
    }
    pub fn blocks(&mut self, handler: Handler, arguments: &[u64]) -> bool {
        matches!(self.outcome(handler, arguments), Outcome::Blocked(_))
    }
}
