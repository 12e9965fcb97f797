// SPDX-License-Identifier: PMPL-1.0-or-later
//! The areas of an address space: ranges that are alike.

use super::object::Object;
use crate::platform::Access;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

#[derive(Clone, Debug)]
pub enum Backing {
    Anonymous,
    /// `offset_bytes` of the object lie at the area's start.
    Object {
        object: Arc<Object>,
        offset_bytes: u64,
    },
}

#[derive(Clone, Debug)]
pub struct Area {
    pub end: u64,
    pub access: Access,
    /// The most that mprotect may make of it.
    pub most: Access,
    pub shared: bool,
    pub grows_down: bool,
    /// Not handed to children (`MADV_DONTFORK`); handed over as zeros (`MADV_WIPEONFORK`).
    pub dont_fork: bool,
    pub wipe_on_fork: bool,
    /// As /proc/PID/maps has it: `[stack]`, `[heap]`, or nothing.
    pub name: &'static str,
    pub backing: Backing,
}

impl Area {
    pub fn private(end: u64, access: Access) -> Area {
        Area {
            end,
            access,
            most: Access(7),
            shared: false,
            grows_down: false,
            dont_fork: false,
            wipe_on_fork: false,
            name: "",
            backing: Backing::Anonymous,
        }
    }

    /// What becomes of it behind `offset_bytes`.
    fn behind(&self, offset_bytes: u64) -> Area {
        let mut rest = self.clone();
        if let Backing::Object { offset_bytes: at, .. } = &mut rest.backing {
            *at += offset_bytes;
        }
        rest
    }

    /// Whether `next`, which begins where this one (of `length_bytes`) ends, may become part of it.
    fn goes_on_with(&self, length_bytes: u64, next: &Area) -> bool {
        let alike = |a: &Area| (a.access, a.most, a.shared, a.grows_down, a.dont_fork, a.wipe_on_fork, a.name);
        alike(self) == alike(next)
            && match (&self.backing, &next.backing) {
                (Backing::Anonymous, Backing::Anonymous) => true,
                (Backing::Object { object: a, offset_bytes: x }, Backing::Object { object: b, offset_bytes: y }) => {
                    Arc::ptr_eq(a, b) && x + length_bytes == *y
                }
                _ => false,
            }
    }
}

/// By start.
#[derive(Clone, Debug, Default)]
pub struct Areas(BTreeMap<u64, Area>);

impl Areas {
    /// The area that holds an address, and where it starts.
    pub fn find(&self, address: u64) -> Option<(u64, &Area)> {
        self.0.range(..=address).next_back().filter(|(_, area)| address < area.end).map(|(start, area)| (*start, area))
    }
    /// The first that starts behind an address.
    pub fn next(&self, address: u64) -> Option<(u64, &Area)> {
        self.0.range(address + 1..).next().map(|(start, area)| (*start, area))
    }
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &Area)> {
        self.0.iter().map(|(start, area)| (*start, area))
    }
    pub fn len(&self) -> usize {
        self.0.len()
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Those that touch a range, in order.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = (u64, &Area)> {
        let first = self.find(range.start).map_or(range.start, |(start, _)| start);
        self.0.range(first..range.end.max(first)).map(|(start, area)| (*start, area))
    }
    pub fn is_free(&self, range: Range<u64>) -> bool {
        self.within(range).next().is_none()
    }
    /// Whether every address of a range is in some area.
    pub fn covers(&self, range: Range<u64>) -> bool {
        let mut at = range.start;
        for (start, area) in self.within(range.clone()) {
            if start > at {
                return false;
            }
            at = area.end;
        }
        at >= range.end
    }

    fn split(&mut self, at: u64) {
        if let Some((start, _)) = self.find(at).filter(|(start, _)| *start < at)
            && let Some(area) = self.0.get_mut(&start)
        {
            let rest = area.behind(at - start);
            area.end = at;
            self.0.insert(at, rest);
        }
    }

    /// Takes a range out. The areas are returned so that what they hold is dropped where nothing is locked.
    pub fn remove(&mut self, range: Range<u64>) -> Vec<(u64, Area)> {
        self.split(range.start);
        self.split(range.end);
        let starts: Vec<u64> = self.0.range(range).map(|(start, _)| *start).collect();
        starts.into_iter().filter_map(|start| self.0.remove_entry(&start)).collect()
    }

    /// Into a free range; joined with its neighbours if they are alike.
    pub fn insert(&mut self, start: u64, mut area: Area) {
        if let Some((_, next)) = self.0.get_key_value(&area.end)
            && area.goes_on_with(area.end - start, next)
        {
            let end = area.end;
            area.end = next.end;
            self.0.remove(&end);
        }
        if let Some((before, last)) = self.0.range_mut(..start).next_back()
            && last.end == start
            && last.goes_on_with(start - before, &area)
        {
            last.end = area.end;
            return;
        }
        self.0.insert(start, area);
    }

    /// Changes all of a range.
    pub fn change(&mut self, range: Range<u64>, mut how: impl FnMut(&mut Area)) {
        for (start, mut area) in self.remove(range) {
            how(&mut area);
            self.insert(start, area);
        }
    }

    /// A stack grows down to `start`.
    pub fn grow_down(&mut self, old_start: u64, start: u64) {
        if let Some(area) = self.0.remove(&old_start) {
            self.0.insert(start, area);
        }
    }

    /// The highest free range of `length_bytes` below `top` and not below `bottom`.
    pub fn find_free(&self, length_bytes: u64, bottom: u64, top: u64) -> Option<u64> {
        let mut end = top;
        for (start, area) in self.0.range(..top).rev() {
            if area.end < end && end - area.end >= length_bytes {
                break;
            }
            end = end.min(*start);
        }
        end.checked_sub(length_bytes).filter(|start| *start >= bottom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const RW: Access = Access(3);

    #[test]
    fn areas_are_cut_and_joined_again() {
        let mut areas = Areas::default();
        areas.insert(0x1000, Area::private(0x5000, RW));
        areas.change(0x2000..0x3000, |area| area.access = Access::READ);
        assert_eq!(
            areas.iter().map(|(s, a)| (s, a.end)).collect::<Vec<_>>(),
            [(0x1000, 0x2000), (0x2000, 0x3000), (0x3000, 0x5000)]
        );
        areas.change(0x2000..0x3000, |area| area.access = RW);
        assert_eq!(areas.len(), 1);
        assert_eq!(areas.remove(0x4000..0x9000).len(), 1);
        assert!(areas.covers(0x1000..0x4000) && !areas.covers(0x1000..0x4001) && areas.is_free(0x4000..0x5000));
    }

    #[test]
    fn the_highest_free_range_is_found() {
        let mut areas = Areas::default();
        areas.insert(0x8000, Area::private(0x9000, RW));
        areas.insert(0x4000, Area::private(0x6000, RW));
        assert_eq!(areas.find_free(0x1000, 0x1000, 0xa000), Some(0x9000));
        assert_eq!(areas.find_free(0x2000, 0x1000, 0xa000), Some(0x6000));
        assert_eq!(areas.find_free(0x3000, 0x1000, 0xa000), Some(0x1000));
        assert_eq!(areas.find_free(0x4000, 0x1000, 0xa000), None);
    }
}
