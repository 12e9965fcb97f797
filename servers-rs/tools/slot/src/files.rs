// SPDX-License-Identifier: PMPL-1.0-or-later
//! Files: output that appears whole or not at all, and input read by blocks and sectors.

use crate::fault::Fault;
use blocks::{BLOCK_BYTES, BlockRead, ReadError, SectorRead, check_range};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The largest JSON or key file that is read.
const MAX_SMALL_BYTES: u64 = 64 * 1024 * 1024;

/// A whole small file.
pub fn read_small(code: &'static str, path: &Path) -> Result<Vec<u8>, Fault> {
    let fault = |error: &io::Error| Fault::file(code, "cannot read", path, error);
    let file = File::open(path).map_err(|error| fault(&error))?;
    let mut bytes = Vec::new();
    file.take(MAX_SMALL_BYTES + 1).read_to_end(&mut bytes).map_err(|error| fault(&error))?;
    if bytes.len() as u64 > MAX_SMALL_BYTES {
        return Err(Fault::input(code, format!("{} is larger than {MAX_SMALL_BYTES} bytes", path.display())));
    }
    Ok(bytes)
}

/// A file being made. It has its name only after [`Output::finish`]; dropped before, it is removed.
pub struct Output {
    file: File,
    unfinished: PathBuf,
    path: PathBuf,
    done: bool,
}

impl Output {
    /// `mode` as for open(2), before the umask.
    pub fn create(path: &Path, mode: u32) -> Result<Self, Fault> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".unfinished-{}", std::process::id()));
        let unfinished = path.with_file_name(name);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(mode).open(&unfinished);
        let file = open.map_err(|error| Fault::file("output/create", "cannot create", path, &error))?;
        Ok(Self { file, unfinished, path: path.into(), done: false })
    }

    /// Sets the length; what is not written stays a hole of zeros.
    pub fn set_length(&self, bytes: u64) -> Result<(), Fault> {
        self.file.set_len(bytes).map_err(|error| self.fault(&error))
    }

    /// Writes at an offset; blocks of zeros are left as holes.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), Fault> {
        let mut start = None;
        let mut at = 0;
        for block in bytes.chunks(BLOCK_BYTES) {
            match (is_zero(block), start) {
                (true, Some(from)) => {
                    self.write_run(bytes, from, at, offset)?;
                    start = None;
                }
                (false, None) => start = Some(at),
                _ => {}
            }
            at += block.len();
        }
        start.map_or(Ok(()), |from| self.write_run(bytes, from, at, offset))
    }

    pub fn finish(mut self) -> Result<(), Fault> {
        fs::rename(&self.unfinished, &self.path).map_err(|error| self.fault(&error))?;
        self.done = true;
        Ok(())
    }

    fn write_run(&self, bytes: &[u8], from: usize, to: usize, offset: u64) -> Result<(), Fault> {
        let run = bytes.get(from..to).unwrap_or_default();
        self.file.write_all_at(run, offset + from as u64).map_err(|error| self.fault(&error))
    }

    fn fault(&self, error: &io::Error) -> Fault {
        Fault::file("output/write", "cannot write", &self.path, error)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.done {
            // Nothing better can be done about a leftover than to try.
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}

/// Writes a whole small file, all or nothing.
pub fn write_small(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), Fault> {
    let output = Output::create(path, mode)?;
    output.set_length(bytes.len() as u64)?;
    output.write_at(bytes, 0)?;
    output.finish()
}

fn is_zero(bytes: &[u8]) -> bool {
    // Compared in words: the compiler makes vector code of it.
    bytes.chunks(16).all(|chunk| chunk.iter().fold(0, |sum, byte| sum | byte) == 0)
}

/// A window of a file, read by blocks and by sectors of 512 bytes.
#[derive(Debug)]
pub struct Input {
    file: File,
    offset: u64,
    length: u64,
}

impl Input {
    /// The whole file. Opened for writing too if `writable`.
    pub fn open(path: &Path, writable: bool) -> Result<Self, Fault> {
        let fault = |error: &io::Error| Fault::file("image/open", "cannot open", path, error);
        let file = OpenOptions::new().read(true).write(writable).open(path).map_err(|error| fault(&error))?;
        let length = file.metadata().map_err(|error| fault(&error))?.len();
        Ok(Self { file, offset: 0, length })
    }

    /// A part of it, clipped to its end.
    pub fn window(&self, offset: u64, length: u64) -> Result<Self, Fault> {
        let left = self.length.checked_sub(offset).ok_or_else(|| {
            Fault::input("image/offset", format!("offset {offset} lies beyond the end of the image, {}", self.length))
        })?;
        let file = self.file.try_clone().map_err(|error| Fault::ours("image/clone", error.to_string()))?;
        Ok(Self { file, offset: self.offset + offset, length: left.min(length) })
    }

    /// Writes and makes durable.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), Fault> {
        let write = self.file.write_all_at(bytes, self.offset + offset).and_then(|()| self.file.sync_data());
        write.map_err(|error| Fault::input("image/write", format!("cannot write to the image: {error}")))
    }

    fn read(&self, first: u64, out: &mut [u8], unit: usize) -> Result<(), ReadError> {
        check_range(first, out.len(), unit, self.length / unit as u64)?;
        let code = |error: io::Error| ReadError::Device { code: error.raw_os_error().unwrap_or_default() as u64 };
        self.file.read_exact_at(out, self.offset + first * unit as u64).map_err(code)
    }
}

impl BlockRead for Input {
    fn block_count(&self) -> u64 {
        self.length / BLOCK_BYTES as u64
    }

    fn read_blocks(&mut self, first: u64, out: &mut [u8]) -> Result<(), ReadError> {
        self.read(first, out, BLOCK_BYTES)
    }
}

impl SectorRead for Input {
    fn sector_bytes(&self) -> u32 {
        512
    }

    fn sector_count(&self) -> u64 {
        self.length / 512
    }

    fn read_sectors(&mut self, lba: u64, out: &mut [u8]) -> Result<(), ReadError> {
        self.read(lba, out, 512)
    }
}
