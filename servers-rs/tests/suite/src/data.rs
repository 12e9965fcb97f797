// SPDX-License-Identifier: PMPL-1.0-or-later
//! DATA as a client sees it: files that are there after the server's death and after the next boot, and no way out of a directory.

use crate::healing::{comes_back, end};
use crate::report::{Found, Test, equal, must, that};
use alloc::format;
use alloc::string::String;
use api_data::{Access, Client, Error, Kind, entry};
use rt::channel::Channel;
use rt::memory::Shared;
use rt::start::grant;
use sys::{Capability, Endpoint, Rights};

/// Where file data lie in the buffer; paths lie at its start.
const PLACE: u32 = 8192;
/// Bytes of a block of test data.
const PIECE: usize = 50_000;

pub const TESTS: &[Test] = &[
    Test { promise: "a file of DATA is written, renamed and read back", run: file },
    Test { promise: "a directory capability does not lead out, and one that reads does not write", run: confined },
    Test { promise: "a storage server that dies loses no acknowledged write, and capabilities go on", run: killed },
    Test { promise: "a driver that dies under writes loses none", run: driver },
    Test { promise: "two hundred files come and go, and take nothing with them", run: many },
    Test { promise: "what earlier boots wrote is there", run: boots },
];

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
    equal(home.client.rename(5, 5, true), Ok(()))?;
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
    let (used, _) = must("listing", reader.client.list(0))?;
    let mut bytes = alloc::vec![0; used as usize];
    must("the buffer", reader.buffer.read(0, &mut bytes).ok_or("is too small"))?;
    equal(entry::take(&bytes).map(|(_, kind, name, _)| (kind, name)), Some((Kind::File, &b"new"[..])))
}

fn killed() -> Found {
    let mut home = Node::home()?;
    that(matches!(home.create("kept", Kind::File)?, Ok(()) | Err(Error::Exists)), "it cannot be made")?;
    let mut file = home.open("kept", Access::Same)?;
    equal(file.client.truncate(0), Ok(()))?;
    for n in 0..5u32 {
        equal(file.write(u64::from(n) * PIECE as u64, &pattern(n))?, Ok(PIECE as u32))?;
        end("storage")?;
        // The same capability, through the next server.
        for before in 0..=n {
            file.holds(u64::from(before) * PIECE as u64, &pattern(before))?;
        }
        comes_back("storage")?;
    }
    Ok(())
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
        let _ = many.client.unlink(n);
    }
    let before = must("asking", many.client.space())?;
    for n in 0..200 {
        equal(many.create(&format!("file-{n}"), Kind::File)?, Ok(()))?;
    }
    equal(must("asking", many.client.space())?.free_inodes, before.free_inodes - 200)?;
    for n in 0..200 {
        let n = many.path(&format!("file-{n}"))?;
        equal(many.client.unlink(n), Ok(()))?;
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
    equal(home.client.rename(8, name.len() as u32, true), Ok(()))?;
    rt::info!("data: found {number} earlier boots");
    Ok(())
}
