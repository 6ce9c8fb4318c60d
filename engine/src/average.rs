//! The volume-weighted average price over the last minutes of stored time (docs/rules.md §9).

use alloc::collections::VecDeque;
use protocol::instrument::AVERAGE_MINUTES_MAX;
use protocol::{Amount, Price, Quantity, SCALE, Stamp};

/// Sums of the trades of one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MinuteSum {
    /// Minutes since 1970.
    pub(crate) minute: u64,
    pub(crate) quote: Amount,
    pub(crate) quantity: Amount,
}

/// **Invariants:** minutes strictly rise; none is `AVERAGE_MINUTES_MAX` or more before the last.
#[derive(Debug, Default)]
pub(crate) struct Average {
    pub(crate) minutes: VecDeque<MinuteSum>,
}

impl Average {
    pub(crate) fn add(&mut self, now: Stamp, quantity: Quantity, quote: Amount) {
        let minute = now.minute();
        match self.minutes.back_mut() {
            Some(last) if last.minute == minute => {
                last.quote += quote;
                last.quantity += quantity.into();
            }
            _ => {
                let oldest = (minute + 1).saturating_sub(u64::from(AVERAGE_MINUTES_MAX));
                while self.minutes.front().is_some_and(|first| first.minute < oldest) {
                    self.minutes.pop_front();
                }
                self.minutes.push_back(MinuteSum { minute, quote, quantity: quantity.into() });
            }
        }
    }

    /// Over the minutes `now − minutes + 1 … now`; none without a trade among them.
    pub(crate) fn over(&self, minutes: u32, now: Stamp) -> Option<Price> {
        let first = (now.minute() + 1).saturating_sub(u64::from(minutes));
        let recent = self.minutes.iter().rev().take_while(|sum| sum.minute >= first);
        let (quote, quantity) = recent.fold((0u128, 0u128), |(quote, quantity), sum| {
            (quote + sum.quote.0.unsigned_abs(), quantity + sum.quantity.0.unsigned_abs())
        });
        if quantity == 0 {
            return None;
        }
        // floor(quote × 10^8 / quantity) without leaving 128 bits.
        let scale = u128::from(SCALE);
        let price = quote / quantity * scale + quote % quantity * scale / quantity;
        Some(Price(u64::try_from(price).unwrap_or(u64::MAX).min(Price::MAX.0)))
    }
}
