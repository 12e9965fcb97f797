// SPDX-License-Identifier: PMPL-1.0-or-later
//! Time as calls have it: structures in guest memory, and timers. Lengths and points in time are nanoseconds everywhere else.

pub mod clock;
pub mod posix;
pub mod timer;

use crate::errno::{EINVAL, Result};
use crate::user::{UserMemory, UserMemoryExt};

pub const NS_PER_S: u64 = 1_000_000_000;
pub const NS_PER_US: u64 = 1000;
const US_PER_S: u64 = 1_000_000;

/// `struct timespec`: seconds and nanoseconds. Errors: `EINVAL` for one that is none, `EFAULT`.
pub fn read_timespec(memory: &mut dyn UserMemory, address: u64) -> Result<u64> {
    read_pair(memory, address, NS_PER_S, 1)
}

/// `struct timeval`: seconds and microseconds. Errors: as [`read_timespec`].
pub fn read_timeval(memory: &mut dyn UserMemory, address: u64) -> Result<u64> {
    read_pair(memory, address, US_PER_S, NS_PER_US)
}

fn read_pair(memory: &mut dyn UserMemory, address: u64, fractions: u64, ns: u64) -> Result<u64> {
    let (seconds, fraction) = (memory.read_u64(address)?, memory.read_u64(address.wrapping_add(8))?);
    if seconds > i64::MAX as u64 || fraction >= fractions {
        return Err(EINVAL);
    }
    Ok(seconds.saturating_mul(NS_PER_S).saturating_add(fraction * ns))
}

/// Errors: `EFAULT`.
pub fn write_timespec(memory: &mut dyn UserMemory, address: u64, ns: u64) -> Result<()> {
    write_pair(memory, address, [ns / NS_PER_S, ns % NS_PER_S])
}

/// Errors: `EFAULT`.
pub fn write_timeval(memory: &mut dyn UserMemory, address: u64, ns: u64) -> Result<()> {
    write_pair(memory, address, [ns / NS_PER_S, ns % NS_PER_S / NS_PER_US])
}

fn write_pair(memory: &mut dyn UserMemory, address: u64, [first, second]: [u64; 2]) -> Result<()> {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_le_bytes());
    bytes[8..].copy_from_slice(&second.to_le_bytes());
    memory.write(address, &bytes)
}

/// What a timer is set to, and what it says of itself: time until it expires (0: never), and between expirations (0: once).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Setting {
    pub value_ns: u64,
    pub interval_ns: u64,
}

impl Setting {
    /// `struct itimerspec`: interval first. Errors: as [`read_timespec`].
    pub fn read(memory: &mut dyn UserMemory, address: u64) -> Result<Setting> {
        let interval_ns = read_timespec(memory, address)?;
        Ok(Setting { value_ns: read_timespec(memory, address.wrapping_add(16))?, interval_ns })
    }
    /// Errors: `EFAULT`.
    pub fn write(&self, memory: &mut dyn UserMemory, address: u64) -> Result<()> {
        write_timespec(memory, address, self.interval_ns)?;
        write_timespec(memory, address.wrapping_add(16), self.value_ns)
    }
    /// `struct itimerval`. Errors: as [`read_timespec`].
    pub fn read_timevals(memory: &mut dyn UserMemory, address: u64) -> Result<Setting> {
        let interval_ns = read_timeval(memory, address)?;
        Ok(Setting { value_ns: read_timeval(memory, address.wrapping_add(16))?, interval_ns })
    }
    /// Errors: `EFAULT`.
    pub fn write_timevals(&self, memory: &mut dyn UserMemory, address: u64) -> Result<()> {
        // Linux rounds up, so that a timer that runs is never shown as one that does not.
        write_timeval(memory, address, self.interval_ns)?;
        write_timeval(memory, address.wrapping_add(16), self.value_ns.next_multiple_of(NS_PER_US))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::testing::Flat;

    #[test]
    fn times_are_read_as_they_were_written_and_impossible_ones_refused() {
        let mut memory = Flat::new(0x1000, 64);
        write_timespec(&mut memory, 0x1000, 3 * NS_PER_S + 7).unwrap();
        assert_eq!(read_timespec(&mut memory, 0x1000), Ok(3 * NS_PER_S + 7));
        write_timeval(&mut memory, 0x1000, NS_PER_S + 2500).unwrap();
        assert_eq!(read_timeval(&mut memory, 0x1000), Ok(NS_PER_S + 2000));
        for (seconds, fraction) in [(u64::MAX, 0), (0, NS_PER_S), (0, u64::MAX)] {
            write_pair(&mut memory, 0x1000, [seconds, fraction]).unwrap();
            assert_eq!(read_timespec(&mut memory, 0x1000), Err(EINVAL));
        }
    }

    #[test]
    fn a_timer_that_runs_is_never_shown_as_one_that_stands() {
        let mut memory = Flat::new(0x1000, 64);
        Setting { value_ns: 1, interval_ns: 0 }.write_timevals(&mut memory, 0x1000).unwrap();
        assert_eq!(Setting::read_timevals(&mut memory, 0x1000), Ok(Setting { value_ns: 1000, interval_ns: 0 }));
    }
}
