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

/// Deaths of one component, counted in windows. The first of a window is followed by a start at once, the second by the
/// delay, which doubles from then on.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    said: Restart,
    window_began_ns: u64,
    deaths: u32,
}

impl Policy {
    /// `window`: what an earlier one knew, as `window` tells.
    pub fn new(said: Restart, (window_began_ns, deaths): (u64, u32)) -> Policy {
        Policy { said, window_began_ns, deaths }
    }
    /// When the current window began and how many deaths are in it.
    pub fn window(&self) -> (u64, u32) {
        (self.window_began_ns, self.deaths)
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
        let Some(doublings) = self.deaths.checked_sub(2) else { return Verdict::At(now_ns) };
        let doubled = u64::from(self.said.delay_ms).checked_shl(doublings).unwrap_or(u64::MAX);
        let delay_ms = doubled.min(u64::from(self.said.max_delay_ms));
        Verdict::At(now_ns.saturating_add(delay_ms * NS_PER_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = NS_PER_MS;
    fn policy() -> Policy {
        Policy::new(Restart { delay_ms: 10, max_delay_ms: 30, limit: 4, window_ms: 1000, then: Then::Degrade }, (0, 0))
    }

    #[test]
    fn the_first_death_is_followed_at_once_then_the_delay_doubles_up_to_its_most() {
        let mut it = policy();
        let delays: Vec<Verdict> = (0..4).map(|n| it.died(n * MS)).collect();
        let at = |ms: u64| Verdict::At(ms * MS);
        assert_eq!(delays, [at(0), at(1 + 10), at(2 + 20), at(3 + 30)]);
    }

    #[test]
    fn one_death_more_than_the_limit_within_the_window_is_the_end() {
        let mut it = policy();
        (0..4).for_each(|n| assert!(matches!(it.died(n * MS), Verdict::At(_))));
        assert_eq!(it.died(999 * MS), Verdict::GiveUp(Then::Degrade));
    }

    #[test]
    fn a_successor_counts_on_where_its_predecessor_was() {
        let mut it = policy();
        (0..3).for_each(|n| assert!(matches!(it.died(n * MS), Verdict::At(_))));
        let mut next = Policy::new(it.said, it.window());
        assert_eq!(next.died(3 * MS), Verdict::At((3 + 30) * MS));
        assert_eq!(next.died(4 * MS), Verdict::GiveUp(Then::Degrade));
    }

    #[test]
    fn deaths_of_an_older_window_are_forgotten() {
        let mut it = policy();
        (0..4).for_each(|n| assert!(matches!(it.died(n * MS), Verdict::At(_))));
        assert_eq!(it.died(2000 * MS), Verdict::At(2000 * MS));
        assert_eq!(it.deaths(), 1);
    }

    #[test]
    fn a_limit_of_zero_bears_no_death_and_large_counts_do_not_overflow() {
        let said = Restart { delay_ms: u32::MAX, max_delay_ms: u32::MAX, limit: u32::MAX, window_ms: 0, then: Then::Reboot };
        assert_eq!(Policy::new(Restart { limit: 0, ..said }, (0, 0)).died(5), Verdict::GiveUp(Then::Reboot));
        let mut it = Policy::new(Restart { window_ms: u32::MAX, ..said }, (0, 0));
        (0..100).for_each(|n| assert!(matches!(it.died(n), Verdict::At(_))));
    }
}
