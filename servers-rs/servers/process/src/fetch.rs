// SPDX-License-Identifier: PMPL-1.0-or-later
//! Reads programs from the verity root, in a thread of its own: a call to the storage server may take as long as that
//! server's restart, and the thread that restarts it must not be the one that waits.

use api_file::{Client, Error, Kind};
use core::sync::atomic::{AtomicU32, Ordering};
use ipc::{Place, Text};
use rt::channel::Channel;
use rt::memory::{Private, Shared};
use rt::sync::Mutex;
use sys::{Endpoint, FOREVER, Handle, Memory, Notification, Pool, Rights, start};

/// Larger is no program of ours.
const MAX_PROGRAM_BYTES: u64 = 16 << 20;
/// Reading begins again this often when storage keeps dying under it.
const ATTEMPTS: usize = 3;
const STACK_BYTES: u64 = 64 * 1024;
/// Bit of the supervisor's notification.
pub const DONE: u64 = 1;

/// A program in memory.
pub struct Image {
    pub memory: Private,
    pub length_bytes: usize,
}
impl Image {
    pub fn bytes(&self) -> &[u8] {
        self.memory.as_slice().get(..self.length_bytes).unwrap_or(&[])
    }
}

/// What a job came to: the component, and its program or why not.
pub type Result = (usize, core::result::Result<Image, Error>);

static WANTED: Mutex<Option<(usize, &'static str)>> = Mutex::new(None);
static FOUND: Mutex<Option<Result>> = Mutex::new(None);
static FILE: AtomicU32 = AtomicU32::new(0);
static BUFFER: AtomicU32 = AtomicU32::new(0);
static WORK: AtomicU32 = AtomicU32::new(0);
static NEWS: AtomicU32 = AtomicU32::new(0);

/// Starts the thread. `news` gets `DONE` after each job.
pub fn begin(file: Endpoint, buffer: Memory, news: Notification, priority: u8, fault: Option<Endpoint>) -> sys::Result<()> {
    let work = Pool(start::POOL).create_notification()?;
    let places = [(&FILE, file.0), (&BUFFER, buffer.0), (&WORK, work.0), (&NEWS, news.0)];
    places.iter().for_each(|(place, handle)| place.store(handle.0, Ordering::Relaxed));
    rt::thread::spawn("fetch", priority, STACK_BYTES, fault, run).map(drop)
}

/// Asks for the program of component `number`; a job that was not begun is replaced.
pub fn want(number: usize, path: &'static str) {
    WANTED.with(|wanted| *wanted = Some((number, path)));
    // An error would be a notification that is gone, which nobody destroys.
    let _ = Notification(Handle(WORK.load(Ordering::Relaxed))).signal(1);
}

pub fn take() -> Option<Result> {
    FOUND.with(Option::take)
}

fn run() {
    let at = |place: &AtomicU32| Handle(place.load(Ordering::Relaxed));
    let (work, news) = (Notification(at(&WORK)), Notification(at(&NEWS)));
    let Ok(buffer) = Shared::map(Memory(at(&BUFFER)), api_file::BUFFER_BYTES, Rights::READ) else { return };
    let mut client = Client(Channel(Endpoint(at(&FILE))));
    while work.wait(FOREVER).is_ok() {
        while let Some((number, path)) = WANTED.with(Option::take) {
            let found = fetch(&mut client, &buffer, path);
            FOUND.with(|place| *place = Some((number, found)));
            let _ = news.signal(DONE);
        }
    }
}

fn fetch(client: &mut Client<Channel>, buffer: &Shared, path: &str) -> core::result::Result<Image, Error> {
    let mut last = Error::Restarted;
    for _ in 0..ATTEMPTS {
        match read(client, buffer, path) {
            Err(Error::Restarted) => last = Error::Restarted,
            other => return other,
        }
    }
    Err(last)
}

fn read(client: &mut Client<Channel>, buffer: &Shared, path: &str) -> core::result::Result<Image, Error> {
    let file = client.resolve(Text::new(path).ok_or(Error::NotFound)?)?;
    if file.kind != Kind::File {
        return Err(Error::WrongKind);
    }
    if file.size_bytes > MAX_PROGRAM_BYTES {
        return Err(Error::OutOfRange);
    }
    let length_bytes = usize::try_from(file.size_bytes).map_err(|_| Error::OutOfRange)?;
    let mut memory = Private::new(Pool(start::POOL), file.size_bytes).map_err(|_| Error::NoBuffer)?;
    let room = memory.as_mut_slice().get_mut(..length_bytes).ok_or(Error::OutOfRange)?;
    let mut done = 0;
    for piece in room.chunks_mut(buffer.length_bytes() as usize) {
        let place = Place { offset_bytes: 0, length_bytes: piece.len() as u32 };
        let got = client.read(file.node, done, place)?;
        if got as usize != piece.len() || buffer.read(0, piece).is_none() {
            return Err(Error::OutOfRange);
        }
        done += u64::from(got);
    }
    Ok(Image { memory, length_bytes })
}
