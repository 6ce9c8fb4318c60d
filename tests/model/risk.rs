//! Limits of accounts and the kill switch. (§13, §2)

use super::prices::is_far;
use super::*;

const RISK_LIMITS_MAX: usize = 1_048_576;

impl Model {
    pub(super) fn set_risk_limits(&mut self, command: &SetRiskLimits) -> Refusable {
        let limits = command.limits;
        let amounts = [limits.order_notional_max, limits.day_quantity_max];
        if !amounts.iter().all(|amount| (Amount::ZERO..=Amount::MAX).contains(amount)) {
            return Err(RejectReason::InvalidDefinition);
        }
        let account = match command.account.is_empty() {
            true => AccountId::NONE,
            false => self.find_account(&command.account).ok_or(RejectReason::UnknownAccount)?,
        };
        let instrument = match command.symbol.is_empty() {
            true => InstrumentId::NONE,
            false => {
                let at = self.find_instrument(&command.symbol);
                self.instruments[at.ok_or(RejectReason::UnknownInstrument)?].id
            }
        };
        let place = (account, instrument);
        let stands = self.risk_limits.get(&place).copied().unwrap_or_default();
        if stands == limits {
            return Err(RejectReason::NoChange);
        }
        if self.risk_limits.len() == RISK_LIMITS_MAX && !self.risk_limits.contains_key(&place) {
            return Err(RejectReason::TooManyDefinitions);
        }
        match limits == RiskLimits::default() {
            true => self.risk_limits.remove(&place),
            false => self.risk_limits.insert(place, limits),
        };
        self.emit(RiskLimitsSet { account, instrument, limits });
        Ok(())
    }

    pub(super) fn set_kill_switch(&mut self, command: &SetKillSwitch) -> Refusable {
        let account = match command.account.is_empty() {
            true => AccountId::VENUE,
            false => self.find_account(&command.account).ok_or(RejectReason::UnknownAccount)?,
        };
        let engaged = command.engaged;
        if self.killed.contains(&account) == engaged {
            return Err(RejectReason::NoChange);
        }
        match engaged {
            true => self.killed.insert(account),
            false => self.killed.remove(&account),
        };
        self.emit(KillSwitchSet { account, engaged });
        if engaged {
            self.cancel_everything(account, InstrumentId::NONE, MassCancelCause::Administrator);
        }
        Ok(())
    }

    pub(super) fn check_kill_switch(&self, account: AccountId) -> Refusable {
        match self.killed.contains(&AccountId::VENUE) || self.killed.contains(&account) {
            true => Err(RejectReason::KillSwitch),
            false => Ok(()),
        }
    }

    /// The end of check 13, for one order or for all of a list.
    pub(super) fn check_risk(&self, new: &[Order]) -> Refusable {
        let OrderRequest { account, instrument, .. } = new[0].request;
        let everybody = AccountId::NONE;
        let everything = InstrumentId::NONE;
        let places = [
            (account, instrument),
            (account, everything),
            (everybody, instrument),
            (everybody, everything),
        ];
        let Some(place) = places.iter().find(|place| self.risk_limits.contains_key(place)) else {
            return Ok(());
        };
        let limits = self.risk_limits[place];
        let counted = (place.1 != everything).then_some(instrument);
        for order in new {
            if !order.paid {
                self.check_order_notional(order, limits.order_notional_max)?;
                let open = self.open_orders(account, counted).len() + new.len();
                if limits.open_orders_max != 0 && open > limits.open_orders_max as usize {
                    return Err(RejectReason::OpenOrdersLimit);
                }
                self.check_day_quantity(order, limits.day_quantity_max)?;
            }
            self.check_collar(order, limits.collar)?;
        }
        Ok(())
    }

    fn check_order_notional(&self, order: &Order, max: Amount) -> Refusable {
        let OrderRequest { instrument, kind, quantity, quantity_unit, .. } = order.request;
        let worths: Vec<Amount> = match quantity_unit {
            _ if kind.is_limit() => {
                order.prices().iter().map(|it| notional(*it, quantity)).collect()
            }
            QuantityUnit::Quote => vec![quantity.into()],
            QuantityUnit::Base => {
                self.filter_price(instrument, 0).iter().map(|it| notional(*it, quantity)).collect()
            }
        };
        match !max.is_zero() && worths.iter().any(|worth| *worth > max) {
            true => Err(RejectReason::OrderNotionalLimit),
            false => Ok(()),
        }
    }

    fn check_day_quantity(&self, order: &Order, max: Amount) -> Refusable {
        if max.is_zero() {
            return Ok(());
        }
        let OrderRequest { account, instrument, quantity, quantity_unit, .. } = order.request;
        let today = self.now / DAY_NS;
        let traded: i128 = self
            .fills
            .iter()
            .filter(|it| (it.day, it.account, it.instrument) == (today, account, instrument))
            .map(|it| it.quantity)
            .sum();
        let open = self.open_orders(account, Some(instrument));
        let open: i128 = open.iter().map(|order| i128::from(order.remaining())).sum();
        let new = match quantity_unit {
            QuantityUnit::Base => i128::from(quantity.0),
            QuantityUnit::Quote => self.rehearse(order).base,
        };
        match traded + open + new > max.0 {
            true => Err(RejectReason::DayQuantityLimit),
            false => Ok(()),
        }
    }

    fn check_collar(&self, order: &Order, collar: u64) -> Refusable {
        let last = self.last_price(order.request.instrument);
        let is_outside = |last: Price| order.prices().iter().any(|it| is_far(*it, last, collar));
        match collar != 0 && last.is_some_and(is_outside) {
            true => Err(RejectReason::PriceCollar),
            false => Ok(()),
        }
    }

    /// Notes one side of a trade; those of another day count nothing any more.
    pub(super) fn note_fill(&mut self, order: &Order, quantity: u64) {
        let OrderRequest { account, instrument, .. } = order.request;
        let day = self.now / DAY_NS;
        if self.fills.last().is_some_and(|it| it.day != day) {
            self.fills.clear();
        }
        self.fills.push(DayFill { day, account, instrument, quantity: i128::from(quantity) });
    }
}
