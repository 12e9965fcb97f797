// SPDX-License-Identifier: PMPL-1.0-or-later
//! What POSIX says a file system is, as maps in memory: the judge of what the real one answers and holds.

use super::{Disk, NOW};
use ext4::{Error, Ext4, Kind, ROOT, Replace, XattrSet};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;

/// A number that follows from the one before: tests are the same each time.
#[derive(Clone)]
pub struct Random(pub u64);
impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end.max(1)
    }
}

#[derive(Clone, Debug)]
pub enum Op {
    Create(usize, Vec<u8>, Kind),
    Symlink(usize, Vec<u8>, Vec<u8>),
    Link(usize, usize, Vec<u8>),
    Unlink(usize, Vec<u8>),
    RemoveDirectory(usize, Vec<u8>),
    Rename(usize, Vec<u8>, usize, Vec<u8>, Replace),
    Write(usize, u64, Vec<u8>),
    Truncate(usize, u64),
    Allocate(usize, u64, u64),
    Punch(usize, u64, u64),
    Mode(usize, u16),
    SetAttribute(usize, Vec<u8>, Vec<u8>, XattrSet),
    RemoveAttribute(usize, Vec<u8>),
    Sync,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub kind: Kind,
    mode: u16,
    pub links: u32,
    pub data: Rc<Vec<u8>>,
    attributes: BTreeMap<Vec<u8>, Rc<Vec<u8>>>,
    pub entries: BTreeMap<Vec<u8>, usize>,
    parent: usize,
}

/// Nodes by a number of their own, which no other node ever has; 0 is the root.
#[derive(Clone, Debug)]
pub struct Model {
    pub nodes: BTreeMap<usize, Node>,
    next: usize,
}

