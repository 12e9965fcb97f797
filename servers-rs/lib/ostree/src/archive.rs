// SPDX-License-Identifier: PMPL-1.0-or-later
//! The files of a repository in archive mode, which any static web server can serve.

use crate::FileHeader;
use alloc::{vec, vec::Vec};
use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params};

/// Contents of the repository's `config`.
pub const CONFIG: &str = "[core]\nrepo_version=1\nmode=archive-z2\n";
/// Directories that stock tools expect, below the repository.
pub const DIRECTORIES: [&str; 7] = ["objects", "refs/heads", "refs/mirrors", "refs/remotes", "tmp/cache", "state", "extensions"];
/// What stock tools use: zlib's level 6, without zlib's wrapper (negative window bits).
const LEVEL: i32 = 6;
const RAW_WINDOW: i32 = -15;

/// Makes a `filez` from content as it streams by.
pub struct FilezWriter {
    compressor: CompressorOxide,
    out: Vec<u8>,
}

impl FilezWriter {
    /// `plain_bytes` is the content's length.
    pub fn new(header: &FileHeader, plain_bytes: u64) -> Self {
        let flags = create_comp_flags_from_zip_params(LEVEL, RAW_WINDOW, 0);
        Self { compressor: CompressorOxide::new(flags), out: header.archive_prefix(plain_bytes) }
    }

    /// Compresses `content`; what is ready is in [`FilezWriter::take`].
    pub fn push(&mut self, content: &[u8]) {
        self.run(content, TDEFLFlush::None);
    }

    /// The bytes that are ready to be written.
    pub fn take(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.out)
    }

    /// Ends the stream and returns the last bytes. A symbolic link has no stream: use the prefix alone.
    pub fn finish(mut self) -> Vec<u8> {
        self.run(&[], TDEFLFlush::Finish);
        self.out
    }

    fn run(&mut self, mut input: &[u8], flush: TDEFLFlush) {
        let mut buffer = vec![0u8; 64 * 1024];
        loop {
            let (status, consumed, produced) = compress(&mut self.compressor, input, &mut buffer, flush);
            self.out.extend_from_slice(buffer.get(..produced).unwrap_or_default());
            input = input.get(consumed..).unwrap_or_default();
            let waiting = produced == buffer.len() || (flush == TDEFLFlush::Finish && status == TDEFLStatus::Okay);
            if status != TDEFLStatus::Okay || (input.is_empty() && !waiting) {
                return;
            }
        }
    }
}
