//! What lives of orders are told with: the venue as it stands, names, last prices, and the shown
//! parts of icebergs. A fold over events.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use engine::Engine;
use marketdata::{History, Instrument, Market};
use protocol::command::{AccountName, RiskLimits, VenueLimits};
use protocol::{
    AccountId, Amount, AssetId, Event, InstrumentDefinition, InstrumentId, OrderId, Price,
    Quantity, Side, Stamp,
};

use crate::story::Story;

/// The past is not looked at.
const HISTORY: History = History { trades: 1, aggregate_trades: 1, candles: 1 };

/// An open iceberg.
#[derive(Debug, Clone, Copy)]
struct Iceberg {
    instrument: InstrumentId,
    part: Quantity,
    /// What is left of the part that the book shows.
    shown: Quantity,
}

/// **Invariants:** `icebergs` are open orders.
pub(super) struct Facts {
    pub(super) story: Story,
    market: Market,
    accounts: BTreeMap<AccountId, AccountName>,
    pub(super) limits: VenueLimits,
    risk: BTreeMap<(AccountId, InstrumentId), RiskLimits>,
    /// Whose kill switch is engaged; `NONE` is the venue.
    killed: BTreeSet<AccountId>,
    icebergs: BTreeMap<OrderId, Iceberg>,
    /// The instrument whose auction ends in this command.
    uncrossing: Option<InstrumentId>,
}

impl Facts {
    /// Before the first command, or as an engine has them.
    pub(super) fn of(engine: &Engine) -> Facts {
        let mut facts = Facts {
            story: Story::new(),
            market: Market::new(HISTORY),
            accounts: BTreeMap::new(),
            limits: VenueLimits::default(),
            risk: BTreeMap::new(),
            killed: BTreeSet::new(),
            icebergs: BTreeMap::new(),
            uncrossing: None,
        };
        let mut events = Vec::new();
        engine.describe(&mut events);
        events.iter().for_each(|event| facts.see(event, engine.now()));
        for open in engine.open_orders() {
            let (part, instrument) = (open.terms.iceberg, open.request.instrument);
            if !part.is_zero() {
                // How much of the part is left is not told; the next one is known again.
                facts.icebergs.insert(open.order, Iceberg { instrument, part, shown: part });
            }
        }
        facts
    }

    pub(super) fn see(&mut self, event: &Event, stamp: Stamp) {
        match event {
            Event::CommandBegan(_) => self.uncrossing = None,
            Event::AssetDefined(_)
            | Event::InstrumentDefined(_)
            | Event::InstrumentStatusSet(_)
            | Event::TradingRulesSet(_)
            | Event::IndicativeChanged(_)
            | Event::Trade(_) => self.market.apply(event, stamp),
            Event::AuctionUncrossed(it) => {
                self.uncrossing = Some(it.instrument);
                self.market.apply(event, stamp);
            }
            Event::AccountDefined(it) => {
                self.accounts.insert(it.account, it.name);
            }
            Event::VenueLimitsSet(it) => self.limits = it.limits,
            Event::RiskLimitsSet(it) => {
                self.risk.insert((it.account, it.instrument), it.limits);
                self.risk.retain(|_, limits| *limits != RiskLimits::default());
            }
            Event::KillSwitchSet(it) => {
                match it.engaged {
                    true => self.killed.insert(it.account),
                    false => self.killed.remove(&it.account),
                };
            }
            _ => self.see_iceberg(event),
        }
        if matches!(event, Event::AssetDefined(_) | Event::InstrumentDefined(_))
            || matches!(event, Event::AccountDefined(_))
        {
            self.story.line(event);
        }
    }

    fn see_iceberg(&mut self, event: &Event) {
        match event {
            Event::OrderAcceptedWithTerms(it) if !it.terms.iceberg.is_zero() => {
                let part = it.terms.iceberg;
                let iceberg = Iceberg { instrument: it.request.instrument, part, shown: part };
                self.icebergs.insert(it.order, iceberg);
            }
            Event::OrderClosed(it) => {
                self.icebergs.remove(&it.order);
            }
            Event::OrderFilled(it) if it.is_maker => {
                if it.status == protocol::OrderStatus::Filled {
                    self.icebergs.remove(&it.order);
                } else if let Some(iceberg) = self.icebergs.get_mut(&it.order) {
                    // After an uncross it shows a whole part again.
                    iceberg.shown = match self.uncrossing == Some(iceberg.instrument) {
                        true => iceberg.part,
                        false => Quantity(iceberg.shown.0.saturating_sub(it.quantity.0)),
                    };
                }
            }
            Event::OrderFilled(it) if it.status == protocol::OrderStatus::Filled => {
                self.icebergs.remove(&it.order);
            }
            Event::IcebergRefilled(it) => self.show(it.order, it.quantity),
            Event::OrderReplaced(it) => {
                let part = self.icebergs.get(&it.order).map(|iceberg| iceberg.part);
                part.into_iter().for_each(|part| self.show(it.order, part));
            }
            _ => {}
        }
    }

