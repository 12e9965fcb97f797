// SPDX-License-Identifier: PMPL-1.0-or-later
//! The MC146818 clock of a PC, read only: its data sheet, and for the century ACPI 6.5, 5.2.9 (where firmware usually puts it).
//! It runs in UTC.

/// Registers.
const SECONDS: u8 = 0x00;
const MINUTES: u8 = 0x02;
const HOURS: u8 = 0x04;
const DAY: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
const STATUS_D: u8 = 0x0d;
const CENTURY: u8 = 0x32;
/// Status A: the time changes at this moment.
const UPDATING: u8 = 0x80;
/// Status B.
const BINARY: u8 = 0x04;
const HOURS_24: u8 = 0x02;
/// Of the hours, where there are twelve.
const AFTERNOON: u8 = 0x80;
/// Status D: it was never without power.
const VALID: u8 = 0x80;
/// Looks before a clock that is always updating counts as none; an update takes 2 ms.
const LOOKS: usize = 10_000;

pub trait Registers {
    fn read(&mut self, register: u8) -> u8;
}

type Raw = [u8; 7];

/// Seconds since 1970-01-01 00:00 UTC. `None`: it lost its power, is always updating, or tells a date that is none.
pub fn now(registers: &mut impl Registers) -> Option<u64> {
    if registers.read(STATUS_D) & VALID == 0 {
        return None;
    }
    let format = registers.read(STATUS_B);
    // Twice the same, so that no second began in between.
    let mut before = raw(registers)?;
    let stable = (0..LOOKS).find_map(|_| {
        let after = raw(registers)?;
        (core::mem::replace(&mut before, after) == after).then_some(after)
    })?;
    seconds(stable, format)
}

fn raw(registers: &mut impl Registers) -> Option<Raw> {
    (0..LOOKS).any(|_| registers.read(STATUS_A) & UPDATING == 0).then_some(())?;
    Some([SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR, CENTURY].map(|register| registers.read(register)))
}

fn seconds(raw: Raw, format: u8) -> Option<u64> {
    let number = |byte: u8| {
        if format & BINARY != 0 {
            return Some(u64::from(byte));
        }
        let (tens, ones) = (byte >> 4, byte & 15);
        (tens <= 9 && ones <= 9).then_some(u64::from(tens) * 10 + u64::from(ones))
    };
    let [second, minute, hours, day, month, year, century] = raw;
    let hour = if format & HOURS_24 != 0 {
        number(hours)?
    } else {
        let hour = number(hours & !AFTERNOON)?;
        hour % 12 + if hours & AFTERNOON != 0 { 12 } else { 0 }
    };
    let (second, minute, day, month) = (number(second)?, number(minute)?, number(day)?, number(month)?);
    // Firmware that keeps no century is of this one.
    let century = number(century).filter(|c| (19..=21).contains(c)).unwrap_or(20);
    let year = century * 100 + number(year).filter(|&y| y < 100)?;
    let is_time = second < 60 && minute < 60 && hour < 24;
    let is_date = (1..=12).contains(&month) && day >= 1 && day <= length(year, month) && year >= 1970;
    (is_time && is_date).then(|| ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}
fn length(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
/// Days since 1970-01-01.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let years: u64 = (1970..year).map(|y| 365 + u64::from(is_leap(y))).sum();
    years + (1..month).map(|m| length(year, m)).sum::<u64>() + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Registers by number; the seconds begin anew after so many reads of them.
    struct Fake {
        bytes: [u8; 64],
        jumps: usize,
    }
    impl Registers for Fake {
        fn read(&mut self, register: u8) -> u8 {
            if register == SECONDS && self.jumps > 0 {
                self.jumps -= 1;
                return self.jumps as u8;
            }
            self.bytes[usize::from(register)]
        }
    }
    fn clock(format: u8, raw: Raw) -> Fake {
        let mut bytes = [0; 64];
        for (register, byte) in [SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR, CENTURY].into_iter().zip(raw) {
            bytes[usize::from(register)] = byte;
        }
        (bytes[usize::from(STATUS_B)], bytes[usize::from(STATUS_D)]) = (format, VALID);
        Fake { bytes, jumps: 0 }
    }

    #[test]
    fn the_same_moment_in_all_four_formats() {
        // 2026-02-28 23:59:58
        let expected = Some(1_772_323_198);
        assert_eq!(now(&mut clock(HOURS_24, [0x58, 0x59, 0x23, 0x28, 0x02, 0x26, 0x20])), expected);
        assert_eq!(now(&mut clock(HOURS_24 | BINARY, [58, 59, 23, 28, 2, 26, 20])), expected);
        assert_eq!(now(&mut clock(0, [0x58, 0x59, 0x91, 0x28, 0x02, 0x26, 0x20])), expected);
        assert_eq!(now(&mut clock(BINARY, [58, 59, 11 | AFTERNOON, 28, 2, 26, 20])), expected);
    }
    #[test]
    fn noon_midnight_leap_days_and_clocks_without_a_century() {
        assert_eq!(now(&mut clock(BINARY, [0, 0, 12, 1, 1, 0, 20])), Some(946_684_800), "twelve at night");
        assert_eq!(now(&mut clock(BINARY, [0, 0, 12 | AFTERNOON, 1, 1, 0, 20])), Some(946_684_800 + 43_200));
        assert_eq!(now(&mut clock(HOURS_24 | BINARY, [0, 0, 0, 29, 2, 28, 0])), Some(1_835_395_200));
        assert_eq!(now(&mut clock(HOURS_24 | BINARY, [0, 0, 0, 1, 1, 70, 19])), Some(0));
    }
    #[test]
    fn dates_that_are_none_are_refused() {
        for raw in [[0, 0, 0, 29, 2, 26, 20], [60, 0, 0, 1, 1, 26, 20], [0, 0, 24, 1, 1, 26, 20], [0, 0, 0, 1, 13, 26, 20]] {
            assert_eq!(now(&mut clock(HOURS_24 | BINARY, raw)), None, "{raw:?}");
        }
        assert_eq!(now(&mut clock(HOURS_24, [0x5a, 0, 0, 1, 1, 0x26, 0x20])), None, "no decimal number");
    }
    #[test]
    fn a_clock_that_moves_is_read_again_and_one_that_lost_its_power_is_unset() {
        let mut it = clock(HOURS_24 | BINARY, [0, 0, 0, 1, 1, 70, 19]);
        it.jumps = 6;
        assert_eq!(now(&mut it), Some(0));
        it.bytes[usize::from(STATUS_D)] = 0;
        assert_eq!(now(&mut it), None);
        let mut always = clock(BINARY, [0; 7]);
        always.bytes[usize::from(STATUS_A)] = UPDATING;
        assert_eq!(now(&mut always), None);
    }
}
