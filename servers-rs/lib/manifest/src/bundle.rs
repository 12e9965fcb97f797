// SPDX-License-Identifier: PMPL-1.0-or-later
//! The boot bundle: `abi::bundle::Head`, then the manifest, then pieces on page boundaries.
//!
//! The same input gives the same bytes. Reading checks every offset that a later step relies on.

use crate::component::{FORMAT, MAX_COMPONENTS, Manifest, Program, Span};
use abi::bundle::{Head, KernelConfig, MAGIC, MAX_ROOT_SEGMENTS, Segment};
use alloc::vec::Vec;
use core::fmt;

const PAGE: usize = 4096;
pub const HEAD_BYTES: usize = size_of::<Head>();

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    TooShort,
    NotABundle,
    /// The head's length is not the file's.
    WrongLength {
        head: u64,
        file: u64,
    },
    TooManySegments,
    /// A piece lies outside the bundle, or is not on a page boundary where it must be.
    BadPiece {
        what: &'static str,
        offset: u64,
    },
    WriteAndExecute,
    /// The manifest cannot be decoded, or is of another format.
    BadManifest,
    TooManyComponents,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::TooShort => write!(f, "shorter than the head of a bundle"),
            Fault::NotABundle => write!(f, "does not begin as a boot bundle"),
            Fault::WrongLength { head, file } => write!(f, "says it has {head} bytes and has {file}"),
            Fault::TooManySegments => write!(f, "root has more than {MAX_ROOT_SEGMENTS} segments"),
            Fault::BadPiece { what, offset } => write!(f, "{what} at {offset:#x} is not a piece of the bundle"),
            Fault::WriteAndExecute => write!(f, "a segment of root is writable and executable"),
            Fault::BadManifest => write!(f, "its manifest is damaged or of another format than {FORMAT}"),
            Fault::TooManyComponents => write!(f, "has more than {MAX_COMPONENTS} components"),
        }
    }
}

/// Collects pieces; `finish` puts head and manifest before them.
#[derive(Debug, Default)]
pub struct Builder {
    pieces: Vec<u8>,
}

/// Where a piece is among the pieces; `Builder::finish` turns it into a place in the bundle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece(Span);

/// What `Builder::finish` needs to know of root.
#[derive(Clone, Debug)]
pub struct Root {
    pub entry: u64,
    pub stack_bytes: u64,
    /// `file_offset` is the piece's, `file_bytes` its length.
    pub segments: Vec<(Segment, Piece)>,
}

impl Builder {
    pub fn add(&mut self, bytes: &[u8]) -> Piece {
        let offset = self.pieces.len() as u64;
        self.pieces.extend_from_slice(bytes);
        self.pieces.resize(self.pieces.len().next_multiple_of(PAGE), 0);
        Piece(Span { offset, length_bytes: bytes.len() as u64 })
    }

    /// `manifest` gets the places of its pieces from `place`, which is called with a function from piece to span.
    /// Errors: more root segments than a head holds, or a manifest that cannot be encoded.
    pub fn finish(
        self,
        kernel: KernelConfig,
        root: &Root,
        symbols: Option<Piece>,
        mut place: impl FnMut(&dyn Fn(Piece) -> Span) -> Manifest,
    ) -> Result<Vec<u8>, Fault> {
        if root.segments.len() > MAX_ROOT_SEGMENTS {
            return Err(Fault::TooManySegments);
        }
        // Encoded lengths depend on the offsets in it, so room is made for the longest: 10 bytes a number.
        let zero = postcard::to_allocvec(&place(&|piece| piece.0)).map_err(|_| Fault::BadManifest)?;
        let room = (HEAD_BYTES + zero.len() + 40 * MAX_COMPONENTS).next_multiple_of(PAGE);
        let shift = |piece: Piece| Span { offset: piece.0.offset + room as u64, length_bytes: piece.0.length_bytes };
        let manifest = postcard::to_allocvec(&place(&shift)).map_err(|_| Fault::BadManifest)?;

        let mut root_segments = [Segment::default(); MAX_ROOT_SEGMENTS];
        for (to, (segment, piece)) in root_segments.iter_mut().zip(&root.segments) {
            *to = Segment { file_offset: shift(*piece).offset, file_bytes: piece.0.length_bytes, ..*segment };
        }
        let symbols = symbols.map_or(Span { offset: 0, length_bytes: 0 }, shift);
        let head = Head {
            magic: MAGIC,
            length_bytes: (room + self.pieces.len()) as u64,
            kernel,
            root_entry: root.entry,
            root_stack_bytes: root.stack_bytes,
            root_segment_count: root.segments.len() as u64,
            root_segments,
            manifest_offset: HEAD_BYTES as u64,
            manifest_length_bytes: manifest.len() as u64,
            symbols_offset: symbols.offset,
            symbols_length_bytes: symbols.length_bytes,
        };
        let mut bytes = encode_head(&head);
        bytes.extend(manifest);
        bytes.resize(room, 0);
        bytes.extend(self.pieces);
        Ok(bytes)
    }
}

/// A bundle that was checked.
#[derive(Clone)]
pub struct Bundle<'a> {
    pub head: Head,
    pub manifest: Manifest,
    bytes: &'a [u8],
}

