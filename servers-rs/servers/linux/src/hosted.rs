// SPDX-License-Identifier: PMPL-1.0-or-later
//! A platform without guests, for tests: memory is a vector, and a space remembers what is mapped. What our kernel would refuse is a panic.

use crate::errno::{ENOMEM, Result};
use crate::platform::{Access, CHUNK_FRAMES, Frame, GuestSpace, PAGE_BYTES, Platform, Run, Worker};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;

#[derive(Debug)]
pub struct Hosted {
    memory: Mutex<Vec<u8>>,
    most_bytes: usize,
}

impl Hosted {
    pub fn with_chunks(chunks: usize) -> Arc<dyn Platform> {
        let most_bytes = chunks * CHUNK_FRAMES as usize * PAGE_BYTES as usize;
        Arc::new(Hosted { memory: Mutex::new(Vec::new()), most_bytes })
    }
}

impl Platform for Hosted {
    fn grow(&self) -> bool {
        let mut memory = self.memory.lock();
        let length = memory.len() + CHUNK_FRAMES as usize * PAGE_BYTES as usize;
        let may = length <= self.most_bytes;
        if may {
            memory.resize(length, 0);
        }
        may
    }
    fn read(&self, at: u64, into: &mut [u8]) {
        into.copy_from_slice(&self.memory.lock()[at as usize..at as usize + into.len()]);
    }
    fn write(&self, at: u64, from: &[u8]) {
        self.memory.lock()[at as usize..at as usize + from.len()].copy_from_slice(from);
    }
    fn zero(&self, at: u64, count: usize) {
        self.memory.lock()[at as usize..at as usize + count].fill(0);
    }
    fn copy(&self, from: u64, to: u64, count: usize) {
        self.memory.lock().copy_within(from as usize..from as usize + count, to as usize);
    }
    fn update_u32(&self, at: u64, change: &mut dyn FnMut(u32) -> Option<u32>) -> u32 {
        let mut bytes = [0; 4];
        self.read(at, &mut bytes);
        let old = u32::from_le_bytes(bytes);
        if let Some(new) = change(old) {
            self.write(at, &new.to_le_bytes());
        }
        old
    }
    fn new_space(&self) -> Result<Arc<dyn GuestSpace>> {
        Ok(Arc::new(HostedSpace::default()))
    }
    fn memory_bytes(&self) -> u64 {
        self.most_bytes as u64
    }
    fn cpus(&self) -> u32 {
        2
    }
    fn ended(&self, _: i32) {}
    fn note(&self, what: core::fmt::Arguments<'_>) {
        std::println!("{what}");
    }
    fn worker(&self) -> Result<Arc<dyn Worker>> {
        Err(ENOMEM)
    }
}

#[derive(Debug, Default)]
pub struct HostedSpace(Mutex<BTreeMap<u64, (Frame, Access)>>);

impl HostedSpace {
    pub fn at(space: &Arc<dyn GuestSpace>, address: u64) -> Option<(Frame, Access)> {
        let hosted = space.as_any().downcast_ref::<HostedSpace>().expect("hosted");
        hosted.0.lock().get(&address).copied()
    }
}

fn checked(access: Access) -> Access {
    assert!(access != Access::NONE && !access.holds(Access::WRITE.with(Access::EXECUTE)), "{access:?}");
    access
}

impl GuestSpace for HostedSpace {
    fn map(&self, runs: &[Run]) -> Result<()> {
        for run in runs {
            assert!(run.frame.0 / CHUNK_FRAMES == (run.frame.0 + run.pages - 1) / CHUNK_FRAMES, "over the end of a chunk");
            for n in 0..run.pages {
                let page = (Frame(run.frame.0 + n), checked(run.access));
                let old = self.0.lock().insert(run.address + u64::from(n) * PAGE_BYTES, page);
                assert_eq!(old, None, "mapped already");
            }
        }
        Ok(())
    }
    fn unmap(&self, address: u64, length_bytes: u64) -> Result<()> {
        self.0.lock().retain(|at, _| !(address..address + length_bytes).contains(at));
        Ok(())
    }
    fn protect(&self, address: u64, length_bytes: u64, access: Access) -> Result<()> {
        for at in (address..address + length_bytes).step_by(PAGE_BYTES as usize) {
            self.0.lock().get_mut(&at).expect("mapped").1 = checked(access);
        }
        Ok(())
    }
    fn as_any(&self) -> &dyn core::any::Any {
        self
    }
}
