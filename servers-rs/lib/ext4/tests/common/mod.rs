// SPDX-License-Identifier: PMPL-1.0-or-later
//! A disk in memory that can keep a log of its writes and fail on purpose, and e2fsck as the judge.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod model;

use blocks::{BlockRead, BlockWrite, ReadError, check_range};
use ext4::{Ext4, Time};
use std::cell::RefCell;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

pub const BLOCK: usize = 4096;
pub const NOW: Time = Time { seconds: 1_700_000_000, nanoseconds: 123_456_789 };
pub const UUID: [u8; 16] = *b"flatracoon-data1";

#[derive(Clone, Debug)]
pub enum Event {
    Write(u64, Rc<[u8]>),
    Flush,
}

#[derive(Default, Debug)]
pub struct Inner {
    pub bytes: Vec<u8>,
    /// Writes and flushes, if they are kept.
    pub log: Option<Vec<Event>>,
    pub requests: u64,
    /// Requests with these numbers fail.
    pub fails: Option<std::ops::Range<u64>>,
}

/// A clone is the same disk.
#[derive(Clone, Default, Debug)]
pub struct Disk(pub Rc<RefCell<Inner>>);

impl Disk {
    pub fn new(blocks: u64) -> Disk {
        Disk::of(vec![0; blocks as usize * BLOCK])
    }
    pub fn of(bytes: Vec<u8>) -> Disk {
        Disk(Rc::new(RefCell::new(Inner { bytes, ..Inner::default() })))
    }
    pub fn made(blocks: u64) -> Disk {
        let mut disk = Disk::new(blocks);
        ext4::make(&mut disk, UUID, "DATA", NOW).unwrap();
        disk
    }
    pub fn mount(&self) -> Ext4<Disk> {
        Ext4::mount(self.clone(), NOW).unwrap()
    }
    pub fn copy(&self) -> Disk {
        Disk::of(self.0.borrow().bytes.clone())
    }
    pub fn grow(&self, blocks: u64) {
        self.0.borrow_mut().bytes.resize(blocks as usize * BLOCK, 0);
    }
    fn request(&self) -> Result<(), ReadError> {
        let mut inner = self.0.borrow_mut();
        let number = inner.requests;
        inner.requests += 1;
        match inner.fails.as_ref().is_some_and(|fails| fails.contains(&number)) {
            true => Err(ReadError::Device { code: 5 }),
            false => Ok(()),
        }
    }
}

impl BlockRead for Disk {
    fn block_count(&self) -> u64 {
        (self.0.borrow().bytes.len() / BLOCK) as u64
    }
    fn read_blocks(&mut self, first: u64, out: &mut [u8]) -> Result<(), ReadError> {
        check_range(first, out.len(), BLOCK, self.block_count())?;
        self.request()?;
        let at = first as usize * BLOCK;
        out.copy_from_slice(&self.0.borrow().bytes[at..at + out.len()]);
        Ok(())
    }
}
impl BlockWrite for Disk {
    fn write_blocks(&mut self, first: u64, bytes: &[u8]) -> Result<(), ReadError> {
        check_range(first, bytes.len(), BLOCK, self.block_count())?;
        self.request()?;
        let at = first as usize * BLOCK;
        let mut inner = self.0.borrow_mut();
        inner.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        if let Some(log) = &mut inner.log {
            log.push(Event::Write(first, bytes.into()));
        }
        Ok(())
    }
    fn flush(&mut self) -> Result<(), ReadError> {
        self.request()?;
        if let Some(log) = &mut self.0.borrow_mut().log {
            log.push(Event::Flush);
        }
        Ok(())
    }
}

/// A file that is removed at the end.
pub struct Image(pub PathBuf);
impl Drop for Image {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
impl Image {
    pub fn path() -> Image {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("flatracoon-ext4-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Image(std::env::temp_dir().join(name))
    }
    pub fn of(disk: &Disk) -> Image {
        let image = Image::path();
        std::fs::write(&image.0, &disk.0.borrow().bytes).unwrap();
        image
    }
    pub fn tool(&self, program: &str, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(program)
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .args(arguments)
            .arg(&self.0)
            .output()
            .expect("package e2fsprogs");
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap(), text.into_owned())
    }
}

/// e2fsck finds nothing, not even something to tidy up.
pub fn check(disk: &Disk, when: &str) {
    let (code, text) = Image::of(disk).tool("e2fsck", &["-fn"]);
    assert!(code == 0, "{when}: e2fsck says {code}\n{text}");
}
