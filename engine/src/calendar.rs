//! When an instrument changes its status by itself (docs/rules.md §11).

use protocol::command::{Calendar, CalendarEntry};
use protocol::{InstrumentStatus, SECOND_NS, Stamp};

const DAY_S: u64 = 86_400;
const WEEK_DAYS: u64 = 7;
/// 1970-01-01 was a Thursday; bit 0 is Monday.
const FIRST_WEEKDAY: u64 = 3;

/// The latest moment of the entry at or before `now`, at most a week back. Seconds since 1970.
fn latest(entry: &CalendarEntry, now: Stamp) -> Option<u64> {
    let second = now.0 / SECOND_NS;
    let today = second / DAY_S;
    (0..=WEEK_DAYS).find_map(|back| {
        let day = today.checked_sub(back)?;
        let weekday = (day + FIRST_WEEKDAY) % WEEK_DAYS;
        let moment = day * DAY_S + u64::from(entry.second);
        let counts = entry.weekdays >> weekday & 1 == 1
            && moment <= second
            && second - moment <= WEEK_DAYS * DAY_S;
        counts.then_some(moment)
    })
}

/// The status that begins in (before, now]; the latest counts, of two at once the later entry.
pub(crate) fn status_due(
    calendar: &Calendar,
    before: Stamp,
    now: Stamp,
) -> Option<InstrumentStatus> {
    let due = calendar.iter().filter_map(|entry| {
        let moment = latest(entry, now)?;
        (moment * SECOND_NS > before.0).then_some((moment, entry.status))
    });
    due.max_by_key(|(moment, _)| *moment).map(|(_, status)| status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::command::CALENDAR_ENTRIES_MAX;

    /// Friday 2026-11-20, this second of the day.
    fn friday(second: u64) -> Stamp {
        Stamp((20_777 * DAY_S + second) * SECOND_NS)
    }

    #[test]
    fn the_latest_entry_in_the_window_counts() {
        const FRIDAY: u8 = 1 << 4;
        let mut calendar = [CalendarEntry::NONE; CALENDAR_ENTRIES_MAX];
        let entry = |second, status| CalendarEntry { weekdays: FRIDAY, second, status };
        calendar[0] = entry(100, InstrumentStatus::OpeningAuction);
        calendar[1] = entry(200, InstrumentStatus::Trading);
        calendar[2] = entry(200, InstrumentStatus::Halt);
        let due = |from, to| status_due(&calendar, friday(from), friday(to));
        assert_eq!(due(0, 99), None);
        assert_eq!(due(99, 100), Some(InstrumentStatus::OpeningAuction));
        assert_eq!(due(100, 199), None, "once");
        assert_eq!(due(0, 5_000), Some(InstrumentStatus::Halt), "the later of two at once");
        let days = |number: u64| number * DAY_S;
        assert_eq!(due(300, days(6) + 50), None, "no other day");
        assert_eq!(due(300, days(7) + 150), Some(InstrumentStatus::OpeningAuction));
        assert_eq!(due(300, days(30)), Some(InstrumentStatus::Halt), "after a long night");
    }
}
