// SPDX-License-Identifier: PMPL-1.0-or-later
//! The firmware's calendar as seconds since 1970. Does not read the clock; `firmware/clock.rs` does.

/// What EFI_TIME says (UEFI 2.10, section 8.3).
#[derive(Clone, Copy, Debug)]
pub struct Calendar {
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    /// Minutes that local time is ahead of UTC *subtracted*: UTC = local + this. `None` = unspecified, taken as UTC.
    pub offset_minutes: Option<i16>,
}

/// Seconds since 1970, or 0 ("unknown", as BootInfo has it) when a field is outside its range or the date is before 1970.
pub fn seconds_since_1970(time: &Calendar) -> u64 {
    let in_range = (1970..=9999).contains(&time.year)
        && (1..=12).contains(&time.month)
        && (1..=31).contains(&time.day)
        && time.hour < 24
        && time.minute < 60
        && time.second < 60;
    if !in_range {
        return 0;
    }
    // Days by counting years from March, so that the leap day is the last of its year.
    let month = i64::from(time.month);
    let year = i64::from(time.year) - i64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(time.day) - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - DAYS_TO_1970;
    let offset_s = i64::from(time.offset_minutes.unwrap_or(0)) * 60;
    let seconds = days * 86_400 + i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second) + offset_s;
    u64::try_from(seconds).unwrap_or(0)
}

/// From 1 March of year 0 to 1 January 1970, proleptic Gregorian.
const DAYS_TO_1970: i64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Calendar = Calendar { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0, offset_minutes: None };

    #[test]
    fn known_dates_are_what_date_says() {
        assert_eq!(seconds_since_1970(&Calendar { second: 1, ..EPOCH }), 1);
        let leap = Calendar { year: 2024, month: 2, day: 29, hour: 12, ..EPOCH };
        assert_eq!(seconds_since_1970(&leap), 1_709_208_000);
        let after = Calendar { year: 2024, month: 3, day: 1, ..EPOCH };
        assert_eq!(seconds_since_1970(&after), 1_709_251_200);
        let century = Calendar { year: 2100, month: 3, day: 1, ..EPOCH };
        assert_eq!(seconds_since_1970(&century), 4_107_542_400);
    }

    #[test]
    fn a_zone_is_added_as_the_standard_says() {
        let west = Calendar { year: 2000, offset_minutes: Some(300), ..EPOCH };
        assert_eq!(seconds_since_1970(&west), 946_684_800 + 300 * 60);
    }

    #[test]
    fn a_date_out_of_range_is_unknown() {
        for bad in [
            Calendar { year: 0, ..EPOCH },
            Calendar { month: 0, ..EPOCH },
            Calendar { month: 13, ..EPOCH },
            Calendar { day: 0, ..EPOCH },
            Calendar { hour: 24, ..EPOCH },
            Calendar { offset_minutes: Some(-60), ..EPOCH },
        ] {
            assert_eq!(seconds_since_1970(&bad), 0, "{bad:?}");
        }
    }
}
