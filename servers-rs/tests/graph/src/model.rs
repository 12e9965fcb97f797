// SPDX-License-Identifier: PMPL-1.0-or-later
//! What must be true of capabilities, in the simplest form that says it: a list, each entry with its parent.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use sys::{Error, Handle, Kind, Rights};

pub const KINDS: [Kind; 3] = [Kind::Endpoint, Kind::Notification, Kind::Memory];

/// In whose table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    Own,
    Child,
}

#[derive(Clone, Copy, Debug)]
pub struct Capability {
    pub place: Place,
    pub handle: Handle,
    pub object: u32,
    pub kind: Kind,
    pub rights: Rights,
    pub badge: u64,
    pub parent: Option<usize>,
}

/// Entries keep their number; `None` is one that is gone.
#[derive(Default)]
pub struct Model {
    all: Vec<Option<Capability>>,
    objects: u32,
}

const NOTHING: Capability = Capability {
    place: Place::Own,
    handle: Handle::NULL,
    object: 0,
    kind: Kind::Null,
    rights: Rights::NONE,
    badge: 0,
    parent: None,
};

impl Model {
    pub fn get(&self, n: usize) -> Capability {
        self.all.get(n).copied().flatten().unwrap_or(NOTHING)
    }
    pub fn has(&self, n: usize, rights: Rights) -> bool {
        self.get(n).rights.contains(rights)
    }
    /// Those in the program's own table, which it can name.
    pub fn usable(&self) -> Vec<usize> {
        self.living().filter(|(_, one)| one.place == Place::Own).map(|(n, _)| n).collect()
    }
    fn living(&self) -> impl Iterator<Item = (usize, &Capability)> {
        self.all.iter().enumerate().filter_map(|(n, one)| Some((n, one.as_ref()?)))
    }

    pub fn create(&mut self, kind: Kind, handle: Handle, rights: Rights) {
        self.objects += 1;
        self.all.push(Some(Capability { handle, object: self.objects, kind, rights, ..NOTHING }));
    }

    /// Copying needs its right; a badge is given once, and to endpoints and notifications alone.
    pub fn may_derive(&self, from: usize, badge: u64) -> Result<(), Error> {
        let one = self.get(from);
        if !one.rights.contains(Rights::COPY) {
            return Err(Error::NoRight);
        }
        match (badge, one.kind) {
            (0, _) => Ok(()),
            (_, Kind::Memory) => Err(Error::BadArgument),
            _ if one.badge != 0 => Err(Error::BadState),
            _ => Ok(()),
        }
    }
    /// Rights never grow.
    pub fn derive(&mut self, from: usize, place: Place, handle: Handle, rights: Rights, badge: u64) {
        let one = self.get(from);
        let badge = if badge == 0 { one.badge } else { badge };
        let rights = one.rights.intersect(rights);
        self.all.push(Some(Capability { place, handle, rights, badge, parent: Some(from), ..one }));
    }

    /// All that was derived from it, in any table; how many.
    pub fn revoke(&mut self, n: usize) -> u64 {
        let children: Vec<usize> = self.living().filter(|(_, one)| one.parent == Some(n)).map(|(n, _)| n).collect();
        let mut gone = 0;
        for child in children {
            gone += 1 + self.revoke(child);
            self.remove(child);
        }
        gone
    }
    /// What was derived from it counts as derived from what it was derived from.
    pub fn delete(&mut self, n: usize) {
        let parent = self.get(n).parent;
        self.all.iter_mut().flatten().filter(|one| one.parent == Some(n)).for_each(|one| one.parent = parent);
        self.remove(n);
    }
    /// No capability names it any more.
    pub fn destroy(&mut self, n: usize) {
        let object = self.get(n).object;
        self.all.iter_mut().filter(|one| one.is_some_and(|one| one.object == object)).for_each(|one| *one = None);
    }
    fn remove(&mut self, n: usize) {
        if let Some(place) = self.all.get_mut(n) {
            *place = None;
        }
    }

    /// As the kernel tells its own, with places and objects as numbers of this program.
    pub fn tell(&self, mut say: impl FnMut(String)) {
        let place = |one: &Capability| (u8::from(one.place == Place::Child), one.handle.index());
        for (_, one) in self.living() {
            let (table, slot) = place(one);
            let from = one.parent.map(|n| place(&self.get(n))).map_or(String::from("null"), |(t, s)| format!("[{t},{s}]"));
            say(format!(
                "{{\"table\":{table},\"slot\":{slot},\"kind\":\"{:?}\",\"object\":{},\"rights\":\"{:?}\",\"badge\":\"{:#x}\",\"from\":{from}}}",
                one.kind, one.object, one.rights, one.badge
            ));
        }
    }
}