impl Model {
    pub fn new() -> Model {
        let mut model = Model { nodes: BTreeMap::new(), next: 0 };
        model.add(Kind::Directory, 0o755, vec![], 0);
        model
    }
    fn add(&mut self, kind: Kind, mode: u16, data: Vec<u8>, parent: usize) -> usize {
        let links = if kind == Kind::Directory { 2 } else { 1 };
        let (entries, attributes) = (BTreeMap::new(), BTreeMap::new());
        self.nodes.insert(self.next, Node { kind, mode, links, data: data.into(), attributes, entries, parent });
        self.next += 1;
        self.next - 1
    }
    fn directory(&mut self, id: usize) -> Result<&mut Node, Error> {
        let node = self.nodes.get_mut(&id).ok_or(Error::NotFound)?;
        if node.kind == Kind::Directory { Ok(node) } else { Err(Error::NotADirectory) }
    }
    fn file(&mut self, id: usize) -> Result<&mut Node, Error> {
        let node = self.nodes.get_mut(&id).ok_or(Error::NotFound)?;
        match node.kind {
            Kind::File => Ok(node),
            Kind::Directory => Err(Error::IsADirectory),
            _ => Err(Error::Invalid),
        }
    }
    fn unlink(&mut self, id: usize) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.links -= 1;
        if node.links == 0 || node.kind == Kind::Directory {
            self.nodes.remove(&id);
        }
    }

    /// What the operation answers, and the node it made.
    pub fn apply(&mut self, op: &Op) -> Result<Option<usize>, Error> {
        match op.clone() {
            Op::Create(d, name, kind) => {
                if self.directory(d)?.entries.contains_key(&name) {
                    return Err(Error::Exists);
                }
                let id = self.add(kind, 0o644, vec![], d);
                let parent = self.directory(d)?;
                parent.entries.insert(name, id);
                parent.links += u32::from(kind == Kind::Directory);
                return Ok(Some(id));
            }
            Op::Symlink(d, name, target) => {
                if self.directory(d)?.entries.contains_key(&name) {
                    return Err(Error::Exists);
                }
                let id = self.add(Kind::Symlink, 0o777, target, d);
                self.directory(d)?.entries.insert(name, id);
                return Ok(Some(id));
            }
            Op::Link(id, d, name) => {
                self.directory(d)?;
                if self.nodes.get(&id).ok_or(Error::NotFound)?.kind == Kind::Directory {
                    return Err(Error::Invalid);
                }
                if self.directory(d)?.entries.contains_key(&name) {
                    return Err(Error::Exists);
                }
                self.directory(d)?.entries.insert(name, id);
                self.nodes.get_mut(&id).unwrap().links += 1;
            }
            Op::Unlink(d, name) | Op::RemoveDirectory(d, name) => {
                let id = *self.directory(d)?.entries.get(&name).ok_or(Error::NotFound)?;
                let is_directory = self.nodes[&id].kind == Kind::Directory;
                match (matches!(op, Op::RemoveDirectory(..)), is_directory) {
                    (true, false) => return Err(Error::NotADirectory),
                    (false, true) => return Err(Error::IsADirectory),
                    (true, true) if !self.nodes[&id].entries.is_empty() => return Err(Error::NotEmpty),
                    _ => {}
                }
                let parent = self.directory(d)?;
                parent.entries.remove(&name);
                parent.links -= u32::from(is_directory);
                self.unlink(id);
            }
            Op::Rename(from, name, to, new, Replace::Exchange) => self.exchange(from, &name, to, &new)?,
            Op::Rename(from, name, to, new, replace) => self.rename(from, name, to, new, replace)?,
            Op::Write(id, offset, bytes) => {
                let data = Rc::make_mut(&mut self.file(id)?.data);
                let end = offset as usize + bytes.len();
                data.resize(data.len().max(end), 0);
                data[offset as usize..end].copy_from_slice(&bytes);
            }
            Op::Truncate(id, size) => Rc::make_mut(&mut self.file(id)?.data).resize(size as usize, 0),
            Op::Allocate(id, offset, length) => {
                let data = Rc::make_mut(&mut self.file(id)?.data);
                data.resize(data.len().max((offset + length) as usize), 0);
            }
            Op::Punch(id, offset, length) => {
                let data = Rc::make_mut(&mut self.file(id)?.data);
                let range = data.len().min(offset as usize)..data.len().min((offset + length) as usize);
                data[range].fill(0);
            }
            Op::Mode(id, mode) => self.nodes.get_mut(&id).ok_or(Error::NotFound)?.mode = mode,
            Op::SetAttribute(id, name, value, how) => {
                let node = self.nodes.get_mut(&id).ok_or(Error::NotFound)?;
                match (how, node.attributes.contains_key(&name)) {
                    (XattrSet::Create, true) => return Err(Error::Exists),
                    (XattrSet::Replace, false) => return Err(Error::NoAttribute),
                    _ => node.attributes.insert(name, value.into()),
                };
            }
            Op::RemoveAttribute(id, name) => {
                let node = self.nodes.get_mut(&id).ok_or(Error::NotFound)?;
                node.attributes.remove(&name).ok_or(Error::NoAttribute)?;
            }
            Op::Sync => {}
        }
        Ok(None)
    }

    fn rename(&mut self, from: usize, name: Vec<u8>, to: usize, new: Vec<u8>, replace: Replace) -> Result<(), Error> {
        self.directory(from)?;
        self.directory(to)?;
        let id = *self.directory(from)?.entries.get(&name).ok_or(Error::NotFound)?;
        let is_directory = self.nodes[&id].kind == Kind::Directory;
        let mut above = to;
        while is_directory && from != to && above != 0 {
            if above == id {
                return Err(Error::Invalid);
            }
            above = self.nodes[&above].parent;
        }
        if let Some(&old) = self.directory(to)?.entries.get(&new) {
            if replace == Replace::Refuse {
                return Err(Error::Exists);
            }
            if old == id {
                return Ok(());
            }
            match (is_directory, self.nodes[&old].kind == Kind::Directory) {
                (true, false) => return Err(Error::NotADirectory),
                (false, true) => return Err(Error::IsADirectory),
                (true, true) if !self.nodes[&old].entries.is_empty() => return Err(Error::NotEmpty),
                _ => {}
            }
            self.directory(to)?.links -= u32::from(is_directory);
            self.unlink(old);
        }
        self.directory(from)?.entries.remove(&name);
        self.directory(from)?.links -= u32::from(is_directory);
        self.directory(to)?.entries.insert(new, id);
        self.directory(to)?.links += u32::from(is_directory);
        self.nodes.get_mut(&id).unwrap().parent = to;
        Ok(())
    }

    fn exchange(&mut self, from: usize, name: &[u8], to: usize, new: &[u8]) -> Result<(), Error> {
        self.directory(from)?;
        self.directory(to)?;
        let one = *self.directory(from)?.entries.get(name).ok_or(Error::NotFound)?;
        let two = *self.directory(to)?.entries.get(new).ok_or(Error::NotFound)?;
        for (id, target) in [(one, to), (two, from)] {
            let mut above = target;
            while self.nodes[&id].kind == Kind::Directory && from != to && one != two && above != 0 {
                if above == id {
                    return Err(Error::Invalid);
                }
                above = self.nodes[&above].parent;
            }
        }
        for (id, old, at, new) in [(one, from, to, new), (two, to, from, name)] {
            let links = u32::from(self.nodes[&id].kind == Kind::Directory);
            self.directory(old)?.links -= links;
            self.directory(at)?.links += links;
            self.directory(at)?.entries.insert(new.to_vec(), id);
            self.nodes.get_mut(&id).unwrap().parent = at;
        }
        Ok(())
    }

    /// All but the data of files, a line for each name.
    pub fn describe(&self) -> String {
        let mut out = String::new();
        self.describe_below(0, "", &mut out);
        out
    }
    fn describe_below(&self, id: usize, path: &str, out: &mut String) {
        let n = &self.nodes[&id];
        // lost+found is a link of the root.
        let links = n.links + u32::from(id == 0);
        let size = if n.kind == Kind::Directory { 0 } else { n.data.len() };
        let target = if n.kind == Kind::Symlink { &n.data[..] } else { b"" };
        line(
            out,
            path,
            (n.kind, n.mode, links),
            size as u64,
            target,
            n.attributes.iter().map(|(a, b)| (a.as_slice(), b.as_slice())),
        );
        for (name, below) in &n.entries {
            self.describe_below(*below, &format!("{path}/{}", String::from_utf8_lossy(name)), out);
        }
    }
    /// Regular files by path.
    pub fn files(&self) -> Vec<(String, usize)> {
        let mut out = vec![];
        let mut rest = vec![(String::new(), 0)];
        while let Some((path, id)) = rest.pop() {
            let node = &self.nodes[&id];
            if node.kind == Kind::File {
                out.push((path, id));
                continue;
            }
            rest.extend(node.entries.iter().map(|(name, below)| (format!("{path}/{}", String::from_utf8_lossy(name)), *below)));
        }
        out
    }

    fn pick(&self, random: &mut Random, want: impl Fn(&Node) -> bool) -> usize {
        let all: Vec<usize> = self.nodes.iter().filter(|(_, n)| want(n)).map(|(id, _)| *id).collect();
        // Sometimes one that is gone, or was never there, or is of the wrong kind.
        if all.is_empty() || random.below(40) == 0 {
            return *self.nodes.keys().nth(random.below(self.nodes.len() as u64) as usize).unwrap_or(&0);
        }
        all[random.below(all.len() as u64) as usize]
    }
    /// An operation that may well succeed; one in `syncs` is a sync.
    pub fn random(&self, random: &mut Random, syncs: u64) -> Op {
        if random.below(syncs) == 0 {
            return Op::Sync;
        }
        let d = self.pick(random, |n| n.kind == Kind::Directory);
        let name = |random: &mut Random| match random.below(12) {
            11 => vec![b'n'; 255],
            10 => [vec![b'm'; 100], b"tail".to_vec()].concat(),
            n => format!("n{n}").into_bytes(),
        };
        let here = |random: &mut Random, d: usize| {
            let node = &self.nodes[&d];
            match node.entries.len() as u64 {
                0 => name(random),
                n => node.entries.keys().nth(random.below(n) as usize).cloned().unwrap(),
            }
        };
        let f = self.pick(random, |n| n.kind == Kind::File);
        let any = self.pick(random, |n| n.kind == Kind::File || n.kind == Kind::Symlink);
        let attribute = |random: &mut Random| format!("user.a{}", random.below(4)).into_bytes();
        match random.below(20) {
            0..=2 => Op::Create(d, name(random), Kind::File),
            3 => Op::Create(d, name(random), Kind::Directory),
            4 => Op::Symlink(d, name(random), vec![b't'; 1 + random.below(120) as usize]),
            5 => Op::Link(any, d, name(random)),
            6 => Op::Unlink(d, here(random, d)),
            7 => Op::RemoveDirectory(d, here(random, d)),
            8..=10 => {
                let to = self.pick(random, |n| n.kind == Kind::Directory);
                let replace = match random.below(6) {
                    0 => Replace::Refuse,
                    1 => Replace::Exchange,
                    _ => Replace::Allow,
                };
                let new =
                    if random.below(2) == 0 && self.nodes[&to].kind == Kind::Directory { here(random, to) } else { name(random) };
                Op::Rename(d, here(random, d), to, new, replace)
            }
            11..=14 => Op::Write(f, random.below(60_000), vec![random.below(255) as u8 + 1; 1 + random.below(20_000) as usize]),
            15 => Op::Truncate(f, random.below(70_000)),
            16 if random.below(2) == 0 => Op::Punch(f, random.below(60_000), 1 + random.below(30_000)),
            16 => Op::Allocate(f, random.below(50_000), 1 + random.below(30_000)),
            17 => Op::Mode(any, random.below(0o1000) as u16),
            18 => {
                let how = [XattrSet::Any, XattrSet::Any, XattrSet::Create, XattrSet::Replace][random.below(4) as usize];
                Op::SetAttribute(any, attribute(random), vec![b'v'; random.below(300) as usize], how)
            }
            _ => Op::RemoveAttribute(any, attribute(random)),
        }
    }
}

