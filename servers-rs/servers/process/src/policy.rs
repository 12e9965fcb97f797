// SPDX-License-Identifier: PMPL-1.0-or-later
//! When a dead component is started again. Pure: time comes in, a verdict goes out.

use manifest::component::{Restart, Then};

const NS_PER_MS: u64 = 1_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Start again at this time.
    At(u64),
    GiveUp(Then),
}

/// Deaths of one component, counted in windows; the delay doubles from death to death within a window.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    said: Restart,
    window_began_ns: u64,
    deaths: u32,
}

impl Policy {
    pub fn new(said: Restart) -> Policy {
        Policy { said, window_began_ns: 0, deaths: 0 }
    }
    /// Deaths in the current window.
    pub fn deaths(&self) -> u32 {
        self.deaths
    }

    pub fn died(&mut self, now_ns: u64) -> Verdict {
        let window_ns = u64::from(self.said.window_ms) * NS_PER_MS;
        if self.deaths == 0 || now_ns.saturating_sub(self.window_began_ns) > window_ns {
            self.window_began_ns = now_ns;
            self.deaths = 0;
        }
        self.deaths = self.deaths.saturating_add(1);
        if self.deaths > self.said.limit {
            return Verdict::GiveUp(self.said.then);
        }
        let doubled = u64::from(self.said.delay_ms).checked_shl(self.deaths - 1).unwrap_or(u64::MAX);
        let delay_ms = doubled.min(u64::from(self.said.max_delay_ms));
        Verdict::At(now_ns.saturating_add(delay_ms * NS_PER_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = NS_PER_MS;
    fn policy() -> Policy {
        Policy::new(Restart { delay_ms: 10, max_delay_ms: 50, limit: 4, window_ms: 1000, then: Then::Degrade })
    }

    #[test]
    fn the_delay_doubles_up_to_its_most() {
        let mut it = policy();
        let delays: Vec<Verdict> = (0..4).map(|n| it.died(n * MS)).collect();
        let at = |ms: u64| Verdict::At(ms * MS);
        assert_eq!(delays, [at(10), at(1 + 20), at(2 + 40), at(3 + 50)]);
    }

    #[test]
    fn one_death_more_than_the_limit_within_the_window_is_the_end() {
        let mut it = policy();
        (0..4).for_each(|n| assert!(matches!(it.died(n * MS), Verdict::At(_))));
        assert_eq!(it.died(999 * MS), Verdict::GiveUp(Then::Degrade));
    }

    #[test]
    fn deaths_of_an_older_window_are_forgotten() {
        let mut it = policy();
        (0..4).for_each(|n| assert!(matches!(it.died(n * MS), Verdict::At(_))));
        assert_eq!(it.died(2000 * MS), Verdict::At(2010 * MS));
        assert_eq!(it.deaths(), 1);
    }

    #[test]
    fn a_limit_of_zero_bears_no_death_and_large_counts_do_not_overflow() {
        let said = Restart { delay_ms: u32::MAX, max_delay_ms: u32::MAX, limit: u32::MAX, window_ms: 0, then: Then::Reboot };
        assert_eq!(Policy::new(Restart { limit: 0, ..said }).died(5), Verdict::GiveUp(Then::Reboot));
        let mut it = Policy::new(Restart { window_ms: u32::MAX, ..said });
        (0..100).for_each(|n| assert!(matches!(it.died(n), Verdict::At(_))));
    }
}
