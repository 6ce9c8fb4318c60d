//! The venue's candle intervals and where their periods begin.

use core::fmt;
use protocol::{MINUTE_NS, SECOND_NS, Stamp};

const HOUR_NS: u64 = 60 * MINUTE_NS;
const DAY_NS: u64 = 24 * HOUR_NS;

/// From the Monday before 1970 to 1970. Every fixed interval has a period that begins there.
const MONDAY_SHIFT_NS: u64 = 3 * DAY_NS;

const OFFSET_MINUTES_MAX: i32 = 24 * 60 - 1;

/// Length of a candle's period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Interval {
    Seconds1,
    Minutes1,
    Minutes3,
    Minutes5,
    Minutes15,
    Minutes30,
    Hours1,
    Hours2,
    Hours4,
    Hours6,
    Hours8,
    Hours12,
    Days1,
    /// Counted from 1970.
    Days3,
    /// From Monday.
    Weeks1,
    /// Of the calendar.
    Months1,
}

impl Interval {
    /// From short to long; an interval's place here is its number.
    pub const ALL: [Interval; 16] = [
        Interval::Seconds1,
        Interval::Minutes1,
        Interval::Minutes3,
        Interval::Minutes5,
        Interval::Minutes15,
        Interval::Minutes30,
        Interval::Hours1,
        Interval::Hours2,
        Interval::Hours4,
        Interval::Hours6,
        Interval::Hours8,
        Interval::Hours12,
        Interval::Days1,
        Interval::Days3,
        Interval::Weeks1,
        Interval::Months1,
    ];

