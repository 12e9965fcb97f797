// SPDX-License-Identifier: PMPL-1.0-or-later
//! The tree as OSTree objects: their ids always, their files in an archive repository if one is wanted.

use crate::{fault::Fault, files::Output};
use erofs::{Contents, Entry, Kind, device_number};
use ostree::{
    DirMeta, Directory, FileHasher, FileHeader, ObjectId, ObjectKind,
    archive::{CONFIG, DIRECTORIES, FilezWriter},
};
use slot::Node;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Reading a file costs few calls with this much at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// What the commit says of a tree.
pub struct Objects {
    pub root_tree: ObjectId,
    pub root_meta: ObjectId,
    /// What OSTree has no objects for.
    pub nodes: Vec<Node>,
    pub hardlinks: Vec<(String, String)>,
    pub files: usize,
}

/// A repository to write to, or none.
pub struct Repository(Option<PathBuf>);

impl Repository {
    /// Makes the folders and the configuration where they are missing.
    pub fn open(path: Option<&Path>) -> Result<Self, Fault> {
        let Some(path) = path else {
            return Ok(Self(None));
        };
        let repository = Self(Some(path.into()));
        for folder in DIRECTORIES {
            let folder = path.join(folder);
            fs::create_dir_all(&folder).map_err(|error| Fault::file("repository/create", "cannot create", &folder, &error))?;
        }
        match fs::read_to_string(path.join("config")) {
            Ok(config) if config.contains("mode=archive") => Ok(repository),
            Ok(_) => {
                let message = format!("{} is a repository of another mode", path.display());
                Err(Fault::input("repository/mode", message).hint("give a folder that is empty or holds an archive repository"))
            }
            Err(_) => repository.put("config", CONFIG.as_bytes()).map(|()| repository),
        }
    }

    pub fn put_object(&self, id: ObjectId, kind: ObjectKind, bytes: &[u8]) -> Result<(), Fault> {
        match self.missing(id, kind) {
            Some(_) => self.put(&id.path(kind), bytes),
            None => Ok(()),
        }
    }

    /// Points a ref at a commit.
    pub fn put_ref(&self, name: &str, commit: ObjectId) -> Result<(), Fault> {
        self.put(&format!("refs/heads/{name}"), format!("{commit}\n").as_bytes())
    }

    /// Replaces a commit's detached metadata.
    pub fn put_commitmeta(&self, commit: ObjectId, bytes: &[u8]) -> Result<(), Fault> {
        self.put(&commit.path(ObjectKind::CommitMeta), bytes)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        let Some(path) = self.0.as_ref().map(|root| root.join(name)) else {
            return Ok(());
        };
        make_parent(&path)?;
        let output = Output::create(&path, 0o644)?;
        output.set_length(bytes.len() as u64)?;
        output.write_at(bytes, 0)?;
        output.finish()
    }

    /// Where an object is to be written; `None` if it is there, or nothing is to be written at all.
    fn missing(&self, id: ObjectId, kind: ObjectKind) -> Option<PathBuf> {
        self.0.as_ref().map(|root| root.join(id.path(kind))).filter(|path| !path.exists())
    }
}

fn make_parent(path: &Path) -> Result<(), Fault> {
    match path.parent() {
        Some(parent) => {
            fs::create_dir_all(parent).map_err(|error| Fault::file("repository/create", "cannot create", parent, &error))
        }
        None => Ok(()),
    }
}

