// SPDX-License-Identifier: PMPL-1.0-or-later
//! Where a process stands: what CLONE_FS shares.

use super::mount::{Namespace, Place};
use alloc::sync::Arc;

#[derive(Clone)]
pub struct FsContext {
    pub namespace: Arc<Namespace>,
    pub root: Place,
    pub working: Place,
    pub umask: u32,
}

impl FsContext {
    /// At the top of a namespace.
    pub fn new(namespace: Arc<Namespace>) -> FsContext {
        let root = namespace.cross(namespace.top());
        FsContext { namespace, working: root.clone(), root, umask: 0o022 }
    }
}