    /// The venue's own text; minutes and months differ in case alone.
    pub const fn as_str(self) -> &'static str {
        match self {
            Interval::Seconds1 => "1s",
            Interval::Minutes1 => "1m",
            Interval::Minutes3 => "3m",
            Interval::Minutes5 => "5m",
            Interval::Minutes15 => "15m",
            Interval::Minutes30 => "30m",
            Interval::Hours1 => "1h",
            Interval::Hours2 => "2h",
            Interval::Hours4 => "4h",
            Interval::Hours6 => "6h",
            Interval::Hours8 => "8h",
            Interval::Hours12 => "12h",
            Interval::Days1 => "1d",
            Interval::Days3 => "3d",
            Interval::Weeks1 => "1w",
            Interval::Months1 => "1M",
        }
    }

    /// The interval with this text.
    pub fn parse(text: &str) -> Option<Interval> {
        Interval::ALL.into_iter().find(|interval| interval.as_str() == text)
    }

    /// Nanoseconds of one period; none for months.
    pub const fn length_ns(self) -> Option<u64> {
        Some(match self {
            Interval::Seconds1 => SECOND_NS,
            Interval::Minutes1 => MINUTE_NS,
            Interval::Minutes3 => 3 * MINUTE_NS,
            Interval::Minutes5 => 5 * MINUTE_NS,
            Interval::Minutes15 => 15 * MINUTE_NS,
            Interval::Minutes30 => 30 * MINUTE_NS,
            Interval::Hours1 => HOUR_NS,
            Interval::Hours2 => 2 * HOUR_NS,
            Interval::Hours4 => 4 * HOUR_NS,
            Interval::Hours6 => 6 * HOUR_NS,
            Interval::Hours8 => 8 * HOUR_NS,
            Interval::Hours12 => 12 * HOUR_NS,
            Interval::Days1 => DAY_NS,
            Interval::Days3 => 3 * DAY_NS,
            Interval::Weeks1 => 7 * DAY_NS,
            Interval::Months1 => return None,
        })
    }

    /// Where the period that holds `stamp` begins. A period that began before 1970 begins at 0.
    pub fn open_time(self, stamp: Stamp, offset_minutes: i32) -> Stamp {
        let calendar = Calendar::new(self, offset_minutes);
        calendar.open(calendar.index(stamp))
    }

    /// Where the period after the one that holds `stamp` begins.
    pub fn next_open(self, stamp: Stamp, offset_minutes: i32) -> Stamp {
        let calendar = Calendar::new(self, offset_minutes);
        calendar.open(calendar.index(stamp) + 1)
    }

    /// The last nanosecond of the period that holds `stamp`: cut to milliseconds or microseconds
    /// it is the venue's close time.
    pub fn close_time(self, stamp: Stamp, offset_minutes: i32) -> Stamp {
        Stamp(self.next_open(stamp, offset_minutes).0.saturating_sub(1))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The numbered periods of one interval in one time zone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calendar {
    interval: Interval,
    offset_ns: i64,
}

impl Calendar {
    /// An offset of a day or more counts as one minute less than a day.
    pub(crate) fn new(interval: Interval, offset_minutes: i32) -> Calendar {
        let offset = offset_minutes.clamp(-OFFSET_MINUTES_MAX, OFFSET_MINUTES_MAX);
        Calendar { interval, offset_ns: i64::from(offset) * MINUTE_NS as i64 }
    }

    /// The longest interval whose periods, counted in UTC, fill this calendar's.
    pub(crate) fn source(&self) -> Interval {
        let offset_ns = self.offset_ns.unsigned_abs();
        if offset_ns == 0 {
            return self.interval;
        }
        let fills = |finer: &Interval| match (finer.length_ns(), self.interval.length_ns()) {
            (None, _) => false,
            (Some(finer), own) => {
                offset_ns.is_multiple_of(finer) && own.is_none_or(|own| own.is_multiple_of(finer))
            }
        };
        Interval::ALL.into_iter().rev().find(fills).unwrap_or(Interval::Seconds1)
    }

    /// Number of the period that holds `stamp`.
    pub(crate) fn index(&self, stamp: Stamp) -> u64 {
        let shifted = stamp.0.saturating_add(MONDAY_SHIFT_NS).saturating_add_signed(self.offset_ns);
        match self.interval.length_ns() {
            Some(length) => shifted / length,
            None => month_of_day((shifted / DAY_NS).cast_signed() - 3),
        }
    }

    /// Number of the first period that begins at `stamp` or later.
    pub(crate) fn index_from(&self, stamp: Stamp) -> u64 {
        let index = self.index(stamp);
        index + u64::from(self.open(index) < stamp)
    }

    /// Where a period begins.
    pub(crate) fn open(&self, index: u64) -> Stamp {
        let shifted = match self.interval.length_ns() {
            Some(length) => index.saturating_mul(length),
            None => u64::try_from(day_of_month(index) + 3).unwrap_or(0).saturating_mul(DAY_NS),
        };
        let local = shifted.saturating_add_signed(-self.offset_ns);
        Stamp(local.saturating_sub(MONDAY_SHIFT_NS))
    }
}

/// Days from 0000-03-01 to 1970-01-01 in the Gregorian calendar.
const EPOCH_DAY: i64 = 719_468;
const DAYS_IN_400_YEARS: i64 = 146_097;

/// Number of the calendar month, from year 0, that holds a day counted from 1970.
fn month_of_day(day: i64) -> u64 {
    let day = day + EPOCH_DAY;
    let era = day.div_euclid(DAYS_IN_400_YEARS);
    let of_era = day.rem_euclid(DAYS_IN_400_YEARS);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    ((era * 400 + year_of_era) * 12 + month_from_march + 2).unsigned_abs()
}

/// First day, counted from 1970, of a month counted from year 0.
fn day_of_month(month: u64) -> i64 {
    let from_march = i64::try_from(month).unwrap_or(i64::MAX).min(12 * 100_000) - 2;
    let (year, month) = (from_march.div_euclid(12), from_march.rem_euclid(12));
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    era * DAYS_IN_400_YEARS + of_era - EPOCH_DAY
}

#[cfg(test)]
mod tests {
    use super::*;
    use Interval::*;

    /// 2023-01-01T00:00Z, a Sunday.
    const NEW_YEAR: u64 = 1_672_531_200;

    #[track_caller]
    fn check(interval: Interval, second: u64, offset: i32, open: u64, next: u64) {
        let stamp = Stamp(second * SECOND_NS + 7);
        let found = (interval.open_time(stamp, offset), interval.next_open(stamp, offset));
        assert_eq!(found, (Stamp(open * SECOND_NS), Stamp(next * SECOND_NS)), "{interval}");
        assert_eq!(interval.close_time(stamp, offset).0 / 1_000_000, next * 1_000 - 1);
    }

    #[test]
    fn periods_begin_where_the_venues_do() {
        let day = 86_400;
        check(Seconds1, NEW_YEAR + 5, 0, NEW_YEAR + 5, NEW_YEAR + 6);
        check(Minutes1, 1_672_515_799, 0, 1_672_515_780, 1_672_515_840);
        check(Hours12, NEW_YEAR - 1, 0, NEW_YEAR - 43_200, NEW_YEAR);
        check(Days3, 3 * day - 1, 0, 0, 3 * day);
        check(Weeks1, NEW_YEAR + day - 1, 0, NEW_YEAR - 6 * day, NEW_YEAR + day);
        check(Weeks1, 1_499_040_000, 0, 1_499_040_000, 1_499_644_800);
        check(Months1, NEW_YEAR + 30 * day, 0, NEW_YEAR, NEW_YEAR + 31 * day);
        check(Months1, 951_782_400, 0, 949_363_200, 951_868_800);
    }

    #[test]
    fn a_time_zone_moves_the_periods() {
        let day = 86_400;
        let shanghai = NEW_YEAR + 16 * 3_600;
        check(Days1, NEW_YEAR + 15 * 3_600, 480, shanghai - day, shanghai);
        check(Days1, NEW_YEAR + 17 * 3_600, 480, shanghai, shanghai + day);
        check(Hours1, NEW_YEAR, 345, NEW_YEAR - 45 * 60, NEW_YEAR + 15 * 60);
        check(Hours1, NEW_YEAR, -30, NEW_YEAR - 1_800, NEW_YEAR + 1_800);
        let month = NEW_YEAR - 31 * day - 8 * 3_600;
        check(Months1, NEW_YEAR - 8 * 3_600 - 1, 480, month, NEW_YEAR - 8 * 3_600);
        check(
            Weeks1,
            NEW_YEAR + 2 * day - 3_601,
            -1_380,
            NEW_YEAR - 6 * day + 82_800,
            NEW_YEAR + day + 82_800,
        );
    }

    #[test]
    fn a_zone_is_filled_by_the_longest_interval_that_divides_it() {
        let source = |interval, offset| Calendar::new(interval, offset).source();
        assert_eq!(source(Days1, 480), Hours8);
        assert_eq!(source(Hours12, 480), Hours4);
        assert_eq!(source(Hours8, 480), Hours8);
        assert_eq!(source(Weeks1, 345), Minutes15);
        assert_eq!(source(Months1, -60), Hours1);
        assert_eq!(source(Minutes1, 345), Minutes1);
        assert_eq!(source(Months1, 0), Months1);
    }

    #[test]
    fn texts_are_read_back_and_far_times_do_not_overflow() {
        for interval in Interval::ALL {
            assert_eq!(Interval::parse(interval.as_str()), Some(interval));
            for stamp in [0, 1, u64::MAX - 1, u64::MAX] {
                for offset in [i32::MIN, -720, 0, 840, i32::MAX] {
                    let open = interval.open_time(Stamp(stamp), offset);
                    assert!(open <= Stamp(stamp));
                    assert!(interval.next_open(Stamp(stamp), offset) >= open);
                }
            }
        }
        assert_eq!(Interval::parse("1H"), None);
    }

    #[test]
    fn every_day_lies_in_one_month() {
        for day in -40..200_000 {
            let month = month_of_day(day);
            assert!(day_of_month(month) <= day && day < day_of_month(month + 1), "{day}");
        }
    }
}
