// SPDX-License-Identifier: PMPL-1.0-or-later
//! What a client of the verity root sees while servers and drivers under it are ended and come back.

use crate::report::{Found, Test, equal, must, that};
use alloc::string::String;
use alloc::vec::Vec;
use api_file::{Error, Kind};
use api_supervisor::{Cause, Condition, Status};
use ipc::{Name, Place, Text};
use rt::channel::Channel;
use rt::clock::now_ns;
use rt::memory::Shared;
use rt::start::grant;
use sys::{Capability, Memory, Rights};

const SECOND: u64 = 1_000_000_000;
const PATH: &str = "/programs/hello";

pub const TESTS: &[Test] = &[
    Test { promise: "the files of the verity root are served", run: files },
    Test { promise: "a driver that dies is restarted within a second and its reader loses nothing", run: driver },
    Test { promise: "a storage server that dies is restarted within a second, and its reader does not notice", run: storage },
    Test { promise: "pages of the root are mapped for reading only, go with their server and are given again", run: mapped },
    Test { promise: "a log server that dies is restarted within a second and lines go on", run: log },
    Test { promise: "a driver that dies under the storage server ten times loses no read", run: ten_times },
    Test { promise: "who is no component cannot be ended", run: unknown },
    Test { promise: "a server that hangs is ended, its caller told, and the next one serves", run: hangs },
    Test { promise: "a server that waits or works for longer than its heartbeat is left alone", run: not_hangs },
    Test { promise: "a request that kills its server twice is failed back, and the third serves others", run: poisoned_request },
    Test { promise: "a service that dies at its start is given up, and all others are up", run: poisoned_service },
    Test { promise: "a server that is stopped keeps its callers waiting until it is started again", run: stopped },
    Test { promise: "when the process server dies the others run on, and the new one looks after them", run: process },
];

pub fn is_granted() -> bool {
    grant::call(api_file::NAME).is_some() && grant::call(api_supervisor::NAME).is_some()
}

struct Reader {
    files: api_file::Client<Channel>,
    buffer: Shared,
}

impl Reader {
    fn new() -> Result<Reader, String> {
        let (endpoint, buffer) = must("the manifest", grant::call(api_file::NAME).ok_or("file is not granted"))?;
        let buffer = must("the manifest", buffer.ok_or("it has no buffer"))?;
        let shared = must("mapping", Shared::map(grant::typed(buffer.memory), buffer.length_bytes, Rights::READ))?;
        Ok(Reader { files: api_file::Client(Channel(endpoint)), buffer: shared })
    }
    /// The whole file, in pieces small enough for many calls.
    fn read(&mut self, path: &str) -> Result<Vec<u8>, Error> {
        let file = self.files.resolve(Text::clipped(path))?;
        let mut all = Vec::new();
        while (all.len() as u64) < file.size_bytes {
            let got = self.files.read(file.node, all.len() as u64, Place { offset_bytes: 8192, length_bytes: 4096 })?;
            let mut piece = alloc::vec![0; got as usize];
            self.buffer.read(8192, &mut piece).ok_or(Error::OutOfRange)?;
            all.extend(piece);
        }
        Ok(all)
    }
}

fn supervisor() -> Result<api_supervisor::Client<Channel>, String> {
    let (endpoint, _) = must("the manifest", grant::call(api_supervisor::NAME).ok_or("supervisor is not granted"))?;
    Ok(api_supervisor::Client(Channel(endpoint)))
}
pub fn end(name: &str) -> Found {
    must("ending it", supervisor()?.end(Text::clipped(name)))
}
fn status(name: &str) -> Result<Status, String> {
    let mut supervisor = supervisor()?;
    for n in 0..must("counting", supervisor.count())? {
        let status = must("asking", supervisor.status(n))?;
        if status.name.as_str() == name {
            return Ok(status);
        }
    }
    Err(crate::report::text(format_args!("there is no {name}")))
}
/// Waits until it runs.
pub fn is_up(name: &str) -> Found {
    while status(name)?.condition != Condition::Up {
        sys::yield_now();
    }
    Ok(())
}
/// Waits until it runs again; says how long that took.
pub fn comes_back(name: &str) -> Found {
    let began = now_ns();
    while status(name)?.condition != Condition::Up {
        that(now_ns() - began < SECOND, "it did not come back within a second")?;
        sys::yield_now();
    }
    Ok(())
}