    fn show(&mut self, order: OrderId, quantity: Quantity) {
        if let Some(iceberg) = self.icebergs.get_mut(&order) {
            iceberg.shown = quantity;
        }
    }

    /// What the book shows of a resting order of which so much remains.
    pub(super) fn shown(&self, order: OrderId, remaining: Quantity) -> Quantity {
        let shown = self.icebergs.get(&order).map(|iceberg| iceberg.shown);
        shown.map_or(remaining, |shown| shown.min(remaining))
    }

    // The venue.

    pub(super) fn instrument(&self, id: InstrumentId) -> Option<&Instrument> {
        self.market.instrument(id)
    }

    pub(super) fn definition(&self, id: InstrumentId) -> Option<&InstrumentDefinition> {
        self.instrument(id).map(|instrument| &instrument.definition)
    }

    pub(super) fn is_collecting(&self, id: InstrumentId) -> bool {
        let auction = self.instrument(id).and_then(|instrument| instrument.auction);
        auction.is_some_and(|auction| auction.is_collecting)
    }

    /// The asset that an order of this side pays with.
    pub(super) fn paying(&self, id: InstrumentId, side: Side) -> AssetId {
        let assets = self.instrument(id).map(|instrument| (instrument.base, instrument.quote));
        let (base, quote) = assets.unwrap_or((AssetId::NONE, AssetId::NONE));
        match side {
            Side::Buy => quote,
            Side::Sell => base,
        }
    }

    /// The price of the latest trade, else the definition's; none if neither is known.
    pub(super) fn last(&self, id: InstrumentId) -> Option<Price> {
        let instrument = self.instrument(id)?;
        let reference = instrument.definition.reference_price;
        let reference = Some(reference).filter(|reference| !reference.is_zero());
        instrument.last_price().or(reference)
    }

    /// The price that filters use (docs/rules.md §9), where the views keep it.
    pub(super) fn filter_price(&self, id: InstrumentId, minutes: u32, now: Stamp) -> Option<Price> {
        let instrument = self.instrument(id)?;
        if let Some(reference) = instrument.reference_price(now) {
            return Some(reference);
        }
        if minutes == 0 {
            return self.last(id);
        }
        let average = instrument.average_price(now);
        Some(average.price).filter(|price| average.minutes == minutes && !price.is_zero())
    }

    /// The one entry that counts for an order (docs/rules.md §13).
    pub(super) fn risk(&self, account: AccountId, id: InstrumentId) -> Option<&RiskLimits> {
        let (nobody, nothing) = (AccountId::VENUE, InstrumentId::NONE);
        let keys = [(account, id), (account, nothing), (nobody, id), (nobody, nothing)];
        keys.iter().find_map(|key| self.risk.get(key))
    }

    /// Whose kill switch stops this account.
    pub(super) fn kill_switch(&self, account: AccountId) -> Option<&'static str> {
        let venue = self.killed.contains(&AccountId::VENUE).then_some("the venue's");
        venue.or_else(|| self.killed.contains(&account).then_some("the account's"))
    }

    // Names.

    pub(super) fn account_name(&self, id: AccountId) -> String {
        self.accounts.get(&id).map_or_else(|| format!("account:{id}"), ToString::to_string)
    }

    pub(super) fn symbol(&self, id: InstrumentId) -> String {
        let instrument = self.instrument(id);
        instrument.map_or_else(|| format!("instrument:{id}"), |it| it.symbol().to_owned())
    }

    pub(super) fn asset(&self, id: AssetId) -> String {
        self.market.asset(id).map_or_else(|| format!("asset:{id}"), ToString::to_string)
    }

    /// An amount of an asset in words.
    pub(super) fn money(&self, amount: Amount, asset: AssetId) -> String {
        format!("{} {}", short(amount), self.asset(asset))
    }
}

/// A number without the zeros at its end.
pub(super) fn short(number: impl Display) -> String {
    let text = number.to_string();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Stored time as people write it: `2026-01-01T00:00:00.000000Z`.
pub(super) fn utc(stamp: Stamp) -> String {
    let micros = stamp.0 / 1_000;
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// Year, month and day of a count of days since 1970: years are counted from March, eras have 400
/// of them.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let in_month = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, in_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::SECOND_NS;

    #[test]
    fn stored_time_is_shown_as_a_date() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (1_767_225_600, "2026-01-01T00:00:00.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(utc(Stamp(seconds * SECOND_NS)), text);
        }
    }

    #[test]
    fn zeros_at_the_end_are_left_out() {
        assert_eq!(short(Price(10_000_000_000)), "100");
        assert_eq!(short(Amount(-150_000_000)), "-1.5");
    }
}