fn line<'a>(
    out: &mut String,
    path: &str,
    (kind, mode, links): (Kind, u16, u32),
    size: u64,
    target: &[u8],
    attributes: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) {
    write!(out, "{path} {kind:?} {mode:o} {links} {size} {}", String::from_utf8_lossy(target)).unwrap();
    for (name, value) in attributes {
        write!(out, " {}={}", String::from_utf8_lossy(name), value.len()).unwrap();
    }
    out.push('\n');
}

/// The real one, with the inode of each node of the model.
pub struct Real {
    pub fs: Ext4<Disk>,
    inodes: BTreeMap<usize, u32>,
}

impl Real {
    pub fn new(disk: &Disk) -> Real {
        Real::over(Ext4::mount(disk.clone(), NOW).unwrap())
    }
    pub fn over(fs: Ext4<Disk>) -> Real {
        Real { fs, inodes: BTreeMap::from([(0, ROOT)]) }
    }
    fn inode(&self, id: usize) -> u32 {
        self.inodes[&id]
    }
    pub fn made(&mut self, id: usize, inode: u32) {
        self.inodes.insert(id, inode);
    }
    /// The inode that it made, if it made one.
    pub fn apply(&mut self, op: &Op) -> Result<Option<u32>, Error> {
        let owner = (0, 0);
        let i = |id: &usize| self.inodes[id];
        let fs = &mut self.fs;
        match op {
            Op::Create(d, name, kind) => {
                let mode = 0o644;
                return fs.create(i(d), name, *kind, mode, owner).map(Some);
            }
            Op::Symlink(d, name, target) => return fs.symlink(i(d), name, target, owner).map(Some),
            Op::Link(id, d, name) => fs.link(i(id), i(d), name)?,
            Op::Unlink(d, name) => fs.unlink(i(d), name)?,
            Op::RemoveDirectory(d, name) => fs.remove_directory(i(d), name)?,
            Op::Rename(from, name, to, new, replace) => fs.rename(i(from), name, i(to), new, *replace)?,
            Op::Write(id, offset, bytes) => assert_eq!(fs.write(i(id), *offset, bytes)?, bytes.len()),
            Op::Truncate(id, size) => fs.truncate(i(id), *size)?,
            Op::Allocate(id, offset, length) => fs.allocate(i(id), *offset, *length, false)?,
            Op::Punch(id, offset, length) => fs.punch(i(id), *offset, *length)?,
            Op::Mode(id, mode) => fs.set_mode(i(id), *mode)?,
            Op::SetAttribute(id, name, value, how) => fs.set_attribute(i(id), name, value, *how)?,
            Op::RemoveAttribute(id, name) => fs.remove_attribute(i(id), name)?,
            Op::Sync => fs.sync()?,
        }
        Ok(None)
    }
    /// Unmounts and mounts again; `between` sees the disk when it is not mounted.
    pub fn remount(&mut self, disk: &Disk, between: impl FnOnce()) {
        let other = Disk::made(2048).mount();
        core::mem::replace(&mut self.fs, other).unmount().unwrap();
        between();
        self.fs = disk.mount();
    }
    pub fn data(&mut self, id: usize) -> Vec<u8> {
        let inode = self.inode(id);
        read_all(&mut self.fs, inode)
    }
}

