// SPDX-License-Identifier: PMPL-1.0-or-later
//! `slot extract`: the files of a slot into a folder, and a tree.json that describes them all (owners, devices and attributes
//! too, which a folder of an ordinary user cannot have). Built again from it, the slot is the same. Blocks are checked against
//! the slot's own root digest; whether that is signed is `slot verify`'s question.

use super::inspect::{Unchecked, read};
use crate::{
    disk::Place,
    fault::Fault,
    files::{Input, Output, write_small},
    tree::{Description, Line},
    walk::{contents, walk},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use erofs::{Entry, Inode, Kind, Reader};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};
use verity::{Geometry, Verified};

const CHUNK_BYTES: usize = 1024 * 1024;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// The folder to fill; must not exist. Files go to `files`, the description to `tree.json`
    #[arg(long, required_unless_present = "path")]
    out: Option<PathBuf>,
    /// Only this file, to --file
    #[arg(long, requires = "file", conflicts_with = "out")]
    path: Option<String>,
    /// Where the one file goes
    #[arg(long)]
    file: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<Value, Fault> {
    let mut reader = open(arguments.place.open_slot()?)?;
    if let (Some(path), Some(file)) = (&arguments.path, &arguments.file) {
        let inode = reader.resolve(path).map_err(|error| Fault::input("extract/path", format!("{path}: {error}")))?;
        copy(&mut reader, &inode, file)?;
        return Ok(json!({ "ok": true, "bytes": inode.size }));
    }
    let Some(out) = &arguments.out else {
        return Err(Fault::ours("extract/out", "no folder was given"));
    };
    // The folder's absence is what makes it safe to write to names that come out of an image.
    let files = out.join("files");
    fs::create_dir(out)
        .and_then(|()| fs::create_dir(&files))
        .map_err(|error| Fault::file("extract/out", "cannot create", out, &error))?;
    let files = files.canonicalize().map_err(|error| Fault::file("extract/out", "cannot open", out, &error))?;
    let found = walk(&mut reader)?;
    let mut description = Description::default();
    for (entry, inode) in &found {
        let path = files.join(entry.path.trim_start_matches('/'));
        match &entry.kind {
            Kind::Directory => {
                fs::create_dir_all(&path).map_err(|error| Fault::file("extract/write", "cannot create", &path, &error))?
            }
            Kind::File { .. } => copy(&mut reader, inode, &path)?,
            // Links and devices stand in the description only: a link could lead a later file astray.
            _ => {}
        }
        description.entries.push(line(entry, &path));
    }
    let text = serde_json::to_string_pretty(&description).map_err(|error| Fault::ours("extract/json", error.to_string()))?;
    write_small(&out.join("tree.json"), 0o644, (text + "\n").as_bytes())?;
    Ok(json!({ "ok": true, "entries": found.len() }))
}

fn open(mut input: Input) -> Result<Reader<Verified<Input>>, Fault> {
    let Unchecked { release, .. } = read(&mut input)?;
    let geometry = Geometry::new(release.data_blocks);
    let verified = geometry.and_then(|geometry| {
        Verified::new(input, geometry, &release.verity_salt, release.verity_root, geometry.data_blocks() + 1)
    });
    Reader::open(verified.ok_or_else(|| Fault::input("slot/geometry", "image and tree do not fit the slot"))?).map_err(contents)
}

fn copy(reader: &mut Reader<Verified<Input>>, inode: &Inode, path: &Path) -> Result<(), Fault> {
    let output = Output::create(path, 0o644)?;
    output.set_length(inode.size)?;
    let mut buffer = vec![0u8; CHUNK_BYTES];
    let mut offset = 0;
    while offset < inode.size {
        let length = reader.read(inode, offset, &mut buffer).map_err(contents)?;
        output.write_at(buffer.get(..length).unwrap_or_default(), offset)?;
        offset += length.max(1) as u64;
    }
    output.finish()
}

fn line(entry: &Entry, path: &Path) -> Line {
    let mut line = Line { path: entry.path.clone(), ..Line::default() };
    line.kind = match &entry.kind {
        Kind::Directory => "directory",
        Kind::File { .. } => "file",
        Kind::Symlink { .. } => "symlink",
        Kind::Char { .. } => "char",
        Kind::Block { .. } => "block",
        Kind::Fifo => "fifo",
        Kind::Hardlink { .. } => "hardlink",
    }
    .into();
    match &entry.kind {
        Kind::File { .. } => line.source = Some(path.into()),
        Kind::Symlink { target } => line.target = Some(target.clone()),
        Kind::Char { major, minor } | Kind::Block { major, minor } => (line.major, line.minor) = (Some(*major), Some(*minor)),
        Kind::Hardlink { target } => {
            return Line { target: Some(target.clone()), ..line };
        }
        Kind::Directory | Kind::Fifo => {}
    }
    let encode = |(name, value): &(String, Vec<u8>)| (name.clone(), STANDARD.encode(value));
    let xattrs = entry.xattrs.iter().map(encode).collect();
    Line { mode: Some(format!("{:04o}", entry.mode)), uid: Some(entry.uid), gid: Some(entry.gid), xattrs, ..line }
}
