//! Limits on what accounts may do (docs/rules.md §13).

use alloc::collections::BTreeMap;
use protocol::command::RiskLimits;
use protocol::{AccountId, Amount, InstrumentId, Quantity, SECOND_NS, Stamp};

pub(crate) const DAY_NS: u64 = 86_400 * SECOND_NS;

/// The UTC day of stored time, since 1970.
pub(crate) fn day_of(now: Stamp) -> u32 {
    u32::try_from(now.0 / DAY_NS).unwrap_or(u32::MAX)
}

/// What an account traded of an instrument on one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DayTraded {
    pub(crate) day: u32,
    pub(crate) quantity: Amount,
}

impl DayTraded {
    #[inline]
    pub(crate) fn add(&mut self, day: u32, quantity: Quantity) {
        if self.day != day {
            *self = DayTraded { day, quantity: Amount::ZERO };
        }
        self.quantity += quantity.into();
    }

    pub(crate) fn on(&self, day: u32) -> Amount {
        if self.day == day { self.quantity } else { Amount::ZERO }
    }
}

/// Limits as they were set; `NONE` stands for every account, every instrument.
#[derive(Debug, Default)]
pub(crate) struct RiskTable {
    pub(crate) entries: BTreeMap<(AccountId, InstrumentId), RiskLimits>,
}

/// The limits that count for an order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Applicable {
    pub(crate) limits: RiskLimits,
    /// They name the instrument: open orders are counted there alone.
    pub(crate) of_instrument: bool,
}

impl RiskTable {
    /// The most particular entry, whole.
    #[inline]
    pub(crate) fn of(&self, account: AccountId, instrument: InstrumentId) -> Option<Applicable> {
        if self.entries.is_empty() {
            return None;
        }
        let (everyone, everywhere) = (AccountId::NONE, InstrumentId::NONE);
        let scopes = [
            (account, instrument),
            (account, everywhere),
            (everyone, instrument),
            (everyone, everywhere),
        ];
        scopes.into_iter().find_map(|scope| {
            let limits = *self.entries.get(&scope)?;
            Some(Applicable { limits, of_instrument: scope.1 != everywhere })
        })
    }
}
