//! Commands that say how instruments trade and what accounts may do (docs/rules.md §2, 11 and 13).

use crate::engine::{Engine, Refusal};
use crate::sink::EventSink;
use crate::venue::ACCOUNTS_MAX;
use alloc::boxed::Box;
use protocol::command::*;
use protocol::event::*;
use protocol::instrument::{AVERAGE_MINUTES_MAX, Symbol};
use protocol::*;

/// Multiples and bands count 10^-8; far more than any rule needs, and far from any overflow.
const MULTIPLE_MAX: u64 = (1 << 32) * SCALE;
const DAY_S: u32 = 86_400;
const EVERY_DAY: u8 = 0b111_1111;

fn is_valid_limits(limits: &RiskLimits) -> bool {
    let amounts = [limits.order_notional_max, limits.day_quantity_max];
    amounts.iter().all(|amount| (Amount::ZERO..=Amount::MAX).contains(amount))
}

fn is_valid_rules(rules: &TradingRules) -> bool {
    let multiples = [
        rules.bid_limit_up,
        rules.bid_limit_down,
        rules.ask_limit_up,
        rules.ask_limit_down,
        rules.volatility_band,
    ];
    let has_buckets = rules.bucket_width_ms != 0;
    rules.external_reference.is_valid()
        && rules.bucket_width_ms <= BUCKET_WIDTH_MS_MAX
        && rules.bucket_count <= REFERENCE_BUCKETS_MAX
        && has_buckets == (rules.bucket_count != 0)
        && multiples.iter().all(|multiple| *multiple <= MULTIPLE_MAX)
        && rules.volatility_minutes <= AVERAGE_MINUTES_MAX
        && rules.volatility_auction_s <= VOLATILITY_AUCTION_S_MAX
        && (rules.volatility_band == 0 || rules.volatility_auction_s != 0)
}

fn is_valid_calendar(entries: &Calendar) -> bool {
    let used = entries.iter().take_while(|entry| entry.weekdays != 0).count();
    let (used, unused) = entries.split_at(used);
    let is_valid = |entry: &CalendarEntry| {
        entry.weekdays <= EVERY_DAY
            && entry.second < DAY_S
            && entry.status != InstrumentStatus::VolatilityAuction
    };
    used.iter().all(is_valid) && unused.iter().all(|entry| *entry == CalendarEntry::NONE)
}

impl Engine {
    pub(crate) fn set_risk_limits(
        &mut self,
        set: &SetRiskLimits,
        out: &mut impl EventSink,
    ) -> Refusal {
        let limits = set.limits;
        if !is_valid_limits(&limits) {
            return Err(RejectReason::InvalidDefinition);
        }
        let account = self.account_or_all(&set.account)?;
        let instrument = match set.symbol.is_empty() {
            true => InstrumentId::NONE,
            false => self.instrument_of(&set.symbol)?,
        };
        let scope = (account, instrument);
        let none = RiskLimits::default();
        let stands = self.venue.risk.entries.get(&scope).copied();
        if stands.unwrap_or(none) == limits {
            return Err(RejectReason::NoChange);
        }
        if limits == none {
            self.venue.risk.entries.remove(&scope);
        } else if stands.is_none() && self.venue.risk.entries.len() >= ACCOUNTS_MAX {
            return Err(RejectReason::TooManyDefinitions);
        } else {
            self.venue.risk.entries.insert(scope, limits);
        }
        out.emit(RiskLimitsSet { account, instrument, limits });
        Ok(())
    }

    pub(crate) fn set_kill_switch(
        &mut self,
        set: &SetKillSwitch,
        out: &mut impl EventSink,
    ) -> Refusal {
        let account = self.account_or_all(&set.account)?;
        let stands = match account {
            AccountId::NONE => &mut self.venue.is_killed,
            account => &mut self.venue.accounts[account.0 as usize].is_killed,
        };
        if *stands == set.engaged {
            return Err(RejectReason::NoChange);
        }
        *stands = set.engaged;
        out.emit(KillSwitchSet { account, engaged: set.engaged });
        if set.engaged {
            let cause = MassCancelCause::Administrator;
            self.cancel_everything(account, InstrumentId::NONE, cause, out);
        }
        Ok(())
    }

    pub(crate) fn set_trading_rules(
        &mut self,
        set: &SetTradingRules,
        out: &mut impl EventSink,
    ) -> Refusal {
        let instrument = self.instrument_of(&set.symbol)?;
        if !is_valid_rules(&set.rules) {
            return Err(RejectReason::InvalidDefinition);
        }
        let market = self.venue.known(instrument);
        if market.trading_rules == set.rules {
            return Err(RejectReason::NoChange);
        }
        market.set_trading_rules(set.rules);
        out.emit(TradingRulesSet { instrument, rules: set.rules });
        Ok(())
    }

    pub(crate) fn set_calendar(&mut self, set: &SetCalendar, out: &mut impl EventSink) -> Refusal {
        let instrument = self.instrument_of(&set.symbol)?;
        let entries = set.entries;
        if !is_valid_calendar(&entries) {
            return Err(RejectReason::InvalidDefinition);
        }
        let none = [CalendarEntry::NONE; CALENDAR_ENTRIES_MAX];
        let market = self.venue.known(instrument);
        if market.calendar.as_deref().unwrap_or(&none) == &entries {
            return Err(RejectReason::NoChange);
        }
        if entries == none {
            market.calendar = None;
            self.venue.scheduled.remove(&instrument);
        } else {
            market.calendar = Some(Box::new(entries));
            self.venue.scheduled.insert(instrument);
        }
        out.emit(CalendarSet { instrument, entries });
        Ok(())
    }

    fn instrument_of(&self, symbol: &Symbol) -> Result<InstrumentId, RejectReason> {
        self.venue.instrument_named(symbol).ok_or(RejectReason::UnknownInstrument)
    }

    /// `NONE` for an empty name.
    fn account_or_all(&self, name: &AccountName) -> Result<AccountId, RejectReason> {
        match name.is_empty() {
            true => Ok(AccountId::NONE),
            false => self.venue.account_named(name).ok_or(RejectReason::UnknownAccount),
        }
    }

    /// Tells how instruments trade and what accounts may do, where that is not the default.
    pub(crate) fn describe_regulation(&self, out: &mut impl EventSink) {
        let venue = &self.venue;
        for market in &venue.markets {
            let instrument = market.id;
            if market.trading_rules != TradingRules::default() {
                out.emit(TradingRulesSet { instrument, rules: market.trading_rules });
            }
            if let Some(entries) = market.calendar.as_deref().copied() {
                out.emit(CalendarSet { instrument, entries });
            }
            if let Some(collection) = &market.collection {
                out.emit(collection.indication);
            }
        }
        for ((account, instrument), limits) in &venue.risk.entries {
            let (account, instrument) = (*account, *instrument);
            out.emit(RiskLimitsSet { account, instrument, limits: *limits });
        }
        if venue.is_killed {
            out.emit(KillSwitchSet { account: AccountId::NONE, engaged: true });
        }
        let killed = venue.accounts.iter().zip(0u32..).filter(|(account, _)| account.is_killed);
        killed
            .for_each(|(_, id)| out.emit(KillSwitchSet { account: AccountId(id), engaged: true }));
    }
}
