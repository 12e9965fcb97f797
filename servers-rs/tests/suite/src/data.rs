// SPDX-License-Identifier: PMPL-1.0-or-later
//! DATA as a client sees it: files that are there after the server's death and after the next boot, and no way out of a directory.

use crate::healing::{comes_back, end, is_up};
use crate::report::{Found, Test, equal, must, that};
use alloc::format;
use alloc::string::String;
use api_data::{Access, Client, Error, Kind, Replace, entry};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use ipc::{Name, Place};
use rt::channel::Channel;
use rt::memory::Shared;
use rt::start::grant;
use sys::{Capability, Endpoint, Memory, Rights, Thread};

/// Where file data lie in the buffer; paths lie at its start.
const PLACE: u32 = 8192;
/// Deaths of the storage server in one boot that was given this argument, and in any other.
const MANY: (&str, u32) = ("kills", 100);
const FEW: u32 = 5;
/// Bytes of one write meanwhile: no multiple of a block.
const SLOT: u64 = 5000;
const PRIORITY: u8 = 10;
static DEATHS: AtomicU32 = AtomicU32::new(0);
static FAILED: AtomicBool = AtomicBool::new(false);
/// Bytes of a block of test data.
const PIECE: usize = 50_000;

pub const TESTS: &[Test] = &[
    Test { promise: "a file of DATA is written, renamed and read back", run: file },
    Test { promise: "a directory capability does not lead out, and one that reads does not write", run: confined },
    Test { promise: "a page of a file is mapped for reading only, and a write is in it at once", run: mapped },
    Test { promise: "a file that lost its name while open lives through a death of the server", run: kept },
    Test { promise: "a storage server that dies again and again under writes loses none that was acknowledged", run: killed },
    Test { promise: "a driver that dies under writes loses none", run: driver },
    Test { promise: "two hundred files come and go, and take nothing with them", run: many },
    Test { promise: "what earlier boots wrote is there", run: boots },
];

pub const WITHOUT: &[Test] = &[Test { promise: "without DATA its clients hear so, and the verity root is served", run: without }];

pub fn is_granted() -> bool {
    grant::call(api_data::NAME).is_some()
}

/// A node and the buffer that all nodes of this client share.
struct Node {
    client: Client<Channel>,
    buffer: Shared,
}

impl Node {
    fn home() -> Result<Node, String> {
        let (endpoint, _) = must("the manifest", grant::call(api_data::NAME).ok_or("data is not granted"))?;
        Node::over(endpoint)
    }
    fn over(endpoint: Endpoint) -> Result<Node, String> {
        let (_, buffer) = must("the manifest", grant::call(api_data::NAME).ok_or("data is not granted"))?;
        let buffer = must("the manifest", buffer.ok_or("it has no buffer"))?;
        let access = Rights::READ | Rights::WRITE;
        let buffer = must("mapping", Shared::map(grant::typed(buffer.memory), buffer.length_bytes, access))?;
        Ok(Node { client: Client(Channel(endpoint)), buffer })
    }
    fn path(&mut self, text: &str) -> Result<u32, String> {
        must("the buffer", self.buffer.write(0, text.as_bytes()).ok_or("is too small"))?;
        Ok(text.len() as u32)
    }
    fn create(&mut self, text: &str, kind: Kind) -> Result<Result<(), Error>, String> {
        let n = self.path(text)?;
        Ok(self.client.create(n, kind, 0o644, (0, 0), (0, 0)))
    }
    fn open(&mut self, text: &str, access: Access) -> Result<Node, String> {
        let n = self.path(text)?;
        Node::over(Endpoint::of(must("opening", self.client.open(n, access))?.0))
    }
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<Result<u32, Error>, String> {
        must("the buffer", self.buffer.write(PLACE as usize, bytes).ok_or("is too small"))?;
        Ok(self.client.write(offset, bytes.len() as u32, PLACE))
    }
    /// Whether the file holds exactly this, from `offset` on.
    fn holds(&mut self, offset: u64, bytes: &[u8]) -> Found {
        equal(self.client.read(offset, bytes.len() as u32, PLACE), Ok(bytes.len() as u32))?;
        let mut got = alloc::vec![0; bytes.len()];
        must("the buffer", self.buffer.read(PLACE as usize, &mut got).ok_or("is too small"))?;
        that(got == bytes, "it holds something else")
    }
}

