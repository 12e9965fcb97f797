// SPDX-License-Identifier: PMPL-1.0-or-later
//! Interface `file`: files below a directory, read-only.
//!
//! The capability *is* the directory: its badge says which client, and that client's paths begin at what it was
//! granted. `..` never leaves it. Data travel through a buffer that the process server made for this
//! client and this server, so that neither loses its mapping when the other dies. After `Restarted` file numbers are void.
#![no_std]

use ipc::{Message, Reader, Text, Wire};

pub mod entry;

/// Length of the buffer between a client and the server.
pub const BUFFER_BYTES: u64 = 128 * 1024;
/// Most files that one client has open.
pub const MAX_OPEN: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FileKind {
    File = 1,
    Directory = 2,
    Symlink = 3,
    /// Device node, FIFO or socket: has no data here.
    Other = 4,
}

impl FileKind {
    pub const fn from_u8(n: u8) -> Option<FileKind> {
        Some(match n {
            1 => FileKind::File,
            2 => FileKind::Directory,
            3 => FileKind::Symlink,
            4 => FileKind::Other,
            _ => return None,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    pub kind: FileKind,
    pub size_bytes: u64,
    /// Permission bits, as chmod(2) counts them.
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub links: u32,
}

impl Wire for Stat {
    fn put(&self, into: &mut Message) {
        (self.kind as u8).put(into);
        self.size_bytes.put(into);
        self.mode.put(into);
        self.uid.put(into);
        self.gid.put(into);
        self.links.put(into);
    }
    fn take(from: &mut Reader<'_>) -> Option<Self> {
        Some(Stat {
            kind: FileKind::from_u8(u8::take(from)?)?,
            size_bytes: u64::take(from)?,
            mode: u16::take(from)?,
            uid: u32::take(from)?,
            gid: u32::take(from)?,
            links: u32::take(from)?,
        })
    }
}

ipc::interface! {
    /// A directory and what is below it.
    interface file;
    errors {
        /// Nothing has this name.
        NotFound = 16,
        /// A part of the path that is followed by another part is no directory.
        NotADirectory = 17,
        /// Reading a directory, or listing what is none.
        WrongKind = 18,
        /// The data differ from what the system's signature covers. They were not delivered.
        Damaged = 19,
        /// No file of this number is open.
        BadFile = 20,
        /// `MAX_OPEN` files are open.
        TooManyOpen = 21,
        /// The disk failed.
        DeviceFailed = 22,
        /// A place beyond the buffer.
        OutOfRange = 23,
        /// There is no file system: the disk has no slot that this system came from.
        NotMounted = 24,
        /// The client was granted no buffer.
        NoBuffer = 25,
        /// Too many symbolic links on the way.
        Loop = 26,
    }
    methods {
        /// Opens a file; symbolic links are followed, inside the directory. Returns its number and its size in bytes.
        1 open once (path: Text) -> (u32, u64);
        /// Reads into the buffer at `buffer_offset_bytes`; returns bytes read: less than asked only at the end.
        2 read idempotent (file: u32, offset_bytes: u64, length_bytes: u32, buffer_offset_bytes: u32) -> u32;
        /// Symbolic links are followed.
        3 stat idempotent (path: Text) -> Stat;
        /// Puts entries into the buffer, from entry `first` on; returns bytes used and the next `first`, 0 at the end.
        4 list idempotent (path: Text, first: u32) -> (u32, u32);
        /// Gives the number back. Closing one that is not open is `BadFile`.
        5 close once (file: u32) -> ();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::{Badge, pair::Pair};

    struct One;
    impl Serve for One {
        fn open(&mut self, _: Badge, path: Text) -> Result<(u32, u64), Error> {
            if path.as_str() == "/programs/hello" { Ok((1, 9000)) } else { Err(Error::NotFound) }
        }
        fn read(&mut self, _: Badge, file: u32, offset: u64, length: u32, _: u32) -> Result<u32, Error> {
            if file != 1 {
                return Err(Error::BadFile);
            }
            Ok(u32::try_from(9000u64.saturating_sub(offset)).unwrap().min(length))
        }
        fn stat(&mut self, _: Badge, _: Text) -> Result<Stat, Error> {
            Ok(Stat { kind: FileKind::File, size_bytes: 9000, mode: 0o755, uid: 0, gid: 0, links: 1 })
        }
        fn list(&mut self, _: Badge, _: Text, _: u32) -> Result<(u32, u32), Error> {
            Err(Error::WrongKind)
        }
        fn close(&mut self, _: Badge, _: u32) -> Result<(), Error> {
            Ok(())
        }
    }
    fn client() -> Client<Pair<One>> {
        Client(Pair::new(One, Badge(1), dispatch))
    }

    #[test]
    fn a_file_is_opened_read_to_its_end_and_described() {
        let mut it = client();
        assert_eq!(it.open(Text::clipped("/programs/hello")), Ok((1, 9000)));
        assert_eq!(it.read(1, 8192, 4096, 0), Ok(808));
        assert_eq!(it.stat(Text::clipped("/")).unwrap().mode, 0o755);
    }
    #[test]
    fn an_open_whose_server_dies_is_not_repeated() {
        let mut it = client();
        it.0.dies(1);
        assert_eq!(it.open(Text::clipped("/programs/hello")), Err(Error::Restarted));
        assert_eq!(it.0.delivered, 1);
    }
    #[test]
    fn refusals_arrive_by_name() {
        assert_eq!(client().open(Text::clipped("/nope")), Err(Error::NotFound));
        assert_eq!(client().read(2, 0, 1, 0), Err(Error::BadFile));
        assert_eq!(client().list(Text::clipped("/x"), 0), Err(Error::WrongKind));
    }
}
