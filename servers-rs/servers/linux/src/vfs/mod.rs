// SPDX-License-Identifier: PMPL-1.0-or-later
//! Names, mounts, open files, descriptor tables.

/// A process's descriptors.
#[derive(Debug, Default)]
pub struct FileTable;

/// Root, working directory, umask.
#[derive(Debug, Default)]
pub struct FsContext;
