// SPDX-License-Identifier: PMPL-1.0-or-later
//! Files that lost their last name while their client has them open. They live until it releases them or the machine starts again.
//!
//! Which they are is noted at the end of the client's buffer, which outlives this server and no reboot. A client that writes nonsense there
//! loses its own files, or has one live until the reboot that somebody else deleted while this server was away; it reads none by that.

use super::{Nodes, error};
use crate::cache::Store;
use crate::files::Buffer;
use alloc::vec;
use alloc::vec::Vec;
use api_data::{Error, MAX_KEPT, USABLE_BYTES};
use blocks::BlockWrite;

/// What is noted in a client's buffer. Free places are 0.
pub fn noted(buffer: &impl Buffer) -> Vec<u32> {
    let mut bytes = vec![0; MAX_KEPT * 4];
    if buffer.get(USABLE_BYTES as usize, &mut bytes).is_none() {
        return Vec::new();
    }
    bytes.chunks_exact(4).filter_map(|b| b.try_into().ok().map(u32::from_le_bytes)).filter(|inode| *inode != 0).collect()
}

impl<B: BlockWrite, M: Buffer, S: Store> Nodes<B, M, S> {
    /// Takes over what a server before this one kept, as far as it is there.
    pub(super) fn adopt(&mut self) {
        let Some(fs) = self.fs.as_mut() else { return };
        for client in &self.clients {
            let open = noted(&client.buffer).into_iter().filter(|inode| fs.stat(*inode).is_ok_and(|stat| stat.links == 0));
            self.kept.extend(open.map(|inode| (client.number, inode)));
        }
        self.clients.iter().for_each(|client| note(&self.kept, client.number, &client.buffer));
    }

    /// Runs `work`, which may take the last name of what is called `name`; if it does, the file is kept.
    pub(super) fn keeping<T>(
        &mut self,
        keep: bool,
        (directory, name): (u32, &[u8]),
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let found = if keep && self.node.writes { self.fs()?.lookup(directory, name) } else { Err(ext4::Error::NotFound) };
        let inode = match found {
            Err(ext4::Error::NotFound) => return work(self),
            found => found.map_err(error)?,
        };
        let client = self.node.client;
        if self.kept.iter().filter(|k| k.0 == client).count() >= MAX_KEPT {
            return Err(Error::NoRoom);
        }
        self.fs()?.hold(inode).map_err(error)?;
        self.kept.push((client, inode));
        // Before the name goes: if this server dies in between, the next one must know.
        note(&self.kept, client, self.buffer()?);
        let done = work(self);
        if !self.fs()?.stat(inode).is_ok_and(|stat| stat.links == 0) {
            self.let_go(inode)?;
        }
        done
    }

    /// Errors: `NotFound`, if this client keeps no such file.
    pub(super) fn let_go(&mut self, inode: u32) -> Result<(), Error> {
        let client = self.node.client;
        let at = self.kept.iter().position(|k| *k == (client, inode)).ok_or(Error::NotFound)?;
        self.kept.swap_remove(at);
        self.fs()?.release(inode);
        note(&self.kept, client, self.buffer()?);
        Ok(())
    }
}

fn note(kept: &[(u32, u32)], client: u32, buffer: &impl Buffer) {
    let mut bytes = vec![0; MAX_KEPT * 4];
    let mine = kept.iter().filter(|k| k.0 == client);
    bytes.chunks_exact_mut(4).zip(mine).for_each(|(place, k)| place.copy_from_slice(&k.1.to_le_bytes()));
    let _ = buffer.put(USABLE_BYTES as usize, &bytes);
}
