// SPDX-License-Identifier: PMPL-1.0-or-later
//! `tree.json`: the description of an OS tree, and the files that it names.

use crate::{fault::Fault, files::read_small};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use erofs::{Contents, Entry, Kind};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

#[derive(Deserialize, Serialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Description {
    pub entries: Vec<Line>,
}

/// One entry as it stands in the file.
#[derive(Deserialize, Serialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub path: String,
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minor: Option<u32>,
}

/// A tree whose description is sound: entries for the writer, and each file's source.
#[derive(Debug)]
pub struct Tree {
    pub entries: Vec<Entry>,
    sources: Vec<Option<PathBuf>>,
    /// What each source looked like when the description was read.
    stamps: Vec<Option<Stamp>>,
    /// The file that was read last: contents come in order.
    open: Option<(usize, File)>,
}

impl Tree {
    /// Reads the description and looks at every source once.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let bytes = read_small("tree/unreadable", path)?;
        let description: Description = serde_json::from_slice(&bytes)
            .map_err(|error| Fault::input("tree/invalid", format!("{}: {error}", path.display())))?;
        let mut tree = Self { entries: Vec::new(), sources: Vec::new(), stamps: Vec::new(), open: None };
        for line in description.entries {
            let entry = entry(&line).map_err(|fault| fault.about(path))?;
            tree.entries.push(entry);
            tree.stamps.push(line.source.as_deref().map(stamp).transpose()?);
            tree.sources.push(line.source);
        }
        let in_order = tree.entries.is_sorted_by(|one, two| one.path < two.path);
        let fault = || {
            Fault::input("tree/order", format!("{}: entries are not sorted by path, or one stands there twice", path.display()))
        };
        if in_order { Ok(tree) } else { Err(fault()) }
    }

    /// Refuses a source that changed since the description was read: the commit would describe other bytes than the image holds.
    pub fn check_unchanged(&self) -> Result<(), Fault> {
        for (source, before) in self.sources.iter().zip(&self.stamps) {
            if let (Some(source), Some(before)) = (source, before)
                && stamp(source)? != *before
            {
                let message = format!("{} changed while the slot was built", source.display());
                return Err(Fault::input("tree/changed", message).hint("build again when nothing writes there"));
            }
        }
        Ok(())
    }

    /// The host path of an entry's contents.
    pub fn source(&self, entry: usize) -> Option<&Path> {
        self.sources.get(entry)?.as_deref()
    }
}

impl Contents for Tree {
    type Error = Fault;

    fn read(&mut self, entry: usize, offset: u64, out: &mut [u8]) -> Result<(), Fault> {
        let path =
            self.source(entry).ok_or_else(|| Fault::ours("tree/no-source", format!("entry {entry} has no source")))?.to_owned();
        let fault = |error: std::io::Error| {
            Fault::file("tree/source", "cannot read", &path, &error).hint("it must not change while the slot is built")
        };
        if self.open.as_ref().is_none_or(|(open, _)| *open != entry) {
            self.open = Some((entry, File::open(&path).map_err(fault)?));
        }
        match &self.open {
            Some((_, file)) => file.read_exact_at(out, offset).map_err(fault),
            None => Ok(()),
        }
    }
}

fn entry(line: &Line) -> Result<Entry, Fault> {
    let at = &line.path;
    let lacks = |field: &str| Fault::input("tree/field", format!("{at}: a {} needs {field}", line.kind));
    let target = || line.target.clone().ok_or_else(|| lacks("target"));
    let device = || Ok::<_, Fault>((line.major.ok_or_else(|| lacks("major"))?, line.minor.ok_or_else(|| lacks("minor"))?));
    let kind = match line.kind.as_str() {
        "directory" => Kind::Directory,
        "file" => Kind::File { length_bytes: length(line.source.as_ref().ok_or_else(|| lacks("source"))?)? },
        "symlink" => Kind::Symlink { target: target()? },
        "char" => device().map(|(major, minor)| Kind::Char { major, minor })?,
        "block" => device().map(|(major, minor)| Kind::Block { major, minor })?,
        "fifo" => Kind::Fifo,
        "hardlink" => {
            return Ok(Entry {
                path: at.clone(),
                kind: Kind::Hardlink { target: target()? },
                mode: 0,
                uid: 0,
                gid: 0,
                xattrs: Vec::new(),
            });
        }
        other => {
            let message = format!("{at}: unknown kind {other:?} (known: directory file symlink char block fifo hardlink)");
            return Err(Fault::input("tree/kind", message));
        }
    };
    let mode = line.mode.as_ref().ok_or_else(|| lacks("mode"))?;
    let mode = u16::from_str_radix(mode, 8)
        .map_err(|_| Fault::input("tree/mode", format!("{at}: mode {mode:?} is no octal number such as 0755")))?;
    let decode = |(name, value): (&String, &String)| match STANDARD.decode(value) {
        Ok(bytes) => Ok((name.clone(), bytes)),
        Err(error) => Err(Fault::input("tree/xattr", format!("{at}: value of {name} is no base64: {error}"))),
    };
    Ok(Entry {
        path: at.clone(),
        kind,
        mode,
        uid: line.uid.ok_or_else(|| lacks("uid"))?,
        gid: line.gid.ok_or_else(|| lacks("gid"))?,
        xattrs: line.xattrs.iter().map(decode).collect::<Result<_, _>>()?,
    })
}

/// Length, modification time in seconds and nanoseconds, inode.
type Stamp = (u64, i64, i64, u64);

fn stamp(source: &Path) -> Result<Stamp, Fault> {
    let metadata = source.metadata().map_err(|error| Fault::file("tree/source", "cannot read", source, &error))?;
    Ok((metadata.len(), metadata.mtime(), metadata.mtime_nsec(), metadata.ino()))
}

fn length(source: &Path) -> Result<u64, Fault> {
    let metadata = source.metadata().map_err(|error| Fault::file("tree/source", "cannot read", source, &error))?;
    if !metadata.is_file() {
        return Err(Fault::input("tree/source", format!("{} is no regular file", source.display())));
    }
    Ok(metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_changes_during_the_build_is_refused() {
        let folder = std::env::temp_dir().join(format!("flatracoon-slot-tree-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (source, description) = (folder.join("source"), folder.join("tree.json"));
        std::fs::write(&source, b"before").unwrap();
        let root = r#"{ "path": "/", "kind": "directory", "mode": "0755", "uid": 0, "gid": 0 }"#;
        let file = format!(r#"{{ "path": "/a", "kind": "file", "mode": "0644", "uid": 0, "gid": 0, "source": {source:?} }}"#);
        std::fs::write(&description, format!(r#"{{ "entries": [{root}, {file}] }}"#)).unwrap();
        let tree = Tree::read(&description).unwrap();
        tree.check_unchanged().unwrap();
        std::fs::write(&source, b"after it was looked at").unwrap();
        assert_eq!(tree.check_unchanged().unwrap_err().code, "tree/changed");
        std::fs::remove_file(&source).unwrap();
        assert_eq!(tree.check_unchanged().unwrap_err().code, "tree/source");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
