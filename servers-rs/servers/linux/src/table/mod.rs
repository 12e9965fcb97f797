// SPDX-License-Identifier: PMPL-1.0-or-later
//! Every call: number, name, handler, what of it is done. The dispatcher, the reference and the trace checker are made from it.
//! `tasks.rs` and `files.rs` hold the rows; a call that has none answers ENOSYS, and is counted and logged.

mod files;
mod identity;
mod tasks;
mod time;

use crate::call::Handler;
use crate::task::TaskHandler;

/// What serves a call.
#[derive(Clone, Copy, Debug)]
pub enum Serve {
    /// All that it needs is in the `Context`.
    File(Handler),
    /// It changes tasks.
    Task(TaskHandler),
}

#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// A `__NR_` of linux_raw_sys.
    pub number: u32,
    pub name: &'static str,
    pub serve: Serve,
    /// Flags, commands and operations that are done, by the names of Linux; empty where the call has none.
    pub done: &'static [&'static str],
    /// What differs from Linux; empty where nothing is known to.
    pub notes: &'static str,
}

/// Numbers are below this one.
pub const LENGTH: usize = 512;

/// By number.
static BY_NUMBER: [Option<&Row>; LENGTH] = {
    let mut by_number = [None; LENGTH];
    let tables = [files::ROWS, tasks::ROWS, time::ROWS, identity::ROWS];
    let mut n = 0;
    while n < tables.len() {
        let mut m = 0;
        while m < tables[n].len() {
            by_number[tables[n][m].number as usize] = Some(&tables[n][m]);
            m += 1;
        }
        n += 1;
    }
    by_number
};

#[inline]
pub fn find(number: u64) -> Option<&'static Row> {
    BY_NUMBER.get(number as usize).copied().flatten()
}

/// All, in the order of their numbers.
pub fn all() -> impl Iterator<Item = &'static Row> {
    BY_NUMBER.iter().flatten().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_has_two_rows() {
        assert_eq!(all().count(), files::ROWS.len() + tasks::ROWS.len() + time::ROWS.len() + identity::ROWS.len());
        assert!(find(u64::MAX).is_none());
    }
}