/// Bytes that no other number gives.
fn pattern(number: u32) -> alloc::vec::Vec<u8> {
    (0..PIECE as u32).map(|n| (n.wrapping_add(number).wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn file() -> Found {
    let mut home = Node::home()?;
    for (name, kind) in [("d", Kind::Directory), ("d/old", Kind::File)] {
        that(matches!(home.create(name, kind)?, Ok(()) | Err(Error::Exists)), "it cannot be made")?;
    }
    let mut file = home.open("d/old", Access::Same)?;
    equal(file.client.truncate(0), Ok(()))?;
    equal(file.write(70_000, &pattern(1))?, Ok(PIECE as u32))?;
    home.path("d/oldd/new")?;
    equal(home.client.rename(5, 5, Replace::Allow, false), Ok(()))?;
    file.holds(70_000, &pattern(1))?;
    file.holds(0, &[0; 1000])?;
    let n = home.path("d/old")?;
    equal(home.client.stat(n).err(), Some(Error::NotFound))?;
    let n = home.path("d/new")?;
    equal(home.client.stat(n).map(|s| (s.kind, s.size_bytes)), Ok((Kind::File, 70_000 + PIECE as u64)))
}

fn confined() -> Found {
    let mut home = Node::home()?;
    for text in ["..", "d/../..", "/d", "d//new", ""] {
        let got = home.create(text, Kind::File)?;
        that(matches!(got, Err(Error::Invalid)), text)?;
    }
    let mut reader = home.open("d", Access::Read)?;
    equal(reader.create("x", Kind::File)?, Err(Error::ReadOnly))?;
    // A right that is lost does not come back further down.
    let mut file = reader.open("new", Access::Same)?;
    equal(file.write(0, b"text")?, Err(Error::ReadOnly))?;
    let used = must("listing", reader.client.list(0, Place { offset_bytes: PLACE, length_bytes: 4096 }))?;
    let mut bytes = alloc::vec![0; used as usize];
    must("the buffer", reader.buffer.read(PLACE as usize, &mut bytes).ok_or("is too small"))?;
    equal(entry::take(&bytes).map(|(e, _)| (e.kind, e.name)), Some((Kind::File, &b"new"[..])))
}

fn mapped() -> Found {
    let mut home = Node::home()?;
    that(matches!(home.create("mapped", Kind::File)?, Ok(()) | Err(Error::Exists)), "it cannot be made")?;
    let name = must("a name", Name::new(b"mapped").ok_or("is too long"))?;
    let found = must("looking up", home.client.lookup(name, Access::Same))?;
    equal(found.stat.kind, Kind::File)?;
    let mut file = Node::over(Endpoint::of(found.node.0))?;
    equal(file.write(0, &pattern(9))?, Ok(PIECE as u32))?;
    let mapping = must("mapping", file.client.map(3))?;
    let memory = Memory::of(mapping.memory.0);
    equal(Shared::map(memory, 4096, Rights::READ | Rights::WRITE).err(), Some(sys::Error::NoRight))?;
    let pages = must("mapping it here", Shared::map(memory, u64::from(mapping.pages) * 4096, Rights::READ))?;
    let seen = |want: &[u8]| {
        let mut got = alloc::vec![0; want.len()];
        must("the memory", pages.read(0, &mut got).ok_or("is too small"))?;
        that(got == want, "it holds something else")
    };
    seen(&pattern(9))?;
    equal(file.write(0, &pattern(10))?, Ok(PIECE as u32))?;
    seen(&pattern(10))?;
    equal(file.client.truncate(0), Ok(()))?;
    seen(&[0; PIECE])?;
    must("giving it back", Endpoint::of(found.node.0).delete())?;
    must("giving it back", memory.delete())
}

fn kept() -> Found {
    let mut home = Node::home()?;
    equal(home.client.release_all(), Ok(()))?;
    that(matches!(home.create("open", Kind::File)?, Ok(()) | Err(Error::Exists)), "it cannot be made")?;
    let mut file = home.open("open", Access::Same)?;
    equal(file.write(0, &pattern(77))?, Ok(PIECE as u32))?;
    let n = home.path("open")?;
    equal(home.client.unlink(n, true), Ok(()))?;
    end("storage")?;
    file.holds(0, &pattern(77))?;
    comes_back("storage")?;
    equal(file.client.stat(0).map(|s| s.links), Ok(0))?;
    equal(file.client.release(), Ok(()))?;
    equal(file.client.stat(0).err(), Some(Error::NotFound))
}

fn without() -> Found {
    let mut home = Node::home()?;
    equal(home.client.stat(0).err(), Some(Error::NotMounted))?;
    equal(home.create("new", Kind::File)?, Err(Error::NotMounted))?;
    crate::healing::files()
}

/// Writes all the time, while another thread ends the server as soon as it is back.
fn killed() -> Found {
    let mut home = Node::home()?;
    that(matches!(home.create("kept", Kind::File)?, Ok(()) | Err(Error::Exists)), "it cannot be made")?;
    let mut file = home.open("kept", Access::Same)?;
    equal(file.client.truncate(0), Ok(()))?;
    DEATHS.store(0, Ordering::Relaxed);
    // Both at the same importance, so that they really take turns.
    must("stepping down", Thread(sys::start::THREAD).schedule(u64::from(PRIORITY), 0, 0, u64::MAX))?;
    must("a thread", rt::thread::spawn("killer", PRIORITY, 64 * 1024, None, killer))?;
    let mut latest = [None; 40];
    let mut writes = 0u32;
    while DEATHS.load(Ordering::Relaxed) < kills() {
        let slot = writes as usize * 7 % latest.len();
        let bytes = pattern(writes);
        // One that was not acknowledged is written again.
        while file.write(slot as u64 * SLOT, bytes.get(..SLOT as usize).unwrap_or_default())? != Ok(SLOT as u32) {}
        if let Some(place) = latest.get_mut(slot) {
            *place = Some(writes);
        }
        writes += 1;
        let other = writes as usize * 11 % latest.len();
        check(&mut file, other, latest.get(other).copied().flatten())?;
    }
    that(!FAILED.load(Ordering::Relaxed), "it did not come back each time")?;
    (0..latest.len()).try_for_each(|slot| check(&mut file, slot, latest.get(slot).copied().flatten()))?;
    rt::info!("data: {} deaths of storage under {writes} writes, 0 lost", kills());
    Ok(())
}
fn check(file: &mut Node, slot: usize, written: Option<u32>) -> Found {
    let Some(number) = written else { return Ok(()) };
    file.holds(slot as u64 * SLOT, pattern(number).get(..SLOT as usize).unwrap_or_default())
}
fn kills() -> u32 {
    if rt::start::startup().arguments.iter().any(|argument| argument == MANY.0) { MANY.1 } else { FEW }
}
fn killer() {
    for _ in 0..kills() {
        if end("storage").and_then(|()| is_up("storage")).is_err() {
            FAILED.store(true, Ordering::Relaxed);
        }
        DEATHS.fetch_add(1, Ordering::Relaxed);
    }
}

fn driver() -> Found {
    let mut file = Node::home()?.open("kept", Access::Same)?;
    for n in 0..5u32 {
        end("virtio-blk")?;
        equal(file.write(u64::from(n) * PIECE as u64, &pattern(n + 50))?, Ok(PIECE as u32))?;
        comes_back("virtio-blk")?;
    }
    equal(file.client.sync(), Ok(()))?;
    for n in 0..5u32 {
        file.holds(u64::from(n) * PIECE as u64, &pattern(n + 50))?;
    }
    Ok(())
}

fn many() -> Found {
    let mut home = Node::home()?;
    // After a power cut the last boot's may be there.
    that(matches!(home.create("many", Kind::Directory)?, Ok(()) | Err(Error::Exists)), "it cannot be made")?;
    let mut many = home.open("many", Access::Same)?;
    for n in 0..200 {
        let n = many.path(&format!("file-{n}"))?;
        let _ = many.client.unlink(n, false);
    }
    let before = must("asking", many.client.space())?;
    for n in 0..200 {
        equal(many.create(&format!("file-{n}"), Kind::File)?, Ok(()))?;
    }
    equal(must("asking", many.client.space())?.free_inodes, before.free_inodes - 200)?;
    for n in 0..200 {
        let n = many.path(&format!("file-{n}"))?;
        equal(many.client.unlink(n, false), Ok(()))?;
    }
    equal(must("asking", many.client.space())?.free_inodes, before.free_inodes)?;
    let n = home.path("many")?;
    equal(home.client.remove_directory(n), Ok(()))
}

/// Each boot adds a file, whole or not at all; the test that boots the disk again counts them.
fn boots() -> Found {
    let mut home = Node::home()?;
    let mut number = 0u32;
    loop {
        let n = home.path(&format!("boot-{number}"))?;
        if home.client.stat(n).is_err() {
            break;
        }
        home.open(&format!("boot-{number}"), Access::Read)?.holds(0, &pattern(1000 + number))?;
        number += 1;
    }
    that(matches!(home.create("boot-new", Kind::File)?, Ok(()) | Err(Error::Exists)), "it cannot be made")?;
    let mut file = home.open("boot-new", Access::Same)?;
    equal(file.write(0, &pattern(1000 + number))?, Ok(PIECE as u32))?;
    equal(file.client.sync(), Ok(()))?;
    let name = format!("boot-{number}");
    home.path(&format!("boot-new{name}"))?;
    equal(home.client.rename(8, name.len() as u32, Replace::Allow, false), Ok(()))?;
    rt::info!("data: found {number} earlier boots");
    Ok(())
}
