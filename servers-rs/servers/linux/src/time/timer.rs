// SPDX-License-Identifier: PMPL-1.0-or-later
//! One timer: when it expires, and how often it has. Pure; who holds it has it looked at when its time comes.

use crate::time::Setting;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Timer {
    /// On whatever clock its owner counts.
    next_ns: Option<u64>,
    interval_ns: u64,
}

impl Timer {
    /// Expires after `setting.value_ns`, or with `absolute` at that time; 0 stops it. Returns what it was set to.
    pub fn set(&mut self, setting: Setting, absolute: bool, now_ns: u64) -> Setting {
        let before = self.setting(now_ns);
        let Setting { value_ns, interval_ns } = setting;
        let next_ns = (value_ns != 0).then(|| if absolute { value_ns } else { now_ns.saturating_add(value_ns) });
        *self = Timer { next_ns, interval_ns: if next_ns.is_some() { interval_ns } else { 0 } };
        before
    }

    /// As gettimer calls tell it. One whose time has come but that was not looked at yet has a nanosecond left.
    pub fn setting(&self, now_ns: u64) -> Setting {
        let value_ns = self.next_ns.map_or(0, |next| next.saturating_sub(now_ns).max(1));
        Setting { value_ns, interval_ns: self.interval_ns }
    }

    /// When to look at it.
    pub fn next_ns(&self) -> Option<u64> {
        self.next_ns
    }

    /// How often it has expired since it was looked at last.
    pub fn expirations(&mut self, now_ns: u64) -> u64 {
        let Some(late_ns) = self.next_ns.and_then(|next| now_ns.checked_sub(next)) else { return 0 };
        let Some(more) = late_ns.checked_div(self.interval_ns) else {
            self.next_ns = None;
            return 1;
        };
        let passed_ns = (more + 1).saturating_mul(self.interval_ns);
        self.next_ns = self.next_ns.map(|next| next.saturating_add(passed_ns));
        more + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONCE: Setting = Setting { value_ns: 100, interval_ns: 0 };
    const OFTEN: Setting = Setting { value_ns: 100, interval_ns: 30 };

    #[test]
    fn it_expires_once_or_again_and_again_and_none_is_lost() {
        let mut timer = Timer::default();
        timer.set(ONCE, false, 1000);
        assert_eq!([1099, 1100, 5000].map(|now| timer.expirations(now)), [0, 1, 0]);
        timer.set(OFTEN, false, 1000);
        assert_eq!([1129, 1130, 1250, 1251].map(|now| timer.expirations(now)), [1, 1, 4, 0]);
        assert_eq!(timer.next_ns(), Some(1280));
    }

    #[test]
    fn setting_it_says_what_was_left_and_nothing_stops_it() {
        let mut timer = Timer::default();
        assert_eq!(timer.set(OFTEN, false, 1000), Setting::default());
        assert_eq!(timer.set(Setting::default(), false, 1040), Setting { value_ns: 60, interval_ns: 30 });
        assert_eq!((timer.next_ns(), timer.expirations(u64::MAX)), (None, 0));
    }

    #[test]
    fn a_time_that_has_passed_already_has_come() {
        let mut timer = Timer::default();
        timer.set(Setting { value_ns: 5, interval_ns: 0 }, true, 1000);
        assert_eq!((timer.setting(1000).value_ns, timer.expirations(1000)), (1, 1));
    }

    #[test]
    fn extreme_numbers_do_not_wrap() {
        let mut timer = Timer::default();
        timer.set(Setting { value_ns: u64::MAX, interval_ns: u64::MAX }, false, 1000);
        assert_eq!(timer.expirations(u64::MAX), 1);
        assert_eq!(timer.next_ns(), Some(u64::MAX));
    }
}
