//! Calendars as people write them: `mon-fri`, `09:30:00`, `OPENING_AUCTION`. The configuration and
//! the admin API read and show the same.

use protocol::InstrumentStatus;
use protocol::command::{CALENDAR_ENTRIES_MAX, Calendar, CalendarEntry};

pub const DAYS_ALLOWED: &str =
    "days of mon, tue, wed, thu, fri, sat, sun: \"mon-fri\", \"sat,sun\"";
pub const TIME_ALLOWED: &str = "a time of day in UTC from 00:00:00 to 23:59:59";

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// From so many days in a row on they are shown as a range.
const RANGE_MIN: usize = 3;

/// A set of days, bit 0 Monday.
pub fn parse_days(text: &str) -> Option<u8> {
    let day = |text: &str| DAYS.iter().position(|day| *day == text);
    text.split(',').try_fold(0u8, |set, item| {
        let (first, last) = match item.trim().split_once('-') {
            Some((first, last)) => (day(first.trim())?, day(last.trim())?),
            None => (day(item.trim())?, day(item.trim())?),
        };
        // A range may go over the end of the week.
        let days = (last + DAYS.len() - first) % DAYS.len() + 1;
        let range = (first..first + days).map(|day| 1u8 << (day % DAYS.len()));
        Some(range.fold(set, |set, day| set | day))
    })
}

pub fn days_text(set: u8) -> String {
    let mut items = Vec::new();
    let mut day = 0;
    while day < DAYS.len() {
        let run = (day..DAYS.len()).take_while(|day| set >> day & 1 == 1).count();
        match run {
            0 => {}
            RANGE_MIN.. => items.push(format!("{}-{}", DAYS[day], DAYS[day + run - 1])),
            _ => items.extend(DAYS[day..day + run].iter().map(|day| (*day).to_owned())),
        }
        day += run + 1;
    }
    items.join(",")
}

/// Seconds since midnight, of `09:30` or `09:30:00`.
pub fn parse_time(text: &str) -> Option<u32> {
    let parts: Vec<&str> = text.split(':').collect();
    let number = |text: &str, end: u32| {
        let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|it| is_plain && *it < end)
    };
    let (hours, minutes, seconds) = match parts.as_slice() {
        [hours, minutes] => (hours, minutes, &"00"),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    Some(number(hours, 24)? * 3_600 + number(minutes, 60)? * 60 + number(seconds, 60)?)
}

pub fn time_text(second: u32) -> String {
    format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

/// What an instrument may be set to: every status but that which a trade alone begins.
pub fn settable() -> impl Iterator<Item = InstrumentStatus> {
    let all = InstrumentStatus::ALL.iter().copied();
    all.filter(|status| *status != InstrumentStatus::VolatilityAuction)
}

/// The words of [`settable`], for messages.
pub fn settable_words() -> String {
    settable().map(InstrumentStatus::as_str).collect::<Vec<_>>().join(", ")
}

/// A status that an instrument may be set to.
pub fn parse_status(text: &str) -> Option<InstrumentStatus> {
    settable().find(|status| status.as_str() == text)
}

/// The entries as a calendar; none if there are too many.
pub fn calendar_of(entries: &[CalendarEntry]) -> Option<Calendar> {
    let mut calendar = [CalendarEntry::NONE; CALENDAR_ENTRIES_MAX];
    calendar.get_mut(..entries.len())?.copy_from_slice(entries);
    Some(calendar)
}

/// Those that are used.
pub fn entries(calendar: &Calendar) -> impl Iterator<Item = &CalendarEntry> {
    calendar.iter().take_while(|entry| entry.weekdays != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_shown() {
        #[track_caller]
        fn check(text: &str, set: Option<u8>, shown: &str) {
            assert_eq!(parse_days(text), set, "{text}");
            if let Some(set) = set {
                assert_eq!(days_text(set), shown);
            }
        }
        check("mon-fri", Some(0b1_1111), "mon-fri");
        check("mon-sun", Some(0b111_1111), "mon-sun");
        check("sat, sun", Some(0b110_0000), "sat,sun");
        check("fri-mon", Some(0b111_0001), "mon,fri-sun");
        check("mon,wed-wed", Some(0b101), "mon,wed");
        for text in ["", "mon-", "Mon", "day", "mon;tue", "mon--tue", ","] {
            check(text, None, "");
        }
        for set in 1..128 {
            assert_eq!(parse_days(&days_text(set)), Some(set));
        }
    }

    #[test]
    fn times_are_read_and_shown() {
        for (text, second) in [("00:00:00", 0), ("09:30", 34_200), ("23:59:59", 86_399)] {
            assert_eq!(parse_time(text), Some(second), "{text}");
            assert!(time_text(second).starts_with(text));
        }
        for text in ["", "9:30", "24:00:00", "09:60", "09:30:60", "+9:30", "09:30:00:00", "0930"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn no_operator_begins_a_volatility_auction() {
        assert_eq!(parse_status("CLOSED"), Some(InstrumentStatus::Closed));
        assert_eq!(parse_status("VOLATILITY_AUCTION"), None);
        assert_eq!(settable().count(), InstrumentStatus::ALL.len() - 1);
        assert_eq!(calendar_of(&[CalendarEntry::NONE; CALENDAR_ENTRIES_MAX + 1]), None);
    }
}