pub fn read_all(fs: &mut Ext4<Disk>, inode: u32) -> Vec<u8> {
    let mut out = vec![0xaa; fs.stat(inode).unwrap().size_bytes as usize];
    assert_eq!(fs.read(inode, 0, &mut out).unwrap(), out.len());
    out
}

/// As `Model::describe`, of the real one, and its regular files by path.
pub fn describe(fs: &mut Ext4<Disk>) -> (String, Vec<(String, u32)>) {
    let (mut out, mut files) = (String::new(), vec![]);
    below(fs, ROOT, "", &mut out, &mut files);
    (out, files)
}
fn below(fs: &mut Ext4<Disk>, inode: u32, path: &str, out: &mut String, files: &mut Vec<(String, u32)>) {
    let stat = fs.stat(inode).unwrap();
    let target = if stat.kind == Kind::Symlink { fs.read_link(inode).unwrap() } else { vec![] };
    let mut names = fs.attribute_names(inode).unwrap();
    names.sort();
    let values: Vec<Vec<u8>> = names.iter().map(|name| fs.attribute(inode, name).unwrap()).collect();
    let size = if stat.kind == Kind::Directory { 0 } else { stat.size_bytes };
    let attributes = names.iter().map(Vec::as_slice).zip(values.iter().map(Vec::as_slice));
    line(out, path, (stat.kind, stat.mode, stat.links), size, &target, attributes);
    if stat.kind == Kind::File {
        files.push((path.to_owned(), inode));
    }
    if stat.kind != Kind::Directory {
        return;
    }
    let (mut entries, mut cookie) = (vec![], Some(0));
    while let Some(at) = cookie {
        let (some, next) = fs.list(inode, at, 7).unwrap();
        entries.extend(some);
        cookie = next;
    }
    entries.retain(|e| !matches!(&e.name[..], b"." | b".." | b"lost+found"));
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    for e in entries {
        below(fs, e.inode, &format!("{path}/{}", String::from_utf8_lossy(&e.name)), out, files);
    }
}