/// Makes all objects of a tree whose description the planner has accepted (so parents and link targets are there).
/// `entries` are sorted by path.
pub fn make_objects<C>(entries: &[Entry], contents: &mut C, repository: &Repository) -> Result<Objects, Fault>
where
    C: Contents<Error = Fault>,
{
    let mut root = Directory::default();
    let (mut nodes, mut hardlinks) = (Vec::new(), Vec::new());
    let mut ids: BTreeMap<&str, ObjectId> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        let tree_fault = |error| Fault::input("tree/path", format!("{}: {error}", entry.path));
        match &entry.kind {
            Kind::Directory if entry.path == "/" => root = Directory::new(directory_meta(entry)),
            Kind::Directory => root.add_directory(&entry.path, directory_meta(entry)).map_err(tree_fault)?,
            Kind::File { length_bytes } => {
                let id = file_object(contents, index, entry, *length_bytes, repository)?;
                ids.insert(&entry.path, id);
                root.add_file(&entry.path, id).map_err(tree_fault)?;
            }
            Kind::Symlink { target } => {
                let header = FileHeader { symlink_target: target.clone(), ..header(entry) };
                let id = FileHasher::new(&header).finish();
                repository.put_object(id, ObjectKind::File, &header.archive_prefix(0))?;
                ids.insert(&entry.path, id);
                root.add_file(&entry.path, id).map_err(tree_fault)?;
            }
            Kind::Char { major, minor } | Kind::Block { major, minor } => nodes.push(node(entry, device_number(*major, *minor))?),
            Kind::Fifo => nodes.push(node(entry, Some(0))?),
            Kind::Hardlink { target } => hardlinks.push((entry.path.clone(), target.clone())),
        }
    }
    for (path, target) in &hardlinks {
        // Another name of a device stands in the list of links only: OSTree has no object for it.
        if let Some(id) = ids.get(target.as_str()) {
            root.add_file(path, *id).map_err(|error| Fault::input("tree/path", format!("{path}: {error}")))?;
        }
    }
    let mut written = Ok(());
    let (root_tree, root_meta) = root.objects(&mut |object| {
        if written.is_ok() {
            written = repository.put_object(object.id, object.kind, &object.bytes);
        }
    });
    written?;
    Ok(Objects { root_tree, root_meta, nodes, hardlinks, files: ids.len() })
}

fn directory_meta(entry: &Entry) -> DirMeta {
    let FileHeader { uid, gid, mode, xattrs, .. } = header(entry);
    DirMeta { uid, gid, mode, xattrs }
}

fn header(entry: &Entry) -> FileHeader {
    let mode = u32::from(entry.kind.mode_bits() | entry.mode);
    FileHeader { uid: entry.uid, gid: entry.gid, mode, symlink_target: String::new(), xattrs: entry.xattrs.clone() }
}

fn node(entry: &Entry, rdev: Option<u32>) -> Result<Node, Fault> {
    if !entry.xattrs.is_empty() {
        let message = format!("{}: a device or FIFO cannot have attributes (the commit has no place for them)", entry.path);
        return Err(Fault::input("tree/xattr", message));
    }
    let rdev = rdev.ok_or_else(|| Fault::input("tree/device", format!("{}: the device numbers are too large", entry.path)))?;
    Ok(Node { path: entry.path.clone(), mode: header(entry).mode, uid: entry.uid, gid: entry.gid, rdev })
}

/// Hashes a file, and writes its object if the repository lacks it.
fn file_object<C>(contents: &mut C, index: usize, entry: &Entry, length: u64, repository: &Repository) -> Result<ObjectId, Fault>
where
    C: Contents<Error = Fault>,
{
    let header = header(entry);
    let mut hasher = FileHasher::new(&header);
    each_chunk(contents, index, length, &mut |chunk| {
        hasher.update(chunk);
        Ok(())
    })?;
    let id = hasher.finish();
    if let Some(path) = repository.missing(id, ObjectKind::File) {
        make_parent(&path)?;
        let output = Output::create(&path, 0o644)?;
        let mut filez = FilezWriter::new(&header, length);
        let mut at = 0;
        let mut write = |bytes: Vec<u8>| {
            output.set_length(at + bytes.len() as u64)?;
            output.write_at(&bytes, at)?;
            at += bytes.len() as u64;
            Ok::<_, Fault>(())
        };
        each_chunk(contents, index, length, &mut |chunk| {
            filez.push(chunk);
            write(filez.take())
        })?;
        write(filez.finish())?;
        output.finish()?;
    }
    Ok(id)
}

fn each_chunk<C>(
    contents: &mut C,
    index: usize,
    length: u64,
    each: &mut dyn FnMut(&[u8]) -> Result<(), Fault>,
) -> Result<(), Fault>
where
    C: Contents<Error = Fault>,
{
    let mut buffer = vec![0u8; CHUNK_BYTES.min(length as usize)];
    let mut offset = 0;
    while offset < length {
        let take = buffer.len().min((length - offset) as usize);
        let chunk = buffer.get_mut(..take).unwrap_or_default();
        contents.read(index, offset, chunk)?;
        each(chunk)?;
        offset += take as u64;
    }
    Ok(())
}
