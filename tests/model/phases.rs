//! Phases of an instrument: who changes them, and what each brings. (§11, §2)

use super::*;

/// Moments of a calendar that are further back do not count.
const CALENDAR_DAYS: u64 = 7;

impl Model {
    pub(super) fn set_instrument_status(&mut self, command: &SetInstrumentStatus) -> Refusable {
        let at = self.find_instrument(&command.symbol).ok_or(RejectReason::UnknownInstrument)?;
        let Instrument { id, definition, .. } = &self.instruments[at];
        if command.status == InstrumentStatus::VolatilityAuction {
            return Err(RejectReason::InvalidDefinition);
        }
        if definition.status == command.status {
            return Err(RejectReason::NoChange);
        }
        self.change_phase(*id, command.status);
        Ok(())
    }

    fn change_phase(&mut self, id: InstrumentId, status: InstrumentStatus) {
        self.instrument_mut(id).definition.status = status;
        self.emit(InstrumentStatusSet { instrument: id, status });
        let ends = matches!(status, InstrumentStatus::Trading | InstrumentStatus::Closed);
        if status.is_auction() {
            let it = self.instrument_mut(id);
            if !it.collecting {
                it.collecting = true;
                it.told_indication = Indication::NONE;
            }
        } else if ends && self.instrument(id).collecting {
            self.uncross(id);
        }
    }

    // The volatility band.

    /// The middle of the band, if there is a band.
    pub(super) fn middle(&self, instrument: InstrumentId) -> Option<Price> {
        let rules = self.instrument(instrument).trading_rules;
        match rules.volatility_band {
            0 => None,
            _ => self.average_price(instrument, rules.volatility_minutes),
        }
    }

    /// The order was about to trade at a price outside of the band.
    pub(super) fn interrupt(&mut self, taker: OrderId, price: Price, reference: Price) {
        let OrderRequest { instrument, kind, time_in_force, .. } = self.order(taker).request;
        let rules = self.instrument(instrument).trading_rules;
        let until = Stamp(self.now + u64::from(rules.volatility_auction_s) * SECOND_NS);
        self.instrument_mut(instrument).until = until;
        self.emit(TradingInterrupted { instrument, price, reference, until });
        self.change_phase(instrument, InstrumentStatus::VolatilityAuction);
        match kind.is_limit() && time_in_force == TimeInForce::Gtc {
            true => self.rest(taker),
            false => self.expire(taker, OrderStatus::Expired, CloseReason::Interrupted),
        }
    }

    // Time.

    pub(super) fn tick(&mut self) {
        let last = self.last_tick.replace(self.now);
        for at in 0..self.instruments.len() {
            let id = self.instruments[at].id;
            let due = last.and_then(|last| self.status_by_calendar(id, last));
            let status = self.instrument(id).definition.status;
            if let Some(due) = due.filter(|due| *due != status) {
                self.change_phase(id, due);
            }
            let Instrument { definition, until, .. } = self.instrument(id);
            let is_interrupted = definition.status == InstrumentStatus::VolatilityAuction;
            if is_interrupted && Stamp(self.now) >= *until {
                self.change_phase(id, InstrumentStatus::Trading);
            }
            if self.instrument(id).collecting {
                self.refresh_with_indication(id);
            }
        }
    }

    /// Of the calendar's moments since the last tick, the latest one's status.
    fn status_by_calendar(&self, id: InstrumentId, last: u64) -> Option<InstrumentStatus> {
        let calendar = self.instrument(id).calendar;
        let today = self.now / DAY_NS;
        let mut latest: Option<(u64, InstrumentStatus)> = None;
        for day in today.saturating_sub(CALENDAR_DAYS)..=today {
            // The first day of 1970 was a Thursday.
            let weekday = (day + 3) % 7;
            for entry in calendar.iter().filter(|it| it.weekdays & (1 << weekday) != 0) {
                let moment = day * DAY_NS + u64::from(entry.second) * SECOND_NS;
                let counts = last < moment
                    && moment <= self.now
                    && self.now - moment <= CALENDAR_DAYS * DAY_NS;
                if counts && latest.is_none_or(|(other, _)| moment >= other) {
                    latest = Some((moment, entry.status));
                }
            }
        }
        latest.map(|(_, status)| status)
    }

    // Settings.

    pub(super) fn set_trading_rules(&mut self, command: &SetTradingRules) -> Refusable {
        let at = self.find_instrument(&command.symbol).ok_or(RejectReason::UnknownInstrument)?;
        let rules = command.rules;
        if !are_valid(&rules) {
            return Err(RejectReason::InvalidDefinition);
        }
        let it = &mut self.instruments[at];
        if it.trading_rules == rules {
            return Err(RejectReason::NoChange);
        }
        let buckets = |rules: &TradingRules| (rules.bucket_width_ms, rules.bucket_count);
        if buckets(&it.trading_rules) != buckets(&rules) {
            it.reference_trades.clear();
        }
        it.trading_rules = rules;
        let instrument = it.id;
        self.emit(TradingRulesSet { instrument, rules });
        Ok(())
    }

    pub(super) fn set_calendar(&mut self, command: &SetCalendar) -> Refusable {
        let at = self.find_instrument(&command.symbol).ok_or(RejectReason::UnknownInstrument)?;
        let entries = command.entries;
        let is_used = |entry: &CalendarEntry| entry.weekdays != 0;
        let used = entries.iter().take_while(|entry| is_used(entry)).count();
        let is_valid = entries[..used].iter().all(|entry| {
            entry.weekdays <= 127
                && u64::from(entry.second) < DAY_NS / SECOND_NS
                && entry.status != InstrumentStatus::VolatilityAuction
        });
        if !is_valid || entries[used..].iter().any(|entry| *entry != CalendarEntry::NONE) {
            return Err(RejectReason::InvalidDefinition);
        }
        let it = &mut self.instruments[at];
        if it.calendar == entries {
            return Err(RejectReason::NoChange);
        }
        it.calendar = entries;
        let instrument = it.id;
        self.emit(CalendarSet { instrument, entries });
        Ok(())
    }
}

fn are_valid(rules: &TradingRules) -> bool {
    let factors = [
        rules.bid_limit_up,
        rules.bid_limit_down,
        rules.ask_limit_up,
        rules.ask_limit_down,
        rules.volatility_band,
    ];
    let has_auction = rules.volatility_auction_s != 0;
    rules.external_reference.is_valid()
        && rules.bucket_width_ms <= BUCKET_WIDTH_MS_MAX
        && rules.bucket_count <= REFERENCE_BUCKETS_MAX
        && (rules.bucket_width_ms == 0) == (rules.bucket_count == 0)
        && factors.iter().all(|factor| *factor <= SCALE << 32)
        && rules.volatility_minutes <= 60
        && (has_auction || rules.volatility_band == 0)
        && rules.volatility_auction_s <= VOLATILITY_AUCTION_S_MAX
}