impl<'a> Bundle<'a> {
    /// Checks head, manifest and every piece that they name.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Fault> {
        let head = decode_head(bytes).ok_or(Fault::TooShort)?;
        if head.magic != MAGIC {
            return Err(Fault::NotABundle);
        }
        if head.length_bytes != bytes.len() as u64 {
            return Err(Fault::WrongLength { head: head.length_bytes, file: bytes.len() as u64 });
        }
        let count = usize::try_from(head.root_segment_count).unwrap_or(usize::MAX);
        for segment in head.root_segments.get(..count).ok_or(Fault::TooManySegments)? {
            piece(bytes, "a segment of root", Span { offset: segment.file_offset, length_bytes: segment.file_bytes })?;
            if segment.access & 6 == 6 {
                return Err(Fault::WriteAndExecute);
            }
        }
        let symbols = Span { offset: head.symbols_offset, length_bytes: head.symbols_length_bytes };
        piece(bytes, "the symbol table", symbols)?;
        let encoded = slice(bytes, Span { offset: head.manifest_offset, length_bytes: head.manifest_length_bytes });
        let manifest = decode_manifest(encoded.ok_or(Fault::BadManifest)?)?;
        for component in manifest.components.iter().chain([&manifest.process]) {
            if let Program::Bundle(span) = component.program {
                piece(bytes, "a program", span)?;
            }
            if let Some(span) = component.symbols {
                piece(bytes, "a symbol table", span)?;
            }
        }
        Ok(Bundle { head, manifest, bytes })
    }
    /// The bytes of a piece; empty if it is none of this bundle.
    pub fn bytes(&self, span: Span) -> &'a [u8] {
        slice(self.bytes, span).unwrap_or(&[])
    }
}

fn decode_manifest(bytes: &[u8]) -> Result<Manifest, Fault> {
    let manifest: Manifest = postcard::from_bytes(bytes).map_err(|_| Fault::BadManifest)?;
    if manifest.format != FORMAT {
        return Err(Fault::BadManifest);
    }
    if manifest.components.len() > MAX_COMPONENTS {
        return Err(Fault::TooManyComponents);
    }
    Ok(manifest)
}

fn slice(bytes: &[u8], span: Span) -> Option<&[u8]> {
    let start = usize::try_from(span.offset).ok()?;
    bytes.get(start..start.checked_add(usize::try_from(span.length_bytes).ok()?)?)
}
fn piece(bytes: &[u8], what: &'static str, span: Span) -> Result<(), Fault> {
    let aligned = span.offset.is_multiple_of(PAGE as u64);
    if aligned && slice(bytes, span).is_some() { Ok(()) } else { Err(Fault::BadPiece { what, offset: span.offset }) }
}

/// The head's fields in the order of the structure, which has no padding (a test compares the lengths).
fn encode_head(head: &Head) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES);
    let k = &head.kernel;
    let small = [
        k.max_cpus,
        k.timer_slice_us,
        k.log_level,
        k.reserve_frames,
        k.root_table_slots,
        k.serial_console,
        k.root_priority,
        k.reserved,
    ];
    [head.magic, head.length_bytes].iter().for_each(|n| out.extend(n.to_le_bytes()));
    small.iter().for_each(|n| out.extend(n.to_le_bytes()));
    [head.root_entry, head.root_stack_bytes, head.root_segment_count].iter().for_each(|n| out.extend(n.to_le_bytes()));
    for s in &head.root_segments {
        [s.address, s.memory_bytes, s.file_offset, s.file_bytes, s.access].iter().for_each(|n| out.extend(n.to_le_bytes()));
    }
    [head.manifest_offset, head.manifest_length_bytes, head.symbols_offset, head.symbols_length_bytes]
        .iter()
        .for_each(|n| out.extend(n.to_le_bytes()));
    out
}

fn decode_head(bytes: &[u8]) -> Option<Head> {
    let mut rest = bytes.get(..HEAD_BYTES)?;
    let mut long = || {
        let (first, after) = rest.split_first_chunk::<8>()?;
        rest = after;
        Some(u64::from_le_bytes(*first))
    };
    let (magic, length_bytes) = (long()?, long()?);
    let mut pairs = [0u64; 4];
    for pair in &mut pairs {
        *pair = long()?;
    }
    let [a, b, c, d] = pairs.map(|p| (p as u32, (p >> 32) as u32));
    let kernel = KernelConfig {
        max_cpus: a.0,
        timer_slice_us: a.1,
        log_level: b.0,
        reserve_frames: b.1,
        root_table_slots: c.0,
        serial_console: c.1,
        root_priority: d.0,
        reserved: d.1,
    };
    let (root_entry, root_stack_bytes, root_segment_count) = (long()?, long()?, long()?);
    let mut root_segments = [Segment::default(); MAX_ROOT_SEGMENTS];
    for s in &mut root_segments {
        *s = Segment { address: long()?, memory_bytes: long()?, file_offset: long()?, file_bytes: long()?, access: long()? };
    }
    Some(Head {
        magic,
        length_bytes,
        kernel,
        root_entry,
        root_stack_bytes,
        root_segment_count,
        root_segments,
        manifest_offset: long()?,
        manifest_length_bytes: long()?,
        symbols_offset: long()?,
        symbols_length_bytes: long()?,
    })
}

#[cfg(test)]
mod tests;