pub fn files() -> Found {
    let mut it = Reader::new()?;
    let all = must("reading", it.read(PATH))?;
    equal(all.get(..4), Some(&b"\x7fELF"[..]))?;
    equal(it.files.resolve(Text::clipped("/nope")), Err(Error::NotFound))?;
    let programs = must("resolving", it.files.resolve(Text::clipped("/programs/../programs")))?;
    equal(programs.kind, Kind::Directory)?;
    equal(it.files.read(programs.node, 0, Place { offset_bytes: 0, length_bytes: 1 }), Err(Error::WrongKind))?;
    // The same node, one name at a time.
    let mut at = must("asking", it.files.root())?;
    for name in ["programs", "hello"] {
        let name = must("a name", Name::new(name.as_bytes()).ok_or("is too long"))?;
        at = must("looking up", it.files.lookup(at.node, name))?;
    }
    equal(it.files.resolve(Text::clipped(PATH)), Ok(at))
}
fn driver() -> Found {
    let mut it = Reader::new()?;
    let before = must("reading", it.read(PATH))?;
    let (deaths, of_storage) = (status("virtio-blk")?.deaths, status("storage")?.deaths);
    end("virtio-blk")?;
    // It is not there now: the read waits below storage, which issues it again.
    equal(must("reading", it.read(PATH))? == before, true)?;
    comes_back("virtio-blk")?;
    equal(status("virtio-blk")?.deaths, deaths + 1)?;
    equal(status("storage")?.deaths, of_storage)
}
fn storage() -> Found {
    let mut it = Reader::new()?;
    let before = must("reading", it.read(PATH))?;
    let file = must("resolving", it.files.resolve(Text::clipped(PATH)))?;
    end("storage")?;
    // A node is the same to the next server.
    equal(it.files.read(file.node, 0, Place { offset_bytes: 0, length_bytes: 16 }), Ok(16))?;
    equal(must("reading", it.read(PATH))? == before, true)?;
    comes_back("storage")
}
fn mapped() -> Found {
    let mut it = Reader::new()?;
    let all = must("reading", it.read(PATH))?;
    let file = must("resolving", it.files.resolve(Text::clipped(PATH)))?;
    let map = |it: &mut Reader| -> Result<Memory, String> {
        let mapping = must("mapping", it.files.map(file.node, 1))?;
        let (memory, length) = (Memory::of(mapping.memory.0), u64::from(mapping.pages) * 4096);
        equal(Shared::map(memory, length, Rights::READ | Rights::WRITE).err(), Some(sys::Error::NoRight))?;
        let shared = must("mapping it here", Shared::map(memory, length, Rights::READ))?;
        let wanted = all.get(mapping.first_page as usize * 4096..).unwrap_or_default();
        let mut found = alloc::vec![0; wanted.len().min(length as usize)];
        must("the memory", shared.read(0, &mut found).ok_or("is too small"))?;
        that(wanted.starts_with(&found), "it holds something else")?;
        Ok(memory)
    };
    let memory = map(&mut it)?;
    end("storage")?;
    map(&mut it)?;
    that(memory.size_bytes().is_err(), "it outlived its server")?;
    comes_back("storage")
}
fn log() -> Found {
    end("uart")?;
    rt::info!("a line while the log's server is away");
    comes_back("uart")?;
    rt::info!("a line after it came back");
    Ok(())
}
fn ten_times() -> Found {
    let mut it = Reader::new()?;
    let before = must("reading", it.read(PATH))?;
    for _ in 0..10 {
        end("virtio-blk")?;
        equal(must("reading", it.read(PATH))? == before, true)?;
        comes_back("virtio-blk")?;
    }
    Ok(())
}
fn unknown() -> Found {
    equal(supervisor()?.end(Text::clipped("nobody")), Err(api_supervisor::Error::Unknown))?;
    equal(supervisor()?.status(999).err(), Some(api_supervisor::Error::Unknown))
}
fn assistant() -> Result<api_assistant::Client<Channel>, String> {
    let (endpoint, _) = must("the manifest", grant::call(api_assistant::NAME).ok_or("assistant is not granted"))?;
    Ok(api_assistant::Client(Channel(endpoint)))
}
fn hangs() -> Found {
    let mut it = assistant()?;
    for kind in 0..3 {
        let (before, born) = (status("assistant")?, must("calling", it.born())?);
        equal(it.hang(kind), Err(api_assistant::Error::Restarted))?;
        that(must("calling the new one", it.born())? > born, "it is the old one")?;
        let after = status("assistant")?;
        equal((after.deaths, after.cause, after.code), (before.deaths + 1, Cause::Hangs, 250))?;
    }
    that(last_words("assistant")?.contains("\"cause\":\"hangs\",\"after_ms\":250"), "its last words say nothing of it")
}
fn not_hangs() -> Found {
    let mut it = assistant()?;
    let (before, born) = (status("assistant")?.deaths, must("calling", it.born())?);
    equal(it.late(600), Ok(()))?;
    equal(it.toil(600), Ok(()))?;
    equal(it.born(), Ok(born))?;
    equal(status("assistant")?.deaths, before)
}
fn stopped() -> Found {
    let name = || Text::clipped("virtio-blk");
    let deaths = status("virtio-blk")?.deaths;
    equal(supervisor()?.start(name()), Err(api_supervisor::Error::NotStopped))?;
    must("stopping it", supervisor()?.stop(name()))?;
    equal(status("virtio-blk")?.condition, Condition::Stopped)?;
    equal(supervisor()?.stop(name()), Err(api_supervisor::Error::NotRunning))?;
    equal(supervisor()?.start(Text::clipped("nobody")), Err(api_supervisor::Error::Unknown))?;
    must("starting it", supervisor()?.start(name()))?;
    must("reading", Reader::new()?.read(PATH))?;
    comes_back("virtio-blk")?;
    equal(status("virtio-blk")?.deaths, deaths)
}
fn poisoned_request() -> Found {
    let mut it = assistant()?;
    let before = status("assistant")?.deaths;
    equal(it.poison(2), Err(api_assistant::Error::Restarted))?;
    equal(must("calling the third", it.echo(7))?.0, 7)?;
    let after = status("assistant")?;
    equal((after.deaths, after.cause), (before + 2, Cause::Fault))
}
fn poisoned_service() -> Found {
    let it = status("poisoned")?;
    // Its limit is 3: the fourth death is the last.
    equal((it.condition, it.deaths, it.cause, it.code), (Condition::GivenUp, 4, Cause::Exit, 77))?;
    for name in ["uart", "virtio-blk", "storage", "assistant"] {
        equal(status(name)?.condition, Condition::Up)?;
    }
    Ok(())
}
fn last_words(name: &str) -> Result<String, String> {
    let mut supervisor = supervisor()?;
    for n in 0..must("counting", supervisor.count())? {
        if must("asking", supervisor.status(n))?.name.as_str() == name {
            return Ok(must("asking", supervisor.last_words(n))?.as_str().into());
        }
    }
    Ok(String::new())
}
fn process() -> Found {
    let mut files = Reader::new()?;
    let before = must("reading", files.read(PATH))?;
    let mut assistant = assistant()?;
    let before_it = (status("assistant")?, last_words("assistant")?);
    let born = must("calling", assistant.born())?;
    let file = must("resolving", files.files.resolve(Text::clipped(PATH)))?;
    equal(supervisor()?.end(Text::clipped("process")), Err(api_supervisor::Error::Restarted))?;
    // Nobody's memory, endpoint or node was touched.
    equal(files.files.read(file.node, 0, Place { offset_bytes: 0, length_bytes: 16 }), Ok(16))?;
    for name in ["uart", "virtio-blk", "storage", "assistant"] {
        equal(status(name)?.condition, Condition::Up)?;
    }
    equal(assistant.born(), Ok(born))?;
    // It knows of deaths that it has not seen.
    let (known, words) = (status("assistant")?, last_words("assistant")?);
    equal((known.deaths, known.cause, known.code), (before_it.0.deaths, before_it.0.cause, before_it.0.code))?;
    equal(words, before_it.1)?;
    that(known.used_frames > 0, "it does not see what runs")?;
    // What the old one started, the new one ends, hears of, and starts again.
    end("virtio-blk")?;
    equal(must("reading", files.read(PATH))? == before, true)?;
    equal(assistant.fault(0), Err(api_assistant::Error::Restarted))?;
    that(must("calling the new one", assistant.born())? > born, "it is the old one")?;
    comes_back("virtio-blk")?;
    let after = status("assistant")?;
    equal((after.deaths, after.cause), (known.deaths + 1, Cause::Fault))?;
    // A back-trace needs the stack of one that another process server started; a hang, its thread.
    that(last_words("assistant")?.contains("\"symbol\""), "its last words do not say where it was")?;
    equal(assistant.hang(0), Err(api_assistant::Error::Restarted))?;
    equal(status("assistant")?.cause, Cause::Hangs)
}
