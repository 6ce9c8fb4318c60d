//! What operators set and no client sees: calendars, risk limits, kill switches. Trading rules stand
//! with their instrument in the market.

use std::collections::{BTreeMap, BTreeSet};

use protocol::command::{CALENDAR_ENTRIES_MAX, Calendar, CalendarEntry, RiskLimits};
use protocol::{AccountId, Event, InstrumentId};

/// As the events tell it.
#[derive(Debug, Default)]
pub struct Controls {
    calendars: BTreeMap<InstrumentId, Calendar>,
    /// `NONE` is every account, every instrument.
    risk: BTreeMap<(AccountId, InstrumentId), RiskLimits>,
    /// The kill switch of the venue is engaged.
    pub is_venue_stopped: bool,
    /// Accounts whose kill switch is engaged.
    pub stopped: BTreeSet<AccountId>,
}

impl Controls {
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::CalendarSet(set) => {
                self.calendars.insert(set.instrument, set.entries);
            }
            Event::RiskLimitsSet(set) => {
                let entry = (set.account, set.instrument);
                match set.limits == RiskLimits::default() {
                    true => self.risk.remove(&entry),
                    false => self.risk.insert(entry, set.limits),
                };
            }
            Event::KillSwitchSet(set) => match (set.account, set.engaged) {
                (AccountId::NONE, engaged) => self.is_venue_stopped = engaged,
                (account, true) => {
                    self.stopped.insert(account);
                }
                (account, false) => {
                    self.stopped.remove(&account);
                }
            },
            _ => {}
        }
    }

    pub fn calendar(&self, instrument: InstrumentId) -> Calendar {
        const EMPTY: Calendar = [CalendarEntry::NONE; CALENDAR_ENTRIES_MAX];
        self.calendars.get(&instrument).copied().unwrap_or(EMPTY)
    }

    /// Every entry: those of all accounts first, then by account.
    pub fn risk(&self) -> impl Iterator<Item = (AccountId, InstrumentId, &RiskLimits)> {
        self.risk.iter().map(|((account, instrument), limits)| (*account, *instrument, limits))
    }

    pub fn risk_of(&self, account: AccountId, instrument: InstrumentId) -> RiskLimits {
        self.risk.get(&(account, instrument)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use protocol::event::{CalendarSet, KillSwitchSet, RiskLimitsSet};

    use super::*;

    #[test]
    fn what_was_set_last_stands() {
        let mut controls = Controls::default();
        let (account, instrument) = (AccountId(3), InstrumentId(2));
        let limits = RiskLimits { open_orders_max: 5, ..RiskLimits::default() };
        let all = (AccountId::NONE, InstrumentId::NONE);
        controls.apply(&RiskLimitsSet { account, instrument, limits }.into());
        let (everyone, anything) = all;
        controls.apply(&RiskLimitsSet { account: everyone, instrument: anything, limits }.into());
        assert_eq!(
            controls.risk().map(|it| (it.0, it.1)).collect::<Vec<_>>(),
            [all, (account, instrument)]
        );
        let none = RiskLimits::default();
        controls.apply(&RiskLimitsSet { account, instrument, limits: none }.into());
        assert_eq!((controls.risk().count(), controls.risk_of(account, instrument)), (1, none));
        for (account, engaged) in [(account, true), (AccountId::NONE, true), (account, false)] {
            controls.apply(&KillSwitchSet { account, engaged }.into());
        }
        assert!(controls.is_venue_stopped && controls.stopped.is_empty());
        let mut entries = controls.calendar(instrument);
        entries[0] = CalendarEntry { weekdays: 1, ..CalendarEntry::NONE };
        controls.apply(&CalendarSet { instrument, entries }.into());
        assert_eq!(controls.calendar(instrument), entries);
    }
}
