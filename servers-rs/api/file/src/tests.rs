// SPDX-License-Identifier: PMPL-1.0-or-later
//! Messages there and back, with a server that knows one file.

use super::*;
use ipc::{Badge, Handle, pair::Pair};

struct One;
const HELLO: Stat = Stat {
    kind: Kind::File,
    node: 7,
    size_bytes: 9000,
    mode: 0o755,
    uid: 1,
    gid: 2,
    links: 3,
    modified_s: 1_700_000_000,
    modified_ns: 999_999_999,
    major: 4,
    minor: 5,
};
const PLACE: Place = Place { offset_bytes: 4096, length_bytes: 4096 };

impl Serve for One {
    fn root(&mut self, _: Badge) -> Result<Stat, Error> {
        Ok(Stat { kind: Kind::Directory, node: 1, ..HELLO })
    }
    fn lookup(&mut self, _: Badge, directory: u64, name: Name) -> Result<Stat, Error> {
        if (directory, name.as_bytes()) == (1, b"hello\xff") { Ok(HELLO) } else { Err(Error::NotFound) }
    }
    fn resolve(&mut self, _: Badge, path: Text) -> Result<Stat, Error> {
        if path.as_str() == "/hello" { Ok(HELLO) } else { Err(Error::NotFound) }
    }
    fn stat(&mut self, _: Badge, node: u64) -> Result<Stat, Error> {
        if node == 7 { Ok(HELLO) } else { Err(Error::BadNode) }
    }
    fn read(&mut self, _: Badge, _: u64, offset: u64, place: Place) -> Result<u32, Error> {
        assert_eq!(place.offset_bytes, 4096);
        Ok((9000u64.saturating_sub(offset) as u32).min(place.length_bytes))
    }
    fn map(&mut self, _: Badge, _: u64, page: u64) -> Result<Mapping, Error> {
        Ok(Mapping { memory: Cap(Handle::new(9, 1)), first_page: page, pages: 1 })
    }
    fn list(&mut self, _: Badge, _: u64, _: u64, _: Place) -> Result<u32, Error> {
        Err(Error::NotADirectory)
    }
    fn read_link(&mut self, _: Badge, _: u64, _: Place) -> Result<u32, Error> {
        Err(Error::WrongKind)
    }
    fn attribute(&mut self, _: Badge, _: u64, _: Name, _: Place) -> Result<u32, Error> {
        Err(Error::NoAttribute)
    }
    fn attribute_names(&mut self, _: Badge, _: u64, _: Place) -> Result<u32, Error> {
        Ok(0)
    }
    fn space(&mut self, _: Badge) -> Result<Space, Error> {
        Ok(Space { blocks: 3 })
    }
}
fn client() -> Client<Pair<One>> {
    Client(Pair::new(One, Badge(1), dispatch))
}

#[test]
fn a_file_is_looked_up_described_read_to_its_end_and_mapped() {
    let mut it = client();
    let root = it.root().unwrap().node;
    assert_eq!(it.lookup(root, Name::new(b"hello\xff").unwrap()), Ok(HELLO));
    assert_eq!(it.resolve(Text::clipped("/hello")), Ok(HELLO));
    assert_eq!(it.stat(7), Ok(HELLO));
    assert_eq!(it.read(7, 8192, PLACE), Ok(808));
    assert_eq!(it.map(7, 2).map(|m| (m.memory.0, m.first_page, m.pages)), Ok((Handle::new(9, 1), 2, 1)));
}
#[test]
fn every_method_is_repeated_when_the_server_dies_under_it() {
    assert!(METHODS.iter().all(|m| m.repeat == ipc::Repeat::Idempotent));
    let mut it = client();
    it.0.dies(1);
    assert_eq!(it.stat(7), Ok(HELLO));
    assert_eq!(it.0.delivered, 2);
    // A request that kills its server twice is not tried again.
    it.0.dies(2);
    assert_eq!(it.stat(7), Err(Error::Restarted));
    assert_eq!(it.0.delivered, 4);
}
#[test]
fn refusals_arrive_by_name() {
    let mut it = client();
    assert_eq!(it.resolve(Text::clipped("/nope")), Err(Error::NotFound));
    assert_eq!(it.stat(2), Err(Error::BadNode));
    assert_eq!(it.list(7, 0, PLACE), Err(Error::NotADirectory));
    assert_eq!(it.attribute(7, Name::new(b"user.x").unwrap(), PLACE), Err(Error::NoAttribute));
}
